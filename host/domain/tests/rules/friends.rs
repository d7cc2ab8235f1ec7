//! Friends (§7.6.3–7.6.7, R18).

use std::sync::atomic::Ordering;

use isthmus_domain::errand::Errand;
use isthmus_domain::friend::{self, Act, Come, Stand, Turned};
use isthmus_domain::inbox::Event;
use isthmus_domain::outbox::{self, Load, Settlement, Waiting};
use isthmus_domain::{Done, Error, TimeId, account, peer, profile};
use isthmus_wire::call::user::{Add, Delete, Respond};
use isthmus_wire::record::YesNo;
use isthmus_wire::{Code, UserInfo, json};
use proptest::prelude::*;
use serde_json::Value;

use crate::place::{Place, info, refused, server, user};

const ALICE: &str = "alice@north";
const BOB: &str = "bob@north";
const CAROL: &str = "carol@south";
const LIFE: u64 = 7 * 86_400_000;

fn act(place: &Place, from: &str, to: &str) -> Act {
    let expires_ms = place.now.load(Ordering::Relaxed) + LIFE;
    Act { user: user(from), other: user(to), expires_ms, audit: b"act".to_vec() }
}

fn ask(place: &Place, from: &str, to: &str, words: &str) -> Result<Turned, Error> {
    let (act, words) = (act(place, from, to), Some(words.to_owned()));
    place.write(move |tx, scene| friend::ask(tx, scene, act, words))
}

fn answer(place: &Place, from: &str, to: &str, yes: bool) -> Result<Turned, Error> {
    let act = act(place, from, to);
    place.write(move |tx, scene| friend::answer(tx, scene, act, yes))
}

fn delete(place: &Place, from: &str, to: &str) -> Result<Turned, Error> {
    let act = act(place, from, to);
    place.write(move |tx, scene| friend::delete(tx, scene, act))
}

fn info_of(id: &str, phone: Option<&str>) -> UserInfo {
    let name = id.split('@').next().unwrap().to_uppercase();
    UserInfo { user_id: user(id), name, phone_number: phone.map(str::to_owned), remark: None, portrait: None }
}

/// A peer's user asks.
fn asked(place: &Place, peer: &str, from: &str, to: &str, words: Option<&str>) -> Result<Done, Error> {
    let add =
        Add { user_id: user(to), remark: words.map(str::to_owned), user_info: info_of(from, Some("008613800138000")) };
    take(place, peer, Said::Add(add))
}

fn answered(place: &Place, peer: &str, from: &str, to: &str, yes: bool) -> Result<Done, Error> {
    let respond = Respond { user_id: user(to), is_agree: YesNo(yes), user_info: info_of(from, None) };
    take(place, peer, Said::Respond(respond))
}

fn deleted(place: &Place, peer: &str, from: &str, to: &str) -> Result<Done, Error> {
    take(place, peer, Said::Delete(Delete { user_id: user(to), requester_id: user(from) }))
}

enum Said {
    Add(Add),
    Respond(Respond),
    Delete(Delete),
}

fn come(peer: &str, name: Option<TimeId>) -> Come {
    Come { peer: server(peer), name, expires_ms: u64::MAX, audit: b"arrived".to_vec() }
}

/// A call arrives that its server gives no name, as servers do that know the standard alone.
fn take(place: &Place, peer: &str, said: Said) -> Result<Done, Error> {
    take_named(place, come(peer, None), said)
}

fn take_named(place: &Place, come: Come, said: Said) -> Result<Done, Error> {
    place.write(move |tx, scene| match said {
        Said::Add(add) => friend::asked(tx, scene, come, add),
        Said::Respond(respond) => friend::answered(tx, scene, come, &respond),
        Said::Delete(delete) => friend::deleted(tx, scene, come, &delete),
    })
}

fn stand(place: &Place, one: &str, other: &str) -> Stand {
    friend::find(&place.view(), &user(one), &user(other)).unwrap().map_or(Stand::None, |link| link.stand)
}

