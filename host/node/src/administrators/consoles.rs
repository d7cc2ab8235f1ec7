//! Log-ins of administrators: sessions that end by themselves, and what guessing costs.
//!
//! A session is a random token in a cookie that no script can read and no other site can send; it counts only beside a header
//! that another site cannot set either. The process remembers its SHA-256 alone, and a restart ends all sessions.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, header};
use isthmus_domain::administrator::Administrator;

use crate::admin_token::Role;
use crate::token::{self, Kind, TokenHash};
use crate::totp;

/// Beside the cookie: `poll` for what the page asks for by itself, which keeps no session alive; anything else for what somebody
/// did.
pub(crate) const HEADER: &str = "x-isthmus-console";
const POLL: &str = "poll";
/// Sessions at once; the one that was silent longest gives way.
const SESSIONS: usize = 64;
/// Failures with one name, and from one address, before either has to wait.
const NAME_FAILURES: u32 = 5;
const ADDRESS_FAILURES: u32 = 20;
/// How long it has to wait then, and how long failures are remembered.
const LOCKED: Duration = Duration::from_secs(300);
/// Names and addresses remembered.
const REMEMBERED: usize = 4096;
/// Bytes of a name.
pub(crate) const NAME_MAX: usize = 64;

/// Who acts: a person that logged in, or whoever holds a role's token.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) role: Role,
    /// The person's session.
    pub(crate) session: Option<Seat>,
}

/// One session.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) id: TokenHash,
    pub(crate) name: Arc<str>,
    /// A password has to be chosen first.
    pub(crate) is_new: bool,
}

impl Who {
    pub(crate) fn token(role: Role) -> Who {
        Who { role, session: None }
    }

    /// The person's name, or the role whose token it was.
    pub(crate) fn name(&self) -> &str {
        self.session.as_ref().map_or(self.role.as_str(), |seat| &seat.name)
    }

    /// In audit records: `admin:` and the person's name, or the role whose token it was.
    pub(crate) fn actor(&self) -> String {
        format!("admin:{}", self.name())
    }
}

struct Live {
    role: Role,
    seat: Seat,
    began: Instant,
    seen: Instant,
    /// A second factor that waits for its first code.
    offered: Option<totp::Shared>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Tried {
    Name(String),
    Address(IpAddr),
}

struct Failures {
    count: u32,
    last: Instant,
}

/// All sessions, and failures.
pub(crate) struct Consoles {
    live: Mutex<HashMap<TokenHash, Live>>,
    failures: Mutex<HashMap<Tried, Failures>>,
    cookie: String,
    /// How long a session may be silent, and how long it may last.
    idle: Duration,
    whole: Duration,
}

impl Consoles {
    /// The cookie is named after the server (its ID) or the platform (its domain): cookies do not know ports, and several may share
    /// a host.
    pub(super) fn new(of: &str, idle: Duration, whole: Duration) -> Consoles {
        let cookie = format!("__Host-isthmus-{}", of.to_ascii_lowercase());
        Consoles { live: Mutex::default(), failures: Mutex::default(), cookie, idle, whole }
    }

    /// Opens a session; answers its `Set-Cookie`.
    pub(crate) fn open(&self, administrator: &Administrator, now: Instant) -> String {
        let text = token::mint(Kind::Console);
        let id = token::hash(&text);
        let seat = Seat { id, name: administrator.name.as_str().into(), is_new: administrator.is_new() };
        let mut live = self.live(now);
        if live.len() >= SESSIONS
            && let Some(oldest) = live.values().min_by_key(|one| one.seen).map(|one| one.seat.id)
        {
            live.remove(&oldest);
        }
        live.insert(id, Live { role: administrator.role, seat, began: now, seen: now, offered: None });
        self.set_cookie(&text, "")
    }

    /// The `Set-Cookie` that takes the cookie away.
    pub(crate) fn gone(&self) -> String {
        self.set_cookie("", "; Max-Age=0")
    }

    fn set_cookie(&self, value: &str, more: &str) -> String {
        format!("{}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{more}", self.cookie)
    }

    /// Whose session a request belongs to. A session lives on by what somebody does, not by what the page asks for.
    pub(crate) fn who(&self, headers: &HeaderMap, now: Instant) -> Option<Who> {
        let kind = headers.get(HEADER)?;
        if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin") {
            return None;
        }
        let id = token::recognise(Kind::Console, self.cookie_of(headers)?)?;
        let mut live = self.live(now);
        let one = live.get_mut(&id)?;
        if kind != POLL {
            one.seen = now;
        }
        Some(Who { role: one.role, session: Some(one.seat.clone()) })
    }

