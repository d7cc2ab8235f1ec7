//! The way to the platform: addresses, search, renewal (§7.5, R15, R17), and what is learnt from its answers beside them.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use isthmus_net::{ClientTls, PeerAddress, PeerAnswer, PeerClient, PeerLimits, SendError};
use isthmus_wire::call::registry::{Nodes, NodesAnswer, Renew, Renewed};
use isthmus_wire::call::user::{Found, Search};
use isthmus_wire::call::{CallSpec, NODES, RENEW, USER_SEARCH};
use isthmus_wire::code::{Answer, Code};
use isthmus_wire::json::Read;
use isthmus_wire::registry::{Ask, STATEMENT_MAX, Signed};
use isthmus_wire::{ServerId, ServerInfo, homes};
use serde::Serialize;
use tokio::sync::watch;

use super::enroll::EnrollError;
use super::stage::Stage;

/// Why the platform gave no useful answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlatformError {
    /// Not reached, or not the platform.
    #[error("the platform was not reached")]
    Send(#[from] SendError),
    /// It said no.
    #[error("the platform refused: {msg} (code {code})")]
    Refused {
        /// R5's code.
        code: Code,
        /// Its words.
        msg: String,
    },
    /// It said something that we do not understand.
    #[error("the platform's answer is not understood: {0}")]
    Answer(String),
}

/// By place in an answer: who presented the user there.
pub(crate) type Presented = std::collections::HashMap<usize, ServerId>;

/// The way to the platform, before and after the certificate.
pub(crate) struct PlatformLink {
    client: PeerClient,
    address: PeerAddress,
    own: ServerId,
    stage: Arc<Stage>,
}

impl PlatformLink {
    pub(crate) fn new(
        tls: watch::Receiver<Arc<ClientTls>>,
        url: &str,
        own: ServerId,
        stage: Arc<Stage>,
    ) -> Result<PlatformLink, EnrollError> {
        let address = PeerAddress::platform(url).map_err(|error| EnrollError::Config {
            key: "url",
            value: url.to_owned(),
            message: error.to_string(),
        })?;
        let limits = PeerLimits { answer_bytes: 2 * STATEMENT_MAX, ..PeerLimits::default() };
        Ok(PlatformLink { client: PeerClient::new(tls, limits), address, own, stage })
    }

    /// §7.5.4: one server, or all.
    pub(crate) async fn nodes(&self, one: Option<&ServerId>) -> Result<Vec<ServerInfo>, PlatformError> {
        let ask = Nodes {
            node_ids: one.map(|id| vec![id.clone()]),
            owner_id: self.own.clone(),
            server_name: None,
            domain: None,
        };
        match self.call::<_, NodesAnswer>(&NODES, &ask).await {
            Ok(answer) => Ok(answer.server_infos),
            Err(PlatformError::Refused { code: Code::NotFound, .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// R17: users of all servers, who presented those whose IDs do not say it, and in the platform's words who did not answer, if
    /// somebody did not.
    pub(crate) async fn search(&self, search: &Search) -> Result<(Found, Presented, Option<String>), PlatformError> {
        let path = format!("{}?{}", USER_SEARCH.path, search.to_query());
        let answer = self.send(Method::GET, &path, Bytes::new()).await?;
        let presented = answer.headers.get(homes::HEADER).and_then(|value| value.to_str().ok());
        let presented = presented.map(homes::read).unwrap_or_default().into_iter().collect();
        let answer = Answer::<Found>::read(&answer.body)
            .map_err(|error| PlatformError::Answer(format!("HTTP {}: {error}", answer.status)))?;
        match answer.body {
            Some(found) => Ok((found, presented, Some(answer.msg).filter(|msg| msg != "success"))),
            None => Err(PlatformError::Refused { code: answer.code, msg: answer.msg }),
        }
    }

    /// The registry's changes, signed (reading, section 9). `None`: this platform does not know the call.
    pub(crate) async fn registry(&self, ask: Ask) -> Result<Option<Signed>, PlatformError> {
        let path = format!("{}?{}", isthmus_wire::registry::PATH, ask.to_query());
        let answer = self.send(Method::GET, &path, Bytes::new()).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            return Ok(None);
        }
        read(&answer).map(Some)
    }

    /// R15: a new certificate for the key in the request.
    pub(crate) async fn renew(&self, ask: &Renew) -> Result<String, PlatformError> {
        self.call::<_, Renewed>(&RENEW, ask).await.map(|renewed| renewed.certificate)
    }

    pub(crate) async fn call<Q: Serialize, A: Read>(&self, spec: &CallSpec, ask: &Q) -> Result<A, PlatformError> {
        let body = Bytes::from(isthmus_wire::json::write(ask));
        let answer = self.send(Method::POST, spec.path, body).await?;
        read(&answer)
    }

    /// One call. What it tells of the platform, our standing and our clock is noted.
    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<PeerAnswer, PlatformError> {
        let sent = self.client.send(&self.address, method, path, body, HeaderMap::new()).await;
        match &sent {
            Ok(answer) => {
                let date = answer.headers.get(header::DATE).and_then(|date| date.to_str().ok());
                self.stage.answered(date.and_then(|date| httpdate::parse_http_date(date).ok()), SystemTime::now());
                let barred = answer.status == StatusCode::FORBIDDEN;
                self.stage.barred(barred.then(|| words(&answer.body)));
            }
            Err(error) => self.stage.unanswered(&crate::reply::chain(error)),
        }
        Ok(sent?)
    }
}

fn words(body: &[u8]) -> String {
    Answer::<isthmus_wire::code::Empty>::read(body).map(|answer| answer.msg).unwrap_or_default()
}

fn read<A: Read>(answer: &PeerAnswer) -> Result<A, PlatformError> {
    let answer = Answer::<A>::read(&answer.body)
        .map_err(|error| PlatformError::Answer(format!("HTTP {}: {error}", answer.status)))?;
    match answer.body {
        Some(body) if answer.code == Code::SUCCESS => Ok(body),
        _ => Err(PlatformError::Refused { code: answer.code, msg: answer.msg }),
    }
}
