//! What one receiver got: which messages, how often, in which order, how late.

use std::time::Duration;

/// The text of one message: run, number and time stamp, filled up to a length with words that no policy minds.
#[must_use]
pub(super) fn text(run: u32, number: u64, stamp: Duration, bytes: usize) -> String {
    const FILLER: &str = "the weather over the isthmus is fair and the ferry leaves on time from the northern pier ";
    let mut text = format!("{run:08x} {number} {} ", stamp.as_nanos());
    while text.len() < bytes {
        let room = (bytes - text.len()).min(FILLER.len());
        text.push_str(&FILLER[..room]);
    }
    text
}

/// Number and time stamp of a message of this run; `None` for any other text.
#[must_use]
pub(super) fn read(run: u32, text: &str) -> Option<(u64, Duration)> {
    let mut parts = text.split(' ');
    if u32::from_str_radix(parts.next()?, 16).ok()? != run {
        return None;
    }
    let number = parts.next()?.parse().ok()?;
    Some((number, Duration::from_nanos(parts.next()?.parse().ok()?)))
}

/// One receiver's account; its sender counts from 0 without gaps.
#[derive(Debug, Default)]
pub(super) struct Tally {
    seen: Vec<bool>,
    next: u64,
    /// Different messages.
    pub(super) received: u64,
    /// Messages that came once more.
    pub(super) doubled: u64,
    /// Messages that came after a later one.
    pub(super) disordered: u64,
    /// End to end, of the messages that came within the measured time, in microseconds.
    pub(super) latencies: Vec<u32>,
}

impl Tally {
    /// Enters a message; `late` is its latency if it counts for the figures.
    pub(super) fn enter(&mut self, number: u64, late: Option<Duration>) {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        if self.seen.get(place) == Some(&true) {
            self.doubled += 1;
            return;
        }
        if self.seen.len() <= place {
            self.seen.resize(place + 1, false);
        }
        self.seen[place] = true;
        self.received += 1;
        self.disordered += u64::from(number < self.next);
        self.next = self.next.max(number + 1);
        self.latencies.extend(late.map(|late| u32::try_from(late.as_micros()).unwrap_or(u32::MAX)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_length_and_gives_back_what_was_put_in() {
        let stamp = Duration::from_nanos(123_456_789);
        let written = text(7, 42, stamp, 200);
        assert_eq!(written.len(), 200);
        assert_eq!(read(7, &written), Some((42, stamp)));
        assert_eq!(read(8, &written), None);
        assert_eq!(read(7, "something else"), None);
    }

    #[test]
    fn a_second_copy_is_doubled_and_a_late_one_out_of_order() {
        let mut tally = Tally::default();
        for number in [0, 1, 3, 2, 3, 4] {
            tally.enter(number, None);
        }
        assert_eq!((tally.received, tally.doubled, tally.disordered), (5, 1, 1));
    }
}
