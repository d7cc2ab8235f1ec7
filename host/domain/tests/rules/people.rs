//! Profiles and the search for users (§7.2.2, §7.6.2, §7.6.6, R14).

use isthmus_domain::directory::{Index, PAGE, Query};
use isthmus_domain::friend::{self, Act};
use isthmus_domain::profile::{self, Change, Eyes};
use isthmus_domain::{Error, account};
use isthmus_wire::Code;
use proptest::prelude::*;

use crate::files::picture;
use crate::place::{Place, refused, user};

fn change(place: &Place, who: &str, change: Change) -> Result<account::User, Error> {
    let who = user(who);
    place.write(move |tx, _| profile::change(tx, &who, change, b"profile".to_vec()))
}

fn named(place: &Place, local: &str, name: &str) -> String {
    let id = place.create(local).to_string();
    change(place, &id, Change { name: Some(name.into()), ..Change::default() }).unwrap();
    id
}

fn index(place: &Place) -> Index {
    Index::open(&place.view()).unwrap()
}

fn found(index: &Index, query: &str) -> Vec<String> {
    let hits = index.search(&Query::parse(query).unwrap(), 0);
    assert_eq!(hits.total, hits.ids.len());
    hits.ids.iter().map(ToString::to_string).collect()
}

#[test]
fn a_profile_changes_in_what_is_named_and_an_empty_text_removes() {
    let place = Place::north();
    let whole = Change {
        name: Some("王小明 😀".into()),
        phone_number: Some("+86 138-0013-8000".into()),
        remark: Some("两行\n字".into()),
        portrait: Some(Some(picture(&place, "alice@north").1)),
        hidden: Some(true),
    };
    let user = change(&place, "alice@north", whole).unwrap();
    assert_eq!((user.name.as_str(), user.phone_number.as_deref()), ("王小明 😀", Some("008613800138000")));
    let user = change(&place, "alice@north", Change { hidden: Some(false), ..Change::default() }).unwrap();
    assert_eq!((user.remark.as_deref(), user.hidden), (Some("两行\n字"), false));
    let less = Change {
        phone_number: Some(String::new()),
        remark: Some(String::new()),
        portrait: Some(None),
        ..Change::default()
    };
    let user = change(&place, "alice@north", less).unwrap();
    assert_eq!((user.phone_number, user.remark, user.portrait), (None, None, None));
    assert_eq!(place.audited(), 3);
}

#[test]
fn what_a_profile_may_not_hold_is_named() {
    let place = Place::north();
    let name = |text: &str| Change { name: Some(text.into()), ..Change::default() };
    let phone = |text: &str| Change { phone_number: Some(text.into()), ..Change::default() };
    let remark = |text: &str| Change { remark: Some(text.into()), ..Change::default() };
    let cases = [
        (name(" "), Code::MissingField, "name"),
        (name("a\nb"), Code::InvalidField, "name"),
        (name(&"x".repeat(129)), Code::InvalidField, "name"),
        (phone("13800138000"), Code::InvalidField, "phoneNumber"),
        (phone("0086138x"), Code::InvalidField, "phoneNumber"),
        (phone("00861"), Code::InvalidField, "phoneNumber"),
        (phone(&"0".repeat(40)), Code::InvalidField, "phoneNumber"),
        (remark("a\u{7}"), Code::InvalidField, "remark"),
        (remark(&"字".repeat(513)), Code::InvalidField, "remark"),
    ];
    for (wrong, code, field) in cases {
        let expected = (code, Some(field.to_owned()));
        assert_eq!(refused(change(&place, "alice@north", wrong.clone())), expected, "{wrong:?}");
    }
    assert_eq!(refused(change(&place, "nobody@north", Change::default())).0, Code::NotFound);
    assert_eq!(place.audited(), 0);
}

#[test]
fn the_phone_number_is_for_friends_and_the_rest_for_all_save_the_disabled() {
    let place = Place::north();
    change(&place, "alice@north", Change { phone_number: Some("00861380013".into()), ..Change::default() }).unwrap();
    let look = |id: &str, eyes| profile::details(&place.view(), &place.home, &user(id), eyes).unwrap();
    assert_eq!(look("alice@NORTH", Eyes::Stranger).unwrap().phone_number, None);
    assert_eq!(look("alice@north", Eyes::Friend).unwrap().phone_number.as_deref(), Some("00861380013"));
    change(&place, "alice@north", Change { hidden: Some(true), ..Change::default() }).unwrap();
    assert!(look("alice@north", Eyes::Stranger).is_some(), "hiding from search hides from nothing else");
    place.write(|tx, _| account::set_disabled(tx, &user("alice@north"), true)).unwrap();
    assert_eq!(look("alice@north", Eyes::Stranger), None);
    assert_eq!((look("nobody@north", Eyes::Stranger), look("carol@south", Eyes::Stranger)), (None, None));
}

