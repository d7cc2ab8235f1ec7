//! Mirrors (§7.7.1, R22): whatever is missed is healed before anything else is shown.

use isthmus_domain::group::mirror::{self, Follows, Taken};
use isthmus_domain::group::{Base, Update, join, log, manage, stamp};
use isthmus_domain::held::{self, Hold};
use isthmus_domain::message::Disposition;
use isthmus_domain::outbox::{Load, Settlement, Waiting};
use isthmus_domain::recall::Recall;
use isthmus_domain::{Scene, account, stored};
use isthmus_wire::call::group::{Notice, OperType};
use isthmus_wire::{Code, Content, GroupId, MessageId};

use crate::place::{refused, server};
use crate::town::{EXPIRES, Town, act, ids, in_group, incoming, person};

fn town() -> (Town, GroupId) {
    let town = Town::new(&["north", "south", "west"]);
    let group = town.with_members(&["a@north", "b@north", "a@south", "b@south", "a@west"]);
    (town, group)
}

/// Throws the first letter for a server away, as if its time were over.
fn lose(town: &Town, peer: &str) -> Waiting {
    let letter = town.heads("north").into_iter().find(|letter| &*letter.id.lane.peer == peer).unwrap();
    town.settle("north", &letter, Settlement::Expired);
    letter
}

fn rename(town: &Town, group: &GroupId, name: &str) {
    let (by, update) = (act(group, "a@north"), Update { name: Some(name.into()), ..Update::default() });
    town.at("north").write(move |tx, scene| manage::update(tx, scene, &by, update)).unwrap();
}

#[test]
fn a_message_that_was_missed_is_fetched_before_the_next_is_shown() {
    let (town, group) = town();
    for words in ["1", "2", "3", "4"] {
        town.say(&group, "a@north", words).unwrap();
    }
    lose(&town, "south");
    lose(&town, "south");
    town.carry_all();
    assert_eq!(town.history("south", &group), ["1", "2", "3", "4"]);
    assert_eq!(town.heard("a@south"), ["1", "2", "3", "4"]);
}

#[test]
fn a_message_that_comes_again_is_shown_once() {
    let (town, group) = town();
    town.say(&group, "a@north", "1").unwrap();
    town.say(&group, "a@north", "2").unwrap();
    let first = town.heads("north").into_iter().find(|letter| &*letter.id.lane.peer == "south").unwrap();
    town.hand_over("north", &first).unwrap();
    town.carry_all();
    town.hand_over("north", &first).unwrap();
    assert_eq!(town.heard("a@south"), ["1", "2"]);
}

#[test]
fn a_change_that_was_missed_is_noticed_by_the_next_message_or_notice() {
    let (town, group) = town();
    town.join(&group, "a@north", "c@south");
    let lost = lose(&town, "south");
    assert!(matches!(lost.load, Load::Errand(_)));
    town.say(&group, "a@north", "welcome").unwrap();
    town.carry_all();
    assert_eq!(town.heard("c@south"), ["welcome"], "a member that the mirror had not heard of");
    assert_eq!(town.news("c@south").last().unwrap(), "group.notice 1");
    rename(&town, &group, "lost");
    lose(&town, "south");
    let (by, admins) = (act(&group, "a@north"), ids(&["c@south"]));
    town.at("north").write(move |tx, scene| manage::set_admins(tx, scene, &by, &admins, true)).unwrap();
    lose(&town, "south");
    town.leave(&group, "a@west").unwrap();
    town.carry_all();
    assert_eq!(town.members("south", &group), town.members("north", &group));
    assert_eq!(town.group("south", &group).unwrap().name, "lost");
}

#[test]
fn a_server_that_never_heard_of_its_first_member_learns_it_from_the_first_message() {
    let town = Town::new(&["north", "south"]);
    let group = town.with_members(&["a@north"]);
    town.say(&group, "a@north", "before").unwrap();
    town.join(&group, "a@north", "a@south");
    lose(&town, "south");
    assert!(town.group("south", &group).is_none());
    town.say(&group, "a@north", "1").unwrap();
    town.say(&group, "a@north", "2").unwrap();
    town.carry_all();
    assert_eq!(town.members("south", &group), ["a@north Owner", "a@south Member"]);
    assert_eq!(town.heard("a@south"), ["1", "2"]);
}

