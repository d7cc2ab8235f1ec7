//! Groups whose owner is a user of the target: the target is the main-group server (§7.7, R19–R22).

use isthmus_wire::call::{
    GROUP_ANSWER, GROUP_HISTORY, GROUP_INFO, GROUP_INVITE, GROUP_LEAVE, GROUP_MEMBERS, GROUP_NOTICE, GROUP_REMOVE,
    GROUP_SEARCH, GROUP_UPDATE, MESSAGE_SEND,
};
use serde_json::{Value, json};

use crate::conformance::case::{Outcome, Stop, Trial, cases, said};
use crate::conformance::driver::Act;
use crate::conformance::lab::text;
use crate::conformance::line::{Answer, Ask};
use crate::conformance::sample::{group_info, text_message};
use crate::conformance::stage::Heard;

cases! {
    "group.invited" "7.7.4" [20], Mandatory, [Users, Acts, Listener],
        "when a member invites a user of the peer's, the peer is asked by POST /sns/invite/groupreq with groupInfo, userInfo and inviteUsers",
        "§7.7.4: the second of its two steps"
        => invited;
    "group.joined" "7.7.5" [20], Mandatory, [Users, Acts, Listener],
        "when the invited agrees by POST /sns/invite/grouprep, it is a member at the target, and the peer is told with operType 1",
        "§7.7.5 and §7.7.13"
        => joined;
    "group.declined" "7.7.5" [], Mandatory, [Users, Acts, Listener],
        "when the invited declines, it is no member",
        "§7.7.5: the user decides"
        => declined;
    "group.answer-uninvited" "7.7.5" [], Mandatory, [Users, Acts, Listener],
        "an answer of somebody who was not invited is refused",
        "else anybody could join by saying yes"
        => answer_uninvited;
    "group.info" "7.7.11" [10], Mandatory, [Users, Acts, Listener],
        "groupInfo and grpset of the group are told with all their mandatory fields",
        "§7.7.11, §7.2.3, §7.2.4"
        => info;
    "group.info-unknown" "7.7.11" [], Mandatory, [Users],
        "for a group that there is not, groupInfo and grpset are left out",
        "§7.7.11: what cannot be had is not returned"
        => info_unknown;
    "group.members" "7.7.12" [19], Mandatory, [Users, Acts, Listener],
        "members are told with userType and userInfo; 1 for members",
        "§7.7.12"
        => members;
    "group.owner-type" "7.7.12" [19], Recommended, [Users, Acts, Listener],
        "the owner's userType is 3",
        "the text prints 2 for admins and owners both: R19 reads the second as 3"
        => owner_type;
    "group.search" "7.7.3" [14], Mandatory, [Users, Acts, Listener],
        "a visible group is found by a part of its name",
        "§7.7.3"
        => search;
    "group.search-nothing" "7.7.3" [], Mandatory, [Users],
        "where nothing is found, pages, page and groups are left out",
        "§7.7.3 says so of each of the three"
        => search_nothing;
    "group.search-hidden" "7.7.3" [], Mandatory, [Users, Acts, Listener],
        "a group with isVisible 2 is not found",
        "§7.2.4"
        => search_hidden;
    "group.message-in" "7.4.2" [22], Mandatory, [Users, Acts, Listener],
        "a member's message in the group, posted to main, is taken and seen by the target's members",
        "§7.4.1: group messages go to the main-group server"
        => message_in;
    "group.message-out" "7.4.2" [22], Mandatory, [Users, Acts, Listener],
        "what the target's user writes in the group comes to the peer, as chatScene group with the groupID as recvID and the writer as sendID",
        "§7.4.1: main pushes to every member's server"
        => message_out;
    "group.message-once" "7.4.2" [22], Recommended, [Users, Acts, Listener],
        "two members at the peer get it by one call",
        "one post for each member's server, not for each member"
        => message_once;
    "group.message-relayed" "7.4.2" [22], Mandatory, [Users, Acts, Listener, Second],
        "a second server's member's message comes to the peer by way of main",
        "§7.4.1: main pushes to every member's server"
        => message_relayed;
    "group.message-outsider" "7.4.2" [12], Mandatory, [Users, Acts, Listener],
        "a message of somebody who is no member is refused",
        "a group is its members' own"
        => message_outsider;
    "group.history" "7.7.9" [22], Mandatory, [Users, Acts, Listener],
        "messages are told from the oldest (-1, size > 0), from the newest (-1, size < 0), after and before a messageID, in one order",
        "§7.7.9; R22 for the order"
        => history;
    "group.history-outsider" "7.7.9" [22], Mandatory, [Users, Acts],
        "a server that has no member in the group does not get its messages",
        "§6.2 c: data are protected by access control"
        => history_outsider;
    "group.remove-by-member" "7.7.6" [], Mandatory, [Users, Acts, Listener],
        "a plain member cannot remove another",
        "§7.7.6: the owner can"
        => remove_by_member;
    "group.removed" "7.7.6" [], Mandatory, [Users, Acts, Listener],
        "when the owner removes a member, its server is told with operType 2, and it may write no more",
        "§7.7.6 and §7.7.13"
        => removed;
    "group.leave" "7.7.7" [], Mandatory, [Users, Acts, Listener],
        "a member leaves by POST /sns/quit/groupmember",
        "§7.7.7"
        => leave;
    "group.update-by-member" "7.7.10" [], Mandatory, [Users, Acts, Listener],
        "a plain member cannot change the group",
        "§7.7.1: only main manages, for those who may"
        => update_by_member;
    "group.renamed" "7.7.13" [], Mandatory, [Users, Acts, Listener],
        "when the owner renames the group, the peer is told with operType 7 and the new groupInfo",
        "§7.7.13"
        => renamed;
    "group.admin" "7.7.13" [], Mandatory, [Users, Acts, Listener],
        "when a member becomes an admin and is none any more, the peer is told with operType 4 and 5",
        "§7.7.13"
        => admin;
    "group.admin-acts" "7.7.10" [], Recommended, [Users, Acts, Listener],
        "an admin at the peer may change the group by POST /sns/update/grpinfo/{groupID}",
        "§7.7.10 has an ownerID that may be another than the owner's: who changes"
        => admin_acts;
    "group.transferred" "7.7.13" [], Mandatory, [Users, Acts, Listener],
        "when the owner gives the group to another user of the same server, the peer is told with operType 6",
        "§7.7.13"
        => transferred;
    "group.dissolved" "7.7.8" [], Mandatory, [Users, Acts, Listener],
        "when the owner dissolves the group, the peer is told with operType 3, and messages are refused from then on",
        "§7.7.8 and §7.7.13"
        => dissolved;
    "group.member-invites" "7.7.4" [20], Mandatory, [Users, Acts, Listener],
        "a member at the peer invites another user of the peer's by way of main, which asks that user's server",
        "§7.7.4: both of its steps"
        => member_invites;
    "group.invite-forbidden" "7.7.4" [20], Mandatory, [Users, Acts, Listener],
        "with isAllow 2 a plain member's invitation is refused",
        "§7.2.4"
        => invite_forbidden;
    "group.invite-outsider" "7.7.4" [20], Mandatory, [Users, Acts, Listener],
        "an invitation by somebody who is no member is refused",
        "§7.7.4: owner or members invite"
        => invite_outsider;
    "group.apply" "7.7.4" [21], Recommended, [Users, Acts, Listener],
        "a user applies by a groupreq in which the inviter is the only invited; once the owner agrees it is a member",
        "§7.7.4 allows to apply and names no call: this is R21's way"
        => apply;
}

