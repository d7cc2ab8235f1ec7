//! R12 over all calls: nobody speaks for another's users. One case a call, made from chapter 7's own table, so that a new call cannot be
//! forgotten.

use std::borrow::Cow;

use isthmus_wire::call::{self, CALLS, CallSpec, Receiver};
use serde_json::{Value, json};

use crate::conformance::case::{Case, Level, Need, Outcome, Stop, Trial, said};
use crate::conformance::driver::Act;
use crate::conformance::line::{Answer, Ask};
use crate::conformance::sample::{self, changed};

pub(super) fn cases() -> Vec<Case> {
    CALLS.iter().filter(|spec| spec.speaker.is_some()).flat_map(|spec| [refused(spec), with_code(spec)]).collect()
}

fn needs(spec: &CallSpec) -> &'static [Need] {
    if spec.to == Receiver::Platform { &[Need::Platform] } else { &[Need::Users] }
}

fn refused(spec: &CallSpec) -> Case {
    Case {
        name: Cow::Owned(format!("speaker.{}", spec.name)),
        clause: spec.clause,
        r: &[12],
        level: super::level(spec, Level::Mandatory),
        needs: needs(spec),
        rule: Cow::Owned(format!("{} in the name of a user or server that is not the caller's is refused", spec.path)),
        why: "§5.3 and §6.2 a want the caller's identity certain and traceable: a certificate is worth nothing if its holder may \
              speak for others",
        run: |t| Box::pin(is_refused(t)),
    }
}

fn with_code(spec: &CallSpec) -> Case {
    Case {
        name: Cow::Owned(format!("speaker-code.{}", spec.name)),
        clause: spec.clause,
        r: &[5, 12],
        level: super::level(spec, Level::Recommended),
        needs: needs(spec),
        rule: Cow::Owned(format!("{} in a foreign name is refused with HTTP 200 and code 1104", spec.path)),
        why: "the code tells the caller that no repetition will help, and its operator that an identity is mixed up",
        run: |t| Box::pin(has_its_code(t)),
    }
}

/// Names of others: the target's own users, those of a second server, and the target itself.
fn others(t: &Trial<'_>, spec: &CallSpec) -> Vec<(&'static str, String)> {
    if spec.to == Receiver::Platform {
        return vec![
            ("the target", t.lab.target_id().to_owned()),
            ("a server that there is not", t.lab.fresh("nobody")),
        ]
        .into_iter()
        .filter(|(_, id)| !id.is_empty())
        .collect();
    }
    let mut others =
        vec![("the target's own user", t.lab.other().to_owned()), ("the user that is called", t.lab.user().to_owned())];
    others.extend(t.lab.second_id.as_ref().map(|id| ("a second server's user", format!("erin@{id}"))));
    others
}

/// Sends the call in each foreign name.
async fn tried(t: &Trial<'_>, judge: impl Fn(&str, &Answer)) -> Outcome {
    let name = t.case.rest();
    let spec = CALLS.iter().find(|spec| spec.name == name).ok_or_else(|| Stop::Skip(format!("no call {name}")))?;
    let Some(speaker) = spec.speaker else { return Ok(()) };
    for (what, id) in others(t, spec) {
        let sample = sample::of(spec, t.lab);
        let sample =
            sample.ok_or_else(|| t.fail("a sample of every call in the kit", format!("none of {}", spec.name)))?;
        let mark = t.lab.fresh("trust me");
        let fields = changed(&sample.fields, speaker, Some(json!(id)));
        let fields = not_ours(t, spec, marked(spec, fields, &mark));
        let line = if spec.to == Receiver::Platform { t.lab.platform()? } else { t.lab.own()? };
        let answer = t.call_on(line, &Ask::of(spec, &sample.param, &fields)).await?;
        judge(&format!("{speaker} = {what}"), &answer);
        unheard(t, spec, &id, &mark).await?;
    }
    Ok(())
}

/// A text of its own, to be looked for.
fn marked(spec: &CallSpec, fields: Value, mark: &str) -> Value {
    if spec.name == call::MESSAGE_SEND.name {
        return changed(&fields, "messageInfo.content.message", Some(json!(mark)));
    }
    fields
}

/// The one exception of R12, that a group's own server relays, must not excuse the call: the group is another's.
fn not_ours(t: &Trial<'_>, spec: &CallSpec, fields: Value) -> Value {
    if spec.name == call::GROUP_NOTICE.name {
        let foreign = format!("{}@{}", t.lab.fresh("g"), t.lab.target_id());
        return changed(&fields, "groupInfo.groupID", Some(json!(foreign)));
    }
    fields
}

/// What a foreign voice said has reached nobody, as far as users can be asked.
async fn unheard(t: &Trial<'_>, spec: &CallSpec, speaker: &str, mark: &str) -> Outcome {
    if !t.lab.has(Need::Acts) {
        return Ok(());
    }
    let question = match spec.name {
        "message.send" => Act::Sees { user: t.lab.user(), from: speaker, text: mark },
        "friend.request" => Act::SeesRequest { user: t.lab.user(), from: speaker },
        _ => return Ok(()),
    };
    let seen = t.act(&question).await?;
    t.check(seen.trim() != Act::YES, "the user sees nothing of it", "it was delivered");
    Ok(())
}

async fn is_refused(t: &Trial<'_>) -> Outcome {
    tried(t, |what, answer| t.check(super::refused_by_the_call(answer), format!("{what}: refused"), said(answer))).await
}

async fn has_its_code(t: &Trial<'_>) -> Outcome {
    tried(t, |what, answer| {
        let met = answer.status == 200 && answer.code() == Some(1104);
        t.check(met, format!("{what}: HTTP 200 with code 1104"), said(answer));
    })
    .await
}