#[test]
fn r14_quoted_is_exact_and_unquoted_a_part_of_the_name_or_the_beginning_of_the_id() {
    let place = Place::north();
    let ming = named(&place, "wxm", "王小明");
    let zoe = named(&place, "zoe.smith", "Zoë Smith");
    let odos = named(&place, "odos", "ΟΔΟΣ");
    let emoji = named(&place, "smile", "😀 Ünal");
    change(&place, &zoe, Change { phone_number: Some("+44 20 7946 0000".into()), ..Change::default() }).unwrap();
    let index = index(&place);
    let cases: [(&str, &[&str]); 18] = [
        ("小", &[&ming]),
        ("王小明", &[&ming]),
        ("\"王小明\"", &[&ming]),
        ("\"小明\"", &[]),
        ("ZOË", &[&zoe]),
        ("smith", &[&zoe]),
        ("sm", &[&emoji, &zoe]),
        ("mith@", &[]),
        ("zoe.smith@nor", &[&zoe]),
        ("ZOE.S", &[&zoe]),
        ("\"zoe.smith@NORTH\"", &[&zoe]),
        ("\"Zoë Smith\"", &[&zoe]),
        ("\"zoë smith\"", &[]),
        ("\"00442079460000\"", &[&zoe]),
        ("\"+44 (20) 7946-0000\"", &[&zoe]),
        ("00442079460000", &[]),
        ("σ", &[&odos]),
        ("😀 ü", &[&emoji]),
    ];
    for (query, expected) in cases {
        assert_eq!(found(&index, query), expected, "{query}");
    }
    for nothing in ["", "  ", "\"\"", "\" \""] {
        assert_eq!(Query::parse(nothing).unwrap_err().code, Code::MissingField, "{nothing:?}");
    }
}

#[test]
fn r14_the_hidden_and_the_disabled_are_not_found_and_changes_show_at_once() {
    let place = Place::north();
    let index = index(&place);
    assert_eq!(found(&index, "alice"), ["alice@north"]);
    index.put(&change(&place, "alice@north", Change { hidden: Some(true), ..Change::default() }).unwrap());
    index.put(&place.write(|tx, _| account::set_disabled(tx, &user("bob@north"), true)).unwrap());
    for query in ["alice", "\"alice@north\"", "\"ALICE\"", "bob", "north"] {
        assert!(found(&index, query).is_empty(), "{query}");
    }
    assert!(index.is_empty());
    let back = Change { hidden: Some(false), name: Some("Alicia".into()), ..Change::default() };
    index.put(&change(&place, "alice@north", back).unwrap());
    index.put(&place.write(|tx, _| account::set_disabled(tx, &user("bob@north"), false)).unwrap());
    assert_eq!(
        (found(&index, "alicia"), found(&index, "\"ALICE\""), found(&index, "bo")),
        (vec!["alice@north".to_owned()], vec![], vec!["bob@north".to_owned()])
    );
    assert_eq!(Index::open(&place.view()).unwrap().len(), 2);
}

#[test]
fn a_search_shows_friends_numbers_to_their_friends_alone() {
    let place = Place::north();
    for id in ["alice@north", "bob@north"] {
        change(&place, id, Change { phone_number: Some("008613800138000".into()), ..Change::default() }).unwrap();
    }
    let index = index(&place);
    let numbers = |viewer: Option<&str>| {
        let (view, viewer) = (place.view(), viewer.map(user));
        let page = index.page(&view, &Query::parse("b").unwrap(), 0, viewer.as_ref()).unwrap();
        page.user_infos.into_iter().map(|info| info.phone_number.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(
        (numbers(None), numbers(Some("alice@north")), numbers(Some("bob@north"))),
        (vec![false], vec![false], vec![true])
    );
    let act = |from: &str, to: &str| Act { user: user(from), other: user(to), expires_ms: u64::MAX, audit: Vec::new() };
    let (ask, yes) = (act("alice@north", "bob@north"), act("bob@north", "alice@north"));
    place.write(move |tx, scene| friend::ask(tx, scene, ask, None)).unwrap();
    assert_eq!(numbers(Some("alice@north")), [false], "a request is no friendship");
    place.write(move |tx, scene| friend::answer(tx, scene, yes, true)).unwrap();
    assert_eq!(numbers(Some("alice@north")), [true]);
}

/// As large as a server may be: a search must stay quick and a change must not wait for it.
#[test]
fn a_search_among_many_is_quick_and_finds_all() {
    let index = Index::default();
    let place = Place::north();
    let mut one = account::find_user(&place.view(), &user("alice@north")).unwrap().unwrap();
    for number in 0..20_000 {
        one.id = user(&format!("u{number:05}@north"));
        one.name = format!("{}{number}", if number % 2 == 0 { "张伟" } else { "Li Na" });
        index.put(&one);
    }
    let query = Query::parse("伟1").unwrap();
    let mut seen = Vec::new();
    for page in 0.. {
        let hits = index.search(&query, page);
        if hits.ids.is_empty() {
            break;
        }
        seen.extend(hits.ids);
    }
    assert!(
        seen.is_sorted() && seen.len() == (0..20_000).filter(|n| n % 2 == 0 && n.to_string().starts_with('1')).count()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Page after page is every hit once, in order, 20 to a page, and what is said of the number of pages is true.
    #[test]
    fn r14_pages_are_the_whole_in_order(names in proptest::collection::vec("[ab张三]{1,3}", 0..150), query in "[ab张三]") {
        let index = Index::default();
        let place = Place::north();
        let mut one = account::find_user(&place.view(), &user("alice@north")).unwrap().unwrap();
        let mut expected = Vec::new();
        for (number, name) in names.iter().enumerate() {
            one.id = user(&format!("u{number:03}@north"));
            one.name.clone_from(name);
            index.put(&one);
            if name.contains(&query) {
                expected.push(one.id.clone());
            }
        }
        let query = Query::parse(&query).unwrap();
        let pages = expected.len().div_ceil(PAGE);
        let mut seen = Vec::new();
        for page in 0..=pages {
            let hits = index.search(&query, page);
            prop_assert_eq!(hits.total, expected.len());
            prop_assert_eq!(hits.ids.len(), expected.len().saturating_sub(page * PAGE).min(PAGE));
            seen.extend(hits.ids);
        }
        prop_assert_eq!(seen, expected);
    }
}
