//! Held messages: kept, recognised, released or dropped once.

use isthmus_domain::held::{self, Hold, Way};
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
    place.write(move |tx, scene| held::release(tx, scene, &id, scene.now_ms + 5, b"release".to_vec()))
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
