//! `isthmus admin users …`: a server's users, as the console's page of them does it.

use std::io::Read;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::segment;
use super::error::CliError;
use super::out::{Column, Out, plain, table};
use super::target::Target;
use super::when;
use crate::admin_token::Role;
use crate::clock;

#[derive(Debug, Subcommand)]
pub(super) enum UsersCommand {
    /// Lists them.
    #[command(after_help = "Example: isthmus admin users list --config server.toml")]
    List(Target),
    /// Creates one. The password is read from ISTHMUS_PASSWORD or from standard input.
    #[command(
        visible_alias = "create",
        after_help = "Example: isthmus admin users add alice --name 'Alice Wu' --config server.toml < password.txt"
    )]
    Add {
        /// The part of the userID before the `@`.
        local: String,
        /// The name people see.
        #[arg(long)]
        name: String,
        /// With country code, as 008613800138000. Friends alone see it.
        #[arg(long)]
        phone: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Logs a user out everywhere; it can neither send nor receive until it is enabled again.
    #[command(after_help = "Example: isthmus admin users disable alice --config server.toml")]
    Disable(User),
    /// Lets a disabled user in again.
    #[command(after_help = "Example: isthmus admin users enable alice --config server.toml")]
    Enable(User),
    /// Gives a user another password, read from ISTHMUS_PASSWORD or from standard input; it is logged out everywhere.
    #[command(after_help = "Example: isthmus admin users reset alice --config server.toml < password.txt")]
    Reset(User),
    /// Lists where a user is logged in.
    #[command(after_help = "Example: isthmus admin users devices alice --config server.toml")]
    Devices(User),
    /// Ends one log-in of a user, or all.
    #[command(
        after_help = "Example: isthmus admin users logout alice --config server.toml\n         isthmus admin users logout alice --device 0190a3c2-5e0b --config server.toml"
    )]
    Logout {
        /// One device, as `devices` lists it; all of them if left out.
        #[arg(long)]
        device: Option<String>,
        #[command(flatten)]
        user: User,
    },
    /// Shows what administrators have done about a user, as far as it holds.
    #[command(after_help = "Example: isthmus admin users measures alice --config server.toml")]
    Measures(User),
    /// Tells a user something, and bounds it in nothing.
    #[command(after_help = "Example: isthmus admin users warn alice --words 'no insults, please' --config server.toml")]
    Warn {
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        words: Words,
    },
    /// Lets a user send so many messages a minute, and no more, for a time.
    #[command(
        after_help = "Example: isthmus admin users limit alice --per-minute 5 --for 2h --words 'slowly, please' --config server.toml"
    )]
    Limit {
        /// Messages a minute, 1 to 600.
        #[arg(long)]
        per_minute: u32,
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        words: Words,
        #[command(flatten)]
        term: Term,
    },
    /// Lets a user read and not write, for a time.
    #[command(
        after_help = "Example: isthmus admin users mute alice --for 7d --words 'no insults, please' --config server.toml"
    )]
    Mute {
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        words: Words,
        #[command(flatten)]
        term: Term,
    },
    /// Logs a user out and lets it not log in, for a time or until it is lifted; what comes for it is kept.
    #[command(
        after_help = "Example: isthmus admin users suspend alice --words 'call the desk, please' --config server.toml\n         isthmus admin users suspend alice --until 2027-01-01 --words 'on leave' --config server.toml"
    )]
    Suspend {
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        words: Words,
        #[command(flatten)]
        term: Term,
    },
    /// Ends a measure before its time; the user is told.
    #[command(after_help = "Example: isthmus admin users lift alice mute --config server.toml")]
    Lift {
        #[command(flatten)]
        user: User,
        /// Which: `limit`, `mute` or `suspend`.
        measure: String,
    },
}

/// Whom it is about, and whom to ask.
#[derive(Debug, Args)]
pub(super) struct User {
    /// The userID, with or without `@` and the server.
    user: String,
    #[command(flatten)]
    target: Target,
}