fn friends(place: &Place, one: &str, other: &str) -> bool {
    friend::is_friend(&place.view(), &user(one), &user(other)).unwrap()
}

/// The news in an inbox: kind, direction, and what else tells them apart.
fn news(place: &Place, of: &str) -> Vec<String> {
    let told = |event: &Event| {
        let Event::News(news) = event else { return None };
        let text = |name: &str| match news.body.get(name) {
            None => String::new(),
            Some(Value::String(text)) => format!(" {text}"),
            Some(other) => format!(" {other}"),
        };
        let parts = ["direction", "userID", "isAgree", "remark", "was", "state", "code"].map(text);
        Some(format!("{}{}", news.kind.trim_start_matches("friend."), parts.concat()))
    };
    place.inbox(of).iter().filter_map(|entry| told(&entry.event)).collect()
}

/// What waits for other servers, the first letter of each lane.
fn waiting(place: &Place) -> Vec<Waiting> {
    outbox::heads(&place.view()).unwrap()
}

fn errand(waiting: &Waiting) -> &Errand {
    let Load::Errand(errand) = &waiting.load else { panic!("no errand: {waiting:?}") };
    errand
}

/// Calls that wait, lane by lane.
fn calls(place: &Place) -> Vec<String> {
    let view = place.view();
    let mut found = Vec::new();
    for head in waiting(place) {
        for letter in outbox::of_lane(&view, &head.id.lane, 0, 1000).unwrap() {
            found.push(errand(&letter).call.trim_start_matches("friend.").to_owned());
        }
    }
    found
}

fn settle(place: &Place, waiting: &Waiting, settlement: Settlement) -> Done {
    let id = waiting.id.clone();
    place.write(move |tx, scene| outbox::settle(tx, scene, &id, settlement, None)).unwrap()
}

#[test]
fn r18_a_friendship_begins_on_both_sides_with_a_yes_and_ends_on_both_with_a_delete() {
    let place = Place::north();
    assert_eq!(ask(&place, ALICE, BOB, "你好 😀").unwrap().stand, Stand::Asked);
    assert_eq!((stand(&place, ALICE, BOB), stand(&place, BOB, ALICE)), (Stand::Asked, Stand::Asks));
    assert!(!friends(&place, ALICE, BOB));
    assert_eq!(answer(&place, BOB, ALICE, true).unwrap().stand, Stand::Friends);
    assert!(friends(&place, ALICE, BOB) && friends(&place, BOB, ALICE));
    assert_eq!(delete(&place, ALICE, BOB).unwrap().stand, Stand::None);
    assert!(!friends(&place, ALICE, BOB) && !friends(&place, BOB, ALICE));
    let alice = ["request out bob@north 你好 😀", "answer in bob@north 1", "deleted out bob@north friends"];
    let bob = ["request in alice@north 你好 😀", "answer out alice@north 1", "deleted in alice@north friends"];
    assert_eq!(
        (news(&place, ALICE), news(&place, BOB)),
        (alice.map(String::from).to_vec(), bob.map(String::from).to_vec())
    );
    assert!(waiting(&place).is_empty(), "two users of one server need no network");
    assert_eq!(place.audited(), 3);
}

#[test]
fn r18_what_comes_twice_changes_nothing() {
    let place = Place::north();
    for _ in 0..2 {
        ask(&place, ALICE, BOB, "hi").unwrap();
    }
    for _ in 0..2 {
        answer(&place, BOB, ALICE, true).unwrap();
    }
    assert_eq!(ask(&place, ALICE, BOB, "hi").unwrap().stand, Stand::Friends);
    for _ in 0..2 {
        delete(&place, BOB, ALICE).unwrap();
    }
    assert_eq!((news(&place, ALICE).len(), news(&place, BOB).len()), (3, 3));
    ask(&place, ALICE, BOB, "again").unwrap();
    for _ in 0..2 {
        assert_eq!(answer(&place, BOB, ALICE, false).unwrap().stand, Stand::None);
    }
    assert_eq!(news(&place, ALICE).last().unwrap(), "answer in bob@north 2");
    assert_eq!((news(&place, ALICE).len(), news(&place, BOB).len()), (5, 5));
}

