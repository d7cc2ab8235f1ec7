//! `isthmus policy explain --from … --to …`: what the active policy would say.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::error::CliError;
use super::out::{Column, Out, plain, table};
use super::target::Target;
use crate::admin_token::Role;

/// A question about a request that nobody makes.
#[derive(Debug, Args)]
pub(super) struct WhatIfArgs {
    /// Who would act: a userID.
    #[arg(long)]
    pub(super) from: Option<String>,
    /// To whom: a userID, groupID or serverID.
    #[arg(long)]
    to: Option<String>,
    /// What: `message.send`, `friend.add`, `user.login`, …
    #[arg(long, default_value = "message.send")]
    operation: String,
    /// `inbound`, `outbound`, `internal`: worked out if left out.
    #[arg(long)]
    direction: Option<String>,
    /// The other server: worked out if left out.
    #[arg(long)]
    peer: Option<String>,
    /// What would be said.
    #[arg(long)]
    text: Option<String>,
}

pub(super) fn what_if(args: &WhatIfArgs, target: &Target, out: &Out) -> Result<(), CliError> {
    let mut body = json!({"operation": args.operation});
    let given = [
        ("from", &args.from),
        ("to", &args.to),
        ("direction", &args.direction),
        ("peer", &args.peer),
        ("text", &args.text),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    let answer = target.post(Role::Security, "/admin/v1/policy/explain", &body)?;
    out.answer(&answer, supposed);
    Ok(())
}

fn supposed(a: &Value) -> String {
    const STEPS: &[Column<'_>] = &[
        ("PLUGIN", |s| plain(&s["plugin"])),
        ("HOOK", |s| plain(&s["hook"])),
        ("SAYS", |s| plain(&s["verdict"])),
        ("REASON", |s| plain(&s["reason"]["code"])),
        ("SETTING", |s| match (&s["rule"], &s["setting"]) {
            (Value::String(rule), setting) => format!("{rule} = {setting}"),
            _ => "-".to_owned(),
        }),
        ("µs", |s| plain(&s["micros"])),
        ("FAULT", |s| plain(&s["fault"])),
    ];
    let call = &a["call"];
    let peer = call["peer"]["id"].as_str().map(|peer| format!(" by way of {peer}")).unwrap_or_default();
    let mut text = format!(
        "hypothetical, nothing was done: {} {} {} -> {}{peer}\n{}",
        plain(&call["direction"]),
        plain(&call["operation"]),
        plain(&call["actor"]),
        plain(&call["target"]),
        plain(&a["outcome"])
    );
    for (before, value) in [(" by ", &a["decidedBy"]), (": ", &a["reason"]["text"]), (", as: ", &a["text"])] {
        if value.as_str().is_some_and(|value| !value.is_empty()) {
            let _ = write!(text, "{before}{}", plain(value));
        }
    }
    let policy = &a["policy"];
    let _ = writeln!(
        text,
        "\ngeneration {} ({}, activated by {}: {}), lists at revision {}, {} µs\n",
        a["generation"],
        plain(&policy["name"]),
        plain(&policy["by"]),
        plain(&policy["why"]),
        a["lists"],
        a["micros"]
    );
    text.push_str(&table(a, "steps", STEPS, "no plugin was asked"));
    text
}
