//! One request of another server, on its way to a handler.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, header};
use hyper::body::Incoming;
use isthmus_domain::Error;
use isthmus_domain::speaker::{self, Finding};
use isthmus_policy::{Direction, Event};
use isthmus_wire::call::{CallSpec, Found, Method};
use isthmus_wire::code::{Code, Refusal, Transport};
use isthmus_wire::id::ID_MAX;
use isthmus_wire::json::{self, Fields, Json, Read};
use isthmus_wire::{ServerId, query};

use crate::reply::Problem;
use crate::server::Server;
use crate::server::client::body_of;
use crate::server::gate::{self, Cleared, Question};
use crate::server::trail::Trail;

/// A request whose caller is in good standing. What it says is seen through [`Asked::read`] only.
pub(crate) struct Asked {
    pub(crate) server: Arc<Server>,
    /// The calling server, as its certificate says.
    pub(crate) peer: ServerId,
    pub(crate) spec: &'static CallSpec,
    pub(crate) head: Parts,
    param: Option<(&'static str, String)>,
    pub(super) body: Bytes,
}

/// Platforms that an ID names are asked about one after the other; more than these no request names.
const ASK_MAX: usize = 3;

impl Asked {
    pub(super) async fn take(
        server: &Arc<Server>,
        peer: ServerId,
        found: Found,
        request: Request<Incoming>,
    ) -> Result<Asked, Problem> {
        let (head, body) = request.into_parts();
        let Found { spec, param } = found;
        let body = match spec.method {
            Method::Post => {
                check_media_type(&head)?;
                body_of(body, server.config.limits.max_body_kib * 1024).await?
            }
            Method::Get => Bytes::new(),
        };
        Ok(Asked { server: server.clone(), peer, spec, head, param, body })
    }

    /// What is asked, once it is certain that the peer may say it (R12). A foreign speaker is refused and recorded.
    pub(crate) async fn read<T: Read>(&self) -> Result<T, Problem> {
        self.settled(|| self.try_read()).await
    }

    /// As [`Asked::read`], of one request among many in this one's body.
    pub(super) async fn read_part<T: Read>(&self, members: &[(Cow<'_, str>, Json<'_>)]) -> Result<T, Problem> {
        self.settled(|| self.judge(&Fields::root(members))).await
    }

    async fn settled<T>(&self, look: impl Fn() -> Result<Said<T>, Problem>) -> Result<T, Problem> {
        for _ in 0..ASK_MAX {
            match look()? {
                Said::Read(value) => return Ok(value),
                Said::Ask(named) => self.server.addresses.settle(&named).await,
                Said::Foreign(foreign) => return Err(self.turned_away(foreign).await),
            }
        }
        Err(Problem::refused(Code::OVERLOADED, "the platform cannot say yet whose user this is; retry"))
    }

    fn try_read<T: Read>(&self) -> Result<Said<T>, Problem> {
        match self.spec.method {
            Method::Post => json::read_with(&self.body, |fields| Ok(self.judge(fields)))?,
            Method::Get => {
                let mut members = query::parse(self.head.uri.query().unwrap_or_default())?;
                if let Some((name, value)) = &self.param {
                    members.push((Cow::Borrowed(*name), Json::Text(Cow::Borrowed(value))));
                }
                self.judge(&Fields::root(&members))
            }
        }
    }

    fn judge<T: Read>(&self, fields: &Fields<'_>) -> Result<Said<T>, Problem> {
        let view = self.server.store.view()?;
        match speaker::check(&view, &self.server.id, &self.peer, self.spec, fields) {
            Ok(Finding::May) => Ok(Said::Read(T::read(fields)?)),
            Ok(Finding::Ask(named)) => Ok(Said::Ask(named)),
            Err(Error::Refused(refusal)) => {
                let named = |paths: &[&str]| {
                    let found = paths.iter().find_map(|path| fields.text_at(path));
                    found.filter(|text| text.len() <= ID_MAX).unwrap_or_default().to_owned()
                };
                let speaker = named(self.spec.speaker.as_slice());
                Ok(Said::Foreign(Foreign { refusal, speaker, target: named(TARGETS), message_id: named(MESSAGE_ID) }))
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// The path's parameter, decoded.
    pub(crate) fn param(&self) -> &str {
        self.param.as_ref().map_or("", |(_, value)| value)
    }

    /// A question about this call.
    pub(crate) fn question(&self, actor: &str, target: &str) -> Question {
        let facts = Some(self.server.peer_facts(&self.peer));
        gate::call(Direction::Inbound, self.spec.name, facts, actor, target).into()
    }

    /// What a look gave that policy let through: recorded, whether the rules allow it or not.
    pub(crate) async fn shown<T>(&self, cleared: Cleared<()>, looked: Result<T, Error>) -> Result<T, Problem> {
        match looked {
            Ok(value) => {
                self.server.looked(cleared).await;
                Ok(value)
            }
            Err(Error::Refused(refusal)) => {
                let ((), mut trail, _session) = cleared.into_parts();
                Err(self.server.failed(refusal, &mut trail).await)
            }
            Err(fault) => Err(fault.into()),
        }
    }

    async fn turned_away(&self, foreign: Foreign) -> Problem {
        let Question { call, mut fields, .. } = self.question(&foreign.speaker, &foreign.target);
        if !foreign.message_id.is_empty() {
            fields.push(("messageID".to_owned(), foreign.message_id));
        }
        let event = Event { call, outcome: "failed".into(), code: 0, fields };
        let mut trail = Trail::of_event(&self.server.policy.begin(), event);
        self.server.failed(foreign.refusal, &mut trail).await
    }
}

enum Said<T> {
    Read(T),
    Ask(ServerId),
    Foreign(Foreign),
}

/// A request in a foreign name (1104), as far as the audit record tells of it.
struct Foreign {
    refusal: Refusal,
    speaker: String,
    target: String,
    message_id: String,
}

/// Where requests name whom they are for.
const TARGETS: &[&str] = &["messageInfo.recvID", "reqInfo.groupInfo.groupID", "groupInfo.groupID", "groupID", "userID"];
const MESSAGE_ID: &[&str] = &["messageInfo.messageID"];

/// Peers of other makers may leave the type out; what they do send must not be something else.
fn check_media_type(head: &Parts) -> Result<(), Problem> {
    let media = head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !media.is_empty() && !media.to_ascii_lowercase().contains("json") {
        return Err(Problem::Transport(Transport::WrongMediaType, "Content-Type must be application/json".to_owned()));
    }
    Ok(())
}