#[test]
fn r18_an_answer_without_an_open_request_is_1202() {
    let place = Place::north();
    let expected = (Code::WrongState, Some("userID".to_owned()));
    assert_eq!(refused(answer(&place, ALICE, BOB, true)), expected);
    assert_eq!(refused(answer(&place, ALICE, BOB, false)), expected);
    assert_eq!(refused(answered(&place, "south", CAROL, ALICE, true)), expected);
    ask(&place, ALICE, BOB, "hi").unwrap();
    assert_eq!(refused(answer(&place, ALICE, BOB, true)), expected, "nobody answers their own request");
    ask(&place, ALICE, CAROL, "hi").unwrap();
    assert_eq!(refused(answered(&place, "south", "dave@south", ALICE, true)), expected, "nor another's");
    answered(&place, "south", CAROL, ALICE, false).unwrap();
    answered(&place, "south", CAROL, ALICE, false).unwrap();
    assert_eq!(refused(answered(&place, "south", CAROL, ALICE, true)), expected, "a no is not turned into a yes");
    assert_eq!(place.audited(), 4, "what is refused writes no record here: the node does");
}

#[test]
fn a_request_is_taken_back_or_refused_by_deleting() {
    let place = Place::north();
    ask(&place, ALICE, BOB, "hi").unwrap();
    delete(&place, ALICE, BOB).unwrap();
    assert_eq!((stand(&place, ALICE, BOB), stand(&place, BOB, ALICE)), (Stand::None, Stand::None));
    assert_eq!(news(&place, BOB).last().unwrap(), "deleted in alice@north request");
    ask(&place, ALICE, BOB, "hi").unwrap();
    delete(&place, BOB, ALICE).unwrap();
    assert_eq!(news(&place, ALICE).last().unwrap(), "answer in bob@north 2");
}

#[test]
fn to_ask_somebody_who_has_asked_is_to_say_yes() {
    let place = Place::north();
    ask(&place, ALICE, BOB, "hi").unwrap();
    assert_eq!(ask(&place, BOB, ALICE, "hello").unwrap().stand, Stand::Friends);
    assert!(friends(&place, ALICE, BOB) && friends(&place, BOB, ALICE));
}

#[test]
fn nobody_befriends_themselves_nobodies_or_the_disabled() {
    let place = Place::north();
    place.create("dora");
    place.write(|tx, _| account::set_disabled(tx, &user("dora@north"), true)).unwrap();
    let cases = [
        (ALICE, Code::InvalidField),
        ("alice@NORTH", Code::InvalidField),
        ("nobody@north", Code::NotFound),
        ("dora@north", Code::NotFound),
        ("x@nowhere", Code::NotFound),
        ("x@unasked", Code::Overloaded),
        ("eve@east", Code::WrongState),
        ("old@gone", Code::WrongState),
    ];
    for (other, code) in cases {
        assert_eq!(refused(ask(&place, ALICE, other, "hi")), (code, Some("userID".to_owned())), "{other}");
    }
    assert_eq!(refused(ask(&place, ALICE, BOB, "a\u{0}b")), (Code::InvalidField, Some("remark".to_owned())));
    assert_eq!(refused(ask(&place, "dora@north", BOB, "hi")).0, Code::NoIdentity);
    assert_eq!(refused(asked(&place, "south", CAROL, "dora@north", None)).0, Code::NotFound);
    assert!(place.audited() == 0 && news(&place, ALICE).is_empty());
}

