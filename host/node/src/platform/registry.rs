//! The signed registry (reading, section 9): what has changed since a serial, at once or as soon as something does; and the
//! revocation lists that go with it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use isthmus_domain::registry;
use isthmus_wire::registry::{Ask, CONTEXT, Lists, PAGE, Signed, Statement};

use super::{Lost, PlatformError, State, tick};
use crate::clock;
use crate::reply::Problem;

/// The longest that a caller is kept waiting: below what clients give a call, and what middle boxes forget.
const WAIT_MAX: Duration = Duration::from_secs(25);

/// Revocation lists, made once for all who ask.
#[derive(Default)]
pub(super) struct Revocations {
    pub(super) number: u64,
    pub(super) der: Vec<Vec<u8>>,
}

impl State {
    /// Waits until the registry has changed after `since`, at most `seconds`, and not beyond a stop.
    pub(super) async fn wait_for_change(&self, since: u64, seconds: u64) {
        // Without a place nobody waits: the answer comes at once, and the caller asks again in a while.
        let Ok(_place) = self.waiting.try_acquire() else { return };
        let (mut changes, mut stop) = (self.changes.subscribe(), self.stop.clone());
        let within = Duration::from_secs(seconds).min(WAIT_MAX);
        let changed = async {
            tokio::select! {
                _ = changes.wait_for(|serial| *serial > since) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        };
        let _ = tokio::time::timeout(within, changed).await;
    }

    /// Tells who waits that the registry has changed.
    pub(super) fn changed(&self) -> Result<(), Problem> {
        let latest = self.store.read(registry::latest)?;
        self.changes.send_if_modified(|serial| {
            let newer = latest > *serial;
            *serial = latest.max(*serial);
            newer
        });
        Ok(())
    }

    /// Something that is no server's own has changed: the authority, or what is revoked.
    pub(super) async fn touch(&self) -> Result<(), Problem> {
        self.store.write(|tx| registry::touch(tx, clock::now_ms())).await.map_err(Problem::from)?;
        self.changed()
    }

    /// Makes the revocation lists anew.
    pub(super) fn revoke(&self, (revoked, number): &Lost) -> Result<(), PlatformError> {
        // Two lists within a millisecond would bear one number.
        let number = (*number).max(self.revocations.load().number + 1);
        let der = self.ca.load().crls(revoked, number, SystemTime::now(), tick::CRL_LIFE)?;
        self.revocations.store(Arc::new(Revocations { number, der }));
        Ok(())
    }

    /// What `ask` asks for, signed.
    pub(super) fn statement(&self, ask: Ask) -> Result<Signed, Problem> {
        let (servers, upto, latest, digest) = self.store.read(|view| {
            let (servers, upto) = registry::since(view, ask.since, PAGE)?;
            Ok((servers, upto, registry::latest(view)?, registry::digest(view)?))
        })?;
        let (ca, lists) = (self.ca.load(), self.revocations.load());
        let statement = Statement {
            platform: ca.domain().to_owned(),
            since: ask.since,
            // Who has seen more than there is learns that, and is told no serial of its own invention.
            serial: upto.min(latest),
            latest,
            made_ms: clock::now_ms(),
            digest: hex::encode(digest),
            roots: ca.roots_pem(),
            lists: (lists.number > ask.list).then(|| Lists {
                number: lists.number,
                der: lists.der.iter().map(|list| STANDARD.encode(list)).collect(),
            }),
            servers,
        };
        let statement = serde_json::to_string(&statement).map_err(Problem::fault)?;
        let signature = ca.sign(format!("{CONTEXT}{statement}").as_bytes()).map_err(Problem::fault)?;
        Ok(Signed { statement, signature: STANDARD.encode(signature), issuers: ca.issuers_pem() })
    }
}
