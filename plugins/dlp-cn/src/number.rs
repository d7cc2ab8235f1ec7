//! Numbers in a text that are what they look like.

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    ResidentId,
    BankCard,
    Mobile,
}

impl Sort {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::ResidentId => "resident-id",
            Self::BankCard => "bank-card",
            Self::Mobile => "mobile",
        }
    }

    /// The setting that says what becomes of it.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::ResidentId => "/resident_id",
            Self::BankCard => "/bank_card",
            Self::Mobile => "/mobile",
        }
    }

    /// Digits at the beginning and at the end that a mask leaves.
    fn shown(self) -> (usize, usize) {
        match self {
            Self::ResidentId => (1, 1),
            Self::BankCard => (0, 4),
            Self::Mobile => (3, 4),
        }
    }
}

/// A number that was found: the places of its digits in the text, in bytes.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) sort: Sort,
    places: Vec<usize>,
}

impl Found {
    /// The places that a mask hides.
    pub(crate) fn hidden(&self) -> impl Iterator<Item = usize> {
        let (mut first, last) = self.sort.shown();
        if self.sort == Sort::Mobile {
            // A country code before it is no part of the number.
            first += self.places.len().saturating_sub(MOBILE);
        }
        let middle = first..self.places.len().saturating_sub(last);
        self.places.get(middle).unwrap_or_default().iter().copied()
    }
}

/// Digits of a mobile number without a country code.
const MOBILE: usize = 11;

/// A digit (10 for the X of a check digit) and its place.
type Digit = (u8, usize);

/// No more groups than a card is ever printed in.
const GROUPS: usize = 6;

/// All numbers of a text, in order. Groups of digits that one blank or hyphen separates may belong together: the longest
/// reading that makes sense is taken.
pub(crate) fn numbers(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for run in runs(text) {
        let mut at = 0;
        while at < run.len() {
            let most = GROUPS.min(run.len() - at);
            let reading = (1..=most).rev().find_map(|groups| {
                let digits = run[at..at + groups].concat();
                Some((groups, Found { sort: sort(&digits)?, places: digits.iter().map(|(_, place)| *place).collect() }))
            });
            at += reading.as_ref().map_or(1, |(groups, _)| *groups);
            found.extend(reading.map(|(_, number)| number));
        }
    }
    found
}

/// Groups of digits, those together that single separators join. A digit beside a letter belongs to something else.
fn runs(text: &str) -> Vec<Vec<Vec<Digit>>> {
    let (mut runs, mut run, mut group) = (Vec::new(), Vec::new(), Vec::new());
    let (mut before, mut spoilt) = (' ', false);
    for (at, c) in text.char_indices().chain([(text.len(), '\0')]) {
        if let Some(digit) = digit(c) {
            spoilt |= group.is_empty() && before.is_ascii_alphabetic();
            group.push((digit, at));
        } else if matches!(c, 'x' | 'X' | 'Ｘ') && group.len() == 17 {
            group.push((10, at));
        } else {
            spoilt |= c.is_ascii_alphabetic() && !group.is_empty();
            if !group.is_empty() && !std::mem::take(&mut spoilt) {
                run.push(std::mem::take(&mut group));
            }
            group.clear();
            let joins = matches!(c, ' ' | '-') && digit_before(before);
            if !joins && !run.is_empty() {
                runs.push(std::mem::take(&mut run));
            }
        }
        before = c;
    }
    runs
}

fn digit(c: char) -> Option<u8> {
    let offset = match c {
        '0'..='9' => u32::from(c) - u32::from('0'),
        '０'..='９' => u32::from(c) - u32::from('０'),
        _ => return None,
    };
    u8::try_from(offset).ok()
}

fn digit_before(c: char) -> bool {
    digit(c).is_some() || matches!(c, 'x' | 'X' | 'Ｘ')
}

fn sort(digits: &[Digit]) -> Option<Sort> {
    let digits: Vec<u8> = digits.iter().map(|(digit, _)| *digit).collect();
    if resident_id(&digits) {
        Some(Sort::ResidentId)
    } else if bank_card(&digits) {
        Some(Sort::BankCard)
    } else if mobile(&digits) {
        Some(Sort::Mobile)
    } else {
        None
    }
}

/// GB 11643—1999: region, birthday, serial number, check digit (ISO 7064, MOD 11-2).
fn resident_id(digits: &[u8]) -> bool {
    let number = |from: usize, to: usize| digits[from..to].iter().fold(0_u32, |sum, d| sum * 10 + u32::from(*d));
    if digits.len() != 18 || digits[..17].contains(&10) {
        return false;
    }
    let region = matches!(number(0, 2), 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83 | 91);
    let born = (1900..2100).contains(&number(6, 10))
        && (1..=12).contains(&number(10, 12))
        && (1..=31).contains(&number(12, 14));
    let sum = digits.iter().fold(0, |sum, digit| (sum * 2 + u32::from(*digit)) % 11);
    region && born && sum == 1
}

/// Length and beginning of a card's number, and Luhn's sum (ISO/IEC 7812).
fn bank_card(digits: &[u8]) -> bool {
    let shape = match digits {
        [3, 4 | 7, ..] => digits.len() == 15,
        [2..=6, ..] => (16..=19).contains(&digits.len()),
        _ => false,
    };
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| u32::from(if at % 2 == 1 { doubled(*digit) } else { *digit }));
    shape && !digits.contains(&10) && sum.sum::<u32>() % 10 == 0 && digits.iter().any(|digit| *digit != digits[0])
}

/// Eleven digits from 13… to 19…, with or without China's 86 before them.
fn mobile(digits: &[u8]) -> bool {
    let own = if digits.len() == 13 { digits.strip_prefix(&[8, 6]) } else { Some(digits) };
    own.is_some_and(|own| own.len() == 11 && own[0] == 1 && own[1] >= 3 && !own.contains(&10))
}