#[test]
fn a_request_to_another_server_waits_in_the_pairs_lane_and_says_no_phone_number() {
    let place = Place::north();
    let phone = profile::Change { phone_number: Some("+86 138-0013-8000".into()), ..profile::Change::default() };
    place.write(|tx, _| profile::change(tx, &user(ALICE), phone, Vec::new())).unwrap();
    let turned = ask(&place, ALICE, CAROL, "请加我").unwrap();
    assert_eq!((turned.stand, turned.done.letters), (Stand::Asked, waiting(&place)));
    let request = waiting(&place).remove(0);
    let add: Add = json::read(errand(&request).body.as_bytes()).unwrap();
    assert_eq!((&*request.id.lane.peer, errand(&request).path.as_str()), ("south", "/sns/add/users"));
    assert_eq!((add.user_id, add.remark.as_deref()), (user(CAROL), Some("请加我")));
    assert_eq!((add.user_info.user_id, add.user_info.phone_number), (user(ALICE), None));
    delete(&place, ALICE, CAROL).unwrap();
    ask(&place, ALICE, CAROL, "please").unwrap();
    ask(&place, ALICE, CAROL, "please").unwrap();
    assert_eq!(calls(&place), ["request", "delete", "request"]);
    assert_eq!(waiting(&place).len(), 1, "one lane");
}

#[test]
fn a_friend_learns_the_phone_number_with_the_answer() {
    let place = Place::north();
    let phone = profile::Change { phone_number: Some("008613800138000".into()), ..profile::Change::default() };
    place.write(|tx, _| profile::change(tx, &user(ALICE), phone, Vec::new())).unwrap();
    asked(&place, "south", CAROL, ALICE, Some("hi")).unwrap();
    let link = |place: &Place| friend::find(&place.view(), &user(ALICE), &user(CAROL)).unwrap().unwrap();
    assert_eq!((link(&place).stand, link(&place).remark.as_deref()), (Stand::Asks, Some("hi")));
    let told = place.inbox(ALICE);
    let Event::News(request) = &told[0].event else { panic!() };
    assert_eq!(request.body["userInfo"].get("phoneNumber"), None, "strangers' numbers are not shown: {request:?}");
    answer(&place, ALICE, CAROL, true).unwrap();
    let respond: Respond = json::read(errand(&waiting(&place)[0]).body.as_bytes()).unwrap();
    assert_eq!((respond.user_id, respond.is_agree), (user(CAROL), YesNo(true)));
    assert_eq!(respond.user_info.phone_number.as_deref(), Some("008613800138000"));
    assert_eq!(link(&place).info.unwrap().phone_number.as_deref(), Some("008613800138000"));
    assert!(friends(&place, ALICE, CAROL));
}

#[test]
fn r12_nobody_asks_answers_or_deletes_for_another_servers_users() {
    let place = Place::north();
    ask(&place, ALICE, "x@south", "hi").unwrap();
    for from in [BOB, "bob@NORTH", "eve@east", "x@south@east"] {
        let asked = refused(asked(&place, "south", from, ALICE, None));
        assert_eq!(asked, (Code::MayNotActFor, Some("userInfo.userID".to_owned())), "{from}");
        let answered = refused(answered(&place, "south", from, ALICE, true));
        assert_eq!(answered, (Code::MayNotActFor, Some("userInfo.userID".to_owned())), "{from}");
        let deleted = refused(deleted(&place, "south", from, ALICE));
        assert_eq!(deleted, (Code::MayNotActFor, Some("requesterID".to_owned())), "{from}");
    }
    assert_eq!((news(&place, ALICE).len(), place.audited()), (1, 1));
}

#[test]
fn r11_opaque_foreign_ids_are_friends_like_others() {
    let place = Place::north();
    for id in ["13800138000", "张三", "mail@a.example.com"] {
        asked(&place, "south", id, ALICE, None).unwrap();
        answer(&place, ALICE, id, true).unwrap();
        assert!(friends(&place, ALICE, id), "{id}");
        assert_eq!(refused(deleted(&place, "west", id, ALICE)).0, Code::MayNotActFor, "{id}");
        deleted(&place, "south", id, ALICE).unwrap();
        assert!(!friends(&place, ALICE, id), "{id}");
    }
    assert!(waiting(&place).iter().all(|w| &*w.id.lane.peer == "south"));
}