/// A group of the target's user, and our member in it.
pub(super) struct Joined {
    pub(super) group: String,
    pub(super) member: Value,
    pub(super) id: String,
}

async fn made(t: &Trial<'_>) -> Result<String, Stop> {
    let name = t.lab.fresh("Group");
    let group = t.act(&Act::CreateGroup { owner: t.lab.user(), name: &name }).await?;
    t.demand(!group.is_empty(), "the new group's groupID, from whoever makes users act", "nothing")?;
    Ok(group)
}

/// Has one of ours invited; what the peer hears of it.
async fn invite(t: &Trial<'_>, group: &str, member: &Value) -> Result<Heard, Stop> {
    let stage = t.lab.stage()?;
    let (mark, who) = (stage.mark(), text(member, "userID"));
    t.act(&Act::Invite { by: t.lab.user(), group, who: &who }).await?;
    asked(t, mark, &who).await
}

async fn asked(t: &Trial<'_>, mark: usize, who: &str) -> Result<Heard, Stop> {
    let fits = |heard: &Heard| heard.at("/reqInfo/inviteUsers").to_string().contains(who);
    let heard = t.lab.stage()?.wait(mark, &GROUP_INVITE, t.lab.patience, fits).await;
    let heard = heard.ok_or_else(|| t.fail(format!("POST /sns/invite/groupreq for {who}"), "it did not come"))?;
    t.about(&heard);
    Ok(heard)
}

