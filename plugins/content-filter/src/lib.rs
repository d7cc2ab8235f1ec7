//! What may be said: keywords by the thousand, regular expressions, links, lengths, and files by their content and size.
//! What is found is rejected, held or masked.
//!
//! All keywords of all groups are looked for in one pass. If several things are found, the gravest action counts: reject
//! before hold before mask. Case does not matter unless the settings say so; letters of keywords are folded one by one
//! (Unicode's simple lower-casing), so that a hit in the folded text is a hit at the same character of the original.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use isthmus_plugin::{Body, Call, Content, Diagnostic, Item, Judgement, Patterns, Plugin, Reason, Verdict};
use isthmus_plugin::{export_plugin, lists};
use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;

mod files;
mod hits;
mod sieve;
mod text;

use hits::Hits;
use sieve::Sieve;
use text::folded;

/// Host in the first or second group; a user before `@` is none.
const LINK: &str = r"\b(?:[a-z][a-z0-9+.-]*://(?:[^\s/?#]*@)?([^\s/?#:]+)|(www\.[^\s/?#:]+))\S*";

/// `[plugin.settings]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    keywords: Vec<Keywords>,
    patterns: Vec<Expressions>,
    links: Option<Links>,
    files: Vec<Files>,
    text_files: Option<TextFiles>,
    case_sensitive: bool,
    max_chars: Option<usize>,
}

// The schema, not serde, refuses unknown keys of these: the two do not go together with `flatten`.
#[derive(Debug, Deserialize)]
struct Keywords {
    words: Option<Vec<String>>,
    list: Option<String>,
    #[serde(flatten)]
    then: Then,
}

#[derive(Debug, Deserialize)]
struct Expressions {
    expressions: Vec<String>,
    #[serde(flatten)]
    then: Then,
}

#[derive(Debug, Deserialize)]
struct Links {
    #[serde(default)]
    allowed: Vec<String>,
    #[serde(flatten)]
    then: Then,
}

#[derive(Debug, Deserialize)]
struct Files {
    types: Option<Vec<String>>,
    #[serde(default)]
    other_than: bool,
    larger_than: Option<u64>,
    #[serde(flatten)]
    then: Then,
}

/// Files of text are read, at most so many bytes of each.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TextFiles {
    up_to: Option<u32>,
}

/// Bytes read of a text file if nothing is said.
const UP_TO: u32 = 256 * 1024;

/// What becomes of what was found.
#[derive(Clone, Debug, Deserialize)]
struct Then {
    action: Action,
    reason: Option<String>,
    label: Option<String>,
}

/// From mild to grave.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Mask,
    Hold,
    Reject,
}

/// All that is looked for. A group is a number in `groups`.
pub struct ContentFilter {
    /// A contiguous NFA: a third slower than a DFA per byte, but a small part of its size, and
    /// a call that starts from the snapshot pays for every page that it touches.
    automaton: AhoCorasick,
    /// Spares most texts the search.
    sieve: Option<Sieve>,
    /// Group of each keyword, and its place there, by the automaton's pattern number.
    group_of: Vec<(u32, u32)>,
    expressions: Vec<(Regex, usize, u32)>,
    links: Option<(Regex, Patterns, usize)>,
    files: Vec<(FileRule, usize)>,
    groups: Vec<Group>,
    fold: bool,
    max_chars: usize,
    /// Bytes read of a text file; 0: none is read.
    up_to: u32,
}

/// Which files: all conditions hold.
struct FileRule {
    types: Option<Patterns>,
    other_than: bool,
    larger_than: Option<u64>,
}

struct Group {
    action: Action,
    reason: Reason,
    label: Option<String>,
    /// Where it stands in the settings: what is found adds its place.
    pointer: String,
}

impl Plugin for ContentFilter {
    type Settings = Settings;
    const SCHEMA: &'static str = include_str!("schema.json");

