//! Moments in a table test: a TOML date-time, or milliseconds since 1970 UTC.

use serde::{Deserialize, Deserializer, de::Error};
use toml::value::{Datetime, Offset};

/// Milliseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) u64);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Millis(u64),
    Moment(Datetime),
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let wanted = "a moment is a date-time as 2026-05-01T08:30:00Z, or milliseconds since 1970";
        match Written::deserialize(reader) {
            Ok(Written::Millis(millis)) => Ok(Self(millis)),
            Ok(Written::Moment(moment)) => millis(&moment).map(Self).ok_or_else(|| D::Error::custom(wanted)),
            Err(_) => Err(D::Error::custom(wanted)),
        }
    }
}

fn millis(moment: &Datetime) -> Option<u64> {
    let (date, time) = (moment.date?, moment.time?);
    let minutes = match moment.offset? {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let seconds = i64::from(time.hour) * 3_600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0));
    let days = days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let millis = (days * 86_400 + seconds - minutes * 60) * 1_000 + i64::from(time.nanosecond.unwrap_or(0) / 1_000_000);
    u64::try_from(millis).ok()
}

/// Years begin in March here, so that a leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day
        - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_a_date_or_in_milliseconds() {
        #[derive(Deserialize)]
        struct Row {
            at: Moment,
        }
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("2026-05-01T12:30:00.5Z", Some(1_777_638_600_500)),
            ("2026-05-01T20:30:00+08:00", Some(1_777_638_600_000)),
            ("1777638600000", Some(1_777_638_600_000)),
            ("-1", None),
            ("\"noon\"", None),
            ("12:00:00", None),
            ("2026-05-01", None),
        ] {
            let read = toml::from_str::<Row>(&format!("at = {text}")).ok().map(|row| row.at.0);
            assert_eq!(read, expected, "{text}");
        }
    }
}