fn reply(group: &str, who: &str, result: i64) -> Ask {
    Ask::post(GROUP_ANSWER.path, &json!({"groupID": group, "userID": who, "respResult": result}))
}

/// Waits for a notice of a kind about a group.
async fn notice(t: &Trial<'_>, mark: usize, group: &str, oper: i64) -> Result<Heard, Stop> {
    let fits = |heard: &Heard| heard.text("/groupInfo/groupID") == group && heard.at("/operType") == oper;
    let heard = t.lab.stage()?.wait(mark, &GROUP_NOTICE, t.lab.patience, fits).await;
    let heard =
        heard.ok_or_else(|| t.fail(format!("POST /sns/notify/grpnotify, operType {oper}"), "it did not come"))?;
    t.about(&heard);
    t.check(!heard.text("/operUser/userID").is_empty(), "operUser", heard.at("/operUser").to_string());
    Ok(heard)
}

async fn join(t: &Trial<'_>, group: &str) -> Result<Joined, Stop> {
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
    let group = t.lab.shared_group.get_or_try_init(|| made(t)).await?;
    join(t, group).await
}

async fn member_list(t: &Trial<'_>, group: &str) -> Result<Vec<Value>, Stop> {
    let answer = t.accepted(&Ask::of(&GROUP_MEMBERS, "", &json!({"groupID": group}))).await?;
    Ok(answer.field("members").as_array().cloned().unwrap_or_default())
}

/// The userType of a member at the target.
async fn user_type(t: &Trial<'_>, group: &str, who: &str) -> Result<Option<i64>, Stop> {
    let members = member_list(t, group).await?;
    let found = members.iter().find(|member| member["userInfo"]["userID"] == who);
    Ok(found.and_then(|member| member["userType"].as_i64()))
}

fn message(joined: &Joined, t: &Trial<'_>, text: &str) -> Value {
    let mut message = text_message(&joined.id, &joined.group, &t.lab.fresh("m"), text);
    message["messageInfo"]["chatScene"] = json!("group");
    message
}

async fn say(t: &Trial<'_>, joined: &Joined, text: &str) -> Result<Answer, Stop> {
    t.call(&Ask::post("/sns/chat/", &message(joined, t, text))).await
}

async fn invited(t: &Trial<'_>) -> Outcome {
    let group = made(t).await?;
    let member = t.lab.own_user("walter");
    let heard = invite(t, &group, &member).await?;
    t.check(heard.text("/reqInfo/groupInfo/groupID") == group, format!("groupID {group}"), heard.json.to_string());
    for field in ["groupName", "createUser", "createTime"] {
        let value = heard.text(&format!("/reqInfo/groupInfo/{field}"));
        t.check(!value.is_empty(), format!("groupInfo.{field}"), heard.at("/reqInfo/groupInfo").to_string());
    }
    let inviter = heard.text("/reqInfo/userInfo/userID");
    t.check(inviter == t.lab.user(), "userInfo of the inviter", inviter);
    t.check(heard.certified, "a certificate of the platform", "none");
    Ok(())
}

