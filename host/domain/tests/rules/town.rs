//! Several servers without a network: letters are carried by hand, and mirrors heal as the node makes them.

use std::collections::BTreeMap;

use isthmus_domain::errand::Errand;
use isthmus_domain::group::mirror::{self, Follows, Taken};
use isthmus_domain::group::{self, Act, Base, Group, NewGroup, Stamp, join, log, member, open, post, stamp, view};
use isthmus_domain::message::{self, Accepted, Disposition, Incoming, Submission};
use isthmus_domain::outbox::{self, Load, Settlement, Waiting};
use isthmus_domain::{Digest, Done, Error, Event, peer, stored};
use isthmus_wire::call::group::{InfoAnswer, Invite, Member as Shown, Notice};
use isthmus_wire::{ChatScene, GroupId, MessageInfo, Refusal, ServerId, UserId, UserInfo, call, json};

use crate::place::{Place, info, server, text, user};

/// When everything that is sent is given up: far off.
pub(crate) const EXPIRES: u64 = 2_000_000_000_000;

pub(crate) struct Town {
    places: BTreeMap<String, Place>,
    /// Whether a mirror that learns that it missed something asks at once.
    pub(crate) heals: bool,
    /// What is wrong on purpose.
    pub(crate) broken: Option<Broken>,
}

/// What a server or the way between servers may do wrong, to see that the simulation notices it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Mirrors take what comes, whatever it follows.
    TakesGaps,
    /// Mirrors never compare themselves with main.
    NeverHeals,
    /// Main posts what was posted already under a new messageID.
    Repeats,
    /// Main's history is read from the wrong end.
    Reorders,
    /// Main forgets a member when it lists them.
    ForgetsMembers,
    /// Main's history leaves out what it has just put in order.
    ForgetsMessages,
}

/// What became of a letter that was carried.
pub(crate) type Carried = Result<(), Refusal>;

pub(crate) fn group_id(id: &str) -> GroupId {
    GroupId::parse(id).unwrap()
}

pub(crate) fn person(id: &str) -> UserInfo {
    UserInfo { user_id: user(id), name: id.to_uppercase(), phone_number: None, remark: None, portrait: None }
}

pub(crate) fn act(group: &GroupId, actor: &str) -> Act {
    Act { group: group.clone(), actor: user(actor), expires_ms: EXPIRES }
}

impl Town {
    /// These servers, each with users `a` to `e` and knowing all others.
    pub(crate) fn new(servers: &[&str]) -> Town {
        let mut places = BTreeMap::new();
        for id in servers {
            let place = Place::empty(id);
            for local in ["a", "b", "c", "d", "e"] {
                place.create(local);
            }
            for other in servers.iter().filter(|other| *other != id) {
                let other = info(other);
                let known = place.write(move |tx, scene| {
                    peer::put(tx, &other, scene.now_ms);
                    Ok(())
                });
                known.unwrap();
            }
            places.insert((*id).to_owned(), place);
        }
        Town { places, heals: true, broken: None }
    }

    pub(crate) fn at(&self, server: &str) -> &Place {
        &self.places[&server.to_ascii_lowercase()]
    }

    fn home(&self, user: &str) -> &Place {
        self.at(user.rsplit_once('@').unwrap().1)
    }

    /// A group of `owner`, open and visible.
    pub(crate) fn found(&self, owner: &str) -> GroupId {
        let new = NewGroup { name: "Tea 茶".into(), icon: None, open: true, visible: true };
        let who = person(owner);
        self.home(owner).write(move |tx, scene| group::manage::create(tx, scene, &who, new, EXPIRES)).unwrap().0.id
    }

    /// A group of the first with all the others as members, everything carried.
    pub(crate) fn with_members(&self, members: &[&str]) -> GroupId {
        let group = self.found(members[0]);
        for member in &members[1..] {
            self.join(&group, members[0], member);
        }
        self.carry_all();
        group
    }

    /// `inviter`, who leads the group at its main server, invites; the invited agrees.
    pub(crate) fn join(&self, group: &GroupId, inviter: &str, invited: &str) {
        self.invite(group, inviter, &[invited]).unwrap();
        self.carry_all();
        self.answer(group, invited, true).unwrap();
    }

    /// The main server of a group.
    pub(crate) fn main(&self, group: &GroupId) -> &Place {
        self.at(group.home_hint().unwrap())
    }

    pub(crate) fn invite(&self, group: &GroupId, inviter: &str, invited: &[&str]) -> Result<Done, Error> {
        let (act, who) = (act(group, inviter), person(inviter));
        let users: Vec<UserInfo> = invited.iter().map(|id| person(id)).collect();
        let home = self.home(inviter).home.clone();
        self.main(group).write(move |tx, scene| join::request(tx, scene, &act, &who, &users, &home))
    }

