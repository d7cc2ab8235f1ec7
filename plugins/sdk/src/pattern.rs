//! Names with `*` for any number of characters, as many as an operator likes.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

/// A set of patterns. Letters are compared without regard to case (R13: IDs that differ only in
/// case are one ID); `*` stands for any number of characters, none included. Plain names are
/// looked up at once, however many there are; patterns with `*` are tried one by one.
///
/// ```
/// use isthmus_plugin::Patterns;
/// let servers: Patterns = ["north", "rival-*"].into_iter().collect();
/// assert!(servers.matches("NORTH") && servers.matches("rival-7") && !servers.matches("south"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    /// By name, its place among the patterns. The names are the operator's: nobody else can choose ones that collide.
    names: HashMap<Box<str>, u32, FxBuildHasher>,
    wild: Vec<(Wild, u32)>,
    all: Option<u32>,
}

impl Patterns {
    /// Whether any pattern fits.
    pub fn matches(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Which pattern fits, by its place among those given: one for all, else a plain name, else the first with a `*`.
    ///
    /// ```
    /// use isthmus_plugin::Patterns;
    /// let servers: Patterns = ["north", "rival-*"].into_iter().collect();
    /// assert_eq!((servers.find("rival-7"), servers.find("south")), (Some(1), None));
    /// ```
    pub fn find(&self, name: &str) -> Option<u32> {
        if self.all.is_some() || self.is_empty() {
            return self.all;
        }
        let lower;
        let name = if name.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
            lower = name.to_lowercase();
            &lower
        } else {
            name
        };
        let wild = || self.wild.iter().find(|(pattern, _)| pattern.fits(name)).map(|(_, place)| *place);
        self.names.get(name).copied().or_else(wild)
    }

    /// Whether there is no pattern at all: then nothing matches.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.names.is_empty() && self.wild.is_empty()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Patterns {
    fn from_iter<I: IntoIterator<Item = S>>(patterns: I) -> Self {
        let patterns = patterns.into_iter();
        // Growing would leave holes, which every snapshot carries along.
        let mut set =
            Self { names: HashMap::with_capacity_and_hasher(patterns.size_hint().0, FxBuildHasher), ..Self::default() };
        for (place, pattern) in (0..).zip(patterns) {
            let pattern = pattern.as_ref().trim().to_lowercase();
            if pattern == "*" {
                set.all.get_or_insert(place);
            } else if let Some(wild) = Wild::of(&pattern) {
                set.wild.push((wild, place));
            } else {
                set.names.entry(pattern.into()).or_insert(place);
            }
        }
        set
    }
}

/// A pattern with `*`, taken apart at them.
#[derive(Clone, Debug)]
struct Wild {
    first: Box<str>,
    between: Box<[Box<str>]>,
    last: Box<str>,
}

impl Wild {
    /// None without a `*`.
    fn of(pattern: &str) -> Option<Self> {
        let (first, rest) = pattern.split_once('*')?;
        let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let between = between.split('*').filter(|part| !part.is_empty()).map(Box::from).collect();
        Some(Self { first: first.into(), between, last: last.into() })
    }

    /// Each part between two `*` is looked for as early as possible.
    fn fits(&self, name: &str) -> bool {
        let Some(mut rest) = name.strip_prefix(&*self.first).and_then(|rest| rest.strip_suffix(&*self.last)) else {
            return false;
        };
        self.between.iter().all(|part| match rest.find(&**part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_number_of_characters() {
        let cases = [
            ("north", "north", true),
            ("north", "NORTH", true),
            ("North", "north", true),
            ("north", "northern", false),
            ("north", "", false),
            ("n*", "north", true),
            ("n*", "n", true),
            ("n*", "south", false),
            ("*h", "north", true),
            ("*h", "north1", false),
            ("n*t*", "north", true),
            ("n*h*h", "north", false),
            ("n*th*th", "north-th", true),
            ("a*a", "a", false),
            ("*", "anything", true),
            ("*", "", true),
            ("**", "", true),
            ("*@north", "alice@north", true),
            ("王*", "王芳@north", true),
            ("", "", true),
            ("", "x", false),
            (" north ", "north", true),
        ];
        for (pattern, name, expected) in cases {
            let found = Patterns::from_iter([pattern]).matches(name);
            assert_eq!(found, expected, "{pattern} against {name}");
        }
    }

    #[test]
    fn no_pattern_matches_nothing() {
        let none = Patterns::default();
        assert!(none.is_empty());
        assert!(!none.matches("north") && !none.matches(""));
    }

    #[test]
    fn one_fitting_pattern_of_many_is_enough() {
        let patterns: Patterns = ["a", "b*", "c"].into_iter().collect();
        assert!(patterns.matches("bee") && patterns.matches("c") && !patterns.matches("d"));
    }
}