async fn joined(t: &Trial<'_>) -> Outcome {
    let group = made(t).await?;
    let mark = t.lab.stage()?.mark();
    let joined = join(t, &group).await?;
    let heard = notice(t, mark, &group, 1).await?;
    t.check(
        heard.at("/users").to_string().contains(&joined.id),
        format!("{} among users", joined.id),
        heard.at("/users").to_string(),
    );
    let kind = user_type(t, &group, &joined.id).await?;
    t.check(kind == Some(1), "a member, userType 1", format!("{kind:?}"));
    // The same answer again, for the first may have been lost.
    t.accepted(&reply(&group, &joined.id, 1)).await.map(|_| ())
}

async fn declined(t: &Trial<'_>) -> Outcome {
    let group = t.lab.shared_group.get_or_try_init(|| made(t)).await?;
    let member = t.lab.own_user("walter");
    invite(t, group, &member).await?;
    let id = text(&member, "userID");
    t.accepted(&reply(group, &id, 2)).await?;
    let kind = user_type(t, group, &id).await?;
    t.demand(kind.is_none(), "no member", &format!("{kind:?}"))
}

async fn answer_uninvited(t: &Trial<'_>) -> Outcome {
    let group = t.lab.shared_group.get_or_try_init(|| made(t)).await?;
    let id = t.lab.own_user_id("mallory");
    t.refused(&reply(group, &id, 1)).await?;
    let kind = user_type(t, group, &id).await?;
    t.demand(kind.is_none(), "no member", &format!("{kind:?}"))
}

async fn info(t: &Trial<'_>) -> Outcome {
    let joined = shared(t).await?;
    let answer = t.accepted(&Ask::of(&GROUP_INFO, "", &json!({"groupID": joined.group}))).await?;
    let info = answer.field("groupInfo");
    t.check(text(info, "groupID") == joined.group, format!("groupID {}", joined.group), info.to_string());
    for field in ["groupName", "createUser", "createTime"] {
        t.check(!text(info, field).is_empty(), format!("{field}, a string that is not empty"), info.to_string());
    }
    t.check(
        info["groupMemberNum"].as_i64().is_some_and(|many| many >= 2),
        "groupMemberNum of at least 2",
        info.to_string(),
    );
    for field in ["isAllow", "isVisible"] {
        let value = &answer.field("grpset")[field];
        t.check(matches!(value.as_i64(), Some(1 | 2)), format!("grpset.{field}, 1 or 2"), value.to_string());
    }
    Ok(())
}

async fn info_unknown(t: &Trial<'_>) -> Outcome {
    let nothing = format!("{}@{}", t.lab.fresh("g"), t.lab.target_id());
    let answer = t.call(&Ask::of(&GROUP_INFO, "", &json!({"groupID": nothing}))).await?;
    let empty = answer.field("groupInfo").is_null() && answer.field("grpset").is_null();
    t.demand(answer.status < 500 && answer.code().is_some() && empty, "a code, no groupInfo, no grpset", &said(&answer))
}

async fn members(t: &Trial<'_>) -> Outcome {
    let joined = shared(t).await?;
    for member in member_list(t, &joined.group).await? {
        t.check(member["userType"].as_i64().is_some(), "userType, a number", member.to_string());
        t.check(!text(&member["userInfo"], "userID").is_empty(), "userInfo with a userID", member.to_string());
        t.check(!text(&member["userInfo"], "name").is_empty(), "userInfo with a name", member.to_string());
    }
    let kind = user_type(t, &joined.group, &joined.id).await?;
    t.check(kind == Some(1), "userType 1 for the peer's member", format!("{kind:?}"));
    Ok(())
}

