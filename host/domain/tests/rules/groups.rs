//! Groups (§7.7): who may do what, and what everybody learns of it.

use isthmus_domain::group::{self, NewGroup, Update, join, log, manage, member, open, ticket, view};
use isthmus_domain::{Error, State, account, inbox};
use isthmus_wire::record::YesNo;
use isthmus_wire::{Code, GroupId, GrpSet, MediaId, MessageId, UserInfo};

use crate::place::{refused, server, user};
use crate::town::{EXPIRES, Town, act, duplicate, has_member_at, ids, in_group, person};

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> Code {
    refused(result).0
}

/// north: a owner, b; south: a, b; west: a.
fn town() -> (Town, GroupId) {
    let town = Town::new(&["north", "south", "west"]);
    let group = town.with_members(&["a@north", "b@north", "a@south", "b@south", "a@west"]);
    (town, group)
}

fn set(open: bool, visible: bool) -> GrpSet {
    GrpSet { is_allow: YesNo(open), is_visible: YesNo(visible) }
}

#[test]
fn a_group_of_ours_is_named_after_its_server_and_its_founder_owns_it() {
    let town = Town::new(&["north"]);
    let id = town.found("a@north");
    assert!(id.as_str().starts_with("g-") && id.as_str().ends_with("@north"), "{id}");
    let group = town.group("north", &id).unwrap();
    assert_eq!((group.owner.as_str(), group.members, group.created.as_str()), ("a@north", 1, "2023-11-14T22:13:20Z"));
    assert_eq!(town.members("north", &id), ["a@north Owner"]);
    assert_eq!(town.news("a@north"), ["group.notice 1"], "for the founder's other devices");
    let icon = Some(MediaId::parse("nothing").unwrap());
    let new = NewGroup { name: "x".into(), icon, open: true, visible: true };
    let founder = person("a@north");
    let found = town.at("north").write(move |tx, scene| manage::create(tx, scene, &founder, new, EXPIRES));
    assert_eq!(code(found), Code::NotFound, "an icon is an upload of the founder's own");
    for (name, expected) in [("", Code::MissingField), (" ", Code::MissingField), ("a\nb", Code::InvalidField)] {
        let new = NewGroup { name: name.into(), icon: None, open: true, visible: true };
        let founder = person("a@north");
        let found = town.at("north").write(move |tx, scene| manage::create(tx, scene, &founder, new, EXPIRES));
        assert_eq!(code(found), expected, "{name:?}");
    }
}

#[test]
fn search_finds_visible_groups_of_this_server_only_exactly_or_by_parts_page_by_page() {
    let (town, group) = town();
    let look = |at: &str, query: &str, page: i32| view::search(&town.at(at).view(), query, page).unwrap();
    let found = look("north", "茶", 0);
    assert_eq!((found.pages, found.page, found.groups.len()), (Some(1), Some(0), 1));
    assert_eq!(found.groups[0].group_member_num, 5);
    for (query, hits) in [("TEA", 1), ("\"Tea 茶\"", 1), ("\"tea 茶\"", 0), ("\"Tea\"", 0), ("G-", 1), ("@north", 0)]
    {
        assert_eq!(look("north", query, 0).groups.len(), hits, "{query}");
    }
    assert_eq!(look("north", &format!("\"{group}\""), 0).groups.len(), 1);
    let nothing = look("south", "tea", 0);
    assert_eq!((nothing.pages, nothing.page, nothing.groups.len()), (None, None, 0), "a mirror is not found");
    for _ in 0..20 {
        town.found("b@north");
    }
    assert_eq!((look("north", "tea", 0).groups.len(), look("north", "tea", 1).groups.len()), (20, 1));
    assert_eq!(look("north", "tea", 7).groups.len(), 0);
    assert_eq!(code(view::search(&town.at("north").view(), "\"\"", 0)), Code::MissingField);
    assert_eq!(code(view::search(&town.at("north").view(), "tea", -1)), Code::InvalidField);
    let hide = Update { set: Some(set(true, false)), ..Update::default() };
    let by = act(&group, "a@north");
    town.at("north").write(move |tx, scene| manage::update(tx, scene, &by, hide)).unwrap();
    assert_eq!(look("north", "tea", 1).groups.len(), 0, "20 are left");
}

