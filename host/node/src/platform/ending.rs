//! What of the platform's own comes to its end (§6.1 b): the issuer, after which nobody is certified and nothing of the platform's
//! can be reached, and the certificates of its listeners, which it renews by itself as long as it can.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use isthmus_domain::registry::notice::{Ending, Event};
use isthmus_net::Ca;
use serde_json::{Value, json};

use super::State;
use crate::clock;
use crate::config::PlatformConfig;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The root itself ends, or its key is lost.
const ROLL_OVER: &str = "the root ends: make a new one with `isthmus platform ca rollover`; when all servers have learnt it, \
                         `… ca activate`; when all have renewed, `… ca retire`";
/// The root's key is elsewhere.
const BRING_BACK: &str = "bring the root's key back with `isthmus platform ca import FILE`, and the issuer is signed anew within \
                          seconds (`… ca export --remove` takes it away again); if the key is lost, `isthmus platform ca rollover` \
                          makes a new root";
/// It is here, and the issuer should have been signed anew long ago.
const SEE_LOG: &str = "the root's key is here and the issuer was not signed anew: the platform's log says why";
const NOT_RENEWED: &str = "the platform renews it every six hours and could not: its log says why";

impl State {
    /// What ends soon.
    pub(super) fn endings(&self) -> Vec<Ending> {
        let ca = self.ca.load();
        let now_ms = clock::now_ms();
        let listeners = listeners(&self.config, &ca, self.tls_end.load(Ordering::Relaxed), now_ms);
        issuer(&self.config, &ca, now_ms).into_iter().chain(listeners).collect()
    }

    /// For the log, whether or not anybody else is told.
    pub(super) fn warn_of_endings(&self) {
        for ending in self.endings() {
            let days = ending.not_after_ms.saturating_sub(clock::now_ms()) / DAY_MS;
            let what = if ending.event == Event::IssuerExpiring { "the issuer's" } else { "the listeners'" };
            tracing::warn!(days, "{what} certificate ends; {}", ending.remedy);
        }
    }
}

/// For the status.
pub(super) fn shown(ending: &Ending) -> Value {
    json!({"event": ending.event, "notAfterMs": ending.not_after_ms, "remedy": ending.remedy})
}

fn issuer(config: &PlatformConfig, ca: &Ca, now_ms: u64) -> Option<Ending> {
    let soon_ms = now_ms.saturating_add(config.webhook.issuer_expiry_days * DAY_MS);
    let not_after_ms = millis(ca.not_after());
    let remedy = match (millis(ca.root_not_after()) <= soon_ms, ca.root_online()) {
        (true, _) => ROLL_OVER,
        (false, false) => BRING_BACK,
        (false, true) => SEE_LOG,
    };
    let ends = not_after_ms <= soon_ms;
    ends.then(|| Ending { event: Event::IssuerExpiring, not_after_ms, remedy: remedy.to_owned() })
}

/// One that ends with the issuer needs no word of its own.
fn listeners(config: &PlatformConfig, ca: &Ca, not_after_ms: u64, now_ms: u64) -> Option<Ending> {
    let half_life_ms = u64::from(config.ca.days) * DAY_MS / 2;
    let soon_ms = now_ms.saturating_add(half_life_ms.min(config.webhook.expiry_hours * HOUR_MS));
    let ends = not_after_ms <= soon_ms && not_after_ms < millis(ca.not_after());
    ends.then(|| Ending { event: Event::ListenerExpiring, not_after_ms, remedy: NOT_RENEWED.to_owned() })
}

/// Milliseconds since 1970 UTC.
pub(super) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Sources;

    const DAY: Duration = Duration::from_secs(86_400);

    fn config() -> PlatformConfig {
        let sources = Sources::default().set("domain", "im.example").set("data_dir", "/nowhere/data");
        PlatformConfig::load(&sources).unwrap()
    }

    #[test]
    fn an_issuer_that_ends_is_told_of_with_the_remedy_that_fits() {
        let (config, now) = (config(), SystemTime::now());
        // Made so many days ago; an issuer lives for three years, a root for twenty.
        let told = |age: u32, offline: bool, root_back: bool| {
            let dir = tempfile::tempdir().unwrap();
            let then = now - DAY * age;
            Ca::open_platform(dir.path(), "im.example", None, then).unwrap();
            if offline {
                Ca::remove_root_key(dir.path()).unwrap();
            }
            let seen = if root_back { now } else { then };
            let ca = Ca::open_platform(dir.path(), "im.example", None, seen).unwrap();
            issuer(&config, &ca, millis(now)).map(|ending| ending.remedy)
        };
        assert_eq!(told(1096 - 91, true, false), None);
        assert_eq!(told(1096 - 89, true, false).as_deref(), Some(BRING_BACK));
        assert_eq!(told(1096 - 89, false, false).as_deref(), Some(SEE_LOG));
        assert_eq!(told(1096 - 89, false, true), None, "signed anew, since the root's key is here");
        assert_eq!(told(7300 - 30, false, true).as_deref(), Some(ROLL_OVER), "nothing outlives the root");
    }

    #[test]
    fn listeners_whose_certificate_is_not_renewed_are_told_of() {
        let (config, now) = (config(), SystemTime::now());
        let ca = Ca::in_memory("im.example", now).unwrap();
        let told = |left: Duration| listeners(&config, &ca, millis(now + left), millis(now)).is_some();
        assert!(!told(DAY * 6) && !told(DAY * 3) && told(DAY) && told(Duration::ZERO));
        let daily = PlatformConfig { ca: crate::config::CaRules { days: 1, ..config.ca.clone() }, ..config.clone() };
        let told = |hours: u32| listeners(&daily, &ca, millis(now + DAY * hours / 24), millis(now)).is_some();
        assert!(!told(18) && told(11), "a certificate of a day is in time as long as it is renewed");
        let old = Ca::in_memory("im.example", now - DAY * 7299).unwrap();
        assert!(listeners(&config, &old, millis(old.not_after()), millis(now)).is_none(), "the issuer's end is told");
    }
}
