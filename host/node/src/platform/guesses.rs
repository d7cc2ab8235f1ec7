//! Wrong tickets are counted by address: who guesses is slowed down, who waits for a decision is not.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::reply::Problem;

/// Wrong tickets from one address within [`WITHIN`]. A ticket has 256 random bits: this spares the store, not the secret.
const MOST: u32 = 20;
const WITHIN: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const KEPT: usize = 10_000;

/// The counts.
#[derive(Default)]
pub(super) struct Guesses(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Guesses {
    /// # Errors
    /// 1301 for an address that has guessed wrong too often lately.
    pub(super) fn admit(&self, from: IpAddr, now: Instant) -> Result<(), Problem> {
        match self.counts().get(&from) {
            Some((count, since)) if *count >= MOST && now.duration_since(*since) < WITHIN => {
                Err(Problem::Later(WITHIN.as_secs(), "too many wrong tickets; try again in a minute".to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn wrong(&self, from: IpAddr, now: Instant) {
        let mut counts = self.counts();
        counts.retain(|_, (_, since)| now.duration_since(*since) < WITHIN);
        if counts.len() < KEPT || counts.contains_key(&from) {
            counts.entry(from).or_insert((0, now)).0 += 1;
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, (u32, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_is_slowed_down_for_a_minute_and_nobody_else() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let [thief, other] = [IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])];
        for _ in 0..MOST {
            assert!(guesses.admit(thief, now).is_ok());
            guesses.wrong(thief, now);
        }
        assert!(matches!(guesses.admit(thief, now), Err(Problem::Later(60, _))));
        assert!(guesses.admit(other, now).is_ok() && guesses.admit(thief, now + WITHIN).is_ok());
    }
}
