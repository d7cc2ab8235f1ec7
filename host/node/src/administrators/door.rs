//! Who is let in at an admin listener, and the answer to a log-in.

use std::net::IpAddr;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, header};
use isthmus_wire::code::{Answer, Transport};
use serde_json::json;

use super::log_in::Entered;
use super::{Administrators, Endpoint, Who, is_for_the_new};
use crate::admin_token::Role;
use crate::reply::{Problem, Reply, json as json_reply};
use crate::request::parse;

/// Who asks, and whether this is for them: one of `roles`, and of this family's endpoints `own` if it is one.
///
/// # Errors
/// 401 for whom nobody knows, 403 for another role, or for somebody who has to choose a password first.
pub(crate) fn admitted(
    administrators: &Administrators,
    roles: &[Role],
    own: Option<Endpoint>,
    headers: &HeaderMap,
) -> Result<Who, Problem> {
    let who = if headers.contains_key(header::AUTHORIZATION) {
        administrators.tokens.authorise(headers).map(Who::token)
    } else {
        administrators.consoles.who(headers, Instant::now())
    };
    let who = who.ok_or_else(|| {
        let words = "an administrator's token is needed (Authorization: Bearer …), or a session that has not ended";
        Problem::Transport(Transport::NoIdentity, words.to_owned())
    })?;
    let not = |words| Err(Problem::Transport(Transport::ForeignIdentity, words));
    if !roles.contains(&who.role) {
        return not(format!("the {} administrator may not do this", who.role.as_str()));
    }
    if who.session.as_ref().is_some_and(|seat| seat.is_new) && !own.is_some_and(is_for_the_new) {
        return not("choose a password of your own first".to_owned());
    }
    Ok(who)
}

/// Adds a `Set-Cookie`.
fn set_cookie(reply: &mut Reply, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        reply.headers_mut().insert(header::SET_COOKIE, value);
    }
}

impl Administrators {
    /// Answers a log-in's body.
    pub(crate) async fn enter(&self, body: &[u8], from: IpAddr) -> Result<Reply, Problem> {
        match self.log_in(parse(body)?, from).await? {
            Entered::CodeNeeded => Ok(json_reply(200, Answer::of(json!({"codeNeeded": true})).write())),
            Entered::Session(cookie, administrator) => {
                let mut reply = json_reply(200, Answer::of(json!({"administrator": administrator})).write());
                set_cookie(&mut reply, &cookie);
                Ok(reply)
            }
        }
    }

    /// The answer to the end of a session takes the cookie away.
    pub(crate) fn leave(&self, reply: &mut Reply) {
        set_cookie(reply, &self.consoles.gone());
    }
}
