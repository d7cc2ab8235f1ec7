//! Times of day: `08:00-18:00`, also over midnight (`22:00-06:00`).

use serde::{Deserialize, Deserializer, de::Error};

const MINUTES_A_DAY: u64 = 24 * 60;

/// From the first minute of day (included) to the second (not included).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hours {
    from: u64,
    to: u64,
}

/// Minutes to add to UTC; a plugin sees no time zone but this one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Offset(i64);

impl Hours {
    /// Whether this moment lies within. `time_ms` is UTC.
    pub(crate) fn contain(self, time_ms: u64, offset: Offset) -> bool {
        let minutes = (time_ms / 60_000 % MINUTES_A_DAY).saturating_add(MINUTES_A_DAY);
        let minute = minutes.saturating_add_signed(offset.0) % MINUTES_A_DAY;
        if self.from <= self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text = String::deserialize(reader)?;
        let read = || {
            let (from, to) = text.split_once('-')?;
            let (from, to) = (minute_of_day(from.trim())?, minute_of_day(to.trim())?);
            (from < MINUTES_A_DAY && from != to).then_some(Self { from, to })
        };
        read().ok_or_else(|| D::Error::custom(format!("`{text}` is no span like `08:00-18:00`")))
    }
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text = String::deserialize(reader)?;
        let read = || {
            let (sign, rest) = text.split_at_checked(1)?;
            let minutes = minute_of_day(rest).filter(|minutes| *minutes <= 14 * 60)?;
            let minutes = i64::try_from(minutes).ok()?;
            match sign {
                "+" => Some(Self(minutes)),
                "-" => Some(Self(-minutes)),
                _ => None,
            }
        };
        read().ok_or_else(|| D::Error::custom(format!("`{text}` is no offset like `+08:00`")))
    }
}

/// `00:00` to `24:00`.
fn minute_of_day(text: &str) -> Option<u64> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= MINUTES_A_DAY).then_some(minute)
}
