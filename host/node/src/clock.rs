//! The only place that reads the clock and the system's randomness: rules get both as arguments.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in milliseconds since 1970 UTC; 0 if the clock stands before that.
#[must_use]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// Now.
#[must_use]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Fills `into` with bytes that nobody can guess.
pub fn random(into: &mut [u8]) {
    aws_lc_rs::rand::fill(into).expect("the operating system provides randomness");
}

/// `N` random bytes.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    random(&mut out);
    out
}
