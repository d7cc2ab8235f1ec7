//! The signed registry, between our platform and our servers (reading, section 9): `GET /isthmus/v1/registry`.
//!
//! Optional and never needed: a server that gets 404 asks for `nodes`. The platform signs each statement with the issuer below its
//! root, so that it holds on a disk as well as on a connection; `serial` grows with every change, so that an older one is known
//! for what it is. A statement tells what has changed since a serial, page by page; with `wait` the answer comes with the next
//! change.

use serde::{Deserialize, Serialize};

use crate::json::{Fields, Read, ReadError};
use crate::record::ServerInfo;

/// Where it lives.
pub const PATH: &str = "/isthmus/v1/registry";
/// Before the statement when it is signed.
pub const CONTEXT: &str = "isthmus registry 1\n";
/// Servers on a page.
pub const PAGE: usize = 500;
/// Bytes of a statement.
pub const STATEMENT_MAX: usize = 8 << 20;

/// What a server asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ask {
    /// The serial that it has; 0: everything.
    pub since: u64,
    /// Seconds that it waits for a change.
    pub wait: u64,
    /// The number of the newest revocation list that it has.
    pub list: u64,
}

impl Ask {
    /// As a query string.
    #[must_use]
    pub fn to_query(&self) -> String {
        format!("since={}&wait={}&list={}", self.since, self.wait, self.list)
    }
}

impl Read for Ask {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        let number = |name: &str| -> Result<u64, ReadError> {
            let found = f.optional_int64(name)?.unwrap_or(0);
            u64::try_from(found).map_err(|_| f.invalid(name, "is negative"))
        };
        Ok(Self { since: number("since")?, wait: number("wait")?, list: number("list")? })
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// A [`Statement`] in JSON, as it was signed.
    pub statement: String,
    /// Over [`CONTEXT`] and the statement, base64 of DER.
    pub signature: String,
    /// PEM certificates of the platform's issuers: one of them has signed.
    pub issuers: String,
}

impl Read for Signed {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            statement: f.prose("statement", STATEMENT_MAX)?.to_owned(),
            signature: f.text("signature", 1024)?.to_owned(),
            issuers: f.prose("issuers", STATEMENT_MAX)?.to_owned(),
        })
    }
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// The platform's domain.
    pub platform: String,
    /// As asked.
    pub since: u64,
    /// Who takes this in has the registry as of this serial.
    pub serial: u64,
    /// The registry's own: the last page has it as `serial`.
    pub latest: u64,
    /// Milliseconds since 1970 UTC.
    pub made_ms: u64,
    /// Hex: the XOR of the hashes of all servers' records as of `latest`.
    pub digest: String,
    /// PEM: trusted roots, the one that signs first.
    pub roots: String,
    /// Newer revocation lists, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<Lists>,
    /// New and changed, in the order of their changes.
    pub servers: Vec<ServerInfo>,
}

/// Revocation lists, one of each authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lists {
    /// Grows from list to list.
    pub number: u64,
    /// Base64 of DER.
    pub der: Vec<String>,
}
