//! Groups whose owner is the peer's: the target keeps a mirror (§7.7, R20, R22).

use isthmus_wire::call::{
    GROUP_ANSWER, GROUP_HISTORY, GROUP_INVITE, GROUP_LEAVE, GROUP_MEMBERS, GROUP_NOTICE, MESSAGE_SEND,
};
use serde_json::{Value, json};

use crate::conformance::case::{Outcome, Stop, Trial, cases, said};
use crate::conformance::driver::Act;
use crate::conformance::lab::text;
use crate::conformance::line::{Answer, Ask};
use crate::conformance::sample::{group_info, text_message};
use crate::conformance::stage::{Group, Heard};

cases! {
    "mirror.invited" "7.7.4" [20], Mandatory, [Users, Listener],
        "an invitation by the group's own server for a user of the target's is taken",
        "§7.7.4: the second of its two steps"
        => invited;
    "mirror.bare-ids" "7.7.4" [6, 20], Recommended, [Users, Listener],
        "inviteUsers may hold bare userIDs, and a userID may stand beside reqInfo",
        "annex A.5.2 prints them so"
        => bare_ids;
    "mirror.joined" "7.7.5" [20], Mandatory, [Users, Acts, Listener],
        "when the user agrees, the peer is told by POST /sns/invite/grouprep with groupID, userID and respResult 1",
        "§7.7.5"
        => joined;
    "mirror.declined" "7.7.5" [20], Mandatory, [Users, Acts, Listener],
        "when the user declines, the peer is told with respResult 2",
        "§7.7.5"
        => declined;
    "mirror.members" "7.7.12" [22], Recommended, [Users, Acts, Listener],
        "after a notice of new members the target's mirror tells them",
        "§7.7.1: other servers hold a copy of the main group"
        => members;
    "mirror.message" "7.4.2" [22], Mandatory, [Users, Acts, Listener],
        "a message of the peer's member in the peer's group reaches the target's member",
        "§7.4.1: main pushes to every member's server"
        => message;
    "mirror.relayed" "7.4.2" [12, 22], Mandatory, [Users, Acts, Listener, Second],
        "so does a message of a third server's member, relayed by the group's own server",
        "§7.4.1; the one exception of R12"
        => relayed;
    "mirror.gap" "7.7.9" [22], Recommended, [Users, Acts, Listener],
        "a message that never came is fetched by grpchat when main speaks again after a silence, and seen",
        "a server that was away for long missed what main could not keep for it; no gap may stay"
        => gap;
    "mirror.message-out" "7.4.2" [22], Mandatory, [Users, Acts, Listener],
        "what the target's member writes is posted to the group's own server",
        "§7.4.1: group messages go to the main-group server"
        => message_out;
    "mirror.notices" "7.7.13" [22], Mandatory, [Users, Acts, Listener],
        "notices of all seven kinds from the group's own server are taken, twice too",
        "§7.7.13"
        => notices;
    "mirror.notice-foreign" "7.7.13" [12], Mandatory, [Users, Acts, Listener, Second],
        "a notice about the group from another server is refused and changes nothing",
        "§7.7.1: only main manages"
        => notice_foreign;
    "mirror.leave" "7.7.7" [], Mandatory, [Users, Acts, Listener],
        "when the target's member leaves, the peer is told by POST /sns/quit/groupmember",
        "§7.7.7"
        => leave;
    "mirror.dissolved" "7.7.8" [22], Mandatory, [Users, Acts, Listener],
        "after the notice that the group is dissolved its messages are refused",
        "§7.7.8"
        => dissolved;
}

/// A group of the peer's.
struct Own {
    id: String,
    owner: Value,
    info: Value,
}

fn found(t: &Trial<'_>) -> Result<Own, Stop> {
    let owner = t.lab.own_user("olga");
    let id = format!("{}@{}", t.lab.fresh("group"), t.lab.peer_id);
    let mut info = group_info(&id, &text(&owner, "userID"));
    info["groupName"] = json!(t.lab.fresh("Circle"));
    let group = Group {
        info: info.clone(),
        grpset: json!({"isAllow": 1, "isVisible": 1}),
        members: vec![(3, owner.clone())],
        messages: Vec::new(),
    };
    t.lab.stage()?.people().groups.insert(id.clone(), group);
    Ok(Own { id, owner, info })
}

fn user_info(t: &Trial<'_>) -> Value {
    json!({"userID": t.lab.user(), "name": "the target's user"})
}

fn invitation(t: &Trial<'_>, own: &Own) -> Ask {
    let body = json!({"reqInfo": {"groupInfo": own.info, "userInfo": own.owner, "inviteUsers": [user_info(t)]}});
    Ask::post(GROUP_INVITE.path, &body)
}

