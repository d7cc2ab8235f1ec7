//! Graded measures about how a user behaves (design §6, §7): warn, mute, limit, suspend.
//!
//! Each is taken by an administrator with words that the user is told, ends by its time or by another act, and leaves what comes
//! for the user as it is. Whether somebody may write is asked here and nowhere else: of messages in the transaction that takes
//! them, of everything else when it is asked for.

use std::fmt;
use std::str::FromStr;

use isthmus_store::{Reader, Tx};
use isthmus_wire::{Code, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::account::{self, User, user_key};
use crate::done::Done;
use crate::error::Error;
use crate::inbox::{self, Event};
use crate::news;
use crate::row::{self, Cut};
use crate::scene::Scene;
use crate::session;
use crate::table::LIMITED;

/// The longest words, in characters.
pub const WORDS_MAX: usize = 512;
/// Messages a minute that a limit may allow at most.
pub const PER_MINUTE_MAX: u32 = 600;
/// The farthest end, from the moment of the act: ten years, in milliseconds.
pub const LONGEST_MS: u64 = 10 * 366 * 24 * 3600 * 1000;
/// Warnings that are kept with the user, the newest; the audit log keeps all.
pub const WARNINGS_KEPT: usize = 20;
const MINUTE_MS: u64 = 60_000;

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Is told, and no more.
    Warn,
    /// May write so many messages a minute.
    Limit,
    /// May read, may not write.
    Mute,
    /// May not log in.
    Suspend,
}

impl Kind {
    /// All of them, the gravest last.
    pub const ALL: [Kind; 4] = [Kind::Warn, Kind::Limit, Kind::Mute, Kind::Suspend];

    /// As it is written, in requests and audit records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Warn => "warn",
            Kind::Limit => "limit",
            Kind::Mute => "mute",
            Kind::Suspend => "suspend",
        }
    }

    /// What somebody is who has been met by it.
    const fn met(self) -> &'static str {
        match self {
            Kind::Warn => "warned",
            Kind::Limit => "limited",
            Kind::Mute => "muted",
            Kind::Suspend => "suspended",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No such measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be warn, limit, mute or suspend")]
pub struct NoMeasure;

impl FromStr for Kind {
    type Err = NoMeasure;

    fn from_str(text: &str) -> Result<Kind, NoMeasure> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(NoMeasure)
    }
}

/// One measure about one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measure {
    /// How grave it is.
    #[serde(rename = "measure")]
    pub kind: Kind,
    /// Why, in words for the user; policy has judged them.
    pub words: String,
    /// Who took it, as audit records name administrators.
    pub by: String,
    /// Since when, in milliseconds since 1970 UTC.
    pub since_ms: u64,
    /// Its end, in milliseconds since 1970 UTC; none: until it is lifted, or for good if it is a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Messages a minute, of a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
}

impl Measure {
    /// Whether it has not ended by its time.
    #[must_use]
    pub fn holds(&self, now_ms: u64) -> bool {
        self.until_ms.is_none_or(|until| now_ms < until)
    }

    /// As its user is told of it: who took it is nobody's business but the administrators'.
    #[must_use]
    pub fn told(&self) -> Value {
        let mut told = json!({"measure": self.kind, "words": self.words, "sinceMs": self.since_ms});
        if let Some(until) = self.until_ms {
            told["untilMs"] = until.into();
        }
        if let Some(many) = self.per_minute {
            told["perMinute"] = many.into();
        }
        told
    }

    /// Public words of a refusal because of it.
    fn because(&self) -> String {
        let until =
            self.until_ms.map_or_else(|| "until it is lifted".to_owned(), |ms| format!("until {}", row::date(ms)));
        let rate = self.per_minute.map(|many| format!(" to {many} messages a minute")).unwrap_or_default();
        format!("you are {}{rate} {until}: {}", self.kind.met(), self.words)
    }
}

impl User {
    /// What holds now, warnings among it, the oldest first.
    pub fn measures_at(&self, now_ms: u64) -> impl Iterator<Item = &Measure> {
        self.measures.iter().filter(move |measure| measure.holds(now_ms))
    }
}