async fn owner_type(t: &Trial<'_>) -> Outcome {
    let joined = shared(t).await?;
    let kind = user_type(t, &joined.group, t.lab.user()).await?;
    t.demand(kind == Some(3), "userType 3", &format!("{kind:?}"))
}

async fn find(t: &Trial<'_>, group: &str) -> Result<bool, Stop> {
    let answer = t.accepted(&Ask::of(&GROUP_INFO, "", &json!({"groupID": group}))).await?;
    let name = text(answer.field("groupInfo"), "groupName");
    let part: String = name.chars().skip(1).collect();
    let answer = t.accepted(&Ask::of(&GROUP_SEARCH, "", &json!({"query": part, "page": 0}))).await?;
    let groups = answer.field("groups").as_array().cloned().unwrap_or_default();
    Ok(groups.iter().any(|info| info["groupID"] == group))
}

async fn search(t: &Trial<'_>) -> Outcome {
    let joined = new_group(t).await?;
    t.act(&Act::Settings { by: t.lab.user(), group: &joined.group, allow: true, visible: true }).await?;
    t.demand(find(t, &joined.group).await?, "the group among groups", "it is not there")
}

async fn search_nothing(t: &Trial<'_>) -> Outcome {
    let query = json!({"query": t.lab.fresh("no-group-is-called"), "page": 0});
    let answer = t.accepted(&Ask::of(&GROUP_SEARCH, "", &query)).await?;
    for field in ["pages", "page", "groups"] {
        t.check(answer.field(field).is_null(), format!("no {field}"), answer.field(field).to_string());
    }
    Ok(())
}

async fn search_hidden(t: &Trial<'_>) -> Outcome {
    let joined = new_group(t).await?;
    t.act(&Act::Settings { by: t.lab.user(), group: &joined.group, allow: true, visible: false }).await?;
    t.demand(!find(t, &joined.group).await?, "the group is not found", "it is")
}

async fn message_in(t: &Trial<'_>) -> Outcome {
    let joined = shared(t).await?;
    let words = t.lab.fresh("hello all");
    let answer = say(t, &joined, &words).await?;
    t.demand(answer.is_success(), "code 0", &said(&answer))?;
    let seen = t.sees(&Act::Sees { user: t.lab.user(), from: &joined.id, text: &words }).await?;
    t.demand(seen, "the target's member sees it once", "it does not")
}

fn is_text(heard: &Heard, group: &str, words: &str) -> bool {
    heard.text("/messageInfo/recvID") == group && heard.text("/messageInfo/content/message") == words
}

async fn hears(t: &Trial<'_>, mark: usize, group: &str, words: &str) -> Result<Heard, Stop> {
    let fits = |heard: &Heard| is_text(heard, group, words);
    let heard = t.lab.stage()?.wait(mark, &MESSAGE_SEND, t.lab.patience, fits).await;
    let heard = heard.ok_or_else(|| t.fail(format!("{words:?} of the group {group}"), "it did not come"))?;
    t.about(&heard);
    Ok(heard)
}

async fn message_out(t: &Trial<'_>) -> Outcome {
    let joined = shared(t).await?;
    let (mark, words) = (t.lab.stage()?.mark(), t.lab.fresh("大家好 😀"));
    t.act(&Act::SendGroup { from: t.lab.user(), group: &joined.group, text: &words }).await?;
    let heard = hears(t, mark, &joined.group, &words).await?;
    let (scene, sender) = (heard.text("/messageInfo/chatScene"), heard.text("/messageInfo/sendID"));
    t.check(scene.eq_ignore_ascii_case("group"), "chatScene group", scene);
    t.check(sender == t.lab.user(), format!("sendID {}", t.lab.user()), sender);
    Ok(())
}