fn notice(own: &Own, oper: i64, users: &[&Value]) -> Ask {
    let mut body = json!({"groupInfo": own.info, "operType": oper, "operUser": own.owner});
    if !users.is_empty() {
        body["users"] = json!(users);
    }
    if oper == 7 {
        body["grpset"] = json!({"isAllow": 1, "isVisible": 1});
    }
    Ask::post(GROUP_NOTICE.path, &body)
}

async fn answered(t: &Trial<'_>, own: &Own, agree: bool) -> Result<Heard, Stop> {
    let stage = t.lab.stage()?;
    t.accepted(&invitation(t, own)).await?;
    let mark = stage.mark();
    t.act(&Act::AnswerInvite { user: t.lab.user(), group: &own.id, agree }).await?;
    let heard = stage.wait(mark, &GROUP_ANSWER, t.lab.patience, |heard| heard.text("/groupID") == own.id).await;
    let heard = heard.ok_or_else(|| t.fail("POST /sns/invite/grouprep", "it did not come"))?;
    t.about(&heard);
    t.check(heard.text("/userID") == t.lab.user(), "userID: who answers", heard.json.to_string());
    let expected = if agree { 1 } else { 2 };
    t.check(heard.at("/respResult") == expected, format!("respResult {expected}"), heard.at("/respResult").to_string());
    Ok(heard)
}

/// A group of the peer's with the target's user in it, and its mirror at the target.
async fn mirrored(t: &Trial<'_>) -> Result<Own, Stop> {
    let own = found(t)?;
    answered(t, &own, true).await?;
    let mut own = own;
    own.info["groupMemberNum"] = json!(2);
    if let Some(group) = t.lab.stage()?.people().groups.get_mut(&own.id) {
        group.members.push((1, user_info(t)));
        group.info = own.info.clone();
    }
    t.accepted(&notice(&own, 1, &[&user_info(t)])).await?;
    Ok(own)
}

/// Keeps a message as main does, and tells it.
fn keep(t: &Trial<'_>, own: &Own, from: &str, words: &str) -> Result<Value, Stop> {
    let mut message = text_message(from, &own.id, &t.lab.fresh("m"), words);
    message["messageInfo"]["chatScene"] = json!("group");
    if let Some(group) = t.lab.stage()?.people().groups.get_mut(&own.id) {
        group.messages.push(message["messageInfo"].clone());
    }
    Ok(message)
}

async fn post(t: &Trial<'_>, message: &Value) -> Result<Answer, Stop> {
    t.call(&Ask::post("/sns/chat/", message)).await
}

async fn reaches(t: &Trial<'_>, own: &Own, from: &str) -> Outcome {
    let words = t.lab.fresh("hello circle");
    let answer = post(t, &keep(t, own, from, &words)?).await?;
    t.demand(answer.is_success(), "code 0", &said(&answer))?;
    let seen = t.sees(&Act::Sees { user: t.lab.user(), from, text: &words }).await?;
    t.demand(seen, "the target's member sees it once", "it does not")
}

async fn invited(t: &Trial<'_>) -> Outcome {
    t.accepted(&invitation(t, &found(t)?)).await.map(|_| ())
}

async fn bare_ids(t: &Trial<'_>) -> Outcome {
    let own = found(t)?;
    let body = json!({"userID": own.owner["userID"],
        "reqInfo": {"groupInfo": own.info, "userInfo": own.owner, "inviteUsers": [t.lab.user()]}});
    t.accepted(&Ask::post(GROUP_INVITE.path, &body)).await.map(|_| ())
}

async fn joined(t: &Trial<'_>) -> Outcome {
    answered(t, &found(t)?, true).await.map(|_| ())
}

async fn declined(t: &Trial<'_>) -> Outcome {
    answered(t, &found(t)?, false).await.map(|_| ())
}

async fn members(t: &Trial<'_>) -> Outcome {
    let own = mirrored(t).await?;
    let answer = t.accepted(&Ask::of(&GROUP_MEMBERS, "", &json!({"groupID": own.id}))).await?;
    let members = answer.field("members").to_string();
    t.demand(members.contains(t.lab.user()), format!("{} among members", t.lab.user()), &members)
}

async fn message(t: &Trial<'_>) -> Outcome {
    let own = mirrored(t).await?;
    reaches(t, &own, &text(&own.owner, "userID")).await
}

async fn relayed(t: &Trial<'_>) -> Outcome {
    let own = mirrored(t).await?;
    let erin = json!({"userID": format!("{}@{}", t.lab.fresh("erin"), t.lab.second_id.as_deref().unwrap_or_default()), "name": "Erin"});
    if let Some(group) = t.lab.stage()?.people().groups.get_mut(&own.id) {
        group.members.push((1, erin.clone()));
    }
    t.accepted(&notice(&own, 1, &[&erin])).await?;
    reaches(t, &own, &text(&erin, "userID")).await
}

