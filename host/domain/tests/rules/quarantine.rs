//! Held messages: kept, recognised, released or dropped once.

use isthmus_domain::held::{self, Hold, Released, Way};
use isthmus_domain::message::{Disposition, Received};
use isthmus_domain::{Done, Error, State, TimeId, account, outbox};
use isthmus_wire::Code;

use crate::place::{Place, refused, user};

fn hold() -> Hold {
    Hold { code: "keyword".into(), text: "awaits review".into(), plugin: "content-filter".into() }
}

fn held(place: &Place) -> Vec<(TimeId, Way)> {
    held::list(&place.view(), None, 100).unwrap().into_iter().map(|h| (h.id, h.way)).collect()
}

fn hold_outbound(place: &Place, to: &str) -> TimeId {
    let mut submission = place.submission("alice@north", "c1", to, "odd");
    submission.disposition = Disposition::Hold(hold());
    let accepted = place.accept(submission).unwrap();
    assert_eq!((accepted.state, accepted.letters.is_empty()), (State::Held, true));
    TimeId::parse(accepted.message_id.as_str()).unwrap()
}

fn hold_inbound(place: &Place) -> TimeId {
    let mut incoming = place.incoming("south", "carol@south", "alice@north", "m1", "odd");
    incoming.disposition = Disposition::Hold(hold());
    let id = incoming.id;
    assert!(matches!(place.receive(incoming).unwrap(), Received::Kept(done) if done.deliveries.is_empty()));
    id
}

fn release(place: &Place, id: TimeId) -> Result<Done, Error> {
    try_release(place, id).map(|released| released.done)
}

fn try_release(place: &Place, id: TimeId) -> Result<Released, Error> {
    place.write(move |tx, scene| {
        let expires = scene.now_ms + 5;
        held::release(tx, scene, &id, expires, b"release".to_vec())
    })
}

/// Three messages of alice to somebody, one after the other, all held.
fn three_held(place: &Place, to: &str) -> Vec<TimeId> {
    let one = |number: u32| {
        place.now.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut submission = place.submission("alice@north", &number.to_string(), to, &number.to_string());
        submission.disposition = Disposition::Hold(hold());
        let id = submission.id;
        place.accept(submission).unwrap();
        id
    };
    (1..=3).map(one).collect()
}

fn discard(place: &Place, id: TimeId) -> Result<Done, Error> {
    place.write(move |tx, scene| held::discard(tx, scene, &id, "not allowed here", b"drop".to_vec()))
}

#[test]
fn a_held_inbound_message_is_a_duplicate_when_it_comes_again_and_is_delivered_when_released() {
    let place = Place::north();
    let id = hold_inbound(&place);
    assert_eq!((held(&place), place.story("alice@north").len()), (vec![(id, Way::In)], 0));
    let again = place.get("south", "carol@south", "alice@north", "m1", "odd").unwrap();
    assert!(matches!(again, Received::Duplicate));
    let shown = held::get(&place.view(), &id).unwrap().unwrap();
    assert_eq!((shown.hold, shown.message.peer.as_deref()), (hold(), Some("south")));
    let decided = release(&place, id).unwrap();
    assert_eq!((decided.deliveries.len(), decided.letters.is_empty()), (1, true));
    assert_eq!((place.story("alice@north"), held(&place)), (vec!["got odd".to_owned()], vec![]));
    assert_eq!(refused(release(&place, id)).0, Code::NotFound, "once");
    assert_eq!(place.audited(), 2);
}

#[test]
fn a_held_outbound_message_goes_on_when_released() {
    let place = Place::north();
    let id = hold_outbound(&place, "carol@south");
    assert!(place.letters().is_empty());
    let decided = release(&place, id).unwrap();
    assert_eq!(decided.letters[0].record(), id);
    assert_eq!(place.letters(), [("south".to_owned(), "odd".to_owned())]);
    assert_eq!(place.story("alice@north"), ["sent odd held", "receipt waiting"]);
}

#[test]
fn a_held_local_message_is_delivered_when_released() {
    let place = Place::north();
    let id = hold_outbound(&place, "bob@north");
    assert!(place.story("bob@north").is_empty());
    release(&place, id).unwrap();
    assert_eq!(place.story("bob@north"), ["got odd"]);
    assert_eq!(place.story("alice@north"), ["sent odd held", "receipt delivered"]);
}

#[test]
fn a_dropped_message_is_told_to_our_own_sender_only() {
    let place = Place::north();
    let (sent, came) = (hold_outbound(&place, "carol@south"), hold_inbound(&place));
    discard(&place, sent).unwrap();
    assert!(discard(&place, came).unwrap().deliveries.is_empty());
    assert_eq!(place.story("alice@north"), ["sent odd held", "receipt dropped"]);
    assert_eq!((held(&place), place.letters().len()), (vec![], 0));
    assert_eq!(refused(discard(&place, sent)).0, Code::NotFound);
}