    fn cookie_of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let sent = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = sent.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.into_iter().find(|(name, _)| *name == self.cookie).map(|(_, value)| value)
    }

    /// Milliseconds that a session has left, if nobody does anything.
    pub(crate) fn left_ms(&self, seat: &Seat, now: Instant) -> u64 {
        let live = self.live(now);
        let Some(one) = live.get(&seat.id) else { return 0 };
        let idle = self.idle.saturating_sub(now.saturating_duration_since(one.seen));
        let whole = self.whole.saturating_sub(now.saturating_duration_since(one.began));
        u64::try_from(idle.min(whole).as_millis()).unwrap_or(u64::MAX)
    }

    /// Ends one session.
    pub(crate) fn end(&self, seat: &Seat) {
        self.live(Instant::now()).remove(&seat.id);
    }

    /// Ends all sessions of an account but one.
    pub(crate) fn end_others(&self, name: &str, but: Option<&Seat>) {
        self.live(Instant::now()).retain(|id, one| *one.seat.name != *name || but.is_some_and(|seat| seat.id == *id));
    }

    /// A password has been chosen.
    pub(crate) fn settled(&self, seat: &Seat) {
        if let Some(one) = self.live(Instant::now()).get_mut(&seat.id) {
            one.seat.is_new = false;
        }
    }

    /// Keeps, or takes, the second factor that is being set up.
    pub(crate) fn offer(&self, seat: &Seat, secret: Option<totp::Shared>) -> Option<totp::Shared> {
        let mut live = self.live(Instant::now());
        let one = live.get_mut(&seat.id)?;
        std::mem::replace(&mut one.offered, secret)
    }

    /// What is being set up.
    pub(crate) fn offered(&self, seat: &Seat) -> Option<totp::Shared> {
        self.live(Instant::now()).get(&seat.id)?.offered
    }

    fn live(&self, now: Instant) -> MutexGuard<'_, HashMap<TokenHash, Live>> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|_, one| {
            now.saturating_duration_since(one.seen) < self.idle && now.saturating_duration_since(one.began) < self.whole
        });
        live
    }

    /// Counts an attempt as a failure until it proves to be none, so that many at once are not many for the price of one.
    ///
    /// # Errors
    /// The seconds to wait, after too many.
    pub(crate) fn attempt(&self, name: &str, from: IpAddr, now: Instant) -> Result<(), u64> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, f| now.saturating_duration_since(f.last) < LOCKED);
        let both = tried(name, from);
        for (key, most) in &both {
            if let Some(known) = failures.get(key).filter(|f| f.count >= *most) {
                let rest = LOCKED.saturating_sub(now.saturating_duration_since(known.last));
                return Err(rest.as_secs().max(1));
            }
        }
        for (key, _) in both {
            if failures.len() >= REMEMBERED
                && !failures.contains_key(&key)
                && let Some(oldest) = failures.iter().min_by_key(|(_, f)| f.last).map(|(key, _)| key.clone())
            {
                failures.remove(&oldest);
            }
            let entry = failures.entry(key).or_insert(Failures { count: 0, last: now });
            entry.count += 1;
            entry.last = now;
        }
        Ok(())
    }

    /// The attempt was none: it lacked the second factor only.
    pub(crate) fn forgive(&self, name: &str, from: IpAddr) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in tried(name, from) {
            if let Some(known) = failures.get_mut(&key) {
                known.count = known.count.saturating_sub(1);
            }
        }
    }

    /// The attempt succeeded, or the account was given a new password: no failures are left.
    pub(crate) fn clear(&self, name: &str, from: Option<IpAddr>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&Tried::Name(name.to_owned()));
        if let Some(from) = from {
            failures.remove(&Tried::Address(network(from)));
        }
    }
}

fn tried(name: &str, from: IpAddr) -> [(Tried, u32); 2] {
    let short: String = name.chars().take(NAME_MAX).collect();
    [(Tried::Name(short), NAME_FAILURES), (Tried::Address(network(from)), ADDRESS_FAILURES)]
}

