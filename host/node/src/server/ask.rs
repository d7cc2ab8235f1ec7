//! Calls to other servers whose answer somebody waits for: searches, details, what a group's main server decides.
//!
//! What must not be lost goes through the outbox instead.

use bytes::Bytes;
use http::HeaderMap;
use isthmus_net::PeerAddress;
use isthmus_wire::ServerId;
use isthmus_wire::call::CallSpec;
use isthmus_wire::code::{Answer, Code, Refusal};
use isthmus_wire::json::Read;

use super::Server;
use super::addresses::AddressError;
use super::sns::http_method;
use crate::reply::{Problem, chain};

/// A request to another server.
pub(crate) struct Request<'a> {
    pub(crate) spec: &'static CallSpec,
    /// Fills the path's `{…}`.
    pub(crate) param: Option<&'a str>,
    /// The query of a GET, encoded.
    pub(crate) query: String,
    /// The body of a POST.
    pub(crate) body: Vec<u8>,
}

impl<'a> Request<'a> {
    /// A GET.
    pub(crate) fn get(spec: &'static CallSpec, query: String) -> Request<'a> {
        Request { spec, param: None, query, body: Vec::new() }
    }

    /// A POST.
    pub(crate) fn post(spec: &'static CallSpec, body: &impl serde::Serialize) -> Request<'a> {
        Request { spec, param: None, query: String::new(), body: isthmus_wire::json::write(body) }
    }

    /// With the path's parameter.
    pub(crate) fn at(mut self, param: &'a str) -> Request<'a> {
        self.param = Some(param);
        self
    }

    /// Path and query as sent: chapter 7's form.
    fn target(&self) -> String {
        let path = self.spec.path_for(self.param.unwrap_or_default());
        if self.query.is_empty() { path } else { format!("{path}?{}", self.query) }
    }
}

impl Server {
    /// Asks another server, now. The policy has been asked before.
    ///
    /// # Errors
    /// The peer's own refusal, in its code and words; 1303 if it was not reached, is not in good standing, did not take the
    /// question from us (1001, 1101, 1301, 1302) or answered nothing that can be read; 1004 if the platform knows no such server.
    pub(crate) async fn ask<T: Read>(&self, peer: &ServerId, request: Request<'_>) -> Result<T, Problem> {
        Ok(self.ask_whole(peer, request).await?.0)
    }

    /// As [`Server::ask`], with the answer's headers.
    pub(crate) async fn ask_whole<T: Read>(
        &self,
        peer: &ServerId,
        request: Request<'_>,
    ) -> Result<(T, HeaderMap), Problem> {
        let address = self.address_of(peer).await?;
        let (method, target) = (http_method(request.spec.method), request.target());
        let headers = HeaderMap::new();
        let answer = self.peers.send(&address, method, &target, Bytes::from(request.body), headers).await;
        let answer = answer.map_err(|error| {
            tracing::info!(%peer, call = request.spec.name, error = chain(&error), "peer not reached");
            unreachable(peer, "could not be reached; try again later")
        })?;
        match Answer::<T>::read(&answer.body) {
            Ok(Answer { code: Code::Success, body: Some(body), .. }) => Ok((body, answer.headers)),
            // A word about us, or about this moment (R4): to be told as such, not as one about the user's own request or token.
            Ok(answer) if answer.code.http_status() != 200 => {
                tracing::info!(%peer, call = request.spec.name, code = answer.code.number(), msg = answer.msg, "peer refused");
                let words = self.admit_words(peer, request.spec.name, answer.msg).await?;
                Err(unreachable(peer, &format!("did not take the question: {words}")))
            }
            Ok(answer) => {
                let words = self.admit_words(peer, request.spec.name, answer.msg).await?;
                Err(Problem::Refused(Refusal::new(answer.code, words)))
            }
            Err(error) => {
                tracing::info!(%peer, call = request.spec.name, %error, "peer's answer cannot be read");
                Err(unreachable(peer, "gave an answer that cannot be read"))
            }
        }
    }

    /// Where a server in good standing is.
    pub(crate) async fn address_of(&self, peer: &ServerId) -> Result<PeerAddress, Problem> {
        let info = self.addresses.admitted(peer).await.map_err(|error| match error {
            AddressError::Unknown(_) => Problem::refused(Code::NOT_FOUND, error.to_string()),
            AddressError::Barred { .. } => Problem::refused(Code::WRONG_STATE, error.to_string()),
            AddressError::Unreachable(_) => Problem::refused(Code::PEER_UNREACHABLE, error.to_string()),
        })?;
        PeerAddress::server(peer, &info.server_address).map_err(|error| unreachable(peer, &error.to_string()))
    }
}

fn unreachable(peer: &ServerId, what: &str) -> Problem {
    Problem::refused(Code::PEER_UNREACHABLE, format!("the server {peer} {what}"))
}