#[test]
fn r20_main_sends_the_second_step_once_to_each_server_of_the_invited() {
    let town = Town::new(&["north", "south", "west"]);
    let group = town.found("a@north");
    let done = town.invite(&group, "a@north", &["b@north", "a@south", "b@south", "a@west", "b@south"]).unwrap();
    let peers: Vec<_> = done.letters.iter().map(|letter| letter.id.lane.peer.to_string()).collect();
    assert_eq!(peers, ["south", "west"]);
    assert_eq!(town.news("b@north"), ["group.invited"]);
    town.carry_all();
    assert_eq!(town.news("a@south"), ["group.invited"]);
    let open = open::list(&town.at("south").view(), &user("b@south"), 0).unwrap();
    assert_eq!((open.len(), open[0].by.as_ref().unwrap().user_id.as_str()), (1, "a@north"));
    town.invite(&group, "a@north", &["a@south"]).unwrap();
    town.carry_all();
    assert_eq!(town.news("a@south"), ["group.invited"], "a repeated invitation is told once");
    assert_eq!(town.members("north", &group).len(), 1, "nobody is in before agreeing");
}

#[test]
fn whoever_agrees_is_a_member_everywhere_and_whoever_declines_is_not() {
    let town = Town::new(&["north", "south"]);
    let group = town.found("a@north");
    assert_eq!(code(town.answer(&group, "a@south", true)), Code::WrongState, "nobody asked");
    town.invite(&group, "a@north", &["a@south", "b@south"]).unwrap();
    town.carry_all();
    town.answer(&group, "b@south", false).unwrap();
    assert_eq!(code(town.answer(&group, "b@south", true)), Code::WrongState, "declined is declined");
    town.answer(&group, "a@south", true).unwrap();
    town.answer(&group, "a@south", true).unwrap();
    town.carry_all();
    town.heal("south", &group);
    let expected = ["a@north Owner", "a@south Member"];
    assert_eq!(town.members("north", &group), expected);
    assert_eq!(town.members("south", &group), expected);
    assert_eq!(town.news("a@north")[1..], ["group.answer declined", "group.answer agreed", "group.notice 1"]);
    assert_eq!(
        town.news("a@south"),
        ["group.invited", "group.notice 1"],
        "once, though told by notice and by snapshot"
    );
    assert!(open::list(&town.at("south").view(), &user("a@south"), 0).unwrap().is_empty());
    assert_eq!(code(town.invite(&group, "a@north", &["a@south"])), Code::AlreadyExists);
    assert_eq!(code(town.invite(&group, "a@north", &["nobody@north", "x@nowhere", "stranger"])), Code::NotFound);
}

#[test]
fn an_invitation_that_cannot_arrive_is_told_to_the_inviter() {
    let town = Town::new(&["north", "south"]);
    let group = town.found("a@north");
    town.invite(&group, "a@north", &["z@south"]).unwrap();
    town.carry_all();
    assert_eq!(town.news("a@north")[1..], ["group.answer failed"]);
    assert_eq!(code(town.answer(&group, "z@south", true)), Code::WrongState);
}

#[test]
fn with_is_allow_2_only_owner_and_admins_invite_and_strangers_never() {
    let (town, group) = town();
    town.invite(&group, "a@south", &["c@north"]).unwrap();
    assert_eq!(code(town.invite(&group, "c@south", &["d@north"])), Code::NotPermitted);
    let close = Update { set: Some(set(false, true)), ..Update::default() };
    let by = act(&group, "a@north");
    town.at("north").write(move |tx, scene| manage::update(tx, scene, &by, close)).unwrap();
    assert_eq!(code(town.invite(&group, "a@south", &["d@north"])), Code::NotPermitted);
    let (by, admins) = (act(&group, "a@north"), ids(&["a@south"]));
    town.at("north").write(move |tx, scene| manage::set_admins(tx, scene, &by, &admins, true)).unwrap();
    town.invite(&group, "a@south", &["d@north"]).unwrap();
}

