//! Where this server stands, in one sentence for its operator: not yet approved, suspended, clock off, certificate near its end,
//! platform away. Told in the log when it changes, by `/readyz` and by `isthmus admin status`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use isthmus_net::PeerCertificate;

/// Clocks this far apart are spoken of.
const CLOCK_OFF: Duration = Duration::from_secs(60);
/// A platform that has been silent for so long is spoken of.
const SILENT: Duration = Duration::from_secs(120);

/// What is known, from the application to the end.
#[derive(Default)]
pub(crate) struct Stage(Mutex<Known>);

#[derive(Default)]
struct Known {
    serving: bool,
    /// The application that waits for a decision.
    waits: Option<String>,
    /// The platform's words, while it refuses us.
    barred: Option<String>,
    answered: Option<SystemTime>,
    unanswered: Option<String>,
    /// Seconds by which the platform's clock is ahead of ours.
    ahead: i64,
    /// Why the last renewal failed.
    renewal: Option<String>,
    /// Why the platform's registry is not believed.
    registry: Option<String>,
    told: String,
}

/// One sentence, and whether the server can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) ready: bool,
    pub(crate) words: String,
}

impl Stage {
    pub(crate) fn waiting(&self, application: &str) {
        self.known().waits = Some(application.to_owned());
    }

    pub(crate) fn serving(&self) {
        let mut known = self.known();
        known.serving = true;
        known.waits = None;
    }

    /// The platform has answered; `date` is its clock's.
    pub(crate) fn answered(&self, date: Option<SystemTime>, now: SystemTime) {
        let mut known = self.known();
        known.answered = Some(now);
        known.unanswered = None;
        if let Some(date) = date {
            known.ahead = seconds_between(now, date);
        }
    }

    pub(crate) fn unanswered(&self, why: &str) {
        self.known().unanswered = Some(why.to_owned());
    }

    /// In the platform's words, if it refuses us.
    pub(crate) fn barred(&self, words: Option<String>) {
        self.known().barred = words;
    }

    /// Why a renewal failed, or that it did not.
    pub(crate) fn renewal(&self, failed: Option<String>) {
        self.known().renewal = failed;
    }

    /// Why the platform's registry is not believed, or that it is.
    pub(crate) fn registry(&self, failed: Option<String>) {
        self.known().registry = failed;
    }

    /// The sentence of now. `certificate`: ours, once we have one.
    pub(crate) fn say(&self, certificate: Option<&PeerCertificate>, now: SystemTime) -> Said {
        let known = self.known();
        let mut words = Vec::new();
        let mut ready = known.serving;
        if let Some(barred) = &known.barred {
            ready = false;
            words.push(format!("the platform refuses this server: {barred}"));
        }
        if !known.serving {
            words.push(match &known.waits {
                Some(id) => {
                    format!("not yet approved: application {id} waits for the decision of the platform's administrator")
                }
                None => "not registered yet: applying to the platform".to_owned(),
            });
        }
        if known.ahead.unsigned_abs() >= CLOCK_OFF.as_secs() {
            let way = if known.ahead > 0 { "behind" } else { "ahead of" };
            let off = span(Duration::from_secs(known.ahead.unsigned_abs()));
            words.push(format!("this machine's clock is {off} {way} the platform's: set it, or let NTP do so"));
        }
        if let Some(certificate) = certificate {
            let (alive, about) = certificate_words(certificate, known.renewal.as_deref(), now);
            ready &= alive;
            words.extend(about);
        }
        words.extend(known.registry.clone());
        if let Some(silence) = known.silence(now) {
            words.push(silence);
        }
        if words.is_empty() {
            let until = certificate.map(|certificate| left(certificate, now));
            words.push(
                until.map_or("serving".to_owned(), |until| format!("serving; the certificate holds for {until}")),
            );
        }
        Said { ready, words: words.join("; ") }
    }

