//! Groups whose owner is a user of the target: what is told of them, and what is said in them (§7.4.1, §7.7, R14, R19, R22).

use isthmus_wire::call::{GROUP_HISTORY, GROUP_INFO, GROUP_SEARCH, MESSAGE_SEND};
use serde_json::json;

use super::group::{Joined, join, made, member_list, message, new_group, reply, say, shared, shared_group, user_type};
use crate::conformance::case::{Outcome, Stop, Trial, cases, said};
use crate::conformance::driver::Act;
use crate::conformance::lab::text;
use crate::conformance::line::Ask;
use crate::conformance::stage::Heard;

cases! {
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
    let group = shared_group(t).await?;
    let member = t.lab.own_user("mallory");
    let outsider = Joined { group: group.to_owned(), id: text(&member, "userID"), member };
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
