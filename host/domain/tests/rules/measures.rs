//! Graded measures about users: warn, limit, mute, suspend.

use std::sync::atomic::Ordering;

use isthmus_domain::measure::{self, Kind, LONGEST_MS, Measure, WARNINGS_KEPT};
use isthmus_domain::media::{self, Bounds, Kind as FileKind, NewMedia};

use isthmus_domain::session::{self, Grant};
use isthmus_domain::{Error, Event, account};
use isthmus_wire::Code;
use serde_json::json;

use crate::place::{Place, refused, user};

const MINUTE: u64 = 60_000;

fn now(place: &Place) -> u64 {
    place.now.load(Ordering::Relaxed)
}

fn measure(place: &Place, kind: Kind, for_ms: Option<u64>, per_minute: Option<u32>) -> Measure {
    let (words, by) = ("no insults, please".to_owned(), "admin:sysadmin".to_owned());
    Measure { kind, words, by, since_ms: now(place), until_ms: for_ms.map(|ms| now(place) + ms), per_minute }
}

fn take(place: &Place, id: &str, measure: Measure) -> Result<(), Error> {
    let id = user(id);
    place.write(move |tx, scene| measure::take(tx, scene, &id, measure, b"take".to_vec())).map(drop)
}

fn lift(place: &Place, id: &str, kind: Kind) -> Result<(), Error> {
    let id = user(id);
    place.write(move |tx, scene| measure::lift(tx, scene, &id, kind, b"lift".to_vec())).map(drop)
}

fn held(place: &Place, id: &str) -> Vec<Kind> {
    let found = account::find_user(&place.view(), &user(id)).unwrap().unwrap();
    found.measures_at(now(place)).map(|one| one.kind).collect()
}

fn log_in(place: &Place, id: &str, byte: u8) -> Result<session::Session, Error> {
    let grant = |byte| Grant { sha256: [byte; 32], expires_ms: now(place) + 1000 * MINUTE };
    let (id, access, refresh) = (user(id), grant(byte), grant(byte + 1));
    place.write(move |tx, scene| session::log_in(tx, scene, &id, "phone", &access, &refresh))
}

fn upload(place: &Place, id: &str) -> Result<(), Error> {
    let new = NewMedia { kind: FileKind::File, name: "a".into(), size: 1, md5: None };
    let (id, bounds) = (user(id), Bounds { file: 10, user: 10 });
    place.write(move |tx, scene| media::begin(tx, scene, &id, new, bounds)).map(drop)
}

#[test]
fn who_is_muted_reads_and_does_not_write_until_the_time_is_over() {
    let place = Place::north();
    take(&place, "alice@north", measure(&place, Kind::Mute, Some(MINUTE), None)).unwrap();
    let refusal = place.send("alice@north", "1", "bob@north", "hello").unwrap_err();
    let refusal = refusal.refusal().unwrap();
    assert_eq!(refusal.code, Code::NotPermitted);
    assert_eq!(refusal.message, "you are muted until 2023-11-14T22:14:20Z: no insults, please");
    assert_eq!(refused(upload(&place, "alice@north")).0, Code::NotPermitted);
    place.send("bob@north", "1", "alice@north", "are you there?").unwrap();
    assert_eq!(place.story("alice@north"), ["news measure.taken", "got are you there?"]);
    assert_eq!(held(&place, "alice@north"), [Kind::Mute]);
    place.pass(MINUTE);
    place.send("alice@north", "1", "bob@north", "hello").unwrap();
    upload(&place, "alice@north").unwrap();
    assert_eq!(held(&place, "alice@north"), []);
}

#[test]
fn a_message_that_was_taken_before_is_answered_as_it_was_even_to_who_is_muted() {
    let place = Place::north();
    place.send("alice@north", "1", "bob@north", "hello").unwrap();
    take(&place, "alice@north", measure(&place, Kind::Mute, Some(MINUTE), None)).unwrap();
    assert!(place.send("alice@north", "1", "bob@north", "hello").unwrap().duplicate);
}

#[test]
fn who_is_limited_writes_so_many_at_once_and_then_at_that_pace() {
    let place = Place::north();
    take(&place, "alice@north", measure(&place, Kind::Limit, Some(10 * MINUTE), Some(3))).unwrap();
    let say = |n: u32| place.send("alice@north", &n.to_string(), "bob@north", "hello");
    (0..3).for_each(|n| drop(say(n).unwrap()));
    let refusal = say(3).unwrap_err();
    let refusal = refusal.refusal().unwrap();
    assert_eq!(refusal.code, Code::TooManyRequests);
    let words = "you are limited to 3 messages a minute until 2023-11-14T22:23:20Z: no insults, please (again in 20 s)";
    assert_eq!(refusal.message, words);
    assert_eq!(refused(place.send("alice@north", "x", "nobody@north", "hello")).0, Code::TooManyRequests);
    place.pass(20_000);
    say(3).unwrap();
    assert_eq!(refused(say(4)).0, Code::TooManyRequests);
    place.send("bob@north", "1", "alice@north", "others are not limited").unwrap();
    place.pass(20_000);
    assert_eq!(refused(place.send("alice@north", "y", "nobody@north", "hello")).0, Code::NotFound);
    say(4).expect("what was refused for another reason does not count");
    place.pass(10 * MINUTE);
    (5..20).for_each(|n| drop(say(n).expect("the limit has ended")));
}

