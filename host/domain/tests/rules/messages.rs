//! Messages of our own users.

use isthmus_domain::outbox::{self, Settlement};
use isthmus_domain::{Done, Event, State, account, inbox, message};
use isthmus_wire::{Code, Content};

use crate::place::{Place, refused, user};

#[test]
fn a_message_to_another_server_is_record_own_event_letter_and_audit_in_one() {
    let place = Place::north();
    let accepted = place.send("alice@north", "c1", "carol@south", "你好 👋").unwrap();
    assert_eq!((accepted.state, accepted.duplicate), (State::Waiting, false));
    assert_eq!(place.story("alice@north"), ["sent 你好 👋 waiting"]);
    assert_eq!(place.letters(), [("south".to_owned(), "你好 👋".to_owned())]);
    assert_eq!(place.audited(), 1);
    let letter = accepted.letters.into_iter().next().unwrap();
    let stored = letter.message(&place.view()).unwrap().unwrap();
    assert_eq!(stored.info().unwrap().message_id, accepted.message_id);
    assert_eq!(stored.client_msg_id.as_deref(), Some("c1"));
    let body: isthmus_wire::call::message::Send = isthmus_wire::json::read(&stored.chat_body()).unwrap();
    assert_eq!(body.message_info, stored.info().unwrap());
}

#[test]
fn what_is_pushed_is_what_is_read_back() {
    let place = Place::north();
    let accepted = place.send("alice@north", "c1", "bob@north", "hi").unwrap();
    assert_eq!((accepted.state, accepted.letters.is_empty()), (State::Delivered, true));
    assert_eq!(accepted.deliveries.len(), 2);
    for delivery in accepted.deliveries {
        assert_eq!(place.inbox(delivery.user.as_str()), [delivery.entry]);
    }
    assert_eq!(place.story("bob@north"), ["got hi"]);
}

#[test]
fn whoever_writes_to_themselves_has_it_once() {
    let place = Place::north();
    place.send("alice@north", "c1", "alice@north", "note").unwrap();
    assert_eq!(place.story("alice@north"), ["sent note delivered"]);
}

#[test]
fn r13_the_home_part_of_a_local_id_is_taken_in_any_case() {
    let place = Place::north();
    let accepted = place.send("alice@north", "c1", "bob@NORTH", "hi").unwrap();
    assert_eq!(accepted.deliveries[1].user, user("bob@north"));
    assert_eq!(place.story("bob@north"), ["got hi"]);
    assert_eq!(place.story("bob@North"), ["got hi"]);
    let Event::Message(stored) = &place.inbox("bob@north")[0].event else { panic!() };
    assert_eq!(stored.info().unwrap().recv_id, user("bob@north"));
}

#[test]
fn the_same_submission_again_is_answered_the_same_and_changes_nothing() {
    let place = Place::north();
    let first = place.send("alice@north", "c1", "carol@south", "hi").unwrap();
    let again = place.send("alice@north", "c1", "carol@south", "hi").unwrap();
    assert!(again.duplicate && again.deliveries.is_empty() && again.letters.is_empty());
    assert_eq!((again.message_id, again.cursor, again.state), (first.message_id, first.cursor, State::Waiting));
    assert_eq!((place.audited(), place.letters().len(), place.inbox("alice@north").len()), (1, 1, 1));
}

#[test]
fn a_client_name_used_again_for_something_else_is_1201() {
    let place = Place::north();
    place.send("alice@north", "c1", "carol@south", "hi").unwrap();
    let expected = (Code::AlreadyExists, Some("clientID".to_owned()));
    assert_eq!(refused(place.send("alice@north", "c1", "carol@south", "ho")), expected);
    assert_eq!(refused(place.send("alice@north", "c1", "bob@north", "hi")), expected);
    place.send("bob@north", "c1", "carol@south", "another user's c1 is another name").unwrap();
}

#[test]
fn a_duplicate_is_known_by_what_was_submitted_not_by_what_policy_made_of_it() {
    let place = Place::north();
    let mut masked = place.submission("alice@north", "c1", "carol@south", "bad word");
    masked.content = Content::Text { message: "*** word".into() };
    let digest = masked.digest;
    place.accept(masked).unwrap();
    assert_eq!(place.story("alice@north"), ["sent *** word waiting"]);
    let known = message::submitted(&place.view(), &user("alice@north"), "c1", &digest).unwrap();
    assert!(known.unwrap().duplicate);
    assert!(place.send("alice@north", "c1", "carol@south", "bad word").unwrap().duplicate);
}

