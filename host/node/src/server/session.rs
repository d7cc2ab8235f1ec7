//! Who a client is: access tokens, checked against the store once and remembered for a short while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use isthmus_domain::TimeId;
use isthmus_domain::session::{self, TokenHash};
use isthmus_store::{Store, StoreError};
use isthmus_wire::UserId;

use crate::clock;
use crate::token::{self, Kind};

/// The WebSocket subprotocol; a browser sends its token beside it, since it can set no other header.
pub(crate) const SUBPROTOCOL: &str = "isthmus.v1";
/// How long a token that the store confirmed is believed. Revocations clear it at once.
const BELIEVED: Duration = Duration::from_secs(30);
/// Tokens remembered; beyond that, all are asked again.
const REMEMBERED: usize = 65_536;
/// Failed log-ins of one user before it has to wait.
const FAILURES: u32 = 10;
/// How long it has to wait then, and how long failures are remembered.
const LOCKED: Duration = Duration::from_secs(300);

/// A logged-in device.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: UserId,
    pub(crate) device: TimeId,
    pub(crate) expires_ms: u64,
}

impl Caller {
    pub(crate) fn expired(&self) -> bool {
        clock::now_ms() >= self.expires_ms
    }
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Tokens believed, and log-ins that failed.
#[derive(Default)]
pub(crate) struct Sessions {
    believed: Mutex<HashMap<TokenHash, (Caller, Instant)>>,
    failures: Mutex<HashMap<UserId, Failures>>,
}

impl Sessions {
    /// Whom an access token belongs to.
    pub(crate) fn caller(&self, store: &Store, token: &str) -> Result<Option<Caller>, StoreError> {
        let Some(hash) = token::recognise(Kind::Access, token) else { return Ok(None) };
        if let Some((caller, since)) = self.believed().get(&hash)
            && since.elapsed() < BELIEVED
        {
            return Ok((!caller.expired()).then(|| caller.clone()));
        }
        let found = store.read(|view| session::authenticate(view, &hash, clock::now_ms()))?;
        let caller = found.map(|s| Caller { user: s.user, device: s.device, expires_ms: s.expires_ms });
        if let Some(caller) = &caller {
            let mut believed = self.believed();
            if believed.len() >= REMEMBERED {
                believed.clear();
            }
            believed.insert(hash, (caller.clone(), Instant::now()));
        }
        Ok(caller)
    }

    /// A log-in ended, a user was disabled: ask the store again.
    pub(crate) fn forget(&self, user: &UserId) {
        self.believed().retain(|_, (caller, _)| caller.user != *user);
    }

    /// Seconds that a user has to wait before the next log-in, after too many failures.
    pub(crate) fn locked_for(&self, user: &UserId) -> Option<u64> {
        let failures = self.failures();
        let known = failures.get(user).filter(|f| f.count >= FAILURES)?;
        let rest = LOCKED.checked_sub(known.last.elapsed())?;
        Some(rest.as_secs().max(1))
    }

    /// Counts a log-in that failed, or clears the count.
    pub(crate) fn tried(&self, user: &UserId, success: bool) {
        let mut failures = self.failures();
        failures.retain(|_, f| f.last.elapsed() < LOCKED);
        if success {
            failures.remove(user);
            return;
        }
        let entry = failures.entry(user.clone()).or_insert(Failures { count: 0, last: Instant::now() });
        entry.count += 1;
        entry.last = Instant::now();
    }

    fn believed(&self) -> MutexGuard<'_, HashMap<TokenHash, (Caller, Instant)>> {
        self.believed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<UserId, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Up to where devices have read, waiting to be written together.
#[derive(Default)]
pub(crate) struct Acks(Mutex<HashMap<(UserId, TimeId), u64>>);

impl Acks {
    /// Notes a cursor; going back changes nothing.
    pub(crate) fn note(&self, caller: &Caller, cursor: u64) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = noted.entry((caller.user.clone(), caller.device)).or_default();
        *entry = cursor.max(*entry);
    }

    /// Everything noted since the last time.
    pub(crate) fn take(&self) -> HashMap<(UserId, TimeId), u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The access token of a request: `Authorization: Bearer …`, or the second WebSocket subprotocol. Never in a URL.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    let offered = headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    offered.split(',').find_map(|part| part.trim().strip_prefix("bearer."))
}
