//! Groups whose owner is a user of the target: who comes, goes and manages (§7.7, R19–R21).

use isthmus_wire::call::{GROUP_INFO, GROUP_INVITE, GROUP_LEAVE, GROUP_REMOVE, GROUP_UPDATE};
use serde_json::{Value, json};

use super::group::{Joined, asked, invite, join, made, new_group, notice, reply, say, shared, shared_group, user_type};
use crate::conformance::case::{Outcome, Trial, cases, said};
use crate::conformance::driver::Act;
use crate::conformance::lab::text;
use crate::conformance::line::Ask;
use crate::conformance::sample::group_info;

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
    "group.transfer-abroad" "7.7.1" [], Mandatory, [Users, Acts, Listener],
        "an owner who tries to give the group to a member at another server remains its owner",
        "§7.7.1: a group cannot be transferred to a user of another system"
        => transfer_abroad;
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
    let group = shared_group(t).await?;
    let member = t.lab.own_user("walter");
    invite(t, group, &member).await?;
    let id = text(&member, "userID");
    t.accepted(&reply(group, &id, 2)).await?;
    let kind = user_type(t, group, &id).await?;
    t.demand(kind.is_none(), "no member", &format!("{kind:?}"))
}

async fn answer_uninvited(t: &Trial<'_>) -> Outcome {
    let group = shared_group(t).await?;
    let id = t.lab.own_user_id("mallory");
    t.refused(&reply(group, &id, 1)).await?;
    let kind = user_type(t, group, &id).await?;
    t.demand(kind.is_none(), "no member", &format!("{kind:?}"))
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

async fn transfer_abroad(t: &Trial<'_>) -> Outcome {
    let joined = new_group(t).await?;
    let mark = t.lab.stage()?.mark();
    // That the user is refused, or finds no way to try, is as it should be: what counts is who the owner is afterwards.
    let _tried = t.act(&Act::Transfer { by: t.lab.user(), group: &joined.group, to: &joined.id }).await;
    let kinds = (user_type(t, &joined.group, t.lab.user()).await?, user_type(t, &joined.group, &joined.id).await?);
    t.check(kinds == (Some(3), Some(1)), "userType 3 of the owner, 1 of the member abroad", format!("{kinds:?}"));
    // The group is its owner's still, and goes on.
    let name = t.lab.fresh("Still mine");
    t.act(&Act::Rename { by: t.lab.user(), group: &joined.group, name: &name }).await?;
    let heard = notice(t, mark, &joined.group, 7).await?;
    t.demand(
        text(heard.at("/groupInfo"), "createUser") == t.lab.user(),
        "createUser the owner",
        &heard.at("/groupInfo").to_string(),
    )
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
    let group = shared_group(t).await?;
    let member = t.lab.own_user("mallory");
    let outsider = Joined { group: group.to_owned(), id: text(&member, "userID"), member };
    t.refused(&invitation(&outsider, &t.lab.own_user("wanda"))).await.map(|_| ())
}

async fn apply(t: &Trial<'_>) -> Outcome {
    let group = made(t).await?;
    let member = t.lab.own_user("walter");
    let applicant = Joined { group: group.to_owned(), id: text(&member, "userID"), member: member.clone() };
    t.accepted(&invitation(&applicant, &member)).await?;
    let kind = user_type(t, &group, &applicant.id).await?;
    t.check(kind.is_none(), "no member before the owner has decided", format!("{kind:?}"));
    t.act(&Act::DecideJoin { by: t.lab.user(), group: &group, who: &applicant.id, agree: true }).await?;
    let kind = user_type(t, &group, &applicant.id).await?;
    t.demand(kind == Some(1), "a member", &format!("{kind:?}"))
}