#[test]
fn a_peers_repeated_calls_change_nothing() {
    let place = Place::north();
    for _ in 0..3 {
        asked(&place, "south", CAROL, ALICE, Some("hi")).unwrap();
    }
    assert_eq!(news(&place, ALICE), ["request in carol@south hi"]);
    answer(&place, ALICE, CAROL, true).unwrap();
    // It has not heard the yes: that is said again, but not at every call.
    for _ in 0..3 {
        asked(&place, "south", CAROL, ALICE, Some("hi")).unwrap();
    }
    assert_eq!((calls(&place), news(&place, ALICE).len()), (vec!["answer".to_owned(); 2], 2));
    for _ in 0..3 {
        deleted(&place, "south", CAROL, ALICE).unwrap();
    }
    assert_eq!(news(&place, ALICE).last().unwrap(), "deleted in carol@south friends");
    ask(&place, ALICE, CAROL, "back?").unwrap();
    for _ in 0..3 {
        answered(&place, "south", CAROL, ALICE, true).unwrap();
    }
    assert_eq!(news(&place, ALICE).len(), 5);
    deleted(&place, "south", CAROL, ALICE).unwrap();
    answered(&place, "south", CAROL, ALICE, true).unwrap();
    assert!(!friends(&place, ALICE, CAROL), "an answer that comes late begins nothing anew");
}

#[test]
fn a_request_that_comes_again_right_after_its_refusal_is_refused_again() {
    let place = Place::north();
    asked(&place, "south", CAROL, ALICE, None).unwrap();
    answer(&place, ALICE, CAROL, false).unwrap();
    asked(&place, "south", CAROL, ALICE, None).unwrap();
    assert_eq!((stand(&place, ALICE, CAROL), calls(&place)), (Stand::None, vec!["answer".to_owned(); 2]));
    place.now.fetch_add(60_000, Ordering::Relaxed);
    asked(&place, "south", CAROL, ALICE, None).unwrap();
    assert_eq!(stand(&place, ALICE, CAROL), Stand::Asks, "later it is a new one");
}

#[test]
fn a_name_tells_repeated_calls_from_new_ones_and_one_deed_from_another() {
    let place = Place::north();
    let add = || Said::Add(Add { user_id: user(ALICE), remark: None, user_info: info_of(CAROL, None) });
    let delete = || Said::Delete(Delete { user_id: user(ALICE), requester_id: user(CAROL) });
    let (one, two) = (place.mint(), place.mint());
    for said in [add(), add(), delete(), add(), delete(), delete()] {
        take_named(&place, come("south", Some(one)), said).unwrap();
    }
    assert_eq!(news(&place, ALICE).len(), 4, "what follows on a server's one errand may have one name");
    take_named(&place, come("south", Some(one)), add()).unwrap();
    answer(&place, ALICE, CAROL, false).unwrap();
    take_named(&place, come("south", Some(one)), add()).unwrap();
    assert_eq!(stand(&place, ALICE, CAROL), Stand::None, "the same request again");
    take_named(&place, come("south", Some(two)), add()).unwrap();
    assert_eq!(stand(&place, ALICE, CAROL), Stand::Asks, "a new one, however soon");
}

#[test]
fn a_request_or_a_yes_that_never_arrives_is_taken_back_and_its_user_told() {
    let refusal = || Settlement::Refused { code: Code::DeniedByAccess, message: "no".into() };
    let cases = [(Settlement::Expired, "expired"), (refusal(), "refused 1102")];
    for (settlement, state) in cases {
        let place = Place::north();
        ask(&place, ALICE, CAROL, "hi").unwrap();
        settle(&place, &waiting(&place)[0], settlement.clone());
        assert_eq!(news(&place, ALICE).last().unwrap(), &format!("request out carol@south {state}"));
        assert_eq!(stand(&place, ALICE, CAROL), Stand::None);
        asked(&place, "south", CAROL, ALICE, None).unwrap();
        answer(&place, ALICE, CAROL, true).unwrap();
        settle(&place, &waiting(&place)[0], settlement);
        assert_eq!(news(&place, ALICE).last().unwrap(), &format!("answer out carol@south {state}"));
        assert!(!friends(&place, ALICE, CAROL), "the other side never heard of it");
    }
    let place = Place::north();
    ask(&place, ALICE, CAROL, "hi").unwrap();
    let request = waiting(&place).remove(0);
    answered(&place, "south", CAROL, ALICE, true).unwrap();
    settle(&place, &request, refusal());
    assert!(friends(&place, ALICE, CAROL), "what has been answered since is not taken back");
    let place = Place::north();
    ask(&place, ALICE, CAROL, "hi").unwrap();
    let known = Settlement::Refused { code: Code::AlreadyExists, message: "asked before".into() };
    settle(&place, &waiting(&place)[0], known);
    assert_eq!(stand(&place, ALICE, CAROL), Stand::Asked, "1201: the other side has it");
}