async fn gap(t: &Trial<'_>) -> Outcome {
    let own = mirrored(t).await?;
    let owner = text(&own.owner, "userID");
    reaches(t, &own, &owner).await?;
    let stage = t.lab.stage()?;
    let mark = stage.mark();
    let lost = t.lab.fresh("lost on the way");
    keep(t, &own, &owner, &lost)?;
    tokio::time::sleep(t.lab.silence).await;
    let later = t.lab.fresh("and on");
    let answer = post(t, &keep(t, &own, &owner, &later)?).await?;
    t.demand(answer.status < 500 || answer.status == 503, "code 0, or a plea for time", &said(&answer))?;
    let fetched = stage.wait(mark, &GROUP_HISTORY, t.lab.patience, |heard| heard.param("groupID") == own.id).await;
    let fetched = fetched.ok_or_else(|| t.fail("GET /sns/grpchat for the group", "it did not come"))?;
    t.about(&fetched);
    for words in [&lost, &later] {
        let seen = t.sees(&Act::Sees { user: t.lab.user(), from: &owner, text: words }).await?;
        t.check(seen, format!("the member sees {words:?} once"), "it does not");
    }
    Ok(())
}

async fn message_out(t: &Trial<'_>) -> Outcome {
    let own = mirrored(t).await?;
    let stage = t.lab.stage()?;
    let (mark, words) = (stage.mark(), t.lab.fresh("from the mirror"));
    t.act(&Act::SendGroup { from: t.lab.user(), group: &own.id, text: &words }).await?;
    let fits = |heard: &Heard| heard.text("/messageInfo/content/message") == words;
    let heard = stage.wait(mark, &MESSAGE_SEND, t.lab.patience, fits).await;
    let heard = heard.ok_or_else(|| t.fail("the message at the group's own server", "it did not come"))?;
    t.about(&heard);
    t.check(heard.text("/messageInfo/recvID") == own.id, "recvID: the groupID", heard.text("/messageInfo/recvID"));
    t.check(
        heard.text("/messageInfo/chatScene").eq_ignore_ascii_case("group"),
        "chatScene group",
        heard.json.to_string(),
    );
    t.check(heard.text("/messageInfo/sendID") == t.lab.user(), "sendID: the writer", heard.json.to_string());
    Ok(())
}

async fn notices(t: &Trial<'_>) -> Outcome {
    let own = mirrored(t).await?;
    let wanda = t.lab.own_user("wanda");
    for (oper, users) in [
        (1, vec![&wanda]),
        (4, vec![&wanda]),
        (5, vec![&wanda]),
        (6, vec![&wanda]),
        (7, Vec::new()),
        (2, vec![&own.owner]),
    ] {
        for _ in 0..2 {
            let answer = t.call(&notice(&own, oper, &users)).await?;
            t.check(answer.is_success(), format!("operType {oper}: code 0"), said(&answer));
        }
    }
    for _ in 0..2 {
        let answer = t.call(&notice(&own, 3, &[])).await?;
        t.check(answer.is_success(), "operType 3: code 0", said(&answer));
    }
    Ok(())
}

async fn notice_foreign(t: &Trial<'_>) -> Outcome {
    let own = mirrored(t).await?;
    let answer = t.call_on(t.lab.second()?, &notice(&own, 3, &[])).await?;
    t.demand(answer.is_refusal(), "a refusal of the second server", &said(&answer))?;
    reaches(t, &own, &text(&own.owner, "userID")).await
}

async fn leave(t: &Trial<'_>) -> Outcome {
    let own = mirrored(t).await?;
    let stage = t.lab.stage()?;
    let mark = stage.mark();
    t.act(&Act::Leave { user: t.lab.user(), group: &own.id }).await?;
    let heard = stage.wait(mark, &GROUP_LEAVE, t.lab.patience, |heard| heard.text("/groupID") == own.id).await;
    let heard = heard.ok_or_else(|| t.fail("POST /sns/quit/groupmember", "it did not come"))?;
    t.about(&heard);
    t.check(heard.text("/userID") == t.lab.user(), "userID: who leaves", heard.json.to_string());
    Ok(())
}

async fn dissolved(t: &Trial<'_>) -> Outcome {
    let own = mirrored(t).await?;
    t.accepted(&notice(&own, 3, &[])).await?;
    let answer = post(t, &keep(t, &own, &text(&own.owner, "userID"), "is anybody there?")?).await?;
    t.demand(answer.is_refusal(), "a refusal", &said(&answer))
}
