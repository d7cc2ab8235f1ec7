//! All cases, by clause. The order is that of the run: the way of bytes first, then what they say.

mod channel;
mod delivery;
mod fields;
mod file;
mod form;
mod group_main;
mod group_mirror;
mod message;
mod registry;
mod speaker;
mod user;

use super::case::Case;

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
        group_mirror::CASES,
        registry::CASES,
    ];
    plain.concat().into_iter().chain(fields::cases()).chain(speaker::cases()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_case_says_what_and_why() {
        let mut names = HashSet::new();
        for case in all() {
            assert!(names.insert(case.name.clone()), "{} stands there twice", case.name);
            assert!(case.rule.len() > 10 && case.why.len() > 10, "{}", case.name);
            assert!(case.name.contains('.') && case.name.is_ascii(), "{}", case.name);
        }
    }
}