    fn check(settings: &Settings) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (index, group) in settings.keywords.iter().enumerate() {
            let here = format!("/keywords/{index}");
            if group.words.is_some() == group.list.is_some() {
                found.push(Diagnostic::error(&here, "either `words` or `list`, one of them"));
            }
            found.extend(group.list.iter().filter_map(|list| lists::must_exist(list, format!("{here}/list"))));
            for (at, word) in group.words.iter().flatten().enumerate().filter(|(_, word)| word.trim().is_empty()) {
                let place = format!("{here}/words/{at}");
                found.push(Diagnostic::error(place, format!("an empty keyword (`{word}`) is in every text")));
            }
        }
        for (index, group) in settings.patterns.iter().enumerate() {
            for (at, expression) in group.expressions.iter().enumerate() {
                let place = format!("/patterns/{index}/expressions/{at}");
                found.extend(regex(expression, true).err().map(|wrong| Diagnostic::error(place, wrong)));
            }
        }
        for (index, rule) in settings.files.iter().enumerate().filter(|(_, rule)| rule.then.action == Action::Mask) {
            let place = format!("/files/{index}/action");
            let what = rule.types.as_ref().map_or("a file", |_| "a file of a certain type");
            found.push(Diagnostic::error(place, format!("{what} cannot be masked: reject or hold it")));
        }
        if settings.max_chars == Some(0) {
            found.push(Diagnostic::warning("/max_chars", "0 rejects every text"));
        }
        found
    }

    fn init(settings: Settings) -> Result<Self, String> {
        let fold = !settings.case_sensitive;
        let mut groups = Vec::new();
        let mut group = |pointer: String, then: Then, code: &str, usual: &str| {
            let reason = Reason::new(code, then.reason.as_deref().unwrap_or(usual));
            groups.push(Group { action: then.action, reason, label: then.label, pointer });
            groups.len() - 1
        };
        let (mut words, mut group_of, mut expressions) = (Vec::new(), Vec::new(), Vec::new());
        for (number, keywords) in (0..).zip(settings.keywords) {
            let listed = keywords.list.as_deref().map(lists::entries);
            let all = keywords.words.into_iter().chain(listed).flatten().map(|word| word.trim().to_owned());
            for (place, word) in (0..).zip(all).filter(|(_, word)| !word.is_empty()) {
                words.push(if fold { folded(&word) } else { word });
                group_of.push((number, place));
            }
            let within = if keywords.list.is_some() { "list" } else { "words" };
            group(
                format!("/keywords/{number}/{within}"),
                keywords.then,
                "keyword",
                "the text contains words that are not allowed here",
            );
        }
        for (at, patterns) in settings.patterns.into_iter().enumerate() {
            let pointer = format!("/patterns/{at}/expressions");
            let number =
                group(pointer, patterns.then, "pattern", "the text contains something that is not allowed here");
            for (place, expression) in (0..).zip(&patterns.expressions) {
                expressions.push((regex(expression, fold)?, number, place));
            }
        }
        let links = settings.links.map(|links| {
            let number = group("/links".to_owned(), links.then, "link", "links are not allowed here");
            Ok::<_, String>((regex(LINK, true)?, Patterns::from_iter(links.allowed), number))
        });
        let files = settings.files.into_iter().enumerate().map(|(at, rule)| {
            let number = group(format!("/files/{at}"), rule.then, "file", "this file is not allowed here");
            let (other_than, larger_than) = (rule.other_than, rule.larger_than);
            (FileRule { types: rule.types.map(Patterns::from_iter), other_than, larger_than }, number)
        });
        let files = files.collect();
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(fold)
            .build(&words)
            .map_err(|wrong| format!("too many keywords: {wrong}"))?;
        let sieve = Sieve::of(&words, fold);
        let max_chars = settings.max_chars.unwrap_or(usize::MAX);
        let up_to = settings.text_files.map_or(0, |files| files.up_to.unwrap_or(UP_TO));
        let links = links.transpose()?;
        Ok(Self { automaton, sieve, group_of, expressions, links, files, groups, fold, max_chars, up_to })
    }
}

fn regex(expression: &str, fold: bool) -> Result<Regex, String> {
    let built = RegexBuilder::new(expression).case_insensitive(fold).size_limit(1 << 20).build();
    built.map_err(|wrong| format!("`{expression}` is no regular expression: {wrong}"))
}

impl Content for ContentFilter {
    fn judge(&self, _call: &Call, item: &Item, body: Option<Body<'_>>) -> Judgement {
        let text = item.text;
        // No text has more characters than bytes: mostly there is nothing to count.
        if text.len() > self.max_chars && text.chars().count() > self.max_chars {
            let told = format!("the text is longer than {} characters", self.max_chars);
            return Verdict::Reject(Reason::new("too-long", told).by("/max_chars")).into();
        }
        let mut hits = Hits::in_text(self, text);
        if item.kind.starts_with("file.") {
            hits.files(item, body.as_ref());
        }
        if let Some(text) = body.filter(|_| self.up_to > 0).and_then(|body| files::text(&body, self.up_to)) {
            hits.body(&text);
        }
        hits.judgement(text)
    }
}

impl Group {
    fn denial(&self, place: Option<u32>) -> Reason {
        let reason = self.reason.clone();
        match place {
            Some(place) => reason.by(format!("{}/{place}", self.pointer)),
            None => reason.by(&self.pointer),
        }
    }
}

export_plugin!(ContentFilter: content);

#[cfg(test)]
mod tests;