    /// The sentence, if it says something else than last time: for the log. Numbers that only pass by do not count.
    pub(crate) fn news(&self, certificate: Option<&PeerCertificate>, now: SystemTime) -> Option<Said> {
        let said = self.say(certificate, now);
        let gist: String = said.words.chars().filter(|c| !c.is_ascii_digit()).collect();
        let mut known = self.known();
        (known.told != gist).then(|| {
            known.told = gist;
            said
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn silence(&self, now: SystemTime) -> Option<String> {
        let why = self.unanswered.as_ref()?;
        match self.answered {
            Some(last) => {
                let silent = now.duration_since(last).unwrap_or_default();
                let words = || {
                    format!(
                        "the platform has not answered for {} ({why}); what is known of others serves on",
                        span(silent)
                    )
                };
                (silent >= SILENT).then(words)
            }
            None => Some(format!("the platform was not reached yet ({why})")),
        }
    }
}

/// Whether a certificate holds, and what is to be said of it.
fn certificate_words(certificate: &PeerCertificate, failed: Option<&str>, now: SystemTime) -> (bool, Option<String>) {
    let why = failed.map(|why| format!(": {why}")).unwrap_or_default();
    if now > certificate.not_after {
        let ago = span(now.duration_since(certificate.not_after).unwrap_or_default());
        return (false, Some(format!("the interconnect certificate ended {ago} ago and was not renewed{why}")));
    }
    if now < certificate.not_before {
        let ahead = span(certificate.not_before.duration_since(now).unwrap_or_default());
        return (
            false,
            Some(format!("the interconnect certificate is not valid for another {ahead}: set this machine's clock")),
        );
    }
    let life = certificate.not_after.duration_since(certificate.not_before).unwrap_or_default();
    let near = certificate.not_after.duration_since(now).unwrap_or_default() < life * 2 / 5;
    let words = near.then(|| {
        format!("the interconnect certificate expires in {} and was not renewed{why}", left(certificate, now))
    });
    (true, words)
}

fn left(certificate: &PeerCertificate, now: SystemTime) -> String {
    span(super::channel::left(certificate, now))
}

fn seconds_between(from: SystemTime, to: SystemTime) -> i64 {
    match to.duration_since(from) {
        Ok(ahead) => i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX),
        Err(behind) => i64::try_from(behind.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    }
}

/// `3 days`, `5 hours`, `12 minutes`, `40 seconds`: the largest unit that is there twice, or the smallest.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    if count == 1 { format!("{count} {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use isthmus_net::Identity;

    const DAY: Duration = Duration::from_secs(86_400);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * 20_000
    }

    fn certificate(from: SystemTime) -> PeerCertificate {
        let (identity, domain, serial) = (Identity::Platform, String::new(), String::new());
        PeerCertificate { identity, domain, serial, not_before: from, not_after: from + DAY * 7 }
    }

    fn serving() -> Stage {
        let stage = Stage::default();
        stage.serving();
        stage.answered(Some(now()), now());
        stage
    }

    fn says(stage: &Stage, certificate: Option<&PeerCertificate>, ready: bool, words: &str) {
        let said = stage.say(certificate, now());
        assert!(said.words.contains(words), "{:?} lacks {words:?}", said.words);
        assert_eq!(said.ready, ready, "{:?}", said.words);
    }

    #[test]
    fn each_stage_is_told_in_one_sentence() {
        let fresh = certificate(now() - DAY);
        let stage = Stage::default();
        says(&stage, None, false, "applying to the platform");
        stage.unanswered("connection refused");
        says(&stage, None, false, "the platform was not reached yet (connection refused)");
        stage.waiting("a-7");
        says(&stage, None, false, "not yet approved: application a-7 waits");
        says(&serving(), Some(&fresh), true, "serving; the certificate holds for 6 days");

        let stage = serving();
        stage.barred(Some("this server is suspended".into()));
        says(&stage, Some(&fresh), false, "the platform refuses this server: this server is suspended");
        let stage = serving();
        stage.answered(Some(now() + Duration::from_secs(720)), now());
        says(&stage, Some(&fresh), true, "clock is 12 minutes behind the platform's");
        stage.answered(Some(now() - Duration::from_secs(7200)), now());
        says(&stage, Some(&fresh), true, "clock is 2 hours ahead of the platform's");
        let stage = serving();
        stage.renewal(Some("the platform was not reached".into()));
        says(
            &stage,
            Some(&certificate(now() - DAY * 5)),
            true,
            "expires in 2 days and was not renewed: the platform was",
        );
        says(&stage, Some(&certificate(now() - DAY * 8)), false, "ended 24 hours ago");
        says(&stage, Some(&certificate(now() + DAY)), false, "set this machine's clock");
        let stage = serving();
        stage.answered(Some(now() - DAY), now() - DAY);
        stage.unanswered("timed out");
        says(
            &stage,
            Some(&fresh),
            true,
            "has not answered for 24 hours (timed out); what is known of others serves on",
        );
    }

    #[test]
    fn the_log_is_told_once_and_not_of_every_passing_minute() {
        let (stage, certificate) = (serving(), certificate(now() - DAY));
        assert!(stage.news(Some(&certificate), now()).is_some());
        assert!(stage.news(Some(&certificate), now() + DAY).is_none());
        stage.barred(Some("suspended".into()));
        assert!(stage.news(Some(&certificate), now() + DAY).is_some());
    }
}
