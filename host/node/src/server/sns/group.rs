//! Groups, asked by other servers (§7.7). What concerns a group of ours is decided here; what its main server says of a
//! group of its own is for the mirror ([`Server::relayed`](crate::server::Server), [`mirror::notice`]).

use std::sync::Arc;

use http::HeaderValue;
use isthmus_domain::group::{Act, Stamp, Update as Change, join, log, manage, member, mirror, open, post, stamp, view};
use isthmus_domain::speaker;
use isthmus_domain::{Done, Error, Scene};
use isthmus_store::Tx;
use isthmus_wire::call::group::{
    History, InfoAnswer, Invite, Leave, Member, MembersAnswer, Notice, OfGroup, Remove, Reply as Response, Update,
};
use isthmus_wire::call::user::Search;
use isthmus_wire::code::{Code, Refusal};
use isthmus_wire::{GroupId, MessageId, MessageInfo, UserId};

use super::{Asked, answer, success};
use crate::reply::{Problem, Reply};
use crate::server::Server;
use crate::server::gate::{self, Question};
use crate::server::texts::InviteTexts;
use crate::server::turn::Turn;

fn after(server: &Arc<Server>, done: &Done, generation: u64) {
    server.after(done, generation);
}

/// What our own servers say of a group beside the standard's fields.
fn stamp_of(ask: &Asked) -> Option<Stamp> {
    Stamp::parse(ask.head.headers.get(stamp::HEADER)?.to_str().ok()?)
}

fn stamped(mut reply: Reply, stamp: Option<&Stamp>) -> Reply {
    if let Some(value) = stamp.and_then(|stamp| HeaderValue::from_str(&stamp.to_string()).ok()) {
        reply.headers_mut().insert(stamp::HEADER, value);
    }
    reply
}

/// `GET /sns/find/groups` (§7.7.3): visible groups of this server.
pub(super) async fn search(ask: Asked) -> Result<Reply, Problem> {
    let search: Search = ask.read().await?;
    let mut question = ask.question("", "");
    question.fields.push(("query".to_owned(), search.query.clone()));
    let cleared = ask.server.clear(question, (), |(), _, _| ()).await?;
    let mut found = ask.server.find_groups_here(&search).await?;
    ask.server.admit_groups(ask.server.telling(&ask.peer, ask.spec, ""), &mut found.groups).await?;
    ask.server.looked(cleared).await;
    Ok(answer(found))
}

/// An act on a group of ours in the name of a user of the peer (R12).
async fn at_main<V: Send + 'static>(
    ask: &Asked,
    group: &GroupId,
    actor: &UserId,
    field: &'static str,
    (question, value): (Question, V),
    rule: impl FnOnce(&mut Tx<'_>, &mut Scene<'_>, &Act, V) -> Result<Done, Error> + Send + 'static,
) -> Result<Reply, Problem> {
    let cleared = ask.server.clear(question, value, |_, _, _| ()).await?;
    let act = Act { group: group.clone(), actor: actor.clone(), expires_ms: ask.server.expires_ms() };
    let peer = ask.peer.clone();
    let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, value: V, audit: Vec<u8>| {
        speaker::claim(tx, scene.home, &peer, &act.actor, field)?;
        let done = rule(tx, scene, &act, value)?;
        tx.audit(audit);
        Ok(done)
    };
    ask.server.carry_out(cleared, rule, after).await?;
    Ok(success())
}

/// `POST /sns/invite/groupreq` (§7.7.4): step 1 if the group is ours, else step 2 (R20, R21).
pub(super) async fn invite(ask: Asked) -> Result<Reply, Problem> {
    let Invite { req_info: req } = ask.read().await?;
    let (server, group, inviter) = (&ask.server, req.group_info.group_id.clone(), req.user_info.user_id.clone());
    let mut question = ask.question(inviter.as_str(), group.as_str());
    let texts = InviteTexts::of(&req);
    texts.ask(&mut question);
    let main = server.store.read(|view| post::is_main(view, &server.id, &group))?;
    if main {
        for user in &req.invite_users {
            server.home_of(&user.user_id).await?;
        }
    }
    let cleared = server.clear(question, req, |req, index, text| texts.put(req, index, text)).await?;
    let (peer, expires_ms) = (ask.peer.clone(), server.expires_ms());
    let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, req: isthmus_wire::ReqInfo, audit: Vec<u8>| {
        let done = if main {
            speaker::claim(tx, scene.home, &peer, &inviter, "reqInfo.userInfo.userID")?;
            let act = Act { group, actor: inviter, expires_ms };
            join::request(tx, scene, &act, &req.user_info, &req.invite_users, &peer)?
        } else {
            open::invited(tx, scene, &peer, &req)?
        };
        tx.audit(audit);
        Ok(done)
    };
    server.carry_out(cleared, rule, after).await?;
    Ok(success())
}

