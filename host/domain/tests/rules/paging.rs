//! Pages and cursors of groups, for any number of messages, groups and members, and steps of any size (§7.7.3, §7.7.9,
//! §7.7.12, R14).

use std::collections::BTreeSet;

use isthmus_domain::group::{self, NewGroup, join, log, manage, member, view};
use isthmus_domain::message::Disposition;
use isthmus_domain::{Error, friend};
use isthmus_wire::{Content, GroupId, MessageId, MessageInfo};
use proptest::prelude::*;

use crate::place::{Place, user};
use crate::town::{EXPIRES, Town, act, person, submission};

fn few() -> ProptestConfig {
    ProptestConfig { cases: 16, ..ProptestConfig::default() }
}

/// What becomes of one message of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Shown,
    /// Members do not see it, and it has its place.
    Held,
    Recalled,
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![4 => Just(Said::Shown), 1 => Just(Said::Held), 1 => Just(Said::Recalled)]
}

/// A page: its texts, and the IDs that are the cursors at its ends.
fn page(place: &Place, group: &GroupId, cursor: Option<&MessageId>, size: i32) -> Vec<(String, MessageId)> {
    let (view, mut found) = (place.view(), Vec::new());
    let group = group::find(&view, group).unwrap().unwrap();
    for message in log::history(&view, &group, cursor, size).unwrap().messages {
        let MessageInfo { content, message_id, .. } = message.info().unwrap();
        if let Content::Text { message } = content {
            found.push((message, message_id));
        }
    }
    found
}

/// A group of a@north's, in which these messages were written; those that members see.
fn conversation(town: &Town, all: &[Said]) -> (GroupId, Vec<String>) {
    let (place, group, mut shown) = (town.at("north"), town.with_members(&["a@north", "a@south"]), Vec::new());
    for (number, said) in all.iter().enumerate() {
        let words = format!("{number:03}");
        match said {
            Said::Shown => {
                town.say(&group, "a@north", &words).unwrap();
                shown.push(words);
            }
            Said::Held => {
                let hold = isthmus_domain::held::Hold { code: "x".into(), text: "x".into(), plugin: "x".into() };
                let held = Disposition::Hold(hold);
                place
                    .accept(isthmus_domain::message::Submission {
                        disposition: held,
                        ..submission(place, &group, "a@north", &words)
                    })
                    .unwrap();
            }
            Said::Recalled => {
                let message_id = town.say(&group, "a@north", &words).unwrap().message_id;
                let (of, id) = (group.clone(), place.mint());
                let recall = isthmus_domain::recall::Recall {
                    id,
                    actor: user("a@north"),
                    message_id,
                    window_ms: 1000,
                    expires_ms: EXPIRES,
                    audit: Vec::new(),
                };
                place.write(move |tx, scene| group::recall::recall(tx, scene, &of, recall)).unwrap();
            }
        }
    }
    (group, shown)
}

