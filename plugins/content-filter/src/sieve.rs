//! Most texts hold none of the keywords, and a sieve says so for a fraction of what the search costs.
//!
//! Of each keyword some stretches of bytes are known, so many that wherever it stands in a text, one of them begins at a
//! place that the sieve looks at: it need not look at each. What is known is kept as bits, two for each stretch (a Bloom
//! filter), so that some texts pass in vain, and none with a keyword is held back.

/// Stretches are read as one number.
const LONGEST: usize = 8;
/// Shorter ones are in too many texts: of Chinese, this is more than one character.
const TELLING: usize = 5;
/// From one place that is looked at to the next, at most.
const FARTHEST: usize = 4;
/// Bits for each stretch: a text that is looked at in a hundred places passes in vain one time in ten.
const BITS_EACH: usize = 64;
const MOST_BITS: usize = 1 << 23;
/// Places looked at in one turn.
const AT_A_TIME: usize = 4;

pub(crate) struct Sieve {
    /// The bits, both of a stretch in one word.
    words: Vec<u64>,
    /// Bits of a hash that do not say which word.
    shift: u32,
    /// Bytes of a stretch.
    stretch: usize,
    /// Every so many bytes of a text one is looked for.
    step: usize,
    /// Of a number, the bytes that belong to the stretch.
    mask: u64,
    /// Makes letters of ASCII that differ only in case one; others with them, which only lets more pass.
    fold: u64,
}

impl Sieve {
    /// None where the shortest keyword is too short for it to be worth anything.
    pub(crate) fn of(words: &[String], fold: bool) -> Option<Self> {
        let shortest = words.iter().map(String::len).min().filter(|bytes| *bytes > 1)?;
        let step = shortest.saturating_sub(TELLING - 1).clamp(1, FARTHEST);
        let stretch = (shortest - step + 1).min(LONGEST);
        let bits = words.len().saturating_mul(step * BITS_EACH).clamp(2 * 64, MOST_BITS).next_power_of_two();
        let count = bits / 64;
        let mut sieve = Self {
            words: vec![0; count],
            shift: 64 - count.trailing_zeros(),
            stretch,
            step,
            mask: u64::MAX >> (8 * (LONGEST - stretch)),
            fold: if fold { u64::from_le_bytes([b' '; 8]) } else { 0 },
        };
        for word in words {
            for bytes in word.as_bytes().windows(stretch).take(step) {
                let hash = sieve.hash(first(bytes));
                let place = sieve.place(hash);
                sieve.words[place] |= Self::bits(hash).iter().fold(0, |word, bit| word | 1 << bit);
            }
        }
        Some(sieve)
    }

    /// False: the text holds none of the keywords.
    pub(crate) fn passes(&self, text: &str) -> bool {
        let mut text = text.as_bytes();
        // Some at a time: a loop that turns less often costs less.
        let (reach, turn) = (self.step * (AT_A_TIME - 1) + LONGEST, self.step * AT_A_TIME);
        while let Some(bytes) = text.get(..reach) {
            if (0..AT_A_TIME)
                .any(|place| bytes[place * self.step..].first_chunk().is_some_and(|bytes| self.knows(*bytes)))
            {
                return true;
            }
            text = &text[turn..];
        }
        while text.len() >= self.stretch {
            if self.knows(first(text)) {
                return true;
            }
            text = text.get(self.step..).unwrap_or_default();
        }
        false
    }

    fn knows(&self, bytes: [u8; LONGEST]) -> bool {
        let hash = self.hash(bytes);
        let [one, two] = Self::bits(hash);
        self.words.get(self.place(hash)).is_some_and(|word| word >> one & word >> two & 1 == 1)
    }

    fn hash(&self, bytes: [u8; LONGEST]) -> u64 {
        ((u64::from_le_bytes(bytes) | self.fold) & self.mask).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// In which word its bits are: the hash's leading bits say so.
    fn place(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize
    }

    /// Which ones these are: bits of the hash say so that do not say which word.
    fn bits(hash: u64) -> [u64; 2] {
        [hash >> 20 & 63, hash >> 26 & 63]
    }
}

/// The first eight bytes; zeros follow the last.
fn first(bytes: &[u8]) -> [u8; LONGEST] {
    std::array::from_fn(|place| bytes.get(place).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look like chance and are the same each time.
    fn chance(seed: &mut u64) -> usize {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as usize
    }

    fn word(seed: &mut u64, letters: &[char], least: usize, most: usize) -> String {
        let length = least + chance(seed) % (most - least + 1);
        (0..length).map(|_| letters[chance(seed) % letters.len()]).collect()
    }

    #[test]
    fn no_text_with_a_keyword_is_held_back() {
        let mut seed = 1;
        let letters: Vec<char> = "abcXYZ09-赌博王é".chars().collect();
        for round in 0..3_000 {
            let least = 1 + round % 13;
            let words: Vec<String> = (0..1 + round % 7).map(|_| word(&mut seed, &letters, least, least + 3)).collect();
            let fold = round % 2 == 0;
            let Some(sieve) = Sieve::of(&words, fold) else {
                assert!(words.iter().any(|word| word.len() == 1));
                continue;
            };
            let mut text = word(&mut seed, &letters, 0, 20);
            text += &words[chance(&mut seed) % words.len()];
            if round % 3 > 0 {
                text += &word(&mut seed, &letters, 0, 20);
            }
            let text = if fold { text.to_ascii_uppercase() } else { text };
            assert!(sieve.passes(&text), "{words:?} in {text:?}");
        }
    }

    #[test]
    fn few_texts_without_a_keyword_pass() {
        let mut seed = 7;
        let digits: Vec<char> = "0123456789abcdef".chars().collect();
        let letters: Vec<char> = "the quick brown fox jumps over a lazy dog".chars().collect();
        let words: Vec<String> = (0..1_000).map(|_| word(&mut seed, &digits, 8, 8)).collect();
        let sieve = Sieve::of(&words, true).expect("long words");
        let passed = (0..1_000).filter(|_| sieve.passes(&word(&mut seed, &letters, 200, 200))).count();
        assert!(passed < 200, "{passed} of 1,000");
        assert!(!sieve.passes("") && !sieve.passes("a"));
    }
}