fn check(measure: &Measure, now_ms: u64) -> Result<(), Error> {
    let invalid = |field, what: &str| Err(Error::field(Code::InvalidField, field, what));
    let odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    if measure.words.trim().is_empty() {
        return Err(Error::field(Code::MissingField, "words", "is missing or empty: say why, the user is told"));
    }
    if measure.words.chars().count() > WORDS_MAX || measure.words.chars().any(odd) {
        return invalid("words", "is longer than 512 characters or contains a control character");
    }
    match (measure.kind, measure.until_ms) {
        (Kind::Warn, Some(_)) => return invalid("untilMs", "does not go with a warning"),
        (Kind::Mute | Kind::Limit, None) => {
            return Err(Error::field(Code::MissingField, "untilMs", "is missing: this measure ends by its time"));
        }
        (Kind::Mute | Kind::Limit | Kind::Suspend, Some(until)) if until <= now_ms || until - now_ms > LONGEST_MS => {
            return invalid("untilMs", "must lie in the future, and not more than ten years ahead");
        }
        (Kind::Warn | Kind::Suspend, None) | (Kind::Mute | Kind::Limit | Kind::Suspend, Some(_)) => {}
    }
    match (measure.kind, measure.per_minute) {
        (Kind::Limit, Some(1..=PER_MINUTE_MAX)) | (Kind::Warn | Kind::Mute | Kind::Suspend, None) => Ok(()),
        (Kind::Limit, None) => Err(Error::field(Code::MissingField, "perMinute", "is missing")),
        (Kind::Limit, Some(_)) => invalid("perMinute", "must be 1 to 600"),
        (Kind::Warn | Kind::Mute | Kind::Suspend, Some(_)) => invalid("perMinute", "goes with a limit alone"),
    }
}

/// Takes a measure about a local user, who is told; one of the same kind that holds is replaced. A suspension ends every log-in.
///
/// # Errors
/// 1002 or 1003, naming the field, for what will not do; 1004 if there is no such user.
pub fn take(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    id: &UserId,
    measure: Measure,
    audit: Vec<u8>,
) -> Result<(User, Done), Error> {
    check(&measure, scene.now_ms)?;
    let (kind, told) = (measure.kind, measure.told());
    let now_ms = scene.now_ms;
    let user = account::change(tx, id, |user| {
        user.measures.retain(|one| one.holds(now_ms) && (one.kind == Kind::Warn || one.kind != kind));
        user.measures.push(measure);
        let warnings = user.measures.iter().filter(|one| one.kind == Kind::Warn).count();
        let mut superfluous = warnings.saturating_sub(WARNINGS_KEPT);
        user.measures.retain(|one| {
            let goes = one.kind == Kind::Warn && superfluous > 0;
            superfluous -= usize::from(goes);
            !goes
        });
    })?;
    match kind {
        // What was written before counts for nothing.
        Kind::Limit => forget_count(tx, &user.id),
        Kind::Suspend => {
            session::revoke_all(tx, &user.id)?;
        }
        Kind::Warn | Kind::Mute => {}
    }
    let done = tell(tx, scene, &user.id, "measure.taken", told)?;
    tx.audit(audit);
    Ok((user, done))
}

/// Ends a measure before its time; the user is told.
///
/// # Errors
/// 1003 for a warning, which has been said; 1004 if there is no such user or no such measure holds.
pub fn lift(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    id: &UserId,
    kind: Kind,
    audit: Vec<u8>,
) -> Result<(User, Done), Error> {
    if kind == Kind::Warn {
        return Err(Error::field(Code::InvalidField, "measure", "a warning has been said: there is nothing to lift"));
    }
    let (now_ms, mut held) = (scene.now_ms, false);
    let user = account::change(tx, id, |user| {
        held = user.measures_at(now_ms).any(|one| one.kind == kind);
        user.measures.retain(|one| one.holds(now_ms) && one.kind != kind);
    })?;
    if !held {
        return Err(Error::field(Code::NotFound, "measure", format_args!("{id} is not {}", kind.met())));
    }
    if kind == Kind::Limit {
        forget_count(tx, &user.id);
    }
    let done = tell(tx, scene, &user.id, "measure.lifted", json!({"measure": kind}))?;
    tx.audit(audit);
    Ok((user, done))
}