/// `POST /sns/invite/grouprep` (§7.7.5).
pub(super) async fn respond(ask: Asked) -> Result<Reply, Problem> {
    let it: Response = ask.read().await?;
    let mut question = ask.question(it.user_id.as_str(), it.group_id.as_str());
    question.fields.push(("agree".to_owned(), it.resp_result.0.to_string()));
    let (group, actor) = (it.group_id.clone(), it.user_id.clone());
    let rule = |tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, it: Response| {
        join::answer(tx, scene, act, it.resp_result.0)
    };
    at_main(&ask, &group, &actor, "userID", (question, it), rule).await
}

/// `POST /sns/remove/groupmembers` (§7.7.6).
pub(super) async fn remove(ask: Asked) -> Result<Reply, Problem> {
    let it: Remove = ask.read().await?;
    let mut question = ask.question(it.user_id.as_str(), it.group_id.as_str());
    question.fields.push(("users".to_owned(), crate::server::groups::listed(&it.del_members)));
    let (group, actor) = (it.group_id.clone(), it.user_id.clone());
    let rule =
        |tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, it: Remove| manage::remove(tx, scene, act, &it.del_members);
    at_main(&ask, &group, &actor, "userID", (question, it), rule).await
}

/// `POST /sns/quit/groupmember` (§7.7.7).
pub(super) async fn leave(ask: Asked) -> Result<Reply, Problem> {
    let it: Leave = ask.read().await?;
    let question = ask.question(it.user_id.as_str(), it.group_id.as_str());
    let rule = |tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, (): ()| manage::leave(tx, scene, act);
    at_main(&ask, &it.group_id, &it.user_id, "userID", (question, ()), rule).await
}

/// `POST /sns/update/grpinfo/{groupID}` (§7.7.10).
pub(super) async fn update(ask: Asked) -> Result<Reply, Problem> {
    let it: Update = ask.read().await?;
    it.agrees_with_path(ask.param())?;
    let info = it.group_info;
    if info.as_ref().is_some_and(|info| info.group_id != it.group_id) {
        let words = "is not the group that is changed";
        return Err(Refusal::field(Code::INVALID_FIELD, "groupInfo.groupID", words).into());
    }
    let mut question = ask.question(it.owner_id.as_str(), it.group_id.as_str());
    let name = info.as_ref().map(|info| info.group_name.clone());
    if let Some(name) = &name {
        question.items.push(gate::text("group.text", name));
        question.fields.push(("text".to_owned(), name.clone()));
    }
    let icon = info.and_then(|info| info.group_icon).map(Some);
    let change = Change { name, icon, set: it.grpset };
    let rewrite = |change: &mut Change, _: usize, text: String| change.name = Some(text);
    let cleared = ask.server.clear(question, change, rewrite).await?;
    let act = Act { group: it.group_id, actor: it.owner_id, expires_ms: ask.server.expires_ms() };
    let peer = ask.peer.clone();
    let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, change: Change, audit: Vec<u8>| {
        speaker::claim(tx, scene.home, &peer, &act.actor, "ownerID")?;
        let done = manage::update(tx, scene, &act, change)?;
        tx.audit(audit);
        Ok(done)
    };
    ask.server.carry_out(cleared, rule, after).await?;
    Ok(success())
}

/// `GET /sns/grpchat` (§7.7.9): to servers that have members.
pub(super) async fn history(ask: Asked) -> Result<Reply, Problem> {
    let it: History = ask.read().await?;
    let mut question = ask.question("", it.group_id.as_str());
    question.fields.push(("size".to_owned(), it.size.to_string()));
    let cleared = ask.server.clear(question, (), |(), _, _| ()).await?;
    let view = ask.server.store.view()?;
    let looked = view::for_peer(&view, &it.group_id, &ask.peer, true).and_then(|group| {
        let cursor = it.message_id.as_deref().map(MessageId::parse).transpose();
        let cursor =
            cursor.map_err(|e| Refusal::field(Code::INVALID_FIELD, "messageID", format_args!("the ID {e}")))?;
        let page = log::history(&view, &group, cursor.as_ref(), it.size)?;
        Ok((page.answer()?, stamp::of_answer(&view, &group, &ask.peer)?))
    });
    drop(view);
    let (mut page, stamp) = ask.shown(cleared, looked).await?;
    page.messages = ask.server.page_for(&ask.peer, page.messages).await?;
    Ok(stamped(answer(page), stamp.as_ref()))
}

