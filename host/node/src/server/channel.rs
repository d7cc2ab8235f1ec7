//! Who we are to other servers and whom we believe: our certificate, the platform's roots, what they have revoked (R13).
//!
//! Each of the three changes while the server runs. A change makes new TLS settings, which the next handshake takes; connections
//! that stand are not touched, and calls under way on them end as they would have.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use isthmus_net::tls::CrlError;
use isthmus_net::{ClientAuth, ClientTls, Credentials, PeerCertificate, ServerTls, TlsError, Trust};
use tokio::sync::watch;

use super::enroll::{EnrollError, IdentityFolder, Lists};

/// Certificate, roots and revocations, and the TLS settings that follow from them.
pub(crate) struct Channel {
    folder: IdentityFolder,
    tls12: bool,
    domain: String,
    /// The operator's own file of roots, as it was at the start.
    configured: String,
    parts: Mutex<Parts>,
    interconnect: watch::Sender<Arc<rustls::ServerConfig>>,
    peers: watch::Sender<Arc<ClientTls>>,
}

struct Parts {
    credentials: Credentials,
    roots: String,
    lists: Lists,
    revoked: HashSet<String>,
}

impl Parts {
    fn settings(&self, domain: &str, tls12: bool) -> Result<Settings, TlsError> {
        let trust = Trust::from_pem(&self.roots)?.with_domain(domain);
        let trust = trust.with_crls(self.lists.der.iter().map(Vec::as_slice))?;
        let client_auth = ClientAuth::Required(trust.clone());
        let interconnect = ServerTls { credentials: self.credentials.clone(), client_auth, tls12 }.build()?;
        Ok((interconnect, ClientTls::new(&trust, Some(self.credentials.clone()), tls12)?))
    }
}

type Settings = (Arc<rustls::ServerConfig>, Arc<ClientTls>);