/// Why.
#[derive(Debug, Args)]
pub(super) struct Words {
    /// Why. The user is told these words; the content policy judges them as any others.
    #[arg(long)]
    words: String,
}

/// How long.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Term {
    /// How long, as 30m, 2h, 7d.
    #[arg(long = "for", value_name = "SPAN", value_parser = when::span)]
    span: Option<u64>,
    /// Its end, a time to come: 2027-01-01 or 2027-01-01T12:30:00Z.
    #[arg(long, value_name = "TIME", value_parser = when::end)]
    until: Option<u64>,
}

impl Term {
    /// The end, in milliseconds since 1970 UTC.
    fn end(&self) -> Option<u64> {
        self.until.or_else(|| self.span.map(|ms| clock::now_ms().saturating_add(ms)))
    }

    /// The end of what has one.
    fn needed(&self) -> Result<u64, CliError> {
        self.end().ok_or_else(|| CliError::Usage("say how long: --for 2h, or --until 2027-01-01T12:30:00Z".into()))
    }
}

impl User {
    fn path(&self, what: &str) -> String {
        format!("/admin/v1/users/{}/{what}", segment(&self.user))
    }

    fn post(&self, what: &str, body: &Value) -> Result<Value, CliError> {
        self.target.post(Role::System, &self.path(what), body)
    }

    /// An act whose answer is the user, and what became of it.
    fn act(&self, what: &str, body: &Value, done: &str, out: &Out) -> Result<(), CliError> {
        out.answer(&self.post(what, body)?, |a| format!("{} is {done}", a["userID"].as_str().unwrap_or(&self.user)));
        Ok(())
    }

    /// Takes a measure.
    fn take(&self, words: &Words, mut measure: Value, done: &str, out: &Out) -> Result<(), CliError> {
        measure["words"] = json!(words.words);
        self.act("measures", &measure, done, out)
    }
}

pub(super) fn run(command: UsersCommand, out: &Out) -> Result<(), CliError> {
    match command {
        UsersCommand::List(target) => list(&target, out),
        UsersCommand::Add { local, name, phone, target } => add(&target, &local, &name, phone.as_deref(), out),
        UsersCommand::Disable(user) => user.act("disable", &json!({}), "disabled", out),
        UsersCommand::Enable(user) => user.act("enable", &json!({}), "enabled", out),
        UsersCommand::Reset(user) => {
            user.act("password", &json!({"password": password()?}), "given another password", out)
        }
        UsersCommand::Devices(user) => devices(&user, out),
        UsersCommand::Logout { device, user } => {
            let body = device.map_or_else(|| json!({}), |id| json!({"deviceID": id}));
            out.answer(&user.post("devices/end", &body)?, |_| format!("{} is logged out", user.user));
            Ok(())
        }
        UsersCommand::Measures(user) => measures(&user, out),
        UsersCommand::Warn { user, words } => user.take(&words, json!({"measure": "warn"}), "warned", out),
        UsersCommand::Limit { per_minute, user, words, term } => {
            let body = json!({"measure": "limit", "perMinute": per_minute, "untilMs": term.needed()?});
            user.take(&words, body, "limited", out)
        }
        UsersCommand::Mute { user, words, term } => {
            user.take(&words, json!({"measure": "mute", "untilMs": term.needed()?}), "muted", out)
        }
        UsersCommand::Suspend { user, words, term } => {
            let mut body = json!({"measure": "suspend"});
            if let Some(end) = term.end() {
                body["untilMs"] = end.into();
            }
            user.take(&words, body, "suspended", out)
        }
        UsersCommand::Lift { user, measure } => {
            let done = format!("under no {} any more", if measure == "suspend" { "suspension" } else { &measure });
            user.act("measures/lift", &json!({"measure": measure}), &done, out)
        }
    }
}