#[test]
fn who_is_suspended_is_logged_out_and_finds_what_came_when_it_is_over() {
    let place = Place::north();
    log_in(&place, "alice@north", 10).unwrap();
    take(&place, "alice@north", measure(&place, Kind::Suspend, None, None)).unwrap();
    assert_eq!(session::authenticate(&place.view(), &[10; 32], now(&place)).unwrap(), None);
    let refusal = log_in(&place, "alice@north", 20).unwrap_err();
    let refusal = refusal.refusal().unwrap();
    assert_eq!(refusal.code, Code::NotPermitted);
    assert_eq!(refusal.message, "you are suspended until it is lifted: no insults, please");
    assert_eq!(refused(place.send("alice@north", "1", "bob@north", "hello")).0, Code::NotPermitted);
    place.get("south", "carol@south", "alice@north", "m1", "where are you?").unwrap();
    place.send("bob@north", "1", "alice@north", "come back").unwrap();
    place.pass(1000 * MINUTE);
    assert!(log_in(&place, "alice@north", 30).is_err());
    lift(&place, "alice@north", Kind::Suspend).unwrap();
    log_in(&place, "alice@north", 40).unwrap();
    let story = ["news measure.taken", "got where are you?", "got come back", "news measure.lifted"];
    assert_eq!(place.story("alice@north"), story);
    take(&place, "alice@north", measure(&place, Kind::Suspend, Some(MINUTE), None)).unwrap();
    place.pass(MINUTE);
    log_in(&place, "alice@north", 50).expect("a suspension ends by its time too");
}

#[test]
fn who_is_warned_is_told_and_bounded_in_nothing() {
    let place = Place::north();
    for _ in 0..WARNINGS_KEPT + 3 {
        take(&place, "alice@north", measure(&place, Kind::Warn, None, None)).unwrap();
    }
    place.send("alice@north", "1", "bob@north", "hello").unwrap();
    assert_eq!(held(&place, "alice@north").len(), WARNINGS_KEPT, "the newest are kept with the user");
    let inbox = place.inbox("alice@north");
    let Event::News(news) = &inbox[0].event else { panic!("{inbox:?}") };
    let told = json!({"measure": "warn", "words": "no insults, please", "sinceMs": now(&place)});
    assert_eq!(serde_json::Value::from(news.body.clone()), told, "who took it is not told");
    assert_eq!(refused(lift(&place, "alice@north", Kind::Warn)).0, Code::InvalidField);
}

#[test]
fn a_measure_replaces_the_one_of_its_kind_and_stands_beside_others() {
    let place = Place::north();
    take(&place, "alice@north", measure(&place, Kind::Mute, Some(MINUTE), None)).unwrap();
    take(&place, "alice@north", measure(&place, Kind::Limit, Some(MINUTE), Some(1))).unwrap();
    take(&place, "alice@north", measure(&place, Kind::Mute, Some(10 * MINUTE), None)).unwrap();
    assert_eq!(held(&place, "alice@north"), [Kind::Limit, Kind::Mute]);
    place.pass(MINUTE);
    assert_eq!(held(&place, "alice@north"), [Kind::Mute]);
    lift(&place, "alice@north", Kind::Mute).unwrap();
    assert_eq!(refused(lift(&place, "alice@north", Kind::Mute)), (Code::NotFound, Some("measure".to_owned())));
    place.send("alice@north", "1", "bob@north", "hello").unwrap();
    assert_eq!(place.audited(), 5, "each act has its record, and the message");
}

#[test]
fn a_measure_outlives_other_changes_of_the_account() {
    let place = Place::north();
    take(&place, "alice@north", measure(&place, Kind::Mute, Some(MINUTE), None)).unwrap();
    place.write(|tx, _| account::set_password_hash(tx, &user("alice@north"), "$new".into())).unwrap();
    place.write(|tx, _| account::set_disabled(tx, &user("alice@north"), true)).unwrap();
    assert_eq!(refused(place.send("alice@north", "1", "bob@north", "hello")).0, Code::NoIdentity);
    place.write(|tx, _| account::set_disabled(tx, &user("alice@north"), false)).unwrap();
    assert_eq!(refused(place.send("alice@north", "1", "bob@north", "hello")).0, Code::NotPermitted);
}

#[test]
fn what_makes_no_measure_is_refused_by_its_field() {
    let place = Place::north();
    let of = |kind, for_ms, per_minute| measure(&place, kind, for_ms, per_minute);
    let said = |words: &str| Measure { words: words.to_owned(), ..of(Kind::Warn, None, None) };
    let past = Measure { until_ms: Some(now(&place)), ..of(Kind::Mute, None, None) };
    let cases = [
        (said(" "), Code::MissingField, "words"),
        (said("a\u{7}"), Code::InvalidField, "words"),
        (said(&"a".repeat(513)), Code::InvalidField, "words"),
        (of(Kind::Warn, Some(1), None), Code::InvalidField, "untilMs"),
        (of(Kind::Mute, None, None), Code::MissingField, "untilMs"),
        (past, Code::InvalidField, "untilMs"),
        (of(Kind::Suspend, Some(LONGEST_MS + 1), None), Code::InvalidField, "untilMs"),
        (of(Kind::Mute, Some(1), Some(1)), Code::InvalidField, "perMinute"),
        (of(Kind::Limit, Some(1), None), Code::MissingField, "perMinute"),
        (of(Kind::Limit, Some(1), Some(0)), Code::InvalidField, "perMinute"),
        (of(Kind::Limit, Some(1), Some(601)), Code::InvalidField, "perMinute"),
    ];
    for (measure, code, field) in cases {
        let told = format!("{measure:?}");
        assert_eq!(refused(take(&place, "alice@north", measure)), (code, Some(field.to_owned())), "{told}");
    }
    let nobody = take(&place, "nobody@north", of(Kind::Suspend, None, None));
    assert_eq!(refused(nobody).0, Code::NotFound);
    assert_eq!(place.audited(), 0);
    assert_eq!(place.story("alice@north"), Vec::<String>::new());
}