#[test]
fn lists_are_read_in_pages_of_any_size() {
    let place = Place::north();
    for number in 0..600 {
        let id = format!("u{number}@south");
        asked(&place, "south", &id, ALICE, Some("hi")).unwrap();
        match number % 3 {
            0 => drop(answer(&place, ALICE, &id, true).unwrap()),
            1 => drop(answer(&place, ALICE, &id, false).unwrap()),
            _ => {}
        }
    }
    let view = place.view();
    for limit in [1, 7, 199, 200, 201, 1000] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = friend::contacts(&view, &user(ALICE), after.as_ref(), limit).unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= limit && page.iter().all(|link| link.stand == Stand::Friends));
            after = Some(last.other.clone());
            seen.extend(page.into_iter().map(|link| link.other.to_string()));
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 200, "pages of {limit}");
    }
    assert_eq!(friend::requests(&view, &user(ALICE), None, 1000).unwrap().len(), 200);
    assert!(friend::contacts(&view, &user(BOB), None, 10).unwrap().is_empty());
}

#[test]
fn a_users_list_has_an_end_and_what_is_over_makes_room() {
    let place = Place::north();
    let fill = move |tx: &mut isthmus_store::Tx<'_>, scene: &mut isthmus_domain::Scene<'_>| {
        for number in 0..friend::LINKS_MAX {
            let info = info_of(&format!("u{number}@south"), None);
            let add = Add { user_id: user(ALICE), remark: None, user_info: info };
            friend::asked(tx, scene, come("south", None), add)?;
        }
        Ok(())
    };
    place.write(fill).unwrap();
    let expected = (Code::WrongState, Some("userID".to_owned()));
    assert_eq!(refused(asked(&place, "south", CAROL, ALICE, None)), expected);
    assert_eq!(refused(ask(&place, ALICE, BOB, "hi")), expected);
    deleted(&place, "south", "u7@south", ALICE).unwrap();
    asked(&place, "south", CAROL, ALICE, None).unwrap();
    assert_eq!(refused(ask(&place, ALICE, BOB, "hi")), expected);
}

#[test]
fn what_a_server_knows_of_friends_it_knows_of_its_own_users_only() {
    let place = Place::north();
    asked(&place, "south", CAROL, ALICE, None).unwrap();
    answer(&place, ALICE, CAROL, true).unwrap();
    let known = |one: &str, other: &str| friend::known(&place.view(), &place.home, &user(one), &user(other)).unwrap();
    assert_eq!(
        (known(ALICE, CAROL), known(CAROL, ALICE), known(CAROL, "alice@NORTH")),
        (Some(true), Some(true), Some(true))
    );
    assert_eq!((known(ALICE, BOB), known("dave@south", CAROL)), (Some(false), None));
    assert_eq!(known("ALICE@north", CAROL), Some(false));
}

/// Two servers and what is under way between them.
struct Two {
    north: Place,
    south: Place,
}

impl Two {
    fn new() -> Two {
        let (north, south) = (Place::north(), Place::empty("south"));
        south.create("carol");
        let know = south.write(|tx, scene| {
            peer::put(tx, &info("north"), scene.now_ms);
            Ok(())
        });
        know.unwrap();
        Two { north, south }
    }