#[test]
fn members_time_begins_with_what_main_had_when_they_came() {
    let town = Town::new(&["north", "south"]);
    let group = town.with_members(&["a@north", "b@north"]);
    town.say(&group, "a@north", "before").unwrap();
    town.join(&group, "a@north", "a@south");
    town.say(&group, "b@north", "1").unwrap();
    town.say(&group, "b@north", "2").unwrap();
    let letters = town.heads("north");
    town.carry("north", &letters[0]).unwrap();
    lose(&town, "south");
    town.carry_all();
    assert_eq!(town.heard("a@south"), ["1", "2"], "the first message after joining was lost, and is not missing");
}

#[test]
fn who_comes_back_is_shown_nothing_of_the_time_between() {
    let (town, group) = town();
    town.say(&group, "a@north", "1").unwrap();
    town.carry_all();
    town.leave(&group, "a@west").unwrap();
    town.say(&group, "a@north", "between").unwrap();
    town.carry_all();
    town.join(&group, "a@north", "a@west");
    town.say(&group, "a@north", "2").unwrap();
    town.carry_all();
    assert_eq!(town.heard("a@west"), ["1", "2"]);
    assert_eq!(town.history("west", &group), ["2"]);
}

#[test]
fn whoever_missed_its_own_removal_or_the_groups_end_learns_it_when_it_compares() {
    let (town, group) = town();
    town.remove(&group, "a@north", &["a@west"]).unwrap();
    lose(&town, "west");
    town.carry_all();
    town.heal("west", &group);
    assert_eq!(town.news("a@west").last().unwrap(), "group.notice 2");
    assert_eq!(refused(town.say(&group, "a@west", "x")).0, Code::NotPermitted);
    let by = act(&group, "a@north");
    town.at("north").write(move |tx, scene| manage::dissolve(tx, scene, &by)).unwrap();
    lose(&town, "south");
    town.heal("south", &group);
    assert_eq!(town.news("a@south").last().unwrap(), "group.notice 3");
    assert!(town.group("south", &group).unwrap().dissolved);
}

#[test]
fn a_main_that_knows_only_the_standard_is_believed_message_by_message_and_healed_by_comparing() {
    let (town, group) = town();
    for words in ["1", "2", "3"] {
        town.say(&group, "a@north", words).unwrap();
    }
    let letters: Vec<_> = town.waiting("north").into_iter().filter(|l| &*l.id.lane.peer == "south").collect();
    let plain = |letter: &Waiting| {
        let Load::Message { record, .. } = &letter.load else { panic!() };
        let said = stored::get(&town.at("north").view(), record).unwrap().unwrap().info().unwrap();
        town.message("north", "south", said, None).unwrap();
    };
    plain(&letters[0]);
    for letter in &letters[..2] {
        town.settle("north", letter, Settlement::Expired);
    }
    town.heal("south", &group);
    plain(&letters[2]);
    assert_eq!(town.heard("a@south"), ["1", "2", "3"]);
}

#[test]
fn notices_of_a_main_that_knows_only_the_standard_count_members_and_change_nothing_twice() {
    let (town, group) = town();
    let main = town.group("north", &group).unwrap();
    let tell = |oper_type: OperType, users: &[&str], many: i32| {
        let mut group_info = main.info();
        group_info.group_member_num = many;
        let users = users.iter().map(|id| person(id)).collect();
        let notice = Notice { group_info, oper_type, oper_user: person("a@north"), grpset: None, users };
        town.at("south").write(move |tx, scene| mirror::notice(tx, scene, &server("north"), &notice, None)).unwrap()
    };
    let first = tell(OperType::Added, &["c@south"], 6);
    assert_eq!((first.stale, first.done.deliveries.len()), (false, 3));
    let again = tell(OperType::Added, &["c@south"], 6);
    assert_eq!((again.stale, again.done.deliveries.len()), (false, 0));
    assert!(tell(OperType::Removed, &["c@south"], 7).stale, "main counts otherwise: something was missed");
    assert!(tell(OperType::AdminSet, &["e@west"], 5).stale, "an admin who is no member here");
}

#[test]
fn notices_come_from_main_alone() {
    let (town, group) = town();
    let info = town.group("north", &group).unwrap().info();
    let notice = Notice {
        group_info: info,
        oper_type: OperType::Dissolved,
        oper_user: person("a@north"),
        grpset: None,
        users: Vec::new(),
    };
    for (at, from) in [("south", "west"), ("north", "south"), ("north", "west")] {
        let (notice, from) = (notice.clone(), server(from));
        let told = town.at(at).write(move |tx, scene| mirror::notice(tx, scene, &from, &notice, None));
        assert_eq!(refused(told).0, Code::MayNotActFor, "{at}");
    }
    assert!(!town.group("north", &group).unwrap().dissolved && !town.group("south", &group).unwrap().dissolved);
}

