//! Main and mirrors under partitions, lost, doubled, delayed and refused calls and restarts, without a network. The seed is
//! printed; `ISTHMUS_SEED` chooses the same course again, `ISTHMUS_ROUNDS` how many courses.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use isthmus_domain::group::{Update, manage, mirror};
use isthmus_domain::outbox::{Load, Settlement};
use isthmus_wire::GroupId;

use crate::place::user;
use crate::town::{Broken, Town, act, ids};

/// Small and repeatable.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

const SERVERS: [&str; 4] = ["north", "south", "west", "east"];
/// Members from beginning to end: they must see everything.
const STAY: [&str; 5] = ["a@north", "b@north", "a@south", "a@west", "b@west"];
/// They come and go; east has nobody else.
const COME_AND_GO: [&str; 5] = ["c@north", "b@south", "c@west", "a@east", "b@east"];

struct Course {
    town: Town,
    group: GroupId,
    dice: Dice,
    cut: BTreeSet<&'static str>,
    said: usize,
}

impl Course {
    fn new(seed: u64) -> Course {
        let town = Town::new(&SERVERS);
        let group = town.with_members(&STAY);
        Course { town, group, dice: Dice(seed | 1), cut: BTreeSet::new(), said: 0 }
    }

    fn step(&mut self) {
        match self.dice.below(20) {
            0..=3 => self.say(),
            4 => self.come_or_go(),
            5 => self.change(),
            6 => self.partition(),
            7 => self.restart(),
            _ => self.carry(),
        }
    }

    /// The whole course, with all that must hold on the way and at its end.
    fn run(mut self, steps: usize) {
        for step in 0..steps {
            self.step();
            if step % 25 == 0 {
                self.nobody_saw_a_gap();
            }
        }
        self.heal();
        self.all_is_one();
        assert!(self.said > 10 && SERVERS.iter().all(|server| self.town.heads(server).is_empty()));
    }

    fn say(&mut self) {
        let everybody = [STAY.as_slice(), COME_AND_GO.as_slice()].concat();
        let who = self.dice.one(&everybody);
        self.said += 1;
        // Whoever is no member as far as its server knows is refused: that is as it should be.
        let _ = self.town.say(&self.group, who, &format!("{:04} {who}", self.said));
    }

    /// What a member's server asks of main at once; it is refused if main is away.
    fn come_or_go(&mut self) {
        let who = self.dice.one(&COME_AND_GO);
        let home = who.rsplit_once('@').unwrap().1;
        if self.cut.contains(home) || self.cut.contains("north") {
            return;
        }
        let member = self.town.members("north", &self.group).iter().any(|m| m.starts_with(who));
        if !member {
            self.town.invite(&self.group, "a@north", &[who]).unwrap();
            self.town.answer(&self.group, who, true).unwrap();
        } else if self.dice.below(2) == 0 {
            self.town.leave(&self.group, who).unwrap();
        } else {
            self.town.remove(&self.group, "a@north", &[who]).unwrap();
        }
    }

    fn change(&mut self) {
        let by = act(&self.group, "a@north");
        if self.dice.below(2) == 0 {
            let name = format!("name {}", self.said);
            let update = Update { name: Some(name), ..Update::default() };
            self.town.at("north").write(move |tx, scene| manage::update(tx, scene, &by, update)).unwrap();
        } else {
            let (who, admin) = (ids(&[self.dice.one(&STAY[1..])]), self.dice.below(2) == 0);
            self.town.at("north").write(move |tx, scene| manage::set_admins(tx, scene, &by, &who, admin)).unwrap();
        }
    }

    fn partition(&mut self) {
        let server = self.dice.one(&SERVERS);
        if !self.cut.remove(server) {
            self.cut.insert(SERVERS.iter().find(|s| **s == server).unwrap());
        }
    }

    /// A server that starts compares its mirrors with main.
    fn restart(&mut self) {
        let server = self.dice.one(&SERVERS[1..]);
        if !self.cut.contains(server) && !self.cut.contains("north") {
            self.town.heal(server, &self.group);
        }
    }

