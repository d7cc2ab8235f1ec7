//! A group of the target's, and how one of the peer's users comes into it (§7.7).

use isthmus_wire::call::{GROUP_ANSWER, GROUP_INVITE, GROUP_MEMBERS, GROUP_NOTICE};
use serde_json::{Value, json};

use crate::conformance::case::{Stop, Trial};
use crate::conformance::driver::Act;
use crate::conformance::lab::text;
use crate::conformance::line::{Answer, Ask};
use crate::conformance::sample::text_message;
use crate::conformance::stage::Heard;

/// A group of the target's user, and our member in it.
pub(super) struct Joined {
    pub(super) group: String,
    pub(super) member: Value,
    pub(super) id: String,
}

pub(super) async fn made(t: &Trial<'_>) -> Result<String, Stop> {
    let name = t.lab.fresh("Group");
    let group = t.act(&Act::CreateGroup { owner: t.lab.user(), name: &name }).await?;
    t.demand(!group.is_empty(), "the new group's groupID, from whoever makes users act", "nothing")?;
    Ok(group)
}

/// Has one of ours invited; what the peer hears of it.
pub(super) async fn invite(t: &Trial<'_>, group: &str, member: &Value) -> Result<Heard, Stop> {
    let stage = t.lab.stage()?;
    let (mark, who) = (stage.mark(), text(member, "userID"));
    t.act(&Act::Invite { by: t.lab.user(), group, who: &who }).await?;
    asked(t, mark, &who).await
}

pub(super) async fn asked(t: &Trial<'_>, mark: usize, who: &str) -> Result<Heard, Stop> {
    let fits = |heard: &Heard| heard.at("/reqInfo/inviteUsers").to_string().contains(who);
    let heard = t.lab.stage()?.wait(mark, &GROUP_INVITE, t.lab.patience, fits).await;
    let heard = heard.ok_or_else(|| t.fail(format!("POST /sns/invite/groupreq for {who}"), "it did not come"))?;
    t.about(&heard);
    Ok(heard)
}

pub(super) fn reply(group: &str, who: &str, result: i64) -> Ask {
    Ask::post(GROUP_ANSWER.path, &json!({"groupID": group, "userID": who, "respResult": result}))
}

/// Waits for a notice of a kind about a group.
pub(super) async fn notice(t: &Trial<'_>, mark: usize, group: &str, oper: i64) -> Result<Heard, Stop> {
    let fits = |heard: &Heard| heard.text("/groupInfo/groupID") == group && heard.at("/operType") == oper;
    let heard = t.lab.stage()?.wait(mark, &GROUP_NOTICE, t.lab.patience, fits).await;
    let heard =
        heard.ok_or_else(|| t.fail(format!("POST /sns/notify/grpnotify, operType {oper}"), "it did not come"))?;
    t.about(&heard);
    t.check(!heard.text("/operUser/userID").is_empty(), "operUser", heard.at("/operUser").to_string());
    Ok(heard)
}

pub(super) async fn join(t: &Trial<'_>, group: &str) -> Result<Joined, Stop> {
    let member = t.lab.own_user("walter");
    invite(t, group, &member).await?;
    let id = text(&member, "userID");
    t.accepted(&reply(group, &id, 1)).await?;
    Ok(Joined { group: group.to_owned(), member, id })
}

/// A new group with one of ours in it.
pub(super) async fn new_group(t: &Trial<'_>) -> Result<Joined, Stop> {
    let group = made(t).await?;
    join(t, &group).await
}

/// A group that cases share which leave it as it is, with a member of its own for each.
pub(super) async fn shared(t: &Trial<'_>) -> Result<Joined, Stop> {
    join(t, shared_group(t).await?).await
}

pub(super) async fn member_list(t: &Trial<'_>, group: &str) -> Result<Vec<Value>, Stop> {
    let answer = t.call(&Ask::of(&GROUP_MEMBERS, "", &json!({"groupID": group}))).await?;
    // A server without a member in the group may be told nothing.
    Ok(answer.field("members").as_array().cloned().unwrap_or_default())
}

/// The userType of a member at the target.
pub(super) async fn user_type(t: &Trial<'_>, group: &str, who: &str) -> Result<Option<i64>, Stop> {
    let members = member_list(t, group).await?;
    let found = members.iter().find(|member| member["userInfo"]["userID"] == who);
    Ok(found.and_then(|member| member["userType"].as_i64()))
}

pub(super) fn message(joined: &Joined, t: &Trial<'_>, text: &str) -> Value {
    let mut message = text_message(&joined.id, &joined.group, &t.lab.fresh("m"), text);
    message["messageInfo"]["chatScene"] = json!("group");
    message
}

pub(super) async fn say(t: &Trial<'_>, joined: &Joined, text: &str) -> Result<Answer, Stop> {
    t.call(&Ask::post("/sns/chat/", &message(joined, t, text))).await
}

/// The group that cases share, without a member of ours.
pub(super) async fn shared_group<'a>(t: &Trial<'a>) -> Result<&'a str, Stop> {
    t.lab.shared_group.get_or_try_init(|| made(t)).await.map(String::as_str)
}