#[test]
fn what_is_refused_leaves_nothing() {
    let place = Place::north();
    let long = "x".repeat(129);
    let cases = [
        ("c1", "dave@north", Code::NotFound, "recvID"),
        ("c1", "dave", Code::NotFound, "recvID"),
        ("c1", "dave@nowhere", Code::NotFound, "recvID"),
        ("c1", "dave@unasked", Code::NotFound, "recvID"),
        ("c1", "dave@east", Code::WrongState, "recvID"),
        ("c1", "dave@gone", Code::WrongState, "recvID"),
        ("", "carol@south", Code::MissingField, "clientID"),
        ("a\nb", "carol@south", Code::InvalidField, "clientID"),
        (long.as_str(), "carol@south", Code::InvalidField, "clientID"),
    ];
    for (client, to, code, field) in cases {
        assert_eq!(refused(place.send("alice@north", client, to, "hi")), (code, Some(field.to_owned())), "{to}");
    }
    assert_eq!(refused(place.send("mallory@north", "c1", "carol@south", "hi")).0, Code::NoIdentity);
    place.write(|tx, _| account::set_disabled(tx, &user("bob@north"), true)).unwrap();
    assert_eq!(refused(place.send("alice@north", "c1", "bob@north", "hi")).0, Code::NotFound);
    assert_eq!(refused(place.send("bob@north", "c1", "carol@south", "hi")).0, Code::NoIdentity);
    assert_eq!((place.audited(), place.letters().len()), (0, 0));
    assert!(place.inbox("alice@north").is_empty() && place.inbox("bob@north").is_empty());
}

#[test]
fn letters_of_a_conversation_wait_in_order_and_conversations_apart() {
    let place = Place::north();
    for (from, to, words) in
        [("alice", "carol", "1"), ("alice", "dave", "x"), ("alice", "carol", "2"), ("bob", "carol", "y")]
    {
        place.send(&format!("{from}@north"), words, &format!("{to}@south"), words).unwrap();
    }
    assert_eq!(outbox::heads(&place.view()).unwrap().len(), 3);
    let order: Vec<_> = place.letters().into_iter().map(|l| l.1).filter(|w| w == "1" || w == "2").collect();
    assert_eq!(order, ["1", "2"]);
}

#[test]
fn a_settled_letter_leaves_and_its_sender_is_told_once() {
    let place = Place::north();
    let refusal = Settlement::Refused { code: Code::DeniedByAccess, message: "not wanted".into() };
    let state = State::Refused { code: Code::DeniedByAccess, message: "not wanted".into() };
    let cases = [(Settlement::Delivered, State::Delivered), (Settlement::Expired, State::Expired), (refusal, state)];
    for (number, (settlement, state)) in cases.into_iter().enumerate() {
        let accepted = place.send("alice@north", &format!("c{number}"), "carol@south", "hi").unwrap();
        let id = accepted.letters[0].id.clone();
        let (again, once) = (id.clone(), settlement.clone());
        let told = place.write(move |tx, scene| outbox::settle(tx, scene, &id, once, Some(b"settle".to_vec())));
        let told = told.unwrap().deliveries.remove(0);
        assert_eq!(told.user, user("alice@north"));
        assert_eq!(told.entry.event, Event::Receipt { message_id: accepted.message_id, state });
        assert_eq!(place.inbox("alice@north").last(), Some(&told.entry));
        let second = place.write(move |tx, scene| outbox::settle(tx, scene, &again, settlement, Some(vec![])));
        assert_eq!(second.unwrap(), Done::default(), "a late second answer changes nothing");
    }
    assert!(place.letters().is_empty());
    assert_eq!(place.audited(), 6);
}

#[test]
fn an_inbox_is_read_on_from_a_cursor_and_acknowledged_per_device() {
    let place = Place::north();
    for number in 0..5 {
        place.send("alice@north", &number.to_string(), "bob@north", &number.to_string()).unwrap();
    }
    let (bob, view) = (user("bob@north"), place.view());
    let first = inbox::read(&view, &bob, 0, 2).unwrap();
    let rest = inbox::read(&view, &bob, first[1].cursor, 10).unwrap();
    assert_eq!((first.len(), rest.len()), (2, 3));
    let head = inbox::head(&view, &bob).unwrap();
    assert_eq!(head, rest[2].cursor);
    assert_eq!(inbox::read(&view, &bob, head, 10).unwrap(), []);
    assert_eq!(inbox::read(&view, &bob, u64::MAX, 10).unwrap(), []);
    assert_eq!(inbox::head(&view, &user("carol@south")).unwrap(), 0);
    let (one, two) = (place.mint(), place.mint());
    let ack = |device, cursor| place.write(move |tx, _| inbox::ack(tx, &user("bob@north"), &device, cursor));
    ack(one, head).unwrap();
    ack(one, 1).unwrap();
    assert_eq!(refused(ack(one, head + 1)).0, Code::InvalidField);
    let acked = |device| inbox::acked(&place.view(), &bob, &device).unwrap();
    assert_eq!((acked(one), acked(two)), (head, 0));
}