fn apply(town: &Town, group: &GroupId, who: &str, remark: Option<&str>) -> Result<isthmus_domain::Done, Error> {
    let applicant = UserInfo { remark: remark.map(str::to_owned), ..person(who) };
    let (act, home) = (act(group, who), server(who.rsplit_once('@').unwrap().1));
    town.main(group).write(move |tx, scene| {
        let users = [applicant.clone()];
        join::request(tx, scene, &act, &applicant, &users, &home)
    })
}

fn decide(town: &Town, group: &GroupId, by: &str, who: &str, agree: bool) -> Result<isthmus_domain::Done, Error> {
    let (act, who) = (act(group, by), user(who));
    town.main(group).write(move |tx, scene| join::decide(tx, scene, &act, &who, agree))
}

#[test]
fn r21_whoever_applies_is_let_in_by_owner_or_admin_only() {
    let (town, group) = town();
    apply(&town, &group, "c@south", Some("let me in")).unwrap();
    apply(&town, &group, "c@south", Some("let me in")).unwrap();
    assert_eq!(town.news("a@north").iter().filter(|n| *n == "group.request").count(), 1);
    assert!(!town.news("b@north").contains(&"group.request".to_owned()), "a plain member decides nothing");
    let asked = join::applicants(&town.at("north").view(), &town.group("north", &group).unwrap(), 0).unwrap();
    assert_eq!((asked.len(), asked[0].user.remark.as_deref()), (1, Some("let me in")));
    assert_eq!(code(decide(&town, &group, "b@north", "c@south", true)), Code::NotPermitted);
    assert_eq!(code(decide(&town, &group, "a@north", "d@south", true)), Code::WrongState);
    decide(&town, &group, "a@north", "c@south", true).unwrap();
    town.carry_all();
    assert!(town.members("south", &group).contains(&"c@south Member".to_owned()));
    assert_eq!(code(decide(&town, &group, "a@north", "c@south", true)), Code::WrongState);
    assert_eq!(code(apply(&town, &group, "c@south", None)), Code::AlreadyExists);
}

#[test]
fn r21_an_applicant_who_is_declined_is_told_and_nobody_else() {
    let (town, group) = town();
    for who in ["c@south", "c@north"] {
        let (id, applicant) = (group.clone(), user(who));
        let home = town.at(who.rsplit_once('@').unwrap().1);
        home.write(move |tx, _| open::applied(tx, &id, None, &applicant, EXPIRES)).unwrap();
        apply(&town, &group, who, None).unwrap();
        let before = town.news("b@south").len();
        decide(&town, &group, "a@north", who, false).unwrap();
        town.carry_all();
        assert_eq!(town.news(who), ["group.answer declined"]);
        assert_eq!(town.news("b@south").len(), before);
        assert!(open::list(&home.view(), &user(who), 0).unwrap().is_empty());
    }
    assert_eq!(town.members("south", &group).len(), 5);
}

#[test]
fn r21_who_applied_and_is_invited_by_those_who_decide_is_in_and_the_other_way_round() {
    let (town, group) = town();
    apply(&town, &group, "c@south", None).unwrap();
    town.invite(&group, "a@north", &["c@south"]).unwrap();
    town.invite(&group, "a@north", &["d@south"]).unwrap();
    apply(&town, &group, "d@south", None).unwrap();
    town.carry_all();
    for who in ["c@south Member", "d@south Member"] {
        assert!(town.members("west", &group).contains(&who.to_owned()), "{who}");
    }
}