fn list(target: &Target, out: &Out) -> Result<(), CliError> {
    const COLUMNS: &[Column<'_>] = &[
        ("USER", |u| plain(&u["userID"])),
        ("NAME", |u| plain(&u["name"])),
        ("CREATED", |u| time(&u["createdMs"])),
        ("STATE", state),
    ];
    let answer = target.get(Role::System, "/admin/v1/users")?;
    out.answer(&answer, |a| table(a, "users", COLUMNS, "no users yet"));
    Ok(())
}

fn time(ms: &Value) -> String {
    ms.as_u64().map_or_else(|| "-".to_owned(), when::show)
}

/// Disabled, muted until then, or nothing at all.
fn state(user: &Value) -> String {
    let measures = user["measures"].as_array().into_iter().flatten().filter(|one| one["measure"] != "warn");
    let shown = measures.map(|one| {
        let until = one["untilMs"].as_u64().map(|ms| format!(" until {}", when::show(ms))).unwrap_or_default();
        format!("{}{until}", plain(&one["measure"]))
    });
    let disabled = (user["disabled"] == true).then(|| "disabled".to_owned());
    let all: Vec<String> = disabled.into_iter().chain(shown).collect();
    if all.is_empty() { "active".to_owned() } else { all.join(", ") }
}

fn add(target: &Target, local: &str, name: &str, phone: Option<&str>, out: &Out) -> Result<(), CliError> {
    let password = password()?;
    let mut body = json!({"userID": local, "name": name, "password": password});
    if let Some(phone) = phone {
        body["phoneNumber"] = json!(phone);
    }
    let answer = target.post(Role::System, "/admin/v1/users", &body)?;
    out.answer(&answer, |a| format!("created {}", a["userID"].as_str().unwrap_or(local)));
    Ok(())
}

fn password() -> Result<String, CliError> {
    if let Ok(password) = std::env::var("ISTHMUS_PASSWORD") {
        return Ok(password);
    }
    let mut text = String::new();
    std::io::stdin().take(4096).read_to_string(&mut text).map_err(|error| CliError::chain(&error))?;
    let password = text.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        return Err(CliError::Usage("no password: write it to standard input or into ISTHMUS_PASSWORD".into()));
    }
    Ok(password)
}

fn devices(user: &User, out: &Out) -> Result<(), CliError> {
    const COLUMNS: &[Column<'_>] = &[
        ("DEVICE", |d| plain(&d["deviceID"])),
        ("NAME", |d| plain(&d["name"])),
        ("SINCE", |d| time(&d["createdMs"])),
        ("LAST SEEN", |d| time(&d["lastSeenMs"])),
    ];
    let answer = user.target.get(Role::System, &user.path("devices"))?;
    out.answer(&answer, |a| table(a, "devices", COLUMNS, "logged in nowhere"));
    Ok(())
}

fn measures(user: &User, out: &Out) -> Result<(), CliError> {
    const COLUMNS: &[Column<'_>] = &[
        ("MEASURE", |m| plain(&m["measure"])),
        ("SINCE", |m| time(&m["sinceMs"])),
        ("UNTIL", |m| time(&m["untilMs"])),
        ("A MINUTE", |m| plain(&m["perMinute"])),
        ("BY", |m| plain(&m["by"])),
        ("WORDS", |m| plain(&m["words"])),
    ];
    let answer = user.target.get(Role::System, &user.path("measures"))?;
    out.answer(&answer, |a| table(a, "measures", COLUMNS, "nothing holds"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_state_is_told_in_the_words_of_what_made_it() {
        let check = |user: Value, told: &str| assert_eq!(state(&user), told);
        check(json!({"disabled": false, "measures": []}), "active");
        check(json!({"disabled": false, "measures": [{"measure": "warn"}]}), "active");
        let mute = json!({"measure": "mute", "untilMs": 1_777_638_600_000_u64});
        check(json!({"disabled": true, "measures": [mute]}), "disabled, mute until 2026-05-01T12:30:00Z");
    }
}
