//! Messages of other servers.

use isthmus_domain::message::{self, Received};
use isthmus_domain::{Digest, account, peer, speaker};
use isthmus_wire::{ChatScene, Code, Content, ServerInfo, ServerStatus};

use crate::place::{Place, info, refused, server, user};

fn kept(received: &Received) -> bool {
    matches!(received, Received::Kept(done) if done.deliveries.len() == 1)
}

#[test]
fn a_message_from_its_senders_home_is_kept_and_pushed() {
    let place = Place::north();
    let received = place.get("south", "carol@south", "alice@north", "m1", "hi").unwrap();
    let Received::Kept(done) = received else { panic!() };
    let delivery = &done.deliveries[0];
    assert_eq!(delivery.user, user("alice@north"));
    assert_eq!(place.inbox("alice@north"), std::slice::from_ref(&delivery.entry));
    assert_eq!((place.story("alice@north"), place.audited()), (vec!["got hi".to_owned()], 1));
}

#[test]
fn r12_nobody_speaks_for_another_servers_users() {
    let place = Place::north();
    let expected = (Code::MayNotActFor, Some("messageInfo.sendID".to_owned()));
    for from in ["alice@north", "alice@NORTH", "eve@east", "x@south@east", "old@gone"] {
        assert_eq!(refused(place.get("south", from, "bob@north", "m1", "hi")), expected, "{from}");
    }
    assert_eq!(refused(place.get("north", "alice@north", "bob@north", "m1", "hi")), expected, "not even itself");
    assert!(place.inbox("bob@north").is_empty() && place.audited() == 0);
    assert!(kept(&place.get("SOUTH", "carol@South", "bob@north", "m1", "hi").unwrap()), "R13: case does not matter");
}

#[test]
fn r11_an_id_that_names_no_registered_server_belongs_to_whoever_presented_it_first() {
    let place = Place::north();
    for (id, number) in [("13800138000", "1"), ("张三", "2"), ("x@nowhere", "3"), ("y@mail.example.com", "4")] {
        assert!(kept(&place.get("south", id, "bob@north", number, "hi").unwrap()), "{id}");
        assert!(kept(&place.get("south", id, "bob@north", &format!("{number}b"), "hi").unwrap()), "{id} again");
        assert_eq!(refused(place.get("east", id, "bob@north", number, "hi")).0, Code::MayNotActFor, "{id}");
    }
    let home = speaker::home_of(&place.view(), &place.home, &user("张三")).unwrap();
    assert_eq!(home, speaker::Home::Server(server("south")));
    place.send("alice@north", "c1", "张三", "你好").unwrap();
    assert_eq!(place.letters(), [("south".to_owned(), "你好".to_owned())]);
}

#[test]
fn r11_a_server_not_asked_for_yet_may_be_registered_so_nobody_may_claim_its_users() {
    let place = Place::north();
    let expected = (Code::Overloaded, Some("messageInfo.sendID".to_owned()));
    assert_eq!(refused(place.get("south", "x@west", "bob@north", "m1", "hi")), expected);
    place
        .write(|tx, scene| {
            peer::put(tx, &info("west"), scene.now_ms);
            Ok(())
        })
        .unwrap();
    assert_eq!(refused(place.get("south", "x@west", "bob@north", "m1", "hi")).0, Code::MayNotActFor);
    assert!(kept(&place.get("west", "x@west", "bob@north", "m1", "hi").unwrap()));
}

#[test]
fn the_same_message_again_is_a_duplicate_and_changes_nothing() {
    let place = Place::north();
    place.get("south", "carol@south", "alice@north", "m1", "hi").unwrap();
    for _ in 0..2 {
        let again = place.get("south", "carol@south", "alice@north", "m1", "hi").unwrap();
        assert!(matches!(again, Received::Duplicate));
    }
    assert_eq!((place.story("alice@north").len(), place.audited()), (1, 1));
    let expected = (Code::AlreadyExists, Some("messageInfo.messageID".to_owned()));
    assert_eq!(refused(place.get("south", "carol@south", "alice@north", "m1", "ho")), expected);
    assert!(kept(&place.get("south", "carol@south", "alice@north", "m2", "hi").unwrap()));
    assert!(kept(&place.get("south", "carol@south", "bob@north", "m1", "hi").unwrap()));
    assert!(kept(&place.get("south", "dave@south", "alice@north", "m1", "hi").unwrap()));
}