/// `GET /sns/groupInfo` (§7.7.11). Nothing is said of a group that the peer has no part in, unless search finds it.
pub(super) async fn info(ask: Asked) -> Result<Reply, Problem> {
    let it: OfGroup = ask.read().await?;
    let cleared = ask.server.clear(ask.question("", it.group_id.as_str()), (), |(), _, _| ()).await?;
    let view = ask.server.store.view()?;
    let looked = match view::for_peer(&view, &it.group_id, &ask.peer, false) {
        Ok(group) => stamp::of_answer(&view, &group, &ask.peer)
            .map(|stamp| (InfoAnswer { grpset: Some(group.set()), group_info: Some(group.info()) }, stamp))
            .map_err(Error::from),
        Err(Error::Refused(refusal)) if refusal.code == Code::NOT_FOUND => {
            Ok((InfoAnswer { grpset: None, group_info: None }, None))
        }
        Err(error) => Err(error),
    };
    drop(view);
    let (mut info, stamp) = ask.shown(cleared, looked).await?;
    let telling = ask.server.telling(&ask.peer, ask.spec, it.group_id.as_str());
    ask.server.admit_groups(telling, &mut info.group_info).await?;
    Ok(stamped(answer(info), stamp.as_ref()))
}

/// `GET /sns/groupmembers` (§7.7.12, R19): to servers that have members.
pub(super) async fn members(ask: Asked) -> Result<Reply, Problem> {
    let it: OfGroup = ask.read().await?;
    let cleared = ask.server.clear(ask.question("", it.group_id.as_str()), (), |(), _, _| ()).await?;
    let view = ask.server.store.view()?;
    let looked = match view::for_peer(&view, &it.group_id, &ask.peer, true) {
        Ok(group) => member::all(&view, &group)
            .and_then(|members| Ok((members, stamp::of_answer(&view, &group, &ask.peer)?)))
            .map_err(Error::from),
        Err(Error::Refused(refusal)) if refusal.code == Code::NOT_FOUND => Ok((Vec::new(), None)),
        Err(error) => Err(error),
    };
    drop(view);
    let (members, stamp) = ask.shown(cleared, looked).await?;
    let mut members: Vec<Member> = members.into_iter().map(member::Member::shown).collect();
    let telling = ask.server.telling(&ask.peer, ask.spec, it.group_id.as_str());
    ask.server.admit_users(telling, members.iter_mut().map(|member| &mut member.user_info)).await?;
    Ok(stamped(answer(MembersAnswer { members }), stamp.as_ref()))
}

/// `POST /sns/notify/grpnotify` (§7.7.13): from the group's main server. A new name, of the group or
/// of a member, that the content policy refuses is not taken over; what else the notice says is.
pub(super) async fn notify(ask: Asked) -> Result<Reply, Problem> {
    let mut it: Notice = ask.read().await?;
    let (server, group) = (&ask.server, it.group_info.group_id.clone());
    let mut question = ask.question(it.oper_user.user_id.as_str(), group.as_str());
    server.admit_name(question.call.clone(), &mut it.group_info).await?;
    let users = it.users.iter_mut().chain([&mut it.oper_user]);
    server.admit_members(question.call.clone(), &group, users).await?;
    question.fields.push(("operType".to_owned(), it.oper_type.number().to_string()));
    let cleared = server.clear(question, it, |_, _, _| ()).await?;
    let (peer, stamp) = (ask.peer.clone(), stamp_of(&ask));
    let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, it: Notice, audit: Vec<u8>| {
        let noticed = mirror::notice(tx, scene, &peer, &it, stamp.as_ref())?;
        tx.audit(audit);
        Ok(noticed)
    };
    let noticed = server.carry_out(cleared, rule, |server, noticed, generation| {
        server.after(&noticed.done, generation);
    });
    if noticed.await?.stale {
        server.groups.heal_soon(&group, &ask.peer);
    }
    Ok(success())
}

/// A message of a group (R22): from a member's server to us, its main server, or from its main server to us, a mirror.
pub(super) async fn message(ask: &Asked, info: MessageInfo, turn: &Turn) -> Result<(), Problem> {
    let (server, group) = (&ask.server, post::addressed(&info.recv_id)?);
    if server.store.read(|view| post::is_main(view, &server.id, &group))? {
        return server.receive(&ask.peer, info, turn).await;
    }
    // Whether a server that the groupID names is registered may have to be asked first.
    server.home_of(&group).await?;
    let may = server
        .store
        .view()
        .map_err(Error::from)
        .and_then(|view| speaker::may_speak(&view, &server.id, &ask.peer, &group, "messageInfo.recvID"));
    if let Err(error) = may {
        let Error::Refused(refusal) = error else { return Err(error.into()) };
        return Err(server.turned_away(&ask.peer, &info, refusal).await);
    }
    server.relayed(&ask.peer, &group, info, stamp_of(ask)).await
}
