//! One-time codes of a second factor (RFC 6238 with its defaults: SHA-1, six digits, thirty seconds), as every authenticator
//! knows them.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

const STEP_MS: u64 = 30_000;
/// How far a clock may be off, in steps each way.
const DRIFT: u64 = 1;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What both sides share.
pub type Shared = [u8; 20];

/// The code of a step.
#[must_use]
pub fn code(secret: &Shared, step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = tag.last().map_or(0, |last| usize::from(last & 15));
    let four = tag.get(at..at + 4).unwrap_or_default();
    let number = four.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// The step of a moment.
#[must_use]
pub fn step_of(now_ms: u64) -> u64 {
    now_ms / STEP_MS
}

/// The step about now whose code this is; spaces do not matter.
#[must_use]
pub fn step(secret: &Shared, given: &str, now_ms: u64) -> Option<u64> {
    let given: String = given.chars().filter(|c| !c.is_whitespace()).collect();
    let now = step_of(now_ms);
    let fits = |step: &u64| verify_slices_are_equal(code(secret, *step).as_bytes(), given.as_bytes()).is_ok();
    (now.saturating_sub(DRIFT)..=now + DRIFT).rev().find(fits)
}

/// For authenticators: the secret in letters (RFC 4648 §6).
#[must_use]
pub fn letters(secret: &Shared) -> String {
    secret
        .chunks(5)
        .flat_map(|five| {
            let bits = five.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
            (0..8).rev().map(move |n| char::from(BASE32[usize::try_from(bits >> (5 * n) & 31).unwrap_or_default()]))
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    const SECRET: &Shared = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_rfc_6238_appendix_b() {
        for (seconds, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(SECRET, step_of(seconds * 1000)), expected);
        }
    }

    #[test]
    fn a_clock_may_be_off_by_one_step_and_no_more() {
        let now = 1_111_111_111_000;
        let at = |steps: u64| code(SECRET, step_of(now) + steps - 2);
        assert_eq!([0, 1, 2, 3, 4].map(|n| step(SECRET, &at(n), now).is_some()), [false, true, true, true, false]);
        assert_eq!(step(SECRET, " 050 471 ", now), Some(step_of(now)));
        assert_eq!(step(SECRET, "", now), None);
    }

    #[test]
    fn a_secret_is_written_as_rfc_4648_says() {
        assert_eq!(letters(SECRET), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }
}
