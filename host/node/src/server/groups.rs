//! Mirrors of other servers' groups (R22): what is missing is asked of the main server and shown in its place.
//!
//! A mirror compares itself with its main server at the start, now and then, when a message or notice does not follow what
//! it has, and before it takes a message of a main server that knows only the standard and says not what it follows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use isthmus_domain::group::mirror::{self, Follows, Taken};
use isthmus_domain::group::{self, Base, Stamp, stamp, view};
use isthmus_domain::message::{Disposition, Incoming};
use isthmus_domain::{Digest, Done, Error, Scene, TimeId};
use isthmus_policy::{Call, Direction};
use isthmus_store::Tx;
use isthmus_wire::call::group::{Found, HISTORY_MAX, History, HistoryAnswer, InfoAnswer, MembersAnswer, OfGroup};
use isthmus_wire::call::user::Search;
use isthmus_wire::call::{CallSpec, GROUP_HISTORY, GROUP_INFO, GROUP_MEMBERS};
use isthmus_wire::code::{Code, Refusal};
use isthmus_wire::json::Read;
use isthmus_wire::{Content, FileContent, GroupId, GroupInfo, MessageId, MessageInfo, ServerId, UserId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Server;
use super::ask::Request;
use super::files;
use super::gate::{self, Ruling};
use super::send::{message_question, rewrite};
use super::texts::of_group;
use crate::clock;
use crate::reply::{Problem, chain};

/// Of a main server that knows only the standard, details and members are believed for so long after a comparison; and its
/// messages without a look at its history, where that could not be read.
const BELIEVED: Duration = Duration::from_secs(60);
/// How often a message is tried again after healing.
const TRIES: usize = 3;
/// Pages of one healing: 200 messages each; what is left comes with the next.
const PAGES: usize = 100;
/// Before the next try of a healing that failed, doubled up to the second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// Healings at a time.
const AT_ONCE: usize = 8;

/// Comparisons to be done, one a group.
#[derive(Default)]
pub(crate) struct Groups {
    due: Mutex<HashMap<GroupId, Due>>,
    wake: Notify,
    /// One healing a group at a time.
    locks: Mutex<HashMap<GroupId, Arc<tokio::sync::Mutex<()>>>>,
    /// When mirrors were last compared with their main servers.
    agreed: Mutex<HashMap<GroupId, Instant>>,
    /// When main servers last had no history to be read.
    mute: Mutex<HashMap<GroupId, Instant>>,
}

struct Due {
    home: ServerId,
    at: Instant,
    failures: u32,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Groups {
    /// Has a mirror compared with its main server now.
    pub(crate) fn heal_soon(&self, group: &GroupId, home: &ServerId) {
        self.heal_within(group, home, Duration::ZERO);
    }

    /// The same, a little later.
    pub(crate) fn heal_within(&self, group: &GroupId, home: &ServerId, wait: Duration) {
        let at = Instant::now() + wait;
        let mut due = locked(&self.due);
        let entry = due.entry(group.clone()).or_insert_with(|| Due { home: home.clone(), at, failures: 0 });
        entry.at = entry.at.min(at);
        drop(due);
        self.wake.notify_one();
    }

    fn again(&self, group: GroupId, home: ServerId, failures: u32) {
        let wait = AGAIN.0.saturating_mul(1 << failures.min(10)).min(AGAIN.1);
        let mut due = locked(&self.due);
        due.entry(group).or_insert(Due { home, at: Instant::now() + wait, failures: failures + 1 });
        drop(due);
        self.wake.notify_one();
    }

    /// What is due, and when the next will be.
    fn take(&self) -> (Vec<(GroupId, Due)>, Option<Instant>) {
        let (now, mut due) = (Instant::now(), locked(&self.due));
        let ready: Vec<GroupId> = due.iter().filter(|(_, due)| due.at <= now).map(|(id, _)| id.clone()).collect();
        let taken = ready.into_iter().filter_map(|id| due.remove_entry(&id)).collect();
        (taken, due.values().map(|due| due.at).min())
    }

    fn lock(&self, group: &GroupId) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = locked(&self.locks);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        locks.entry(group.clone()).or_default().clone()
    }

    fn agree(&self, group: &GroupId) {
        locked(&self.agreed).insert(group.clone(), Instant::now());
    }

    fn mute(&self, group: &GroupId) {
        locked(&self.mute).insert(group.clone(), Instant::now());
    }

    fn mute_lately(&self, group: &GroupId, believed: Duration) -> bool {
        locked(&self.mute).get(group).is_some_and(|at| at.elapsed() < believed)
    }

    fn agreed_lately(&self, group: &GroupId, believed: Duration) -> bool {
        locked(&self.agreed).get(group).is_some_and(|at| at.elapsed() < believed)
    }
}

/// IDs for an audit record, not too many.
pub(crate) fn listed(users: &[UserId]) -> String {
    users.iter().take(50).map(UserId::as_str).collect::<Vec<_>>().join(", ")
}

impl Server {
    /// A page of this server's visible groups.
    ///
    /// # Errors
    /// 1002 for an empty query, 1302 if too many searches wait.
    pub(crate) async fn find_groups_here(self: &Arc<Self>, search: &Search) -> Result<Found, Problem> {
        let turn = self.search_turn().await?;
        let (server, search) = (self.clone(), search.clone());
        let searched = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            view::search(&server.store.view()?, &search.query, search.page)
        });
        Ok(searched.await.map_err(Problem::fault)??)
    }

    /// The name of a group as its main server gives it, as the policy lets it in: one that may not be shown is what it was
    /// here, else the ID.
    pub(crate) async fn admit_name(&self, call: Call, info: &mut GroupInfo) -> Result<(), Problem> {
        let known = self.store.read(|view| group::find(view, &info.group_id))?.map(|group| group.name);
        if known.as_ref() == Some(&info.group_name) {
            return Ok(());
        }
        let instead = known.unwrap_or_else(|| info.group_id.to_string());
        let spot = of_group(info).map(|spot| spot.or(instead));
        self.admit(call, spot.into_iter().collect()).await
    }

    /// A message that a group's main server has put in order; `Ok` is code 0.
    pub(crate) async fn relayed(
        self: &Arc<Self>,
        peer: &ServerId,
        group: &GroupId,
        info: MessageInfo,
        stamp: Option<Stamp>,
    ) -> Result<(), Problem> {
        if stamp.is_none() && !self.store.read(|view| mirror::knows(view, group, &info.message_id))? {
            self.catch_up(peer, group, &info.message_id).await;
        }
        let follows = stamp.clone().map_or(Follows::Unsaid, Follows::Stamp);
        for _ in 0..TRIES {
            match self.take_in_order(peer, group, info.clone(), &follows).await? {
                Taken::Kept(_) | Taken::Duplicate => return Ok(()),
                Taken::Behind => self.heal(group, peer, stamp.as_ref()).await.map_err(|problem| {
                    tracing::info!(%group, %problem, "what is missing could not be fetched");
                    Problem::refused(Code::OVERLOADED, "what precedes this message could not be fetched yet; retry")
                })?,
            }
            if !self.store.read(|view| mirror::standing(view, group))?.is_some_and(|stand| stand.lives) {
                break;
            }
        }
        let words = "no user of this server is a member, as far as the main server says";
        Err(Refusal::field(Code::NOT_FOUND, "messageInfo.recvID", words).into())
    }

    /// A main server that knows only the standard does not say what a message follows, but its history does: what stands
    /// there before the message is taken first. Of many that come one after the other the first brings the others along.
    async fn catch_up(self: &Arc<Self>, peer: &ServerId, group: &GroupId, next: &MessageId) {
        // Who has mirrors compared more often believes for no longer.
        let believed = BELIEVED.min(Duration::from_secs(self.config.delivery.compare_s));
        if self.groups.mute_lately(group, believed) {
            return;
        }
        let caught_up = if self.groups.agreed_lately(group, believed) {
            let lock = self.groups.lock(group);
            let _one_at_a_time = lock.lock().await;
            self.heal_messages(group, peer, false, Some(next)).await
        } else {
            self.heal(group, peer, None).await
        };
        if let Err(problem) = caught_up {
            // It may know no history, or not be reached the other way: the message is all that there is.
            tracing::debug!(%group, %problem, "a main server could not be compared with");
            self.groups.mute(group);
        }
    }

    /// Judges a message of main's and keeps it in its place.
    async fn take_in_order(
        self: &Arc<Self>,
        peer: &ServerId,
        group: &GroupId,
        info: MessageInfo,
        follows: &Follows,
    ) -> Result<Taken, Problem> {
        let view = self.store.view()?;
        if mirror::knows(&view, group, &info.message_id)? {
            return Ok(Taken::Duplicate);
        }
        if !mirror::is_next(&view, peer, group, follows)? {
            return Ok(Taken::Behind);
        }
        let digest = Digest::of_message(&view, &info);
        drop(view);
        let too_large = |file: &FileContent| u64::try_from(file.size).map_or(true, |size| size > self.max_file());
        if info.content.file().is_some_and(too_large) {
            self.leave_out(peer, info.clone(), follows).await?;
            let words = format!("is more than the {} bytes that this server takes", self.max_file());
            let refusal = Refusal::field(Code::InvalidField, "messageInfo.content.size", words);
            return Err(self.turned_away(peer, &info, refusal).await);
        }
        let mut question = message_question(
            Direction::Inbound,
            Some(self.peer_facts(peer)),
            (info.send_id.as_str(), info.recv_id.as_str()),
            info.chat_scene,
            &info.content,
            info.message_id.as_str().to_owned(),
        );
        // Its content is judged when it is here.
        question.items.extend(info.content.file().map(files::said));
        let original = info.clone();
        let ruling =
            self.gate.rule(question, info, |info, index, text| rewrite(&mut info.content, index, text)).await?;
        let is_recall = matches!(original.content, Content::Repeal { .. });
        let (cleared, disposition) = match ruling {
            Ruling::Cleared(cleared) => (cleared, Disposition::Deliver),
            Ruling::Held(cleared, reason) if is_recall => {
                let problem = self.no_quarantine(cleared, reason).await;
                self.leave_out(peer, original, follows).await?;
                return Err(problem);
            }
            Ruling::Held(cleared, reason) => {
                let hold = cleared.hold(reason);
                (cleared, Disposition::Hold(hold))
            }
            Ruling::Refused(refusal, trail) => {
                let content = refusal.code == Code::DENIED_BY_CONTENT;
                let problem = self.refused(refusal, &trail).await;
                if content {
                    self.leave_out(peer, original, follows).await?;
                }
                return Err(problem);
            }
        };
        let (peer_of, follows_of) = (peer.clone(), follows.clone());
        let (id, expires_ms) = (TimeId::mint(clock::now_ms(), &mut clock::random), self.expires_ms());
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, info: MessageInfo, audit: Vec<u8>| {
            let recall_within_ms = u64::MAX;
            let peer = peer_of;
            let m = Incoming { id, peer, info, digest, expires_ms, disposition, recall_within_ms, audit };
            mirror::take(tx, scene, m, &follows_of)
        };
        let taken = self.carry_out(cleared, rule, |server, taken, generation| {
            if let Taken::Kept(done) = taken {
                server.after(done, generation);
            }
        });
        match taken.await {
            // What nobody wrote is not shown, and what follows it still follows.
            Err(Problem::Refused(refusal)) if refusal.code == Code::MAY_NOT_ACT_FOR => {
                self.leave_out(peer, original, follows).await?;
                Err(Problem::Refused(refusal))
            }
            taken => taken,
        }
    }

    /// A message of main's that is looked at once and not kept; none if the policy does not let it in.
    pub(crate) async fn shown_once(&self, peer: &ServerId, info: MessageInfo) -> Result<Option<MessageInfo>, Problem> {
        let question = message_question(
            Direction::Inbound,
            Some(self.peer_facts(peer)),
            (info.send_id.as_str(), info.recv_id.as_str()),
            info.chat_scene,
            &info.content,
            info.message_id.as_str().to_owned(),
        );
        match self.gate.rule(question, info, |info, index, text| rewrite(&mut info.content, index, text)).await? {
            Ruling::Cleared(cleared) => Ok(Some(self.looked(cleared).await)),
            Ruling::Held(cleared, reason) => {
                let _left_out = self.no_quarantine(cleared, reason).await;
                Ok(None)
            }
            Ruling::Refused(refusal, trail) => {
                let _left_out = self.refused(refusal, &trail).await;
                Ok(None)
            }
        }
    }

    async fn leave_out(&self, peer: &ServerId, info: MessageInfo, follows: &Follows) -> Result<(), Problem> {
        let (own, peer, follows) = (self.id.clone(), peer.clone(), follows.clone());
        let left = self.store.write(move |tx| match mirror::withhold(tx, &own, &peer, &info, &follows) {
            Ok(()) | Err(Error::Refused(_)) => Ok(()),
            Err(Error::Fault(fault)) => Err(fault),
        });
        Ok(left.await?)
    }

    /// Asks main for all that is missing here: details, members, messages. `hint`: what main said lately.
    ///
    /// # Errors
    /// 1102 if the policy forbids to ask, 1303 if main is not reached, or its own refusal.
    pub(crate) async fn heal(
        self: &Arc<Self>,
        group: &GroupId,
        home: &ServerId,
        hint: Option<&Stamp>,
    ) -> Result<(), Problem> {
        // A server that is suspended says nothing of its groups: what is refused below is said by main itself.
        self.address_of(home).await.map_err(|problem| {
            Problem::refused(Code::PEER_UNREACHABLE, format!("the group's main server: {problem}"))
        })?;
        let lock = self.groups.lock(group);
        let _one_at_a_time = lock.lock().await;
        let stamped = match self.heal_members(group, home, hint).await {
            Err(Problem::Refused(refusal)) if matches!(refusal.code, Code::NotPermitted | Code::WrongState) => {
                return self.over(group, home, refusal.code == Code::WRONG_STATE).await;
            }
            outcome => outcome?,
        };
        self.heal_messages(group, home, stamped, None).await?;
        self.groups.agree(group);
        Ok(())
    }

    /// True if main is a server of our make, which stamps its answers.
    async fn heal_members(
        self: &Arc<Self>,
        group: &GroupId,
        home: &ServerId,
        hint: Option<&Stamp>,
    ) -> Result<bool, Problem> {
        let of_group = OfGroup { group_id: group.clone() };
        let (mut info, stamp): (InfoAnswer, _) = self.ask_main(group, home, &GROUP_INFO, of_group.to_query()).await?;
        let stand = self.store.read(|view| mirror::standing(view, group))?;
        let here = self.store.read(|view| group::find(view, group))?;
        let same = here.as_ref().is_some_and(|here| {
            info.group_info.as_ref().is_some_and(|theirs| here.info() == *theirs)
                && stamp.as_ref().is_none_or(|stamp| stamp.revision == here.revision)
                && hint.is_none_or(|hint| hint.revision <= here.revision)
        });
        if same && stand.is_some_and(|stand| stand.lives && !stand.stale) {
            return Ok(stamp.is_some());
        }
        if let Some(details) = &mut info.group_info {
            let call = self.told(home, &GROUP_INFO, group.as_str());
            self.admit_name(call.clone(), details).await?;
            let cleared = self.clear(call.into(), (), |(), _, _| ()).await?;
            self.looked(cleared).await;
        }
        let (mut members, _): (MembersAnswer, Option<Stamp>) =
            self.ask_main(group, home, &GROUP_MEMBERS, of_group.to_query()).await?;
        let call = self.told(home, &GROUP_MEMBERS, group.as_str());
        self.admit_members(call, group, members.members.iter_mut().map(|member| &mut member.user_info)).await?;
        let (stamped, peer, id) = (stamp.is_some(), home.clone(), group.clone());
        self.apply(move |tx, scene| mirror::snapshot(tx, scene, &peer, &id, &info, &members.members, stamp.as_ref()))
            .await?;
        Ok(stamped)
    }

    /// `next`: a message that comes by itself; none after it is needed.
    async fn heal_messages(
        self: &Arc<Self>,
        group: &GroupId,
        home: &ServerId,
        stamped: bool,
        next: Option<&MessageId>,
    ) -> Result<(), Problem> {
        for _ in 0..PAGES {
            let Some(stand) = self.store.read(|view| mirror::standing(view, group))?.filter(|stand| stand.lives) else {
                return Ok(());
            };
            let Some(position) = stand.position else {
                if !stamped {
                    let newest = self.newest(group, home).await?;
                    let id = group.clone();
                    self.apply(move |tx, _| mirror::begin(tx, &id, newest).map(|()| Done::default())).await?;
                }
                return Ok(());
            };
            let cursor = if let Base::After(id) = &position { Some(id.to_string()) } else { None };
            let page = match self.page(group, home, cursor, HISTORY_MAX).await {
                Err(Problem::Refused(refusal)) if refusal.code == Code::NOT_FOUND && position != Base::Start => {
                    tracing::warn!(%group, "main does not know the last message that is here: it goes on from what it has");
                    let newest = self.newest(group, home).await?;
                    let id = group.clone();
                    self.apply(move |tx, _| mirror::rebase(tx, &id, newest).map(|()| Done::default())).await?;
                    continue;
                }
                page => page?,
            };
            let from = position.clone();
            if !self.take_page(group, home, position, page, next).await? {
                return Ok(());
            }
            // A main server that takes no notice of the cursor would go on for ever.
            if self.store.read(|view| mirror::standing(view, group))?.is_none_or(|stand| stand.position == Some(from)) {
                return Ok(());
            }
        }
        self.groups.heal_soon(group, home);
        Ok(())
    }

    /// False where there is nothing more.
    async fn take_page(
        self: &Arc<Self>,
        group: &GroupId,
        home: &ServerId,
        position: Base,
        page: HistoryAnswer,
        next: Option<&MessageId>,
    ) -> Result<bool, Problem> {
        let (mut after, mut some) = (position, false);
        for info in page.messages {
            let id = info.message_id.clone();
            if next == Some(&id) {
                return Ok(false);
            }
            if info.group().as_ref() != Some(group) {
                continue;
            }
            match self.take_in_order(home, group, info, &Follows::After(after)).await {
                Ok(Taken::Kept(_)) => some = true,
                Ok(Taken::Duplicate) => {}
                // Somebody else was quicker: the next page begins where it ended.
                Ok(Taken::Behind) => return Ok(true),
                Err(Problem::Refused(refusal)) => {
                    tracing::info!(%group, message = %id, %refusal, "a message of a group is left out");
                    if refusal.code == Code::DENIED_BY_ACCESS {
                        return Err(Problem::Refused(refusal));
                    }
                    some = true;
                }
                Err(problem) => return Err(problem),
            }
            after = Base::After(id);
        }
        Ok(some)
    }

    async fn page(
        self: &Arc<Self>,
        group: &GroupId,
        home: &ServerId,
        cursor: Option<String>,
        size: i32,
    ) -> Result<HistoryAnswer, Problem> {
        let ask = History { group_id: group.clone(), message_id: cursor, size };
        Ok(self.ask_main(group, home, &GROUP_HISTORY, ask.to_query()).await?.0)
    }

    async fn newest(self: &Arc<Self>, group: &GroupId, home: &ServerId) -> Result<Base, Problem> {
        let page = self.page(group, home, None, -1).await?;
        let newest = MessageId::parse(&page.max_message_id).ok().filter(|id| id.as_str() != view::NONE);
        Ok(newest.map_or(Base::Start, Base::After))
    }

    /// A question to a group's main server, as the policy lets it be asked.
    pub(crate) async fn ask_main<T: Read>(
        self: &Arc<Self>,
        group: &GroupId,
        home: &ServerId,
        spec: &'static CallSpec,
        query: String,
    ) -> Result<(T, Option<Stamp>), Problem> {
        let call = gate::call(Direction::Outbound, spec.name, Some(self.peer_facts(home)), "", group.as_str());
        let cleared = self.clear(call.into(), (), |(), _, _| ()).await?;
        self.looked(cleared).await;
        let (answer, headers) = self.ask_whole(home, Request::get(spec, query)).await?;
        let stamp = headers.get(stamp::HEADER).and_then(|value| value.to_str().ok()).and_then(Stamp::parse);
        Ok((answer, stamp))
    }

    /// The group was dissolved, or nobody here is a member any more.
    async fn over(self: &Arc<Self>, group: &GroupId, home: &ServerId, dissolved: bool) -> Result<(), Problem> {
        let (peer, id) = (home.clone(), group.clone());
        self.apply(move |tx, scene| mirror::ended(tx, scene, &peer, &id, dissolved)).await
    }

    /// Applies what main said; the questions that led to it are on record.
    async fn apply(
        self: &Arc<Self>,
        rule: impl FnOnce(&mut Tx<'_>, &mut Scene<'_>) -> Result<Done, Error> + Send + 'static,
    ) -> Result<(), Problem> {
        let (home, server, now) = (self.id.clone(), self.clone(), clock::now_ms());
        let rule = move |tx: &mut Tx<'_>| Server::scene(&home, now, |scene| rule(tx, scene));
        self.store.submit(rule, move |done| server.after(done, 0)).await?.done().await?;
        Ok(())
    }

    /// Compares mirrors with their main servers. Runs until it is aborted.
    pub(crate) async fn heal_mirrors(self: Arc<Self>) {
        let every = Duration::from_secs(self.config.delivery.compare_s);
        let mut all = tokio::time::interval(every);
        loop {
            let (due, next) = self.groups.take();
            let healing = due.into_iter().map(|(group, due)| self.clone().heal_due(group, due));
            futures_util::StreamExt::for_each(
                futures_util::StreamExt::buffer_unordered(futures_util::stream::iter(healing), AT_ONCE),
                |()| std::future::ready(()),
            )
            .await;
            let sleep = next.unwrap_or_else(|| Instant::now() + every);
            tokio::select! {
                () = self.groups.wake.notified() => {}
                () = tokio::time::sleep_until(sleep) => {}
                _ = all.tick() => self.compare_all(),
            }
        }
    }

    fn compare_all(&self) {
        match self.store.read(mirror::list) {
            Ok(mirrors) => mirrors.iter().for_each(|(group, home)| self.groups.heal_soon(group, home)),
            Err(error) => tracing::error!(error = chain(&error), "the mirrors cannot be listed"),
        }
    }

    async fn heal_due(self: Arc<Self>, group: GroupId, due: Due) {
        match self.heal(&group, &due.home, None).await {
            Ok(()) => {}
            Err(Problem::Fault(error)) => {
                tracing::error!(%group, error = chain(error.as_ref()), "a mirror could not be healed");
            }
            // A later comparison asks again what is refused for good.
            Err(Problem::Refused(refusal)) if refusal.code != Code::PEER_UNREACHABLE && due.failures > 3 => {
                tracing::info!(%group, %refusal, "a mirror could not be compared");
            }
            Err(_) => self.groups.again(group, due.home, due.failures),
        }
    }
}