async fn message_once(t: &Trial<'_>) -> Outcome {
    let first = new_group(t).await?;
    let second = join(t, &first.group).await?;
    let stage = t.lab.stage()?;
    let (mark, words, later) = (stage.mark(), t.lab.fresh("once"), t.lab.fresh("later"));
    for text in [&words, &later] {
        t.act(&Act::SendGroup { from: t.lab.user(), group: &second.group, text }).await?;
    }
    hears(t, mark, &first.group, &later).await?;
    let many = stage.since(mark, &MESSAGE_SEND).iter().filter(|heard| is_text(heard, &first.group, &words)).count();
    t.demand(many == 1, "one call", &format!("{many} calls"))
}

async fn message_relayed(t: &Trial<'_>) -> Outcome {
    let joined = new_group(t).await?;
    // A member of the second server; its invitation went to an address where the kit does not listen, but main knows of it.
    let erin = format!("{}@{}", t.lab.fresh("erin"), t.lab.second_id.as_deref().unwrap_or_default());
    t.act(&Act::Invite { by: t.lab.user(), group: &joined.group, who: &erin }).await?;
    let second = t.lab.second()?;
    let answer = t.call_on(second, &reply(&joined.group, &erin, 1)).await?;
    t.demand(answer.is_success(), "code 0 for the second server's member", &said(&answer))?;
    let (mark, words) = (t.lab.stage()?.mark(), t.lab.fresh("from afar"));
    let theirs = Joined { group: joined.group.clone(), member: json!({}), id: erin.clone() };
    let answer = t.call_on(second, &Ask::post("/sns/chat/", &message(&theirs, t, &words))).await?;
    t.demand(answer.is_success(), "code 0 for its message", &said(&answer))?;
    let heard = hears(t, mark, &joined.group, &words).await?;
    let sender = heard.text("/messageInfo/sendID");
    t.demand(sender == erin, format!("sendID {erin}"), sender)
}

async fn message_outsider(t: &Trial<'_>) -> Outcome {
    let group = t.lab.shared_group.get_or_try_init(|| made(t)).await?;
    let member = t.lab.own_user("mallory");
    let outsider = Joined { group: group.clone(), id: text(&member, "userID"), member };
    let answer = say(t, &outsider, "let me in").await?;
    t.demand(answer.is_refusal(), "a refusal", &said(&answer))
}

/// The texts of one page of history.
async fn page(t: &Trial<'_>, group: &str, cursor: &str, size: i64) -> Result<(Vec<String>, Vec<String>), Stop> {
    let query = json!({"groupID": group, "messageID": cursor, "size": size});
    let answer = t.accepted(&Ask::of(&GROUP_HISTORY, "", &query)).await?;
    for field in ["maxMessageID", "minMessageID"] {
        t.check(
            !answer.field(field).as_str().unwrap_or_default().is_empty(),
            format!("{field}, a string"),
            said(&answer),
        );
    }
    let messages = answer.field("messages").as_array().cloned().unwrap_or_default();
    let ids = messages.iter().map(|message| text(message, "messageID")).collect();
    Ok((messages.iter().map(|message| text(&message["content"], "message")).collect(), ids))
}

async fn history(t: &Trial<'_>) -> Outcome {
    let joined = new_group(t).await?;
    let words: Vec<String> = (0..5).map(|number| t.lab.fresh(&format!("word {number}"))).collect();
    for word in &words {
        let answer = say(t, &joined, word).await?;
        t.demand(answer.is_success(), "code 0", &said(&answer))?;
    }
    let (all, ids) = page(t, &joined.group, "-1", 50).await?;
    t.demand(all == words, format!("{words:?}, the oldest first"), &format!("{all:?}"))?;
    let cases = [
        ("-1", 2, &words[..2]),
        ("-1", -2, &words[3..]),
        (ids[1].as_str(), 2, &words[2..4]),
        (ids[3].as_str(), -2, &words[1..3]),
        (ids[4].as_str(), 2, &words[5..]),
    ];
    for (cursor, size, expected) in cases {
        let (got, _) = page(t, &joined.group, cursor, size).await?;
        t.check(got == expected, format!("messageID {cursor}, size {size}: {expected:?}"), format!("{got:?}"));
    }
    Ok(())
}

