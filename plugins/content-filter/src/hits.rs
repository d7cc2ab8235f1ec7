//! What was found in one item, and what follows from it.

use isthmus_plugin::{Body, Item, Judgement, Verdict};

use crate::text::{changes_by_folding, folded, masked, places};
use crate::{Action, ContentFilter, files};

/// What was found in one item.
pub(crate) struct Hits<'a> {
    of: &'a ContentFilter,
    /// The group with the gravest action, the first of its kind, and which of its entries was found.
    gravest: Option<(usize, Option<u32>)>,
    /// Groups found, each once, in the order of their first hit, with what was found of them.
    groups: Vec<(usize, Option<u32>)>,
    /// Byte ranges of the text.
    masks: Vec<std::ops::Range<usize>>,
    /// Something was found in a file's content, which cannot be masked.
    inside: bool,
}

impl<'a> Hits<'a> {
    pub(crate) fn in_text(of: &'a ContentFilter, text: &str) -> Self {
        let mut hits = Hits { of, gravest: None, groups: Vec::new(), masks: Vec::new(), inside: false };
        hits.keywords(text);
        for (regex, group, place) in &of.expressions {
            regex.find_iter(text).for_each(|hit| hits.add(*group, Some(*place), hit.range()));
        }
        hits.links(text);
        hits
    }

    /// What stands in a text file.
    pub(crate) fn body(&mut self, text: &str) {
        let found = Hits::in_text(self.of, text).groups;
        self.inside |= !found.is_empty();
        found.into_iter().for_each(|(group, place)| self.add(group, place, 0..0));
    }

    fn add(&mut self, group: usize, place: Option<u32>, range: std::ops::Range<usize>) {
        let action = self.of.groups[group].action;
        if self.gravest.is_none_or(|(gravest, _)| action > self.of.groups[gravest].action) {
            self.gravest = Some((group, place));
        }
        if !self.groups.iter().any(|(known, _)| *known == group) {
            self.groups.push((group, place));
        }
        if action == Action::Mask {
            self.masks.push(range);
        }
    }

    fn keywords(&mut self, text: &str) {
        let of = self.of;
        let lower = (of.fold && changes_by_folding(text)).then(|| folded(text));
        let places = lower.as_ref().map(|lower| places(text, lower));
        let searched = lower.as_deref().unwrap_or(text);
        if of.sieve.as_ref().is_some_and(|sieve| !sieve.passes(searched)) {
            return;
        }
        for hit in of.automaton.find_overlapping_iter(searched) {
            let range = places.as_ref().map_or(hit.range(), |places| places[hit.start()]..places[hit.end()]);
            let (group, place) = of.group_of[hit.pattern().as_usize()];
            self.add(group as usize, Some(place), range);
        }
    }

    fn links(&mut self, text: &str) {
        let Some((link, allowed, group)) = &self.of.links else { return };
        // The expression is dear, and most texts have no link.
        if !text.contains("://")
            && !text.bytes().zip(text.bytes().skip(3)).any(|(w, dot)| w | 32 == b'w' && dot == b'.')
        {
            return;
        }
        for hit in link.captures_iter(text) {
            let host = hit.get(1).or(hit.get(2)).map(|host| host.as_str()).unwrap_or_default();
            if let Some(whole) = hit.get(0).filter(|_| !allowed.matches(host)) {
                self.add(*group, None, whole.range());
            }
        }
    }

    /// By content where there is content, by what is told of it before.
    pub(crate) fn files(&mut self, item: &Item, body: Option<&Body<'_>>) {
        let told = item.attribute("mediaType").filter(|kind| !kind.is_empty());
        let kind = body.map(files::kind).or(told);
        let size = body.map(Body::size).or_else(|| item.attribute("size")?.parse().ok());
        for (rule, group) in &self.of.files {
            let of_type =
                rule.types.as_ref().is_none_or(|types| kind.is_some_and(|kind| types.matches(kind) != rule.other_than));
            let large = rule.larger_than.is_none_or(|bound| size.is_some_and(|size| size > bound));
            if of_type && large {
                self.add(*group, None, 0..0);
            }
        }
    }

    pub(crate) fn judgement(self, text: &str) -> Judgement {
        let Some((gravest, place)) = self.gravest else { return Judgement::pass() };
        let gravest = &self.of.groups[gravest];
        let verdict = match gravest.action {
            Action::Reject => Verdict::Reject(gravest.denial(place)),
            Action::Hold => Verdict::Hold(gravest.denial(place)),
            Action::Mask if self.inside => Verdict::Reject(gravest.denial(place)),
            Action::Mask => Verdict::Rewrite(masked(text, self.masks)),
        };
        let labels = self.groups.iter().filter_map(|(number, _)| self.of.groups[*number].label.clone());
        Judgement { verdict, labels: labels.collect() }
    }
}