proptest! {
    #![proptest_config(few())]

    /// From the oldest on or from the newest back, in steps of any size: every message once, in main's order, whatever was
    /// held or recalled between them; and from any message the two directions are all but that message.
    #[test]
    fn a_groups_history_read_in_any_steps_is_the_whole_history(
        all in proptest::collection::vec(said(), 0..30),
        sizes in proptest::collection::vec(1..8_i32, 1..4),
        at in any::<prop::sample::Index>(),
    ) {
        let town = Town::new(&["north", "south"]);
        let (group, shown) = conversation(&town, &all);
        let place = town.at("north");
        for sign in [1, -1] {
            let (mut cursor, mut seen) = (None, Vec::new());
            for size in sizes.iter().cycle() {
                let found = page(place, &group, cursor.as_ref(), sign * size);
                prop_assert!(found.len() <= usize::try_from(*size).unwrap());
                // A recall is a message of its own, without a text.
                let (view, of) = (place.view(), group::find(&place.view(), &group).unwrap().unwrap());
                let raw = log::history(&view, &of, cursor.as_ref(), sign * size).unwrap().messages;
                let end = if sign > 0 { raw.last() } else { raw.first() };
                let Some(end) = end else { break };
                cursor = Some(end.info().unwrap().message_id);
                let texts = found.into_iter().map(|(words, _)| words);
                if sign > 0 { seen.extend(texts) } else { seen.splice(0..0, texts); }
            }
            prop_assert_eq!(&seen, &shown);
        }
        if !shown.is_empty() {
            let everything = page(place, &group, None, 200);
            let (words, id) = everything[at.index(everything.len())].clone();
            let later: Vec<String> = page(place, &group, Some(&id), 200).into_iter().map(|(words, _)| words).collect();
            let mut whole: Vec<String> = page(place, &group, Some(&id), -200).into_iter().map(|(words, _)| words).collect();
            whole.push(words);
            whole.extend(later);
            prop_assert_eq!(whole, shown);
        }
    }

    /// The pages of a search are all visible groups that fit, each once, in one order; `pages` says how many there are.
    #[test]
    fn the_pages_of_a_search_for_groups_are_all_that_it_finds(
        groups in proptest::collection::vec(("(tea|Tea|茶|milk) ?[a-c]", any::<bool>(), any::<bool>()), 0..50),
        query in "(tea|TEA|茶|m|\"tea a\")",
    ) {
        let place = Place::north();
        let owner = person("alice@north");
        let mut expected = BTreeSet::new();
        for (name, visible, dissolved) in groups {
            let new = NewGroup { name: name.clone(), icon: None, open: true, visible };
            let who = owner.clone();
            let id = place.write(move |tx, scene| manage::create(tx, scene, &who, new, EXPIRES)).unwrap().0.id;
            if dissolved {
                let act = act(&id, "alice@north");
                place.write(move |tx, scene| manage::dissolve(tx, scene, &act)).unwrap();
            }
            let fits = match query.strip_prefix('"') {
                Some(exact) => name == exact.trim_end_matches('"'),
                None => name.to_lowercase().contains(&query.to_lowercase()),
            };
            if visible && !dissolved && fits {
                expected.insert((name, id));
            }
        }
        let (view, mut seen) = (place.view(), Vec::new());
        let pages = view::search(&view, &query, 0).unwrap().pages.unwrap_or(0);
        prop_assert_eq!(usize::try_from(pages).unwrap(), expected.len().div_ceil(view::PAGE));
        for page in 0..pages {
            let found = view::search(&view, &query, page).unwrap();
            prop_assert_eq!((found.pages, found.page), (Some(pages), Some(page)));
            prop_assert!(found.groups.len() == view::PAGE || page == pages - 1);
            seen.extend(found.groups.into_iter().map(|group| (group.group_name, group.group_id)));
        }
        prop_assert_eq!(seen, expected.into_iter().collect::<Vec<_>>());
        prop_assert!(view::search(&view, &query, pages).unwrap().groups.is_empty());
        let wrong = view::search(&view, &query, -1);
        prop_assert!(matches!(wrong, Err(Error::Refused(refusal)) if refusal.field.as_deref() == Some("page")));
    }

    /// Whoever comes, goes and comes again: the list is who is there, each once, at main and at the mirror, and the number
    /// that `groupInfo` tells is theirs.
    #[test]
    fn the_members_of_a_group_are_who_came_and_did_not_go(
        moves in proptest::collection::vec((0..8_usize, any::<bool>()), 0..40),
    ) {
        let town = Town::new(&["north", "south"]);
        let group = town.with_members(&["a@north", "a@south"]);
        let people = ["b@north", "c@north", "d@north", "e@north", "b@south", "c@south", "d@south", "e@south"];
        let mut there = BTreeSet::from(["a@north", "a@south"]);
        for (who, comes) in moves {
            let who = people[who];
            if comes && there.insert(who) {
                town.join(&group, "a@north", who);
            } else if !comes && there.remove(who) {
                town.leave(&group, who).unwrap();
            }
        }
        town.carry_all();
        for server in ["north", "south"] {
            let view = town.at(server).view();
            let known = group::find(&view, &group).unwrap().unwrap();
            let all: Vec<String> =
                member::all(&view, &known).unwrap().into_iter().map(|m| m.info.user_id.to_string()).collect();
            let each: BTreeSet<&str> = all.iter().map(String::as_str).collect();
            prop_assert_eq!(all.len(), each.len(), "nobody twice");
            prop_assert_eq!(&each, &there, "at {}", server);
            prop_assert_eq!(usize::try_from(known.info().group_member_num).unwrap(), there.len());
        }
    }

    /// Contacts and open requests, read from a cursor in steps of any size, are all of them, each once.
    #[test]
    fn contacts_read_in_any_steps_are_all_contacts(
        friends in proptest::collection::btree_set("[a-f]{1,3}", 0..20),
        limits in proptest::collection::vec(1..6_usize, 1..4),
    ) {
        let place = Place::north();
        for local in &friends {
            place.create(local);
            for (from, to) in [("alice@north".to_owned(), format!("{local}@north")), (format!("{local}@north"), "alice@north".to_owned())] {
                let act = friend::Act { user: user(&from), other: user(&to), expires_ms: EXPIRES, audit: Vec::new() };
                place.write(move |tx, scene| friend::ask(tx, scene, act, None)).unwrap();
            }
        }
        let (view, me, mut after, mut seen) = (place.view(), user("alice@north"), None, Vec::new());
        for limit in limits.iter().cycle() {
            let found = friend::contacts(&view, &me, after.as_ref(), *limit).unwrap();
            prop_assert!(found.len() <= *limit);
            let Some(last) = found.last() else { break };
            after = Some(last.other.clone());
            seen.extend(found.into_iter().map(|link| link.other.to_string()));
        }
        let (many, each) = (seen.len(), seen.into_iter().collect::<BTreeSet<_>>());
        prop_assert_eq!(many, each.len(), "nobody twice");
        prop_assert_eq!(each, friends.iter().map(|local| format!("{local}@north")).collect());
    }
}

/// More members than one notice names.
#[test]
fn a_notice_of_many_goes_in_several_and_all_arrive() {
    let town = Town::new(&["north", "south"]);
    let group = town.with_members(&["a@north", "a@south"]);
    let (act, who) = (act(&group, "a@north"), person("a@north"));
    let many: Vec<_> = (0..450).map(|n| person(&format!("m{n:03}@south"))).collect();
    let (place, home) = (town.at("north"), town.at("north").home.clone());
    let invited = many.clone();
    place.write(move |tx, scene| join::request(tx, scene, &act, &who, &invited, &home)).unwrap();
    for one in &many {
        town.answer(&group, one.user_id.as_str(), true).unwrap();
    }
    assert_eq!(town.members("north", &group).len(), 452);
    let act = crate::town::act(&group, "a@north");
    let gone: Vec<_> = many.into_iter().map(|one| one.user_id).collect();
    place.write(move |tx, scene| manage::remove(tx, scene, &act, &gone)).unwrap();
    let told = town.waiting("north").into_iter().filter_map(|letter| match letter.load {
        isthmus_domain::outbox::Load::Errand(errand) => {
            let body: serde_json::Value = serde_json::from_str(&errand.body).unwrap();
            (body["operType"] == 2).then(|| body["users"].as_array().unwrap().len())
        }
        isthmus_domain::outbox::Load::Message { .. } => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [200, 200, 50]);
}