/// Why news of the platform's were not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewsError {
    /// A file of the identity folder.
    #[error(transparent)]
    Folder(#[from] EnrollError),
    /// A revocation list.
    #[error("the revocation list is not believed")]
    List(#[from] CrlError),
    /// Certificates that do not work.
    #[error("the new certificates cannot be used")]
    Tls(#[from] TlsError),
}

impl Channel {
    /// With what the identity folder holds; `configured`: the operator's own file of roots.
    pub(crate) fn open(
        folder: IdentityFolder,
        configured: String,
        credentials: Credentials,
        tls12: bool,
    ) -> Result<Channel, NewsError> {
        let domain = credentials.facts().map(|facts| facts.domain).unwrap_or_default();
        let (roots, lists) = (folder.roots(&configured)?, folder.lists()?);
        let revoked = serials(&lists);
        let parts = Parts { credentials, roots, lists, revoked };
        let (interconnect, peers) = parts.settings(&domain, tls12)?;
        let (interconnect, peers) = (watch::channel(interconnect).0, watch::channel(peers).0);
        Ok(Channel { folder, tls12, domain, configured, parts: Mutex::new(parts), interconnect, peers })
    }

    pub(crate) fn interconnect(&self) -> watch::Receiver<Arc<rustls::ServerConfig>> {
        self.interconnect.subscribe()
    }

    pub(crate) fn peers(&self) -> watch::Receiver<Arc<ClientTls>> {
        self.peers.subscribe()
    }

    /// Where key, certificate and application lie.
    pub(crate) fn folder(&self) -> &IdentityFolder {
        &self.folder
    }

    /// The platform's domain.
    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// The roots that are trusted now, PEM.
    pub(crate) fn roots(&self) -> String {
        self.parts().roots.clone()
    }

    /// The number of the newest revocation list; 0: none.
    pub(crate) fn list_number(&self) -> u64 {
        self.parts().lists.number
    }

    /// Whether a certificate was revoked.
    pub(crate) fn is_revoked(&self, serial: &str) -> bool {
        self.parts().revoked.contains(serial)
    }

    /// What our own certificate says. None would be a certificate that we could not have started with.
    pub(crate) fn facts(&self) -> Option<PeerCertificate> {
        self.parts().credentials.facts().ok()
    }

    /// Whether the first of the trusted roots, the one that signs, is the one above our certificate.
    pub(crate) fn is_under_signing_root(&self) -> bool {
        let parts = self.parts();
        parts.credentials.is_under(&parts.roots)
    }

    /// A new certificate and its key, first on the disk, then in use.
    pub(crate) fn renewed(&self, key: &str, chain: &str) -> Result<(), NewsError> {
        let credentials = Credentials::from_pem(chain, key)?;
        self.change(|parts| {
            self.folder.put_credentials(key, chain)?;
            parts.credentials = credentials;
            Ok(true)
        })
    }

    /// The roots that the platform trusts now. The caller has verified that it says so.
    pub(crate) fn learn_roots(&self, roots: &str) -> Result<(), NewsError> {
        Trust::from_pem(roots)?;
        self.change(|parts| {
            if parts.roots == roots {
                return Ok(false);
            }
            self.folder.put_roots(&self.configured, roots)?;
            roots.clone_into(&mut parts.roots);
            Ok(true)
        })
    }

    /// Newer revocation lists: each is verified here. True if somebody is revoked who was not before.
    pub(crate) fn learn_lists(&self, lists: Lists, issuers: &str) -> Result<bool, NewsError> {
        let roots = self.roots();
        for list in &lists.der {
            Trust::check_crl(list, &roots, issuers)?;
        }
        let mut more = false;
        self.change(|parts| {
            if lists.number <= parts.lists.number {
                return Ok(false);
            }
            self.folder.put_lists(&lists)?;
            let revoked = serials(&lists);
            more = !revoked.is_subset(&parts.revoked);
            // A list that says the same again is no reason to make every connection anew.
            let as_before = revoked == parts.revoked && lists.der.len() == parts.lists.der.len();
            (parts.lists, parts.revoked) = (lists, revoked);
            Ok(!as_before)
        })?;
        Ok(more)
    }

    /// Changes the parts; if they differ afterwards, new settings are made and taken by the next handshake.
    fn change(&self, change: impl FnOnce(&mut Parts) -> Result<bool, NewsError>) -> Result<(), NewsError> {
        let mut parts = self.parts();
        if change(&mut parts)? {
            let (interconnect, peers) = parts.settings(&self.domain, self.tls12)?;
            self.interconnect.send_replace(interconnect);
            self.peers.send_replace(peers);
        }
        Ok(())
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serials(lists: &Lists) -> HashSet<String> {
    lists.der.iter().flat_map(|list| Trust::revoked_serials(list)).collect()
}

/// Whether it is time to renew: half of a certificate's life is gone, and a little more that differs from server to server.
pub(crate) fn is_due(facts: &PeerCertificate, now: SystemTime) -> bool {
    let life = facts.not_after.duration_since(facts.not_before).unwrap_or_default();
    let spread = life.mul_f64(f64::from(facts.serial.bytes().map(u32::from).sum::<u32>() % 64) / 64.0 / 20.0);
    now >= facts.not_before + life / 2 + spread
}

/// How long a certificate still holds.
pub(crate) fn left(facts: &PeerCertificate, now: SystemTime) -> Duration {
    facts.not_after.duration_since(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

    use super::*;
    use isthmus_net::Identity;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_certificate_is_renewed_when_half_of_its_life_is_gone_and_not_long_after() {
        let from = SystemTime::UNIX_EPOCH + DAY * 20_000;
        for serial in ["00", "ff", "4a5b6c"] {
            let facts = PeerCertificate {
                identity: Identity::Platform,
                domain: "im.example".into(),
                serial: serial.into(),
                not_before: from,
                not_after: from + DAY * 8,
            };
            assert!(!is_due(&facts, from + DAY * 4 - Duration::from_secs(1)));
            assert!(is_due(&facts, from + DAY * 4 + DAY / 2));
            assert_eq!(left(&facts, from + DAY * 9), Duration::ZERO);
        }
    }
}