    pub(crate) fn answer(&self, group: &GroupId, user: &str, agree: bool) -> Result<Done, Error> {
        let act = act(group, user);
        self.main(group).write(move |tx, scene| join::answer(tx, scene, &act, agree))
    }

    pub(crate) fn remove(&self, group: &GroupId, actor: &str, who: &[&str]) -> Result<Done, Error> {
        let (act, users) = (act(group, actor), who.iter().map(|id| user(id)).collect::<Vec<_>>());
        self.main(group).write(move |tx, scene| group::manage::remove(tx, scene, &act, &users))
    }

    pub(crate) fn leave(&self, group: &GroupId, who: &str) -> Result<Done, Error> {
        let act = act(group, who);
        self.main(group).write(move |tx, scene| group::manage::leave(tx, scene, &act))
    }

    /// A member writes, at its own server.
    pub(crate) fn say(&self, group: &GroupId, from: &str, words: &str) -> Result<Accepted, Error> {
        let place = self.home(from);
        let submission = submission(place, group, from, words);
        place.accept(submission)
    }

    pub(crate) fn group(&self, server: &str, group: &GroupId) -> Option<Group> {
        group::find(&self.at(server).view(), group).unwrap()
    }

    /// Members as a server knows them: ID and standing.
    pub(crate) fn members(&self, server: &str, group: &GroupId) -> Vec<String> {
        let view = self.at(server).view();
        let Some(group) = group::find(&view, group).unwrap() else { return Vec::new() };
        let mut all: Vec<_> = member::all(&view, &group)
            .unwrap()
            .into_iter()
            .map(|member| format!("{} {:?}", member.info.user_id, member.kind))
            .collect();
        all.sort();
        all
    }

    /// What a server's history of a group says, from the oldest.
    pub(crate) fn history(&self, server: &str, group: &GroupId) -> Vec<String> {
        let view = self.at(server).view();
        let Some(group) = group::find(&view, group).unwrap() else { return Vec::new() };
        let (mut cursor, mut all) = (None, Vec::new());
        loop {
            let page = log::history(&view, &group, cursor.as_ref(), 200).unwrap();
            let Some(last) = page.messages.last() else { return all };
            cursor = Some(last.info().unwrap().message_id);
            all.extend(page.messages.iter().map(|m| m.info().unwrap().content.text().unwrap_or("(recall)").to_owned()));
        }
    }

    /// Texts of messages in a user's inbox.
    pub(crate) fn heard(&self, who: &str) -> Vec<String> {
        let inbox = self.home(who).inbox(who);
        let texts = inbox.iter().filter_map(|entry| match &entry.event {
            Event::Message(message) => message.info().unwrap().content.text().map(str::to_owned),
            Event::Sent { .. } | Event::Receipt { .. } | Event::News(_) | Event::Gone => None,
        });
        texts.collect()
    }

    /// Kinds of news in a user's inbox, with `operType` or result.
    pub(crate) fn news(&self, who: &str) -> Vec<String> {
        let inbox = self.home(who).inbox(who);
        let news = inbox.iter().filter_map(|entry| match &entry.event {
            Event::News(news) => Some(match (news.body.get("operType"), news.body.get("result")) {
                (Some(oper), _) => format!("{} {oper}", news.kind),
                (_, Some(result)) => format!("{} {}", news.kind, result.as_str().unwrap()),
                _ => news.kind.clone(),
            }),
            Event::Message(_) | Event::Sent { .. } | Event::Receipt { .. } | Event::Gone => None,
        });
        news.collect()
    }

    /// Everything that waits at a server, lane by lane.
    pub(crate) fn waiting(&self, server: &str) -> Vec<Waiting> {
        let view = self.at(server).view();
        let heads = outbox::heads(&view).unwrap();
        heads.iter().flat_map(|head| outbox::of_lane(&view, &head.id.lane, 0, 100_000).unwrap()).collect()
    }

    /// The first letter of each lane of a server.
    pub(crate) fn heads(&self, server: &str) -> Vec<Waiting> {
        outbox::heads(&self.at(server).view()).unwrap()
    }

    /// Carries all letters there are, and those that come of them.
    pub(crate) fn carry_all(&self) {
        while self.places.keys().any(|server| {
            let heads = self.heads(server);
            heads.iter().for_each(|letter| drop(self.carry(server, letter)));
            !heads.is_empty()
        }) {}
    }

