//! All cases, by clause. The order is that of the run: the way of bytes first, then what they say.

mod channel;
mod delivery;
mod fields;
mod file;
mod form;
mod group;
mod group_main;
mod group_mirror;
mod group_talk;
mod message;
mod registry;
mod speaker;
mod user;

use isthmus_wire::call::{CallSpec, Receiver};

use super::case::{Case, Level};
use super::line::Answer;

pub(super) use registry::registration;

/// Every case there is.
#[must_use]
pub fn all() -> Vec<Case> {
    let plain = [
        channel::CASES,
        form::CASES,
        message::CASES,
        delivery::CASES,
        file::CASES,
        user::CASES,
        group_main::CASES,
        group_talk::CASES,
        group_mirror::CASES,
        registry::CASES,
    ];
    plain.concat().into_iter().chain(fields::cases()).chain(speaker::cases()).collect()
}

/// What hangs on a call: of the paths under managernode only the query is the standard's own (R15), and what is under another root
/// than `/sns/` is a server's own.
fn level(spec: &CallSpec, of_the_standard: Level) -> Level {
    let ours = spec.to == Receiver::Platform && spec.name != "address.query";
    if ours || !spec.path.starts_with("/sns/") { Level::Extension } else { of_the_standard }
}

/// Refused by a call that is there: that nobody answers is no refusal of what was said.
fn refused_by_the_call(answer: &Answer) -> bool {
    answer.is_refusal() && !matches!(answer.status, 404 | 405 | 501)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    #[test]
    fn names_are_unique_and_every_case_says_what_and_why() {
        let mut names = HashSet::new();
        for case in all() {
            assert!(names.insert(case.name.clone()), "{} stands there twice", case.name);
            assert!(case.rule.len() > 10 && case.why.contains(char::is_alphanumeric), "{}", case.name);
            assert!(case.name.contains('.') && case.name.is_ascii(), "{}", case.name);
        }
    }

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance.md");

    /// Everything between backticks.
    fn quoted(text: &str) -> impl Iterator<Item = &str> {
        text.split('`').skip(1).step_by(2)
    }

    #[test]
    fn the_page_names_every_case_beside_its_clause_and_no_other() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let families: BTreeSet<String> =
            all().iter().map(|case| case.name.split('.').next().unwrap().to_owned()).collect();
        let known: BTreeSet<String> = all().iter().map(|case| case.name.to_string()).collect();
        let mut held: BTreeSet<(String, String)> = BTreeSet::new();
        for row in page.lines().filter(|line| line.starts_with("| §")) {
            let clause = row.trim_start_matches("| §").split([' ', ',', '|']).next().unwrap();
            for name in
                quoted(row).filter(|name| families.contains(name.split('.').next().unwrap()) && name.contains('.'))
            {
                assert!(known.contains(name), "the page names {name}, which there is not");
                held.insert((clause.to_owned(), name.to_owned()));
            }
        }
        for case in all() {
            assert!(
                held.contains(&(case.clause.to_owned(), case.name.to_string())),
                "the page does not name {} beside §{}",
                case.name,
                case.clause
            );
        }
    }

    #[test]
    fn the_page_has_a_row_for_every_clause_of_chapters_5_to_7() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let one = |chapter: &str, many: u32| (1..=many).map(|n| format!("{chapter}.{n}")).collect::<Vec<_>>();
        let clauses = [
            one("5", 5),
            one("6", 3),
            one("7.1", 2),
            one("7.2", 5),
            one("7.3", 5),
            one("7.4", 5),
            one("7.5", 4),
            one("7.6", 7),
            one("7.7", 13),
        ];
        for clause in clauses.concat() {
            let row = page.lines().any(|line| line.starts_with(&format!("| §{clause} ")));
            assert!(row, "§{clause} is not on the page");
        }
        for letter in ["5.2", "5.3 a", "5.3 b", "6.1 a", "6.1 d", "6.2 a", "6.2 e", "6.3 c", "7.1.1 c", "7.4.3 f, g"] {
            assert!(page.contains(&format!("| §{letter} |")), "§{letter}");
        }
    }
}
