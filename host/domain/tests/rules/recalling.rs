//! Recall (R7).

use isthmus_domain::message::{Disposition, Incoming, Received};
use isthmus_domain::recall::{self, Recall};
use isthmus_domain::{Digest, Done, Error, outbox};
use isthmus_wire::{Code, Content, MessageId};

use crate::place::{Place, refused, user};

const WINDOW: u64 = 120_000;

fn recall_as(place: &Place, actor: &str, message_id: &MessageId) -> Result<Done, Error> {
    let act = Recall {
        id: place.mint(),
        actor: user(actor),
        message_id: message_id.clone(),
        window_ms: WINDOW,
        expires_ms: u64::MAX,
        audit: b"recall".to_vec(),
    };
    place.write(|tx, scene| recall::recall(tx, scene, act))
}

fn repeal(place: &Place, from: &str, to: &str, id: &str, recalled: &str) -> Incoming {
    let mut incoming = place.incoming("south", from, to, id, "");
    incoming.info.content = Content::Repeal { message_id: MessageId::parse(recalled).unwrap() };
    incoming.digest = Digest::of_message(&place.view(), &incoming.info);
    incoming.recall_within_ms = WINDOW;
    incoming
}

#[test]
fn r7_a_sender_takes_a_message_back_and_both_users_see_it_no_more() {
    let place = Place::north();
    let sent = place.send("alice@north", "c1", "bob@north", "oops").unwrap();
    let done = recall_as(&place, "alice@north", &sent.message_id).unwrap();
    assert_eq!((done.deliveries.len(), done.letters.len()), (2, 0));
    for who in ["alice@north", "bob@north"] {
        assert_eq!(place.story(who), ["recalled", "news recalled"], "{who}");
    }
    assert_eq!(recall_as(&place, "alice@north", &sent.message_id).unwrap(), Done::default(), "once");
    assert_eq!(place.audited(), 2);
}

#[test]
fn r7_the_recipients_server_is_told_in_the_lane_of_the_conversation() {
    let place = Place::north();
    let sent = place.send("alice@north", "c1", "carol@south", "oops").unwrap();
    let done = recall_as(&place, "alice@north", &sent.message_id).unwrap();
    let lane = &sent.letters[0].id.lane;
    assert_eq!(&done.letters[0].id.lane, lane, "it never overtakes the message");
    let view = place.view();
    let letters = outbox::of_lane(&view, lane, 0, 10).unwrap();
    let info = letters[1].message(&view).unwrap().unwrap().info().unwrap();
    assert_eq!(info.content, Content::Repeal { message_id: sent.message_id.clone() });
    assert_ne!(info.message_id, sent.message_id);
}

#[test]
fn r7_nobody_recalls_what_another_wrote_or_what_is_too_old() {
    let place = Place::north();
    let sent = place.send("alice@north", "c1", "bob@north", "hi").unwrap();
    assert_eq!(refused(recall_as(&place, "bob@north", &sent.message_id)).0, Code::NotFound);
    place.get("south", "carol@south", "alice@north", "m1", "hi").unwrap();
    let foreign = MessageId::parse("m1").unwrap();
    assert_eq!(refused(recall_as(&place, "alice@north", &foreign)).0, Code::NotFound);
    place.pass(WINDOW + 1);
    let late = refused(recall_as(&place, "alice@north", &sent.message_id));
    assert_eq!(late, (Code::WrongState, Some("messageID".to_owned())));
    assert_eq!(place.story("bob@north"), ["got hi"]);
}

#[test]
fn r7_a_peers_recall_marks_its_own_message_once() {
    let place = Place::north();
    place.get("south", "carol@south", "alice@north", "m1", "oops").unwrap();
    for id in ["r1", "r1", "r2"] {
        place.receive(repeal(&place, "carol@south", "alice@north", id, "m1")).unwrap();
    }
    assert_eq!(place.story("alice@north"), ["recalled", "news recalled"]);
}

#[test]
fn r7_the_second_form_repeats_the_recalled_id_and_is_no_duplicate_of_the_message() {
    let place = Place::north();
    place.get("south", "carol@south", "alice@north", "m1", "oops").unwrap();
    let Received::Kept(_) = place.receive(repeal(&place, "carol@south", "alice@north", "m1", "m1")).unwrap() else {
        panic!("taken for the message itself")
    };
    assert_eq!(place.story("alice@north"), ["recalled", "news recalled"]);
}

#[test]
fn r7_a_peer_recalls_nothing_but_what_that_sender_wrote_in_that_conversation_and_not_for_ever() {
    let place = Place::north();
    place.get("south", "carol@south", "alice@north", "m1", "hi").unwrap();
    for (from, to) in [("dave@south", "alice@north"), ("carol@south", "bob@north")] {
        let foreign = refused(place.receive(repeal(&place, from, to, "r1", "m1")));
        assert_eq!(foreign, (Code::NotFound, Some("messageInfo.content.messageID".to_owned())), "{from} {to}");
    }
    place.pass(WINDOW + 1);
    assert_eq!(refused(place.receive(repeal(&place, "carol@south", "alice@north", "r1", "m1"))).0, Code::WrongState);
    assert_eq!(place.story("alice@north"), ["got hi"]);
}

#[test]
fn a_held_message_that_is_recalled_is_never_shown_even_if_it_is_released() {
    let place = Place::north();
    let mut incoming = place.incoming("south", "carol@south", "alice@north", "m1", "odd");
    let hold = isthmus_domain::held::Hold { code: "k".into(), text: "t".into(), plugin: "p".into() };
    incoming.disposition = Disposition::Hold(hold);
    let id = incoming.id;
    place.receive(incoming).unwrap();
    place.receive(repeal(&place, "carol@south", "alice@north", "r1", "m1")).unwrap();
    let released = place.write(move |tx, scene| isthmus_domain::held::release(tx, scene, &id, 0, vec![]));
    assert_eq!(released.unwrap().done, Done::default());
    assert!(place.inbox("alice@north").is_empty());
}