#[test]
fn a_release_that_cannot_be_carried_out_leaves_it_held() {
    let place = Place::north();
    let id = hold_inbound(&place);
    place.write(|tx, _| account::set_disabled(tx, &user("alice@north"), true)).unwrap();
    assert_eq!(refused(release(&place, id)).0, Code::NotFound);
    assert_eq!(held(&place), [(id, Way::In)]);
}

#[test]
fn a_letter_may_be_held_while_it_waits() {
    let place = Place::north();
    let id = place.send("alice@north", "c1", "carol@south", "odd").unwrap().letters[0].id.clone();
    let told = place.write(move |tx, scene| outbox::hold(tx, scene, &id, &hold(), None)).unwrap();
    assert!(!told.deliveries.is_empty() && place.letters().is_empty());
    let (record, _) = held(&place)[0];
    release(&place, record).unwrap();
    assert_eq!(place.story("alice@north"), ["sent odd waiting", "receipt held", "receipt waiting"]);
    assert_eq!(place.letters().len(), 1);
}

#[test]
fn held_messages_are_listed_page_by_page_the_oldest_first() {
    let place = Place::north();
    for number in 0..5_u32 {
        place.now.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut submission = place.submission("alice@north", &number.to_string(), "carol@south", &number.to_string());
        submission.disposition = Disposition::Hold(hold());
        place.accept(submission).unwrap();
    }
    let view = place.view();
    let first = held::list(&view, None, 3).unwrap();
    let rest = held::list(&view, Some(&first[2].id), 3).unwrap();
    let text = |h: &held::Held| h.message.info().unwrap().content.text().unwrap().to_owned();
    let all: Vec<_> = first.iter().chain(&rest).map(text).collect();
    assert_eq!(all, ["0", "1", "2", "3", "4"]);
}

#[test]
fn released_messages_of_a_conversation_go_on_in_the_order_in_which_they_were_written() {
    let place = Place::north();
    let ids = three_held(&place, "carol@south");
    let other = hold_outbound(&place, "dave@south");
    place.send("alice@north", "later", "carol@south", "later").unwrap();
    assert_eq!(try_release(&place, ids[2]).unwrap().waits_for, Some(ids[0]));
    assert_eq!(refused(try_release(&place, ids[2])).0, Code::WrongState, "decided once");
    assert_eq!(try_release(&place, other).unwrap().waits_for, None, "other conversations do not wait");
    let first = try_release(&place, ids[0]).unwrap();
    assert_eq!((first.waits_for, first.done.letters.len()), (None, 1));
    let texts = || place.letters().into_iter().map(|(_, text)| text).filter(|text| text != "odd").collect::<Vec<_>>();
    assert_eq!(texts(), ["later", "1"], "what is held holds nobody up, and what waits still waits");
    assert_eq!(discard(&place, ids[1]).unwrap().letters.len(), 1, "the decision on the second lets the third go on");
    assert_eq!(texts(), ["later", "1", "3"]);
    assert!(held(&place).is_empty());
}

#[test]
fn one_that_cannot_go_on_any_more_stops_nobody() {
    let place = Place::north();
    let ids = three_held(&place, "bob@north");
    release(&place, ids[1]).unwrap();
    place.write(|tx, _| account::set_disabled(tx, &user("bob@north"), true)).unwrap();
    discard(&place, ids[0]).unwrap();
    assert_eq!(held(&place), [(ids[2], Way::Out)]);
    assert!(place.story("alice@north").contains(&"receipt refused".to_owned()), "{:?}", place.story("alice@north"));
    place.write(|tx, _| account::set_disabled(tx, &user("bob@north"), false)).unwrap();
    release(&place, ids[2]).unwrap();
    assert_eq!(place.story("bob@north"), ["got 3"]);
}

#[test]
fn what_nobody_decides_in_time_is_given_up_and_its_sender_told() {
    let place = Place::north();
    let ids = three_held(&place, "carol@south");
    let came = hold_inbound(&place);
    release(&place, ids[1]).unwrap();
    let now = place.now.load(std::sync::atomic::Ordering::Relaxed);
    let due = |before| {
        let (due, next) = held::overdue(&place.view(), before, None, 100).unwrap();
        assert!(next.is_none());
        due.into_iter().map(|held| held.id).collect::<Vec<_>>()
    };
    assert!(due(now - 5).is_empty());
    let mut overdue = due(now + 1);
    overdue.sort();
    let mut expected = vec![ids[0], ids[2], came];
    expected.sort();
    assert_eq!(overdue, expected, "what is released is not overdue");
    let records = overdue.into_iter().map(|id| (id, b"expired".to_vec())).collect();
    let audited = place.audited();
    place.write(move |tx, scene| held::expire(tx, scene, records)).unwrap();
    assert_eq!((held(&place), place.audited() - audited), (vec![], 3));
    assert_eq!(place.letters(), [("south".to_owned(), "2".to_owned())], "the one that waited for it goes on");
    let expired = place.story("alice@north").iter().filter(|told| *told == "receipt expired").count();
    assert_eq!(expired, 2);
    let (_, next) = held::overdue(&place.view(), now, None, 100).unwrap();
    assert!(next.is_none());
}
