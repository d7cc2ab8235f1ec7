//! R12 over every call there is: a new call cannot be forgotten.

use isthmus_domain::errand::Errand;
use isthmus_domain::outbox::{self, Settlement};
use isthmus_domain::speaker::{self, Finding};
use isthmus_domain::{Done, Error};
use isthmus_wire::Code;
use isthmus_wire::call::{CALLS, CallSpec, Receiver, Relay};
use isthmus_wire::json;
use serde_json::{Value, json};

use crate::place::{Place, refused, server, user};

/// A body in which these dotted fields have these texts.
fn body(fields: &[(&str, &str)]) -> Value {
    let mut body = json!({});
    for (path, text) in fields {
        let mut at = &mut body;
        for part in path.split('.') {
            at = &mut at[part];
        }
        *at = (*text).into();
    }
    body
}

fn check(place: &Place, spec: &CallSpec, peer: &str, body: &Value) -> Result<Finding, Error> {
    let bytes = body.to_string();
    let found = |fields: &json::Fields<'_>| Ok(speaker::check(&place.view(), &place.home, &server(peer), spec, fields));
    json::read_with(bytes.as_bytes(), found).unwrap()
}

fn of_users() -> impl Iterator<Item = (&'static CallSpec, &'static str)> {
    let to_servers = CALLS.iter().filter(|spec| spec.to != Receiver::Platform);
    to_servers.filter_map(|spec| Some((spec, spec.speaker?)))
}

#[test]
fn r12_no_call_may_be_made_in_the_name_of_another_servers_user() {
    let place = Place::north();
    for (spec, field) in of_users() {
        let own = check(&place, spec, "south", &body(&[(field, "carol@south")]));
        let ours = check(&place, spec, "south", &body(&[(field, "alice@north")]));
        let third = check(&place, spec, "south", &body(&[(field, "erin@east")]));
        if let Relay::Only(_) = spec.relay {
            continue;
        }
        assert_eq!(own.unwrap(), Finding::May, "{}", spec.name);
        assert_eq!(refused(ours), (Code::MayNotActFor, Some(field.to_owned())), "{}", spec.name);
        assert_eq!(refused(third), (Code::MayNotActFor, Some(field.to_owned())), "{}", spec.name);
    }
}

#[test]
fn r12_only_the_home_of_a_group_may_relay_for_others() {
    let place = Place::north();
    for (spec, field) in of_users() {
        let (group, only) = match spec.relay {
            Relay::Never => continue,
            Relay::Only(group) => (group, true),
            Relay::Also(group) | Relay::InGroups(group) => (group, false),
        };
        let scene = ("messageInfo.chatScene", "Group");
        let said = |group_id| body(&[(field, "alice@north"), (group, group_id), scene]);
        assert_eq!(check(&place, spec, "south", &said("g-1@south")).unwrap(), Finding::May, "{}", spec.name);
        for foreign in ["g-1@north", "g-1@east"] {
            let expected = if only { group } else { field };
            assert_eq!(
                refused(check(&place, spec, "south", &said(foreign))),
                (Code::MayNotActFor, Some(expected.to_owned())),
                "{} {foreign}",
                spec.name
            );
        }
        let own = body(&[(field, "carol@south"), (group, "g-1@north"), scene]);
        assert_eq!(check(&place, spec, "south", &own).is_ok(), !only, "{}", spec.name);
    }
}

#[test]
fn r12_a_message_to_a_user_is_no_relay_whatever_the_recipient_is_called() {
    let (place, spec) = (Place::north(), &isthmus_wire::call::MESSAGE_SEND);
    let said = body(&[("messageInfo.sendID", "alice@north"), ("messageInfo.recvID", "g-1@south")]);
    assert_eq!(refused(check(&place, spec, "south", &said)).0, Code::MayNotActFor);
}

#[test]
fn whether_a_named_server_is_registered_is_asked_before_anybody_is_refused() {
    let (place, spec) = (Place::north(), &isthmus_wire::call::USER_ADD);
    let said = body(&[("userInfo.userID", "zoe@yonder")]);
    assert_eq!(check(&place, spec, "south", &said).unwrap(), Finding::Ask(server("yonder")));
}

#[test]
fn an_errand_waits_in_its_lane_and_leaves_it_once_settled() {
    let place = Place::north();
    let sent = place.write(|tx, scene| {
        let errand = Errand {
            id: scene.mint(),
            call: "friend.request".into(),
            path: "/sns/add/users".into(),
            body: "{}".into(),
            actor: Some(user("alice@north")),
            target: "carol@south".into(),
            said: Vec::new(),
            tag: "t".into(),
        };
        outbox::errand(tx, &server("south"), b"friend", errand, scene.now_ms + 1000)
    });
    let sent = sent.unwrap();
    let heads = outbox::heads(&place.view()).unwrap();
    assert_eq!(heads, std::slice::from_ref(&sent));
    assert_eq!((heads[0].call(), heads[0].actor()), ("friend.request", Some(&user("alice@north"))));
    let id = sent.id.clone();
    place.write(move |tx, scene| outbox::settle(tx, scene, &id, Settlement::Delivered, None)).unwrap();
    let again = place.write(move |tx, scene| outbox::settle(tx, scene, &sent.id, Settlement::Expired, None));
    assert_eq!(again.unwrap(), Done::default());
    assert!(outbox::heads(&place.view()).unwrap().is_empty());
}