    /// One letter on its way, and what may happen to it.
    fn carry(&mut self) {
        let from = self.dice.one(&SERVERS);
        let heads = self.town.heads(from);
        if heads.is_empty() || self.cut.contains(from) {
            return;
        }
        let letter = &heads[self.dice.below(heads.len())];
        if self.cut.contains(&*letter.id.lane.peer) {
            return;
        }
        match self.dice.below(12) {
            // The request is lost: it waits.
            0 => {}
            // The answer is lost: the same comes again.
            1 | 2 => drop(self.town.hand_over(from, letter)),
            // Its time is over, or it is refused: it never comes. Only what main sends, for a member's own words are lost then.
            3 if from == "north" => self.town.settle(from, letter, Settlement::Expired),
            _ => drop(self.town.carry(from, letter)),
        }
    }

    /// Whoever was a member all the time has seen a beginning of main's order, each message once.
    fn nobody_saw_a_gap(&self) {
        let order = self.town.history("north", &self.group);
        for who in STAY {
            let heard = self.town.heard(who);
            let due: Vec<_> = order.iter().filter(|words| !words.ends_with(who)).take(heard.len()).collect();
            assert_eq!(heard.iter().collect::<Vec<_>>(), due, "{who}");
        }
    }

    fn heal(&mut self) {
        self.cut.clear();
        for _ in 0..3 {
            self.town.carry_all();
            SERVERS[1..].iter().for_each(|server| self.town.heal(server, &self.group));
        }
    }

    fn all_is_one(&self) {
        let order = self.town.history("north", &self.group);
        self.nobody_saw_a_gap();
        for who in STAY {
            let due = order.iter().filter(|words| !words.ends_with(who)).count();
            assert_eq!(self.town.heard(who).len(), due, "{who} lacks something");
        }
        for who in COME_AND_GO {
            let heard = self.town.heard(who);
            let mut rest = order.iter();
            assert!(heard.iter().all(|words| rest.any(|w| w == words)), "{who}: {heard:?} in another order");
        }
        for server in ["south", "west"] {
            let theirs = self.town.history(server, &self.group);
            assert!(order.ends_with(&theirs) && theirs.len() == order.len(), "{server}: {theirs:?}\n{order:?}");
        }
        let members = self.town.members("north", &self.group);
        for server in &SERVERS[1..] {
            let stand = mirror::standing(&self.town.at(server).view(), &self.group).unwrap();
            let has = members.iter().any(|m| m.contains(&format!("@{server} ")));
            assert_eq!(stand.is_some_and(|stand| stand.lives), has, "{server} has members");
            if has {
                assert_eq!(self.town.members(server, &self.group), members, "{server}");
                let (theirs, ours) = (self.town.group(server, &self.group), self.town.group("north", &self.group));
                assert_eq!(theirs.unwrap().info(), ours.unwrap().info(), "{server}");
            }
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
#[allow(clippy::print_stdout, reason = "cargo shows it when the test fails")]
fn after_any_partition_all_servers_have_the_same_messages_in_the_same_order_and_the_same_members() {
    let rounds = number("ISTHMUS_ROUNDS").unwrap_or(6);
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let first = number("ISTHMUS_SEED").unwrap_or(u64::from(clock.subsec_nanos()) << 8);
    for seed in (0..rounds).map(|round| first.wrapping_add(round.wrapping_mul(0x9E37_79B9_7F4A_7C15))) {
        println!("ISTHMUS_SEED={seed} ISTHMUS_ROUNDS=1 goes the same course again");
        Course::new(seed).run(250);
    }
}

/// A simulation that finds nothing may be one that sees nothing.
#[test]
fn a_main_server_or_mirror_that_does_wrong_is_caught() {
    for broken in [
        Broken::TakesGaps,
        Broken::NeverHeals,
        Broken::Repeats,
        Broken::Reorders,
        Broken::ForgetsMembers,
        Broken::ForgetsMessages,
    ] {
        let caught = (1..=20_u64).any(|seed| {
            let course = AssertUnwindSafe(move || {
                let mut course = Course::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                course.town.broken = Some(broken);
                course.run(150);
            });
            std::panic::catch_unwind(course).is_err()
        });
        assert!(caught, "{broken:?} went unnoticed");
    }
}

#[test]
fn a_letter_is_a_message_or_a_notice() {
    let town = Town::new(&["north", "south"]);
    let group = town.with_members(&["a@north", "a@south"]);
    town.say(&group, "a@north", "x").unwrap();
    town.leave(&group, "a@south").unwrap();
    let loads: Vec<_> = town.waiting("north").iter().map(|l| matches!(l.load, Load::Message { .. })).collect();
    assert_eq!(loads, [true, false], "in one lane, in main's order");
    assert_eq!(user("a@south"), user("a@south"));
}