#[test]
fn what_this_servers_policy_refuses_is_left_out_and_what_follows_still_follows() {
    let (town, group) = town();
    town.say(&group, "a@north", "bad").unwrap();
    town.say(&group, "a@north", "good").unwrap();
    let letter = lose(&town, "south");
    let Load::Message { record, .. } = &letter.load else { panic!() };
    let said = stored::get(&town.at("north").view(), record).unwrap().unwrap().info().unwrap();
    let stamp = stamp::of_message(&town.at("north").view(), &group, &said.message_id).unwrap().unwrap();
    town.at("south")
        .write(move |tx, scene| mirror::withhold(tx, scene.home, &server("north"), &said, &Follows::Stamp(stamp)))
        .unwrap();
    town.carry_all();
    town.heal("south", &group);
    assert_eq!(town.history("south", &group), ["good"]);
    assert_eq!(town.heard("a@south"), ["good"]);
}

#[test]
fn what_is_held_at_a_mirror_is_shown_when_it_is_released_and_keeps_its_place_in_history() {
    let (town, group) = town();
    let south = town.at("south");
    let mut held_message = incoming(south, "north", in_group(&group, "a@north", "m1", "odd"));
    let id = held_message.id;
    let hold = Hold { code: "keyword".into(), text: "awaits review".into(), plugin: "content-filter".into() };
    held_message.disposition = Disposition::Hold(hold);
    south.write(move |tx, scene| mirror::take(tx, scene, held_message, &Follows::Unsaid)).unwrap();
    town.message("north", "south", in_group(&group, "a@north", "m2", "even"), None).unwrap();
    assert_eq!(town.heard("a@south"), ["even"]);
    assert_eq!(town.history("south", &group), ["even"]);
    let done = south.write(move |tx, scene| held::release(tx, scene, &id, EXPIRES, vec![])).unwrap().done;
    assert_eq!(done.deliveries.len(), 2);
    assert_eq!(town.heard("a@south"), ["even", "odd"]);
    assert_eq!(town.history("south", &group), ["odd", "even"]);
}

#[test]
fn what_is_held_at_main_takes_its_place_when_it_is_released() {
    let (town, group) = town();
    let north = town.at("north");
    let mut odd = crate::town::submission(north, &group, "b@north", "odd");
    let id = odd.id;
    let hold = Hold { code: "keyword".into(), text: "awaits review".into(), plugin: "content-filter".into() };
    odd.disposition = Disposition::Hold(hold);
    assert!(north.accept(odd).unwrap().letters.is_empty());
    town.say(&group, "a@north", "even").unwrap();
    let done = north.write(move |tx, scene| held::release(tx, scene, &id, EXPIRES, vec![])).unwrap().done;
    assert_eq!(done.letters.len(), 2, "one for south, one for west");
    town.carry_all();
    for server in ["north", "south", "west"] {
        assert_eq!(town.history(server, &group), ["even", "odd"], "{server}");
    }
}

#[test]
fn a_page_of_history_is_taken_only_where_it_goes_on() {
    let (town, group) = town();
    let take = |id: &str, after: Option<&str>| {
        let after = after.map_or(Base::Start, |id| Base::After(MessageId::parse(id).unwrap()));
        let south = town.at("south");
        let incoming = incoming(south, "north", in_group(&group, "a@north", id, id));
        south.write(move |tx, scene| mirror::take(tx, scene, incoming, &Follows::After(after))).unwrap()
    };
    assert!(matches!(take("2", Some("1")), Taken::Behind));
    assert!(matches!(take("1", None), Taken::Kept(_)));
    assert!(matches!(take("2", Some("1")), Taken::Kept(_)));
    assert!(matches!(take("1", None), Taken::Duplicate));
    assert!(matches!(take("4", Some("3")), Taken::Behind));
}

#[test]
fn a_main_that_lost_its_end_goes_on_from_what_it_has() {
    let (town, group) = town();
    town.message("north", "south", in_group(&group, "a@north", "lost by main", "x"), None).unwrap();
    let id = group.clone();
    town.at("south").write(move |tx, _| mirror::rebase(tx, &id, Base::Start)).unwrap();
    town.say(&group, "a@north", "new").unwrap();
    town.carry_all();
    assert_eq!(town.heard("a@south"), ["x", "new"]);
}