    /// Carries one letter, and settles it as the peer answers.
    pub(crate) fn carry(&self, from: &str, letter: &Waiting) -> Carried {
        let carried = self.hand_over(from, letter);
        let settlement = match &carried {
            Ok(()) => Settlement::Delivered,
            Err(refusal) => Settlement::Refused { code: refusal.code, message: refusal.message.clone() },
        };
        self.settle(from, letter, settlement);
        carried
    }

    pub(crate) fn settle(&self, from: &str, letter: &Waiting, settlement: Settlement) {
        let id = letter.id.clone();
        self.at(from).write(move |tx, scene| outbox::settle(tx, scene, &id, settlement, None)).unwrap();
    }

    /// What the peer does with a letter.
    pub(crate) fn hand_over(&self, from: &str, letter: &Waiting) -> Carried {
        let to = letter.id.lane.peer.to_string();
        let view = self.at(from).view();
        match &letter.load {
            Load::Message { record, .. } => {
                let said = stored::get(&view, record).unwrap().unwrap().info().unwrap();
                let group = group_id(said.recv_id.as_str());
                let stamp = stamp::of_message(&view, &group, &said.message_id).unwrap();
                let (mut said, main) = (said, from == group.home_hint().unwrap());
                if main && self.broken == Some(Broken::Repeats) {
                    said.message_id = self.at(from).mint().message_id();
                }
                let stamp = stamp.filter(|_| self.broken != Some(Broken::TakesGaps));
                self.message(from, &to, said, stamp.as_ref())
            }
            Load::Errand(errand) => self.errand(from, &to, errand),
        }
    }

    fn errand(&self, from: &str, to: &str, errand: &Errand) -> Carried {
        let (peer, place) = (server(from), self.at(to));
        let body = errand.body.clone().into_bytes();
        let result = if errand.call == call::GROUP_INVITE.name {
            let invite: Invite = json::read(&body).unwrap();
            place.write(move |tx, scene| open::invited(tx, scene, &peer, &invite.req_info)).map(drop)
        } else {
            assert_eq!(errand.call, call::GROUP_NOTICE.name);
            let notice: Notice = json::read(&body).unwrap();
            let stamp = Stamp::parse(&errand.tag);
            let group = notice.group_info.group_id.clone();
            let noticed = place.write(move |tx, scene| mirror::notice(tx, scene, &peer, &notice, stamp.as_ref()));
            if noticed.as_ref().is_ok_and(|noticed| noticed.stale) && self.heals {
                self.heal_from(to, from, &group);
            }
            noticed.map(drop)
        };
        told(result)
    }

    /// A group's message, from a member's server or from main.
    pub(crate) fn message(&self, from: &str, to: &str, said: MessageInfo, stamp: Option<&Stamp>) -> Carried {
        let place = self.at(to);
        let group = group_id(said.recv_id.as_str());
        if post::is_main(&place.view(), &place.home, &group).unwrap() {
            let incoming = incoming(place, from, said);
            return told(place.write(move |tx, scene| message::receive(tx, scene, incoming)).map(drop));
        }
        for _ in 0..3 {
            let (incoming, follows) = (incoming(place, from, said.clone()), stamp.cloned());
            let follows = follows.map_or(Follows::Unsaid, Follows::Stamp);
            match place.write(move |tx, scene| mirror::take(tx, scene, incoming, &follows)) {
                Ok(Taken::Behind) => self.heal_from(to, from, &group),
                taken => return told(taken.map(drop)),
            }
        }
        Err(Refusal::new(isthmus_wire::Code::NotFound, "behind, in spite of healing"))
    }

    /// Asks main for whatever a mirror lacks.
    pub(crate) fn heal(&self, at: &str, group: &GroupId) {
        if let Some(stand) = mirror::standing(&self.at(at).view(), group).unwrap() {
            self.heal_from(at, stand.home.as_str(), group);
        }
    }