async fn history_outsider(t: &Trial<'_>) -> Outcome {
    let group = made(t).await?;
    t.act(&Act::SendGroup { from: t.lab.user(), group: &group, text: "among ourselves" }).await?;
    let query = json!({"groupID": group, "messageID": "-1", "size": 10});
    let answer = t.call(&Ask::of(&GROUP_HISTORY, "", &query)).await?;
    t.demand(answer.field("messages").is_null() && answer.status < 500, "no messages", &said(&answer))
}

async fn remove_by_member(t: &Trial<'_>) -> Outcome {
    let joined = shared(t).await?;
    let body = json!({"groupID": joined.group, "userID": joined.id, "delMembers": [t.lab.user()]});
    t.refused(&Ask::post(GROUP_REMOVE.path, &body)).await?;
    let kind = user_type(t, &joined.group, t.lab.user()).await?;
    t.demand(kind.is_some(), "the owner is still there", "gone")
}

async fn removed(t: &Trial<'_>) -> Outcome {
    let joined = new_group(t).await?;
    let mark = t.lab.stage()?.mark();
    t.act(&Act::Remove { by: t.lab.user(), group: &joined.group, who: &joined.id }).await?;
    let heard = notice(t, mark, &joined.group, 2).await?;
    let users = heard.at("/users").to_string();
    t.check(users.contains(&joined.id), format!("{} among users", joined.id), users);
    let answer = say(t, &joined, "am I still there?").await?;
    t.demand(answer.is_refusal(), "its message is refused", &said(&answer))
}

async fn leave(t: &Trial<'_>) -> Outcome {
    let joined = new_group(t).await?;
    let ask = Ask::post(GROUP_LEAVE.path, &json!({"groupID": joined.group, "userID": joined.id}));
    t.accepted(&ask).await?;
    let kind = user_type(t, &joined.group, &joined.id).await?;
    t.demand(kind.is_none(), "no member any more", &format!("{kind:?}"))
}

fn update(joined: &Joined, name: &str) -> Ask {
    let mut info = group_info(&joined.group, &joined.id);
    info["groupName"] = json!(name);
    let body = json!({"groupID": joined.group, "ownerID": joined.id, "groupInfo": info});
    Ask::of(&GROUP_UPDATE, &joined.group, &body)
}

async fn update_by_member(t: &Trial<'_>) -> Outcome {
    let joined = shared(t).await?;
    t.refused(&update(&joined, "Mine now")).await?;
    let answer = t.accepted(&Ask::of(&GROUP_INFO, "", &json!({"groupID": joined.group}))).await?;
    let name = text(answer.field("groupInfo"), "groupName");
    t.demand(name != "Mine now", "the name as it was", &name)
}

async fn renamed(t: &Trial<'_>) -> Outcome {
    let joined = new_group(t).await?;
    let (mark, name) = (t.lab.stage()?.mark(), t.lab.fresh("新名字"));
    t.act(&Act::Rename { by: t.lab.user(), group: &joined.group, name: &name }).await?;
    let heard = notice(t, mark, &joined.group, 7).await?;
    let got = heard.text("/groupInfo/groupName");
    t.demand(got == name, format!("groupName {name:?}"), got)
}

async fn admin(t: &Trial<'_>) -> Outcome {
    let joined = new_group(t).await?;
    for (admin, oper, kind) in [(true, 4, 2), (false, 5, 1)] {
        let mark = t.lab.stage()?.mark();
        t.act(&Act::SetAdmin { by: t.lab.user(), group: &joined.group, who: &joined.id, admin }).await?;
        let heard = notice(t, mark, &joined.group, oper).await?;
        let users = heard.at("/users").to_string();
        t.check(users.contains(&joined.id), format!("{} among users", joined.id), users);
        let got = user_type(t, &joined.group, &joined.id).await?;
        t.check(got == Some(kind), format!("userType {kind}"), format!("{got:?}"));
    }
    Ok(())
}