#[test]
fn a_repeal_with_the_recalled_messages_id_is_no_duplicate_of_it() {
    let place = Place::north();
    place.get("south", "carol@south", "alice@north", "m1", "hi").unwrap();
    let mut repeal = place.incoming("south", "carol@south", "alice@north", "m1", "hi").info;
    repeal.content = Content::Repeal { message_id: repeal.message_id.clone() };
    let digest = Digest::of_message(&place.view(), &repeal);
    assert!(!message::duplicate(&place.view(), &repeal, &digest).unwrap());
}

#[test]
fn duplicates_are_known_by_what_came_even_if_policy_rewrote_it_or_the_recipient_is_gone() {
    let place = Place::north();
    let mut masked = place.incoming("south", "carol@south", "alice@north", "m1", "bad word");
    masked.info.content = Content::Text { message: "*** word".into() };
    place.receive(masked).unwrap();
    assert_eq!(place.story("alice@north"), ["got *** word"]);
    let again = || place.get("south", "carol@south", "alice@north", "m1", "bad word").unwrap();
    assert!(matches!(again(), Received::Duplicate));
    place.write(|tx, _| account::set_disabled(tx, &user("alice@north"), true)).unwrap();
    assert!(matches!(again(), Received::Duplicate), "what was answered 0 once is answered 0 again");
    assert_eq!(refused(place.get("east", "carol@south", "alice@north", "m1", "bad word")).0, Code::MayNotActFor);
}

#[test]
fn a_recipient_must_be_a_local_enabled_user() {
    let place = Place::north();
    let expected = (Code::NotFound, Some("messageInfo.recvID".to_owned()));
    for to in ["nobody@north", "carol@south", "alice", "alice@"] {
        assert_eq!(refused(place.get("south", "carol@south", to, "m1", "hi")), expected, "{to}");
    }
    let mut group = place.incoming("south", "carol@south", "alice@north", "m1", "hi");
    group.info.chat_scene = ChatScene::Group;
    assert_eq!(refused(place.receive(group)), expected);
    place.write(|tx, _| account::set_disabled(tx, &user("alice@north"), true)).unwrap();
    assert_eq!(refused(place.get("south", "carol@south", "alice@north", "m1", "hi")), expected);
    assert_eq!(place.audited(), 0);
    place.write(|tx, _| account::set_disabled(tx, &user("alice@north"), false)).unwrap();
    assert!(kept(&place.get("south", "carol@south", "Alice@north".to_lowercase().as_str(), "m1", "hi").unwrap()));
}

#[test]
fn a_refused_claim_is_not_remembered() {
    let place = Place::north();
    assert_eq!(refused(place.get("south", "loner", "nobody@north", "m1", "hi")).0, Code::NotFound);
    assert!(kept(&place.get("east", "loner", "bob@north", "m1", "hi").unwrap()));
}

#[test]
fn peers_are_kept_with_their_standing() {
    let place = Place::north();
    let view = place.view();
    assert_eq!(peer::get(&view, &server("SOUTH")).unwrap().unwrap().info, Some(info("south")));
    assert_eq!(peer::get(&view, &server("nowhere")).unwrap().unwrap().info, None);
    assert_eq!(peer::get(&view, &server("unasked")).unwrap(), None);
    let standing = |id: &str| peer::standing(&view, &server(id)).unwrap();
    assert_eq!(standing("east"), peer::Standing::Registered(ServerStatus::Suspended));
    assert_eq!((standing("nowhere"), standing("x")), (peer::Standing::Unregistered, peer::Standing::Unknown));
    assert_eq!(peer::list(&view).unwrap().len(), 4);
    let renamed = ServerInfo { server_name: "New".into(), ..info("South") };
    place
        .write(move |tx, _| {
            peer::put(tx, &renamed, 7);
            Ok(())
        })
        .unwrap();
    let found = peer::get(&place.view(), &server("south")).unwrap().unwrap();
    assert_eq!((found.info.unwrap().server_name, found.fetched_ms), ("New".to_owned(), 7));
}
