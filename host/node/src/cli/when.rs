//! Times as people write and read them: RFC 3339 in UTC, a day, or so long ago.

use crate::clock;

/// Reads `2026-05-01`, `2026-05-01T12:30:00Z`, `90s`, `30m`, `2h`, `7d` (ago), or milliseconds since 1970.
///
/// # Errors
/// Words for clap.
pub(super) fn read(text: &str) -> Result<u64, String> {
    read_at(text, clock::now_ms())
}

fn read_at(text: &str, now_ms: u64) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no time; write 2026-05-01, 2026-05-01T12:30:00Z, 30m, 2h or 7d (ago)");
    if let Ok(ms) = text.parse::<u64>() {
        return Ok(ms);
    }
    if let Some(ago) = ago_ms(text) {
        return Ok(now_ms.saturating_sub(ago));
    }
    let (day, time) = text.trim_end_matches(['Z', 'z']).split_once(['T', 't', ' ']).unwrap_or((text, "00:00:00"));
    let days = day_number(day).ok_or_else(wrong)?;
    let seconds = second_of_day(time).ok_or_else(wrong)?;
    Ok((days * 86_400 + seconds) * 1000)
}

/// Reads how long: `90s`, `30m`, `2h`, `7d`, in milliseconds.
///
/// # Errors
/// Words for clap.
pub(super) fn span(text: &str) -> Result<u64, String> {
    ago_ms(text).filter(|ms| *ms > 0).ok_or_else(|| format!("`{text}` is no span of time; write 30m, 2h or 7d"))
}

/// Reads when something is to end: a time to come, as `2027-01-01` or `2027-01-01T12:30:00Z`. What is a span (`1h`), or past, is
/// told with its remedy: beside every end there is a `--for`.
///
/// # Errors
/// Words for clap.
pub(super) fn end(text: &str) -> Result<u64, String> {
    end_at(text, clock::now_ms())
}

fn end_at(text: &str, now_ms: u64) -> Result<u64, String> {
    const HOW: &str = "write the end, as 2027-01-01 or 2027-01-01T12:30:00Z, or how long: --for 2h";
    if ago_ms(text).is_some() {
        return Err(format!("`{text}` is a span of time and no end; write --for {text}"));
    }
    let ms = read_at(text, now_ms).map_err(|_| format!("`{text}` is no time; {HOW}"))?;
    if ms <= now_ms {
        return Err(format!("`{text}` was read as {}, which is past; {HOW}", show(ms)));
    }
    Ok(ms)
}

fn ago_ms(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    text[..text.len() - 1].parse::<u64>().ok()?.checked_mul(unit)
}

fn second_of_day(text: &str) -> Option<u64> {
    let mut parts = text.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    (hour < 24 && minute < 60 && second < 60 && parts.next().is_none()).then_some((hour * 60 + minute) * 60 + second)
}

/// Days since 1970-01-01 of a day from then on.
fn day_number(text: &str) -> Option<u64> {
    let mut parts = text.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let valid = (1970..10_000).contains(&year) && (1..=12).contains(&month) && parts.next().is_none();
    let days = (valid && day >= 1).then(|| days_before(year, month) + day - 1)?;
    // The 31st of a month with 30 days would be another day's number.
    (date_of(days) == (year, month, day)).then_some(days)
}

// Years begin in March here, so that a leap day is the last of its year; 719,468 days lie before 1970 counted so.
fn days_before(year: u64, month: u64) -> u64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 - 719_468
}

fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day)
}

/// `2026-05-01T12:30:00Z`.
pub(super) fn show(ms: u64) -> String {
    let seconds = ms / 1000;
    let (year, month, day) = date_of(seconds / 86_400);
    let second = seconds % 86_400;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(read_at(text, 1_000_000_000).ok(), expected, "{text}");
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        check("1970-01-01", Some(0));
        check("2024-02-29", Some(1_709_164_800_000));
        check("2026-05-01T12:30:00Z", Some(1_777_638_600_000));
        check("2026-05-01 12:30", Some(1_777_638_600_000));
        check("1777638600000", Some(1_777_638_600_000));
        check("10s", Some(999_990_000));
        check("2h", Some(992_800_000));
        for text in ["2025-02-29", "2026-13-01", "2026-05-01T25:00:00Z", "yesterday", "", "d", "0-1-1"] {
            check(text, None);
        }
    }

    #[test]
    fn a_span_has_a_unit_and_is_not_nothing() {
        assert_eq!([span("30m"), span("7d")], [Ok(1_800_000), Ok(604_800_000)]);
        for text in ["", "30", "0h", "2027-01-01", "-1h"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_end_is_to_come_and_what_is_none_is_told_with_what_was_read_and_the_remedy() {
        let now_ms = 1_777_638_600_000;
        let wrong = |text: &str, words: &[&str]| {
            let told = end_at(text, now_ms).err().unwrap_or_default();
            assert!(words.iter().all(|part| told.contains(part)), "{text}: {told}");
        };
        assert_eq!(end_at("2026-05-01T12:30:01Z", now_ms), Ok(now_ms + 1000));
        wrong("1h", &["`1h`", "span", "--for 1h"]);
        wrong("7d", &["--for 7d"]);
        wrong("2026-05-01", &["read as 2026-05-01T00:00:00Z, which is past", "--for"]);
        wrong("60", &["read as 1970-01-01T00:00:00Z, which is past"]);
        wrong("tomorrow", &["`tomorrow` is no time", "--for 2h"]);
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for ms in [0, 951_782_400_000, 1_709_164_800_000, 1_777_638_600_000, 4_102_444_799_000] {
            assert_eq!(read_at(&show(ms), 0), Ok(ms));
        }
    }
}
