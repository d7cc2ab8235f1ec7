//! Keywords by the thousand: texts that hold one are rejected, masked or held.
//!
//! All keywords of all groups are looked for in one pass. If several are found, the gravest
//! action counts: reject before hold before mask. Case does not matter unless the settings say
//! so; letters are folded one by one (Unicode's simple lower-casing), so that a hit in the folded
//! text is a hit at the same character of the original.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use isthmus_plugin::{Body, Call, Content, Diagnostic, Item, Judgement, Plugin, Reason, Verdict, export_plugin, lists};
use serde::Deserialize;

const UNSUITABLE: &str = "the text contains words that are not allowed here";

/// `[plugin.settings]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    keywords: Vec<Keywords>,
    case_sensitive: bool,
    max_chars: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keywords {
    words: Option<Vec<String>>,
    list: Option<String>,
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

/// The keywords, ready to be looked for.
pub struct ContentFilter {
    /// A contiguous NFA: a third slower than a DFA per byte, but a small part of its size, and
    /// a call that starts from the snapshot pays for every page that it touches.
    automaton: AhoCorasick,
    /// Group of each keyword, by the automaton's pattern number.
    group_of: Vec<u32>,
    groups: Vec<Group>,
    fold: bool,
    max_chars: usize,
}

struct Group {
    action: Action,
    reason: String,
    label: Option<String>,
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
            for (at, word) in group.words.iter().flatten().enumerate() {
                if word.trim().is_empty() {
                    let place = format!("{here}/words/{at}");
                    found.push(Diagnostic::error(place, "an empty keyword is in every text"));
                }
            }
        }
        if settings.max_chars == Some(0) {
            found.push(Diagnostic::warning("/max_chars", "0 rejects every text"));
        }
        found
    }

    fn init(settings: Settings) -> Result<Self, String> {
        let fold = !settings.case_sensitive;
        let (mut words, mut group_of, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for (number, keywords) in (0..).zip(settings.keywords) {
            let listed = keywords.list.as_deref().map(lists::entries);
            for word in keywords.words.into_iter().chain(listed).flatten() {
                let word = word.trim();
                if !word.is_empty() {
                    words.push(if fold { folded(word) } else { word.to_owned() });
                    group_of.push(number);
                }
            }
            groups.push(Group {
                action: keywords.action,
                reason: keywords.reason.unwrap_or_else(|| UNSUITABLE.to_owned()),
                label: keywords.label,
            });
        }
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(fold)
            .build(&words)
            .map_err(|wrong| format!("too many keywords: {wrong}"))?;
        let max_chars = settings.max_chars.unwrap_or(usize::MAX);
        Ok(Self { automaton, group_of, groups, fold, max_chars })
    }
}

impl Content for ContentFilter {
    fn judge(&self, _call: &Call, item: &Item, _body: Option<Body<'_>>) -> Judgement {
        let text = item.text.as_str();
        // No text has more characters than bytes: mostly there is nothing to count.
        if text.len() > self.max_chars && text.chars().count() > self.max_chars {
            let told = format!("the text is longer than {} characters", self.max_chars);
            return Verdict::Reject(Reason::new("too-long", told)).into();
        }
        let lower = (self.fold && changes_by_folding(text)).then(|| folded(text));
        let searched = lower.as_deref().unwrap_or(text);
        let mut hits = Hits::default();
        for hit in self.automaton.find_overlapping_iter(searched) {
            let number = self.group_of[hit.pattern().as_usize()] as usize;
            hits.add(number, self.groups[number].action, hit.range());
        }
        hits.judgement(text, searched, &self.groups)
    }
}

/// What was found in one text.
#[derive(Default)]
struct Hits {
    /// The group with the gravest action, the first of its kind.
    gravest: Option<(Action, usize)>,
    /// Groups found, each once, in the order of their first hit.
    groups: Vec<usize>,
    /// Byte ranges in the searched text, by their ends.
    masks: Vec<std::ops::Range<usize>>,
}

impl Hits {
    fn add(&mut self, group: usize, action: Action, range: std::ops::Range<usize>) {
        if self.gravest.is_none_or(|(gravest, _)| action > gravest) {
            self.gravest = Some((action, group));
        }
        if !self.groups.contains(&group) {
            self.groups.push(group);
        }
        if action == Action::Mask {
            self.masks.push(range);
        }
    }

    fn judgement(self, text: &str, searched: &str, groups: &[Group]) -> Judgement {
        let Some((action, gravest)) = self.gravest else {
            return Judgement::pass();
        };
        let reason = || Reason::new("keyword", &groups[gravest].reason);
        let verdict = match action {
            Action::Reject => Verdict::Reject(reason()),
            Action::Hold => Verdict::Hold(reason()),
            Action::Mask => Verdict::Rewrite(masked(text, searched, self.masks)),
        };
        let labels = self.groups.iter().filter_map(|number| groups[*number].label.clone());
        Judgement { verdict, labels: labels.collect() }
    }
}

/// The text with every character of a hit replaced by `*` or, as wide, `＊`.
fn masked(text: &str, searched: &str, mut hits: Vec<std::ops::Range<usize>>) -> String {
    hits.sort_by_key(|hit| hit.start);
    let mut hits = hits.into_iter().peekable();
    let (mut result, mut end) = (String::with_capacity(text.len()), 0);
    for (shown, (at, _)) in text.chars().zip(searched.char_indices()) {
        while let Some(hit) = hits.next_if(|hit| hit.start <= at) {
            end = end.max(hit.end);
        }
        result.push(match shown {
            kept if at >= end => kept,
            narrow if narrow.is_ascii() => '*',
            _ => '＊',
        });
    }
    result
}

/// Whether there is any letter that the automaton does not take in either case by itself. Mostly
/// there is none, and the text need not be copied.
fn changes_by_folding(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(|c| !c.is_ascii() && lower(c) != c)
}

/// Lower case, character by character.
fn folded(text: &str) -> String {
    text.chars().map(lower).collect()
}

fn lower(c: char) -> char {
    match c {
        '\0'..='\x7f' => c.to_ascii_lowercase(),
        // Chinese, Japanese and Korean writing has no case: the bulk of what is seen here.
        '\u{2e80}'..='\u{a63f}' | '\u{ac00}'..='\u{d7ff}' => c,
        _ => {
            let mut lower = c.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(simple), None) => simple,
                _ => c,
            }
        }
    }
}

export_plugin!(ContentFilter: content);

#[cfg(test)]
mod tests;