/// Everybody applies, and the owner lets them in by inviting them, 500 at a time.
fn five_thousand(town: &Town, group: &GroupId) {
    for batch in 0..10_usize {
        let id = group.clone();
        let rule = move |tx: &mut isthmus_store::Tx<'_>, scene: &mut Scene<'_>| {
            let mut users = Vec::new();
            for number in batch * 500..((batch + 1) * 500).min(4_999) {
                let home = server(&format!("server{}", number % 10));
                let who = person(&format!("u{number}@{home}"));
                if home == *scene.home {
                    let local = format!("u{number}");
                    let new = account::NewUser { name: local.clone(), local, password_hash: None, phone_number: None };
                    account::create_user(tx, scene, new)?;
                }
                let (by, only) = (act(&id, who.user_id.as_str()), [who.clone()]);
                join::request(tx, scene, &by, &who, &only, &home)?;
                users.push(who);
            }
            let owner = act(&id, "a@server0");
            join::request(tx, scene, &owner, &person("a@server0"), &users, &server("server0"))
        };
        let done = town.at("server0").write(rule).unwrap();
        assert!(done.letters.len() <= 3 * 9, "a notice names 200: {}", done.letters.len());
    }
}

/// §7.7.1 at its size: 5,000 members on 10 servers.
#[test]
#[allow(clippy::print_stdout, reason = "figures, shown with --nocapture")]
fn r22_five_thousand_members_on_ten_servers_cost_one_letter_a_server_and_message() {
    let names: Vec<String> = (0..10).map(|n| format!("server{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let town = Town::new(&names);
    let group = town.found("a@server0");
    let began = std::time::Instant::now();
    five_thousand(&town, &group);
    println!("5,000 joined within {:?}", began.elapsed());
    let main = town.at("server0");
    assert_eq!(town.group("server0", &group).unwrap().members, 5_000);
    let began = std::time::Instant::now();
    for number in 0..10 {
        let accepted = town.say(&group, "a@server0", &number.to_string()).unwrap();
        assert_eq!(accepted.letters.len(), 9, "one a server, whatever the number of members");
        assert_eq!(accepted.deliveries.len(), 1 + 500, "the sender's own, and one for each of main's other members");
    }
    println!("a message to 5,000 members: {:?}", began.elapsed() / 10);
    let page = log::history(&main.view(), &town.group("server0", &group).unwrap(), None, 200).unwrap();
    assert_eq!(page.messages.len(), 10);
}

#[test]
fn r7_what_main_lets_be_recalled_is_gone_for_everybody_and_a_recall_that_may_not_be_changes_nothing() {
    let (town, group) = town();
    let said = town.say(&group, "a@south", "oops").unwrap().message_id;
    town.carry_all();
    let recall = |who: &str, window_ms: u64| {
        let place = town.at(who.rsplit_once('@').unwrap().1);
        let (group, message_id) = (group.clone(), said.clone());
        let act = Recall {
            id: place.mint(),
            actor: crate::place::user(who),
            message_id,
            window_ms,
            expires_ms: EXPIRES,
            audit: vec![],
        };
        place.write(move |tx, scene| isthmus_domain::group::recall::recall(tx, scene, &group, act))
    };
    assert_eq!(refused(recall("b@south", 1000)).0, Code::NotPermitted);
    assert_eq!(refused(recall("a@west", 1000)).0, Code::NotPermitted);
    assert_eq!(recall("a@south", 1000).unwrap().letters.len(), 1, "main decides");
    assert_eq!(town.history("south", &group), ["oops"], "nothing is marked before it has");
    town.carry_all();
    for server in ["north", "south", "west"] {
        let view = town.at(server).view();
        let page = log::history(&view, &town.group(server, &group).unwrap(), None, 10).unwrap();
        assert_eq!(page.messages.len(), 1, "{server}: the recall alone");
        assert!(matches!(page.messages[0].info().unwrap().content, Content::Repeal { .. }));
    }
    for who in ["a@north", "b@south", "a@south", "a@west"] {
        assert_eq!(town.news(who).iter().filter(|news| *news == "recalled").count(), 1, "{who}");
    }
    town.say(&group, "a@west", "after").unwrap();
    town.carry_all();
    assert!(town.heard("b@south").ends_with(&["after".to_owned()]));
}