#[test]
fn r21_a_group_that_search_does_not_find_lets_nobody_apply_without_a_ticket() {
    let (town, group) = town();
    let hide = Update { set: Some(set(true, false)), ..Update::default() };
    let by = act(&group, "a@north");
    town.at("north").write(move |tx, scene| manage::update(tx, scene, &by, hide)).unwrap();
    assert_eq!(code(apply(&town, &group, "c@south", None)), Code::NotFound);
    let ticket = issue(&town, &group, "a@north", EXPIRES_TICKET).unwrap();
    apply(&town, &group, "c@south", Some(&ticket)).unwrap();
}

const NOW: u64 = 1_700_000_000_000;
const EXPIRES_TICKET: u64 = NOW + 60_000;

fn issue(town: &Town, group: &GroupId, by: &str, expires_ms: u64) -> Result<String, Error> {
    let (group, by) = (group.clone(), user(by));
    town.main(&group).write(move |tx, scene| ticket::issue(tx, scene, &group, &by, expires_ms))
}

#[test]
fn r21_a_ticket_stands_for_the_decision_until_it_expires_or_is_withdrawn() {
    let (town, group) = town();
    let good = issue(&town, &group, "a@north", EXPIRES_TICKET).unwrap();
    assert_eq!(ticket::group_of(&good).unwrap(), group);
    apply(&town, &group, "c@south", Some(&good)).unwrap();
    town.carry_all();
    assert!(town.members("south", &group).contains(&"c@south Member".to_owned()));
    let mut forged = good.clone();
    let flipped = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.insert(30, flipped);
    let other = issue(&town, &town.found("a@north"), "a@north", EXPIRES_TICKET).unwrap();
    for bad in [forged.as_str(), "isthmus-join:", "isthmus-join:AAAA", &other] {
        assert_eq!(code(apply(&town, &group, "d@south", Some(bad))), Code::WrongState, "{bad}");
    }
    for (by, expires, expected) in [
        ("b@north", EXPIRES_TICKET, Code::NotPermitted),
        ("e@north", EXPIRES_TICKET, Code::NotPermitted),
        ("a@north", NOW, Code::InvalidField),
        ("a@north", NOW + ticket::LIFE_MAX_MS + 1, Code::InvalidField),
    ] {
        assert_eq!(code(issue(&town, &group, by, expires)), expected, "{by} {expires}");
    }
    town.at("north").now.store(EXPIRES_TICKET, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(code(apply(&town, &group, "d@south", Some(&good))), Code::WrongState, "expired");
    let fresh = issue(&town, &group, "a@north", EXPIRES_TICKET + 1000).unwrap();
    let id = group.clone();
    town.at("north").write(move |tx, _| ticket::withdraw(tx, &id, &user("a@north"))).unwrap();
    assert_eq!(code(apply(&town, &group, "d@south", Some(&fresh))), Code::WrongState, "withdrawn");
}

#[test]
fn r21_a_ticket_of_somebody_who_is_no_admin_any_more_is_void() {
    let (town, group) = town();
    let (by, admins) = (act(&group, "a@north"), ids(&["b@north"]));
    town.at("north").write(move |tx, scene| manage::set_admins(tx, scene, &by, &admins, true)).unwrap();
    let good = issue(&town, &group, "b@north", EXPIRES_TICKET).unwrap();
    let (by, admins) = (act(&group, "a@north"), ids(&["b@north"]));
    town.at("north").write(move |tx, scene| manage::set_admins(tx, scene, &by, &admins, false)).unwrap();
    assert_eq!(code(apply(&town, &group, "c@south", Some(&good))), Code::WrongState);
}

#[test]
fn the_owner_removes_anybody_else_and_admins_plain_members() {
    let (town, group) = town();
    let (by, admins) = (act(&group, "a@north"), ids(&["a@south", "b@north"]));
    town.at("north").write(move |tx, scene| manage::set_admins(tx, scene, &by, &admins, true)).unwrap();
    assert_eq!(code(town.remove(&group, "b@south", &["a@west"])), Code::NotPermitted, "a member");
    assert_eq!(code(town.remove(&group, "e@south", &["a@west"])), Code::NotPermitted, "a stranger");
    assert_eq!(code(town.remove(&group, "a@south", &["b@north"])), Code::NotPermitted, "an admin, an admin");
    assert_eq!(code(town.remove(&group, "a@south", &["a@north"])), Code::NotPermitted, "the owner");
    assert_eq!(code(town.remove(&group, "a@north", &["a@north"])), Code::NotPermitted, "the owner itself");
    assert_eq!(code(town.remove(&group, "a@north", &["e@west"])), Code::NotFound, "no member");
    assert_eq!(code(town.remove(&group, "a@north", &[])), Code::MissingField);
    assert_eq!(town.members("north", &group).len(), 5, "what was refused changed nothing");
    town.remove(&group, "a@south", &["a@west", "e@west"]).unwrap();
    town.remove(&group, "a@north", &["a@south"]).unwrap();
    town.carry_all();
    for server in ["north", "south"] {
        assert_eq!(town.members(server, &group), ["a@north Owner", "b@north Admin", "b@south Member"], "{server}");
    }
}

#[test]
fn a_removed_members_server_is_told_and_its_mirror_knows_it() {
    let (town, group) = town();
    town.remove(&group, "a@north", &["a@west"]).unwrap();
    town.carry_all();
    assert_eq!(town.news("a@west").last().unwrap(), "group.notice 2");
    assert_eq!(code(town.say(&group, "a@west", "still here?")), Code::NotPermitted);
    assert!(member::groups_of(&town.at("west").view(), &user("a@west")).unwrap().is_empty());
    town.say(&group, "a@north", "without west").unwrap();
    assert!(town.waiting("north").iter().all(|letter| &*letter.id.lane.peer != "west"));
    town.carry_all();
    assert!(town.heard("a@west").is_empty());
    assert!(!has_member_at(town.at("north"), &group, "west") && has_member_at(town.at("north"), &group, "south"));
    assert_eq!(code(view::for_peer(&town.at("north").view(), &group, &server("west"), true)), Code::NotPermitted);
}

#[test]
fn everybody_but_the_owner_leaves_as_they_like() {
    let (town, group) = town();
    assert_eq!(code(town.leave(&group, "a@north")), Code::NotPermitted);
    assert_eq!(code(town.leave(&group, "e@south")), Code::NotPermitted);
    town.leave(&group, "b@south").unwrap();
    assert_eq!(code(town.leave(&group, "b@south")), Code::NotPermitted);
    town.carry_all();
    assert_eq!(town.members("south", &group), ["a@north Owner", "a@south Member", "a@west Member", "b@north Member"]);
    assert_eq!(town.news("b@south").last().unwrap(), "group.notice 2");
    assert_eq!(town.news("a@south").last().unwrap(), "group.notice 2");
}

#[test]
fn a_dissolved_group_is_over_for_everybody() {
    let (town, group) = town();
    let by = |who: &str| {
        let act = act(&group, who);
        town.at("north").write(move |tx, scene| manage::dissolve(tx, scene, &act))
    };
    assert_eq!(code(by("b@north")), Code::NotPermitted);
    by("a@north").unwrap();
    town.carry_all();
    for who in ["a@north", "b@north", "a@south", "b@south", "a@west"] {
        assert_eq!(town.news(who).last().unwrap(), "group.notice 3", "{who}");
        assert_eq!(code(town.say(&group, who, "anyone?")), Code::WrongState, "{who}");
    }
    assert_eq!(code(by("a@north")), Code::WrongState);
    assert_eq!(code(town.invite(&group, "a@north", &["c@north"])), Code::WrongState);
    assert_eq!(code(view::for_peer(&town.at("north").view(), &group, &server("south"), false)), Code::WrongState);
    assert!(view::search(&town.at("north").view(), "tea", 0).unwrap().groups.is_empty());
    assert!(member::groups_of(&town.at("south").view(), &user("a@south")).unwrap().is_empty());
}

#[test]
fn a_group_is_transferred_only_to_a_member_at_its_owners_own_server() {
    let (town, group) = town();
    let give = |from: &str, to: &str| {
        let (act, to) = (act(&group, from), user(to));
        town.at("north").write(move |tx, scene| manage::transfer(tx, scene, &act, &to))
    };
    assert_eq!(code(give("a@north", "a@south")), Code::InvalidField);
    assert_eq!(code(give("a@north", "a@north")), Code::InvalidField);
    assert_eq!(code(give("a@north", "e@north")), Code::NotPermitted);
    assert_eq!(code(give("b@north", "b@north")), Code::NotPermitted);
    give("a@north", "b@north").unwrap();
    town.carry_all();
    for server in ["north", "south", "west"] {
        let members = town.members(server, &group);
        assert!(members.contains(&"b@north Owner".to_owned()) && members.contains(&"a@north Member".to_owned()));
        assert_eq!(town.group(server, &group).unwrap().owner, user("b@north"), "{server}");
    }
    assert_eq!(town.news("a@west").last().unwrap(), "group.notice 6");
    assert_eq!(code(give("a@north", "b@north")), Code::NotPermitted);
}

#[test]
fn admins_are_made_and_unmade_by_the_owner_and_everybody_learns_it_once() {
    let (town, group) = town();
    let name = |by: &str, who: &[&str], admin: bool| {
        let (act, users) = (act(&group, by), ids(who));
        town.at("north").write(move |tx, scene| manage::set_admins(tx, scene, &act, &users, admin))
    };
    assert_eq!(code(name("b@north", &["a@south"], true)), Code::NotPermitted);
    assert_eq!(code(name("a@north", &["e@south"], true)), Code::NotPermitted);
    assert_eq!(code(name("a@north", &["a@north"], true)), Code::InvalidField);
    name("a@north", &["a@south", "b@north"], true).unwrap();
    assert!(name("a@north", &["a@south"], true).unwrap().letters.is_empty(), "an admin already");
    town.carry_all();
    assert!(town.members("west", &group).contains(&"a@south Admin".to_owned()));
    assert_eq!(town.news("a@west").last().unwrap(), "group.notice 4");
    name("a@north", &["a@south"], false).unwrap();
    town.carry_all();
    assert!(town.members("west", &group).contains(&"a@south Member".to_owned()));
    assert_eq!(town.news("a@west").last().unwrap(), "group.notice 5");
}

#[test]
fn owner_and_admins_change_details_and_settings_and_mirrors_follow() {
    let (town, group) = town();
    let change = |by: &str, update: Update| {
        let act = act(&group, by);
        town.at("north").write(move |tx, scene| manage::update(tx, scene, &act, update))
    };
    let name = |name: &str| Update { name: Some(name.to_owned()), ..Update::default() };
    assert_eq!(code(change("a@south", name("x"))), Code::NotPermitted);
    assert_eq!(code(change("e@south", name("x"))), Code::NotPermitted);
    assert_eq!(code(change("a@north", name(""))), Code::MissingField);
    assert_eq!(code(change("a@north", name(&"x".repeat(129)))), Code::InvalidField);
    change("a@north", Update { set: Some(set(false, false)), ..name("咖啡 ☕") }).unwrap();
    assert!(change("a@north", name("咖啡 ☕")).unwrap().letters.is_empty(), "nothing changed");
    town.carry_all();
    let mirror = town.group("west", &group).unwrap();
    assert_eq!((mirror.name.as_str(), mirror.open, mirror.visible), ("咖啡 ☕", false, false));
    assert_eq!(town.news("a@west").last().unwrap(), "group.notice 7");
}

#[test]
fn a_message_is_posted_once_per_member_server_the_senders_too_and_all_have_mains_order() {
    let (town, group) = town();
    town.say(&group, "a@south", "one").unwrap();
    town.say(&group, "a@north", "two").unwrap();
    let to_main = town.heads("south");
    assert_eq!((to_main.len(), &*to_main[0].id.lane.peer), (1, "north"));
    town.carry_all();
    for server in ["north", "south", "west"] {
        assert_eq!(town.history(server, &group), ["two", "one"], "{server}");
    }
    assert_eq!(town.heard("b@south"), ["two", "one"]);
    assert_eq!((town.heard("a@south"), town.heard("a@north")), (vec!["two".to_owned()], vec!["one".to_owned()]));
    let story = town.at("south").story("a@south");
    assert!(story.contains(&"sent one waiting".to_owned()) && story.contains(&"receipt delivered".to_owned()));
    let accepted = town.say(&group, "b@north", "three").unwrap();
    assert_eq!((accepted.state, accepted.letters.len()), (State::Delivered, 2), "one each for south and west");
}

#[test]
fn main_takes_messages_of_members_from_their_own_servers_only_and_once() {
    let (town, group) = town();
    let post = |peer: &str, from: &str, id: &str, words: &str| {
        town.message(peer, "north", in_group(&group, from, id, words), None).map_err(|refusal| refusal.code)
    };
    assert_eq!(post("west", "a@south", "m1", "x"), Err(Code::MayNotActFor));
    assert_eq!(post("south", "a@north", "m1", "x"), Err(Code::MayNotActFor));
    assert_eq!(post("south", "e@south", "m1", "x"), Err(Code::NotPermitted));
    assert_eq!(post("south", "a@south", "m1", "x"), Ok(()));
    assert_eq!(post("south", "a@south", "m1", "x"), Ok(()), "again");
    assert_eq!(post("south", "a@south", "m1", "y"), Err(Code::AlreadyExists), "other words");
    assert_eq!(post("west", "a@west", "m1", "x"), Err(Code::AlreadyExists), "the ID stands for another's message");
    assert_eq!(town.history("north", &group), ["x"]);
    assert!(duplicate(town.at("north"), &in_group(&group, "a@south", "m1", "x")));
    let gone = GroupId::parse("g-1@north").unwrap();
    assert_eq!(
        town.message("south", "north", in_group(&gone, "a@south", "m9", "x"), None).unwrap_err().code,
        Code::NotFound
    );
}

#[test]
fn r12_a_mirror_takes_messages_and_notices_from_main_only_and_no_words_its_own_users_never_wrote() {
    let (town, group) = town();
    let code = |peer: &str, from: &str, id: &str| {
        town.message(peer, "south", in_group(&group, from, id, "x"), None).map_err(|refusal| refusal.code)
    };
    assert_eq!(code("west", "a@west", "m1"), Err(Code::MayNotActFor), "a member's server speaks to main");
    assert_eq!(code("north", "a@south", "m1"), Err(Code::MayNotActFor), "invented");
    assert_eq!(code("north", "a@west", "m1"), Ok(()));
    assert_eq!(town.heard("b@south"), ["x"]);
}

#[test]
fn history_goes_both_ways_from_a_cursor_and_from_either_end_in_mains_order() {
    let (town, group) = town();
    let said: Vec<_> = (1..=5).map(|n| town.say(&group, "a@north", &n.to_string()).unwrap().message_id).collect();
    town.carry_all();
    let read = |server: &str, cursor: Option<&MessageId>, size: i32| {
        let view = town.at(server).view();
        let page = log::history(&view, &town.group(server, &group).unwrap(), cursor, size).unwrap();
        assert_eq!((page.max.as_ref(), page.min.as_ref()), (Some(&said[4]), Some(&said[0])));
        page.messages.iter().map(|m| m.info().unwrap().content.text().unwrap().to_owned()).collect::<String>()
    };
    for server in ["north", "south"] {
        let cases = [(None, 2, "12"), (None, -2, "45"), (Some(2), 2, "45"), (Some(2), -2, "12"), (Some(0), -5, "")];
        for (cursor, size, expected) in cases {
            assert_eq!(read(server, cursor.map(|n: usize| &said[n]), size), expected, "{server} {cursor:?} {size}");
        }
        assert_eq!(read(server, Some(&said[0]), 100), "2345");
        assert_eq!(read(server, None, 200), "12345");
    }
    let unknown = MessageId::parse("nothing").unwrap();
    let page = log::history(&town.at("north").view(), &town.group("north", &group).unwrap(), Some(&unknown), 5);
    assert_eq!(code(page), Code::NotFound);
    let empty = town.found("b@north");
    let page = log::history(&town.at("north").view(), &town.group("north", &empty).unwrap(), None, -5).unwrap();
    assert_eq!(page.answer().unwrap().max_message_id, "-1");
}

#[test]
fn who_may_look_into_a_group() {
    let (town, group) = town();
    let north = town.at("north").view();
    let peer = |id: &str, members| view::for_peer(&north, &group, &server(id), members).map(drop);
    assert!(peer("south", true).is_ok() && peer("SOUTH", true).is_ok() && peer("elsewhere", false).is_ok());
    assert_eq!(code(peer("elsewhere", true)), Code::NotPermitted);
    assert!(view::for_user(&north, &group, &user("e@north"), false).is_ok());
    assert_eq!(code(view::for_user(&north, &group, &user("e@north"), true)), Code::NotPermitted);
    let south = town.at("south").view();
    assert!(view::for_peer(&south, &group, &server("west"), true).is_ok(), "a mirror answers members' servers");
    assert_eq!(code(view::for_peer(&south, &group, &server("elsewhere"), false)), Code::NotFound);
}

#[test]
fn sender_owner_and_admins_may_recall() {
    let (town, group) = town();
    let may = |server: &str, who: &str, sender: &str| {
        group::may_recall(&town.at(server).view(), &group, &user(who), &user(sender)).unwrap()
    };
    for server in ["north", "south"] {
        assert!(may(server, "a@south", "a@south") && may(server, "a@north", "a@south"), "{server}");
        assert!(!may(server, "b@south", "a@south") && !may(server, "e@south", "e@south"), "{server}");
    }
    let (by, admins) = (act(&group, "a@north"), ids(&["b@south"]));
    town.at("north").write(move |tx, scene| manage::set_admins(tx, scene, &by, &admins, true)).unwrap();
    town.carry_all();
    assert!(may("north", "b@south", "a@south") && may("south", "b@south", "a@south"));
}

#[test]
fn plugins_learn_who_shares_a_group() {
    let (town, _) = town();
    let share = |server_id: &str, a: &str, b: &str| {
        group::same_group(&town.at(server_id).view(), &server(server_id), &user(a), &user(b)).unwrap()
    };
    assert!(share("south", "a@south", "a@north") && share("south", "a@north", "a@south"));
    assert!(share("north", "b@north", "a@west") && !share("north", "c@north", "a@west"));
    assert!(!share("north", "a@south", "a@west"), "neither is ours");
}

#[test]
fn a_disabled_founder_founds_nothing_and_a_disabled_user_is_not_invited() {
    let town = Town::new(&["north"]);
    town.at("north").write(|tx, _| account::set_disabled(tx, &user("b@north"), true)).unwrap();
    let group = town.found("a@north");
    assert_eq!(code(town.invite(&group, "a@north", &["b@north"])), Code::NotFound);
    let new = NewGroup { name: "x".into(), icon: None, open: true, visible: true };
    let founder = person("b@north");
    let found = town.at("north").write(move |tx, scene| manage::create(tx, scene, &founder, new, EXPIRES));
    assert_eq!(code(found), Code::NoIdentity);
    assert_eq!(inbox::head(&town.at("north").view(), &user("b@north")).unwrap(), 0);
}