async fn admin_acts(t: &Trial<'_>) -> Outcome {
    let joined = new_group(t).await?;
    t.act(&Act::SetAdmin { by: t.lab.user(), group: &joined.group, who: &joined.id, admin: true }).await?;
    let name = t.lab.fresh("Renamed from afar");
    t.accepted(&update(&joined, &name)).await?;
    let answer = t.accepted(&Ask::of(&GROUP_INFO, "", &json!({"groupID": joined.group}))).await?;
    let got = text(answer.field("groupInfo"), "groupName");
    t.demand(got == name, format!("groupName {name:?}"), &got)
}

async fn transferred(t: &Trial<'_>) -> Outcome {
    let joined = new_group(t).await?;
    let (user, other, group) = (t.lab.user(), t.lab.other(), joined.group.as_str());
    t.act(&Act::Invite { by: user, group, who: other }).await?;
    t.act(&Act::AnswerInvite { user: other, group, agree: true }).await?;
    let mark = t.lab.stage()?.mark();
    t.act(&Act::Transfer { by: user, group, to: other }).await?;
    let heard = notice(t, mark, group, 6).await?;
    let users = heard.at("/users").to_string();
    t.demand(users.contains(other), format!("{other} among users"), &users)
}

async fn dissolved(t: &Trial<'_>) -> Outcome {
    let joined = new_group(t).await?;
    let mark = t.lab.stage()?.mark();
    t.act(&Act::Dissolve { by: t.lab.user(), group: &joined.group }).await?;
    notice(t, mark, &joined.group, 3).await?;
    let answer = say(t, &joined, "is anybody there?").await?;
    t.demand(answer.is_refusal(), "messages are refused", &said(&answer))
}

fn invitation(joined: &Joined, invited: &Value) -> Ask {
    let info = group_info(&joined.group, &joined.id);
    let body = json!({"reqInfo": {"groupInfo": info, "userInfo": joined.member, "inviteUsers": [invited]}});
    Ask::post(GROUP_INVITE.path, &body)
}

async fn member_invites(t: &Trial<'_>) -> Outcome {
    let joined = shared(t).await?;
    let mark = t.lab.stage()?.mark();
    let invited = t.lab.own_user("wanda");
    let id = text(&invited, "userID");
    t.accepted(&invitation(&joined, &invited)).await?;
    asked(t, mark, &id).await?;
    t.accepted(&reply(&joined.group, &id, 1)).await?;
    let kind = user_type(t, &joined.group, &id).await?;
    t.demand(kind == Some(1), "a member", &format!("{kind:?}"))
}

async fn invite_forbidden(t: &Trial<'_>) -> Outcome {
    let joined = new_group(t).await?;
    t.act(&Act::Settings { by: t.lab.user(), group: &joined.group, allow: false, visible: true }).await?;
    t.refused(&invitation(&joined, &t.lab.own_user("wanda"))).await.map(|_| ())
}

async fn invite_outsider(t: &Trial<'_>) -> Outcome {
    let group = t.lab.shared_group.get_or_try_init(|| made(t)).await?;
    let member = t.lab.own_user("mallory");
    let outsider = Joined { group: group.clone(), id: text(&member, "userID"), member };
    t.refused(&invitation(&outsider, &t.lab.own_user("wanda"))).await.map(|_| ())
}

async fn apply(t: &Trial<'_>) -> Outcome {
    let group = made(t).await?;
    let member = t.lab.own_user("walter");
    let applicant = Joined { group: group.clone(), id: text(&member, "userID"), member: member.clone() };
    t.accepted(&invitation(&applicant, &member)).await?;
    let kind = user_type(t, &group, &applicant.id).await?;
    t.check(kind.is_none(), "no member before the owner has decided", format!("{kind:?}"));
    t.act(&Act::DecideJoin { by: t.lab.user(), group: &group, who: &applicant.id, agree: true }).await?;
    let kind = user_type(t, &group, &applicant.id).await?;
    t.demand(kind == Some(1), "a member", &format!("{kind:?}"))
}
