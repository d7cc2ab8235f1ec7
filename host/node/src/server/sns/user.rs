//! Users and friends, asked by other servers (§7.6), and by the platform, which searches for all (R17).

use std::sync::Arc;

use http::Request;
use isthmus_domain::directory::Query;
use isthmus_domain::friend::{self, Come};
use isthmus_domain::profile::{self, Eyes};
use isthmus_domain::{Done, TimeId, account};
use isthmus_policy::{Call, Direction};
use isthmus_wire::call::USER_SEARCH;
use isthmus_wire::call::user::{Add, Delete, Details, DetailsAnswer, Found, IsFriend, IsFriendAnswer, Respond, Search};
use isthmus_wire::code::{Code, Refusal};
use isthmus_wire::query;
use isthmus_wire::record::YesNo;

use super::{Asked, answer, success};
use crate::reply::{Problem, Reply};
use crate::request::REQUEST_ID;
use crate::server::Server;
use crate::server::gate::{self, Question};
use crate::server::people::Texts;

/// `GET /sns/find/users` (§7.6.2, R14): phone numbers are left out, nobody of the asking server being named as a friend.
pub(super) async fn search(ask: Asked) -> Result<Reply, Problem> {
    let search: Search = ask.read().await?;
    let mut question = ask.question("", "");
    question.fields.push(("query".to_owned(), search.query.clone()));
    let telling = ask.server.telling(&ask.peer, ask.spec, "");
    found(&ask.server, question, telling, &search).await
}

/// The same at the platform's request, which speaks for no server's users.
pub(super) async fn search_for_platform<B>(server: &Arc<Server>, request: &Request<B>) -> Result<Reply, Problem> {
    let search: Search = query::read(request.uri().query().unwrap_or_default())?;
    let call = gate::call(Direction::Inbound, USER_SEARCH.name, None, "", "");
    let mut question = Question::from(call);
    question.call.attributes.push(("by".to_owned(), "platform".to_owned()));
    question.fields = vec![("by".to_owned(), "platform".to_owned()), ("query".to_owned(), search.query.clone())];
    let telling = Call { direction: Direction::Outbound, ..question.call.clone() };
    found(server, question, telling, &search).await
}

async fn found(server: &Arc<Server>, question: Question, telling: Call, search: &Search) -> Result<Reply, Problem> {
    Query::parse(&search.query)?;
    let cleared = server.clear(question, (), |(), _, _| ()).await?;
    let mut found: Found = server.find_here(search, None).await?;
    server.admit_users(telling, &mut found.user_infos).await?;
    server.looked(cleared).await;
    Ok(answer(found))
}

/// `POST /sns/add/users` (§7.6.3). A remark that the policy would hold for a review is refused in its words: the one who
/// asks can write another.
pub(super) async fn add(ask: Asked) -> Result<Reply, Problem> {
    let add: Add = ask.read().await?;
    let mut question = ask.question(add.user_info.user_id.as_str(), add.user_id.as_str());
    if let Some(remark) = &add.remark {
        question.fields.push(("text".to_owned(), remark.clone()));
    }
    let rewriter = Texts::of(&add.user_info).and_words(add.remark.as_deref()).ask(&mut question);
    let rewrite = |add: &mut Add, index, text| rewriter.put(&mut add.user_info, Some(&mut add.remark), index, text);
    let cleared = ask.server.clear(question, add, rewrite).await?;
    let come = come(&ask);
    ask.server
        .carry_out(cleared, move |tx, scene, add, audit| friend::asked(tx, scene, come(audit), add), after)
        .await?;
    Ok(success())
}

/// `POST /sns/rsp/users` (§7.6.4).
pub(super) async fn respond(ask: Asked) -> Result<Reply, Problem> {
    let respond: Respond = ask.read().await?;
    let mut question = ask.question(respond.user_info.user_id.as_str(), respond.user_id.as_str());
    let rewriter = Texts::of(&respond.user_info).ask(&mut question);
    let rewrite = |respond: &mut Respond, index, text| rewriter.put(&mut respond.user_info, None, index, text);
    let cleared = ask.server.clear(question, respond, rewrite).await?;
    let come = come(&ask);
    ask.server
        .carry_out(cleared, move |tx, scene, respond, audit| friend::answered(tx, scene, come(audit), &respond), after)
        .await?;
    Ok(success())
}

/// `POST /sns/del/users` (§7.6.5).
pub(super) async fn delete(ask: Asked) -> Result<Reply, Problem> {
    let delete: Delete = ask.read().await?;
    let question = ask.question(delete.requester_id.as_str(), delete.user_id.as_str());
    let cleared = ask.server.clear(question, delete, |_, _, _| ()).await?;
    let come = come(&ask);
    ask.server
        .carry_out(cleared, move |tx, scene, delete, audit| friend::deleted(tx, scene, come(audit), &delete), after)
        .await?;
    Ok(success())
}

fn after(server: &Arc<Server>, done: &Done, generation: u64) {
    server.after(done, generation);
}

/// The call as the rules see it. A server that follows its calls by UUIDs repeats a call under the same one.
fn come(ask: &Asked) -> impl FnOnce(Vec<u8>) -> Come + Send + 'static {
    let name = ask.head.headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).and_then(TimeId::parse);
    let (peer, expires_ms) = (ask.peer.clone(), ask.server.expires_ms());
    move |audit| Come { peer, name, expires_ms, audit }
}

/// `GET /sns/users` (§7.6.6). Nobody is named as asking, so nobody's phone number is told.
pub(super) async fn details(ask: Asked) -> Result<Reply, Problem> {
    let details: Details = ask.read().await?;
    let question = ask.question("", details.user_id.as_str());
    let cleared = ask.server.clear(question, (), |(), _, _| ()).await?;
    let server = &ask.server;
    let mut user_info =
        server.store.read(|view| profile::details(view, &server.id, &details.user_id, Eyes::Stranger))?;
    let telling = server.telling(&ask.peer, ask.spec, details.user_id.as_str());
    server.admit_users(telling, &mut user_info).await?;
    server.looked(cleared).await;
    Ok(answer(DetailsAnswer { user_info }))
}

/// `GET /sns/query/users/{userID}` (§7.6.7): told to the home of `selfID` alone (R12).
pub(super) async fn is_friend(ask: Asked) -> Result<Reply, Problem> {
    let query: IsFriend = ask.read().await?;
    let question = ask.question(query.self_id.as_str(), query.user_id.as_str());
    let cleared = ask.server.clear(question, (), |(), _, _| ()).await?;
    let server = &ask.server;
    let user = account::local_id(&server.id, &query.user_id);
    let user = user.filter(|user| server.store.read(|view| account::is_enabled(view, user)).unwrap_or_default());
    let Some(user) = user else {
        let words = format!("there is no user {} here", query.user_id);
        let ((), mut trail, _) = cleared.into_parts();
        return Err(server.failed(Refusal::field(Code::NOT_FOUND, "userID", words), &mut trail).await);
    };
    let is_friend = YesNo(server.is_friend(&user, &query.self_id)?);
    server.looked(cleared).await;
    Ok(answer(IsFriendAnswer { is_friend }))
}
