//! Where a party is, and who it must prove to be.

use std::fmt;

use http::HeaderValue;
use http::uri::{Authority, Scheme, Uri};
use isthmus_wire::ServerId;

use crate::identity::Identity;

/// A party and its address, from `serverAddress` (§7.2.1: `https://host[:port]`).
#[derive(Clone, PartialEq, Eq)]
pub struct PeerAddress {
    party: Identity,
    authority: Authority,
    host_header: HeaderValue,
    port: u16,
}

/// Why a URL is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of the form https://host[:port]")]
pub struct AddressError(String);

impl PeerAddress {
    /// A server's.
    pub fn server(id: &ServerId, url: &str) -> Result<Self, AddressError> {
        Self::parse(Identity::Server(id.clone()), url)
    }

    /// The platform's.
    pub fn platform(url: &str) -> Result<Self, AddressError> {
        Self::parse(Identity::Platform, url)
    }

    fn parse(party: Identity, url: &str) -> Result<Self, AddressError> {
        let bad = || AddressError(url.to_owned());
        let uri: Uri = url.trim().parse().map_err(|_| bad())?;
        let plain = uri.path() == "/" && uri.query().is_none();
        let authority = uri.authority().ok_or_else(bad)?.clone();
        if uri.scheme() != Some(&Scheme::HTTPS) || !plain || authority.as_str().contains('@') {
            return Err(bad());
        }
        // A port that is there but no number reads as none: refuse it, rather than call another port.
        let has_port = authority.as_str().rsplit(']').next().is_some_and(|tail| tail.contains(':'));
        if authority.host().is_empty() || has_port != authority.port_u16().is_some() {
            return Err(bad());
        }
        let host_header = HeaderValue::from_str(authority.as_str()).map_err(|_| bad())?;
        Ok(Self { party, port: authority.port_u16().unwrap_or(443), host_header, authority })
    }

    /// Who must answer there.
    pub fn party(&self) -> &Identity {
        &self.party
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, 443 if none was given.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(super) fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.party, self.authority)
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerAddress({self})")
    }
}