/// Who has one IPv6 address has its whole network's.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use isthmus_domain::administrator::Secret;

    use super::*;

    const IDLE: Duration = Duration::from_secs(900);
    const WHOLE: Duration = Duration::from_secs(3600);

    fn consoles() -> Consoles {
        Consoles::new("North", IDLE, WHOLE)
    }

    fn ada(name: &str) -> Administrator {
        let secret = Secret::Password(String::new());
        Administrator { name: name.to_owned(), role: Role::Audit, secret, secret_ms: 0, totp: None }
    }

    fn headers(cookie: &str, kind: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let pair = cookie.split(';').next().unwrap();
        headers.insert(header::COOKIE, format!("theme=dark; {pair}").parse().unwrap());
        headers.insert(HEADER, kind.parse().unwrap());
        headers
    }

    #[test]
    fn a_session_ends_when_nobody_does_anything_and_a_page_that_polls_is_nobody() {
        let (consoles, began) = (consoles(), Instant::now());
        let cookie = consoles.open(&ada("ada"), began);
        assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"), "{cookie}");
        assert!(cookie.starts_with("__Host-isthmus-north="), "{cookie}");
        let at = |seconds, kind| consoles.who(&headers(&cookie, kind), began + Duration::from_secs(seconds)).is_some();
        assert!(at(800, "act"));
        assert!(at(1600, "poll"));
        assert!(!at(1701, "act"), "800 + 900 is over");
    }

    #[test]
    fn a_session_ends_in_the_end_however_busy_it_is() {
        let (consoles, began) = (consoles(), Instant::now());
        let cookie = consoles.open(&ada("ada"), began);
        let at = |seconds| consoles.who(&headers(&cookie, "act"), began + Duration::from_secs(seconds)).is_some();
        assert!((0..3600).step_by(600).all(at));
        assert!(!at(3600));
    }

    #[test]
    fn a_cookie_counts_only_as_the_console_sends_it() {
        let (consoles, now) = (consoles(), Instant::now());
        let cookie = consoles.open(&ada("ada"), now);
        let mut bare = headers(&cookie, "act");
        bare.remove(HEADER);
        assert!(consoles.who(&bare, now).is_none(), "another site cannot set the header");
        let mut foreign = headers(&cookie, "act");
        foreign.insert("sec-fetch-site", "same-site".parse().unwrap());
        assert!(consoles.who(&foreign, now).is_none());
        let elsewhere = Consoles::new("south", IDLE, WHOLE);
        assert!(elsewhere.who(&headers(&cookie, "act"), now).is_none());
        assert_eq!(consoles.who(&headers(&cookie, "act"), now).unwrap().actor(), "admin:ada");
    }

    #[test]
    fn a_changed_password_ends_the_accounts_other_sessions_alone() {
        let (consoles, now) = (consoles(), Instant::now());
        let [first, second, other] = ["ada", "ada", "bea"].map(|name| consoles.open(&ada(name), now));
        let seat = |cookie: &str| consoles.who(&headers(cookie, "act"), now).and_then(|who| who.session);
        consoles.end_others("ada", seat(&first).as_ref());
        assert!(seat(&first).is_some() && seat(&second).is_none() && seat(&other).is_some());
    }

    #[test]
    fn guessing_is_slowed_by_name_and_by_address() {
        let (consoles, now) = (consoles(), Instant::now());
        let from = |n: u8| IpAddr::from([10, 0, 0, n]);
        for n in 0..5 {
            consoles.attempt("ada", from(n), now).unwrap();
        }
        assert_eq!(consoles.attempt("ada", from(9), now), Err(300));
        consoles.attempt("bea", from(9), now).unwrap();
        consoles.attempt("ada", from(9), now + LOCKED).unwrap();
        for n in 0..20 {
            consoles.attempt(&format!("guess {n}"), from(20), now).unwrap();
        }
        assert!(consoles.attempt("ada", from(20), now).is_err(), "many names from one address");
        let v6 = |text: &str| text.parse().unwrap();
        for n in 0..20 {
            consoles.attempt(&format!("v6 {n}"), v6(&format!("2001:db8::{n:x}")), now).unwrap();
        }
        assert!(consoles.attempt("another", v6("2001:db8::ffff"), now).is_err(), "a network is one");
    }

    #[test]
    fn what_only_lacked_its_code_is_no_failure_and_success_clears() {
        let (consoles, now, from) = (consoles(), Instant::now(), IpAddr::from([10, 0, 0, 1]));
        for _ in 0..50 {
            consoles.attempt("ada", from, now).unwrap();
            consoles.forgive("ada", from);
        }
        for _ in 0..4 {
            consoles.attempt("ada", from, now).unwrap();
        }
        consoles.clear("ada", Some(from));
        for _ in 0..5 {
            consoles.attempt("ada", from, now).unwrap();
        }
        assert!(consoles.attempt("ada", from, now).is_err());
    }
}