    fn heal_from(&self, at: &str, main: &str, group: &GroupId) {
        if self.broken == Some(Broken::NeverHeals) {
            return;
        }
        let (place, main) = (self.at(at), self.at(main));
        if !self.take_snapshot(place, main, group) {
            return;
        }
        for round in 0.. {
            assert!(round < 1000, "healing goes on for ever");
            let Some(stand) = mirror::standing(&place.view(), group).unwrap().filter(|stand| stand.lives) else {
                return;
            };
            let Some(theirs) = group::find(&main.view(), group).unwrap() else { return };
            let Some(position) = stand.position else {
                let page = log::history(&main.view(), &theirs, None, -1).unwrap();
                let (newest, group) = (page.max.map_or(Base::Start, Base::After), group.clone());
                place.write(move |tx, _| mirror::begin(tx, &group, newest)).unwrap();
                continue;
            };
            let cursor = if let Base::After(id) = &position { Some(id.clone()) } else { None };
            let mut page = log::history(&main.view(), &theirs, cursor.as_ref(), 3).unwrap();
            if self.broken == Some(Broken::Reorders) {
                page.messages.reverse();
            }
            if self.broken == Some(Broken::ForgetsMessages) && page.messages.len() > 1 {
                page.messages.remove(0);
            }
            if page.messages.is_empty() {
                return;
            }
            let mut before = position;
            for message in page.messages {
                let said = message.info().unwrap();
                let id = said.message_id.clone();
                let (incoming, follows) = (incoming(place, stand.home.as_str(), said), Follows::After(before));
                let taken = place.write(move |tx, scene| mirror::take(tx, scene, incoming, &follows)).unwrap();
                assert!(!matches!(taken, Taken::Behind));
                before = Base::After(id);
            }
        }
    }

    /// False where there is nothing more to be asked.
    fn take_snapshot(&self, place: &Place, main: &Place, group: &GroupId) -> bool {
        let (view, peer, id) = (main.view(), main.home.clone(), group.clone());
        match view::for_peer(&view, group, &place.home, true) {
            Ok(theirs) => {
                let info = InfoAnswer { grpset: Some(theirs.set()), group_info: Some(theirs.info()) };
                let mut members: Vec<Shown> =
                    member::all(&view, &theirs).unwrap().into_iter().map(member::Member::shown).collect();
                if self.broken == Some(Broken::ForgetsMembers) {
                    members.pop();
                }
                let stamp = stamp::of_answer(&view, &theirs, &place.home).unwrap();
                let rule = move |tx: &mut isthmus_store::Tx<'_>, scene: &mut isthmus_domain::Scene<'_>| {
                    mirror::snapshot(tx, scene, &peer, &id, &info, &members, stamp.as_ref())
                };
                place.write(rule).unwrap();
                true
            }
            Err(Error::Refused(refusal)) => {
                let dissolved = refusal.code != isthmus_wire::Code::NotPermitted;
                place.write(move |tx, scene| mirror::ended(tx, scene, &peer, &id, dissolved)).unwrap();
                false
            }
            Err(fault) => panic!("{fault}"),
        }
    }
}

pub(crate) fn submission(place: &Place, group: &GroupId, from: &str, words: &str) -> Submission {
    let (recv_id, content) = (user(group.as_str()), text(words));
    Submission {
        id: place.mint(),
        sender: user(from),
        client_msg_id: words.into(),
        chat_scene: ChatScene::Group,
        digest: Digest::of(&place.view(), ChatScene::Group, &recv_id, &content),
        recv_id,
        content,
        media: None,
        expires_ms: EXPIRES,
        disposition: Disposition::Deliver,
        audit: b"accept".to_vec(),
    }
}

pub(crate) fn incoming(place: &Place, from: &str, info: MessageInfo) -> Incoming {
    Incoming {
        id: place.mint(),
        peer: server(from),
        digest: Digest::of_message(&place.view(), &info),
        info,
        expires_ms: EXPIRES,
        recall_within_ms: 1000,
        disposition: Disposition::Deliver,
        audit: b"receive".to_vec(),
    }
}

pub(crate) fn in_group(group: &GroupId, from: &str, id: &str, words: &str) -> MessageInfo {
    MessageInfo {
        send_id: user(from),
        recv_id: user(group.as_str()),
        chat_scene: ChatScene::Group,
        message_id: isthmus_wire::MessageId::parse(id).unwrap(),
        content: text(words),
    }
}

fn told(result: Result<(), Error>) -> Carried {
    match result {
        Ok(()) => Ok(()),
        Err(Error::Refused(refusal)) => Err(refusal),
        Err(Error::Fault(fault)) => panic!("{fault}"),
    }
}

/// Two servers' names, for tests that ask who they are.
pub(crate) fn ids(users: &[&str]) -> Vec<UserId> {
    users.iter().map(|id| user(id)).collect()
}

/// See [`member::has_member_at`].
pub(crate) fn has_member_at(place: &Place, group: &GroupId, at: &str) -> bool {
    let at: ServerId = server(at);
    group::has_member_at(&place.view(), group, &at).unwrap()
}

pub(crate) fn duplicate(place: &Place, info: &MessageInfo) -> bool {
    let digest = Digest::of_message(&place.view(), info);
    message::duplicate(&place.view(), info, &digest).unwrap()
}