    /// The first letter of one side's lane arrives at the other. `heard`: the answer comes back; else the letter stays and
    /// comes again.
    fn carry(&self, northward: bool, heard: bool) -> bool {
        let (from, to) = if northward { (&self.south, &self.north) } else { (&self.north, &self.south) };
        let Some(letter) = waiting(from).pop() else { return false };
        let errand = errand(&letter);
        let said = match errand.call.as_str() {
            "friend.request" => Said::Add(json::read(errand.body.as_bytes()).unwrap()),
            "friend.answer" => Said::Respond(json::read(errand.body.as_bytes()).unwrap()),
            _ => Said::Delete(json::read(errand.body.as_bytes()).unwrap()),
        };
        let settlement = match take_named(to, come(from.home.as_str(), Some(errand.id)), said) {
            Ok(_) => Settlement::Delivered,
            Err(Error::Refused(refusal)) => Settlement::Refused { code: refusal.code, message: refusal.message },
            Err(Error::Fault(fault)) => panic!("{fault}"),
        };
        if heard {
            settle(from, &letter, settlement);
        }
        true
    }

    fn arrive(&self) {
        while self.carry(false, true) | self.carry(true, true) {}
    }

    fn stands(&self) -> (Stand, Stand) {
        (stand(&self.north, ALICE, CAROL), stand(&self.south, CAROL, ALICE))
    }

    fn step(&self, step: u8) {
        let outcome = match step {
            0 => ask(&self.north, ALICE, CAROL, "hi"),
            1 => ask(&self.south, CAROL, ALICE, "hi"),
            2 | 3 => answer(&self.north, ALICE, CAROL, step == 2),
            4 | 5 => answer(&self.south, CAROL, ALICE, step == 4),
            6 => delete(&self.north, ALICE, CAROL),
            7 => delete(&self.south, CAROL, ALICE),
            _ => {
                self.carry(step.is_multiple_of(2), step < 14);
                return;
            }
        };
        match outcome {
            Ok(_) | Err(Error::Refused(_)) => {}
            Err(Error::Fault(fault)) => panic!("{fault}"),
        }
    }
}

#[test]
fn requests_that_cross_are_a_friendship() {
    let two = Two::new();
    ask(&two.north, ALICE, CAROL, "from alice").unwrap();
    ask(&two.south, CAROL, ALICE, "from carol").unwrap();
    two.arrive();
    assert_eq!(two.stands(), (Stand::Friends, Stand::Friends));
    assert_eq!(news(&two.north, ALICE), ["request out carol@south from alice", "answer in carol@south 1"]);
    assert_eq!(news(&two.south, CAROL), ["request out alice@north from carol", "answer in alice@north 1"]);
}

#[test]
fn a_yes_to_a_request_that_was_taken_back_is_taken_back_too() {
    let two = Two::new();
    ask(&two.north, ALICE, CAROL, "hi").unwrap();
    two.arrive();
    delete(&two.north, ALICE, CAROL).unwrap();
    answer(&two.south, CAROL, ALICE, true).unwrap();
    two.arrive();
    assert_eq!(two.stands(), (Stand::None, Stand::None));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever two users do, and however often letters arrive before their answers do: when all is delivered, either both
    /// servers call them friends or neither does.
    #[test]
    fn r18_both_servers_agree_in_the_end(steps in proptest::collection::vec(0..16_u8, 1..24)) {
        let two = Two::new();
        for step in &steps {
            two.step(*step);
        }
        two.arrive();
        let (north, south) = two.stands();
        prop_assert_eq!(north == Stand::Friends, south == Stand::Friends, "{:?} {:?}", north, south);
        // A request that only one side still knows is no trap: its answer settles it.
        let _ = answer(&two.north, ALICE, CAROL, true);
        let _ = answer(&two.south, CAROL, ALICE, true);
        two.arrive();
        let (north, south) = two.stands();
        prop_assert_eq!(north == Stand::Friends, south == Stand::Friends, "{:?} {:?}", north, south);
    }
}