fn tell(tx: &mut Tx<'_>, scene: &mut Scene<'_>, user: &UserId, kind: &str, body: Value) -> Result<Done, Error> {
    let news = news::put(tx, scene, kind, body);
    let delivery = inbox::append(tx, user, scene.now_ms, Event::News(news))?;
    Ok(Done { deliveries: vec![delivery], ..Done::default() })
}

fn forget_count(tx: &mut Tx<'_>, user: &UserId) {
    let key = user_key(tx, user);
    tx.delete(LIMITED, &key);
}

/// Whether a local user may log in now, as far as measures go.
///
/// # Errors
/// 1105 with the measure's words if it is suspended.
pub fn may_enter(reader: &(impl Reader + ?Sized), user: &UserId, now_ms: u64) -> Result<(), Error> {
    let measures = account::enabled_under(reader, user)?.unwrap_or_default();
    let suspended = measures.iter().find(|one| one.kind == Kind::Suspend && one.holds(now_ms));
    suspended.map_or(Ok(()), |measure| Err(Error::refused(Code::NotPermitted, measure.because())))
}

/// Whether a local user may write anything that others see: a message, a file, a name, a request, a group.
///
/// # Errors
/// 1101 if it is disabled or nobody, 1105 with the measure's words if it is muted or suspended.
pub fn may_write(reader: &(impl Reader + ?Sized), user: &UserId, now_ms: u64) -> Result<(), Error> {
    may_write_under(reader, user, now_ms).map(drop)
}

/// [`may_write`], and the measures that hold.
fn may_write_under(reader: &(impl Reader + ?Sized), user: &UserId, now_ms: u64) -> Result<Vec<Measure>, Error> {
    let disabled = || Error::refused(Code::NoIdentity, "the user is disabled");
    let mut measures = account::enabled_under(reader, user)?.ok_or_else(disabled)?;
    measures.retain(|measure| measure.holds(now_ms));
    let silent = measures.iter().filter(|measure| matches!(measure.kind, Kind::Mute | Kind::Suspend));
    match silent.max_by_key(|measure| measure.kind) {
        Some(measure) => Err(Error::refused(Code::NotPermitted, measure.because())),
        None => Ok(measures),
    }
}

/// [`may_write`] for a message, which counts where the user is limited: so many at once, and then at an even pace. What the
/// transaction refuses for another reason does not count.
///
/// # Errors
/// As [`may_write`]; 1301 if that is one message too many for now, with the seconds to wait.
pub fn count(tx: &mut Tx<'_>, user: &UserId, now_ms: u64) -> Result<(), Error> {
    let measures = may_write_under(tx, user, now_ms)?;
    let Some((limit, many)) =
        measures.iter().find_map(|measure| Some((measure, measure.per_minute?))).filter(|(_, many)| *many > 0)
    else {
        return Ok(());
    };
    // The generic cell rate algorithm: the moment at which an even pace would have come to this message.
    let key = user_key(tx, user);
    let due = tx.get(LIMITED, &key)?.map(|value| Cut::new(&value, "a count of messages").u64()).transpose()?;
    let (pace, due) = (MINUTE_MS / u64::from(many), due.unwrap_or(now_ms).max(now_ms));
    let ahead = due - now_ms;
    if ahead > MINUTE_MS - pace {
        let wait_s = (ahead + pace - MINUTE_MS).div_ceil(1000);
        return Err(Error::refused(Code::TooManyRequests, format!("{} (again in {wait_s} s)", limit.because())));
    }
    tx.put(LIMITED, &key, &(due + pace).to_be_bytes());
    Ok(())
}
