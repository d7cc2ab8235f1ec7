//! The mirror of a group whose main server is another (§7.7.1, R22): it shows its members what main put in order, in that
//! order, each message once, and leaves nothing out that its own policy lets through.
//!
//! A message is taken only where it follows what the mirror has. What comes with a [`Stamp`] says itself what it follows;
//! of a page of history each message follows the one before; and a main server that knows only the standard is believed as
//! long as the mirror has compared with it lately. Everything else is [`Taken::Behind`]: the caller asks main for what is
//! missing (`grpchat` from [`standing`]) and comes again. Details and members heal the same way, by [`snapshot`].

use std::collections::HashMap;
use std::sync::Arc;

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::call::group::{InfoAnswer, Member as Shown, Notice, OperType, UserType};
use isthmus_wire::{Code, Content, GroupId, GroupInfo, MessageId, MessageInfo, ServerId, UserId, UserInfo};

use super::log::{self, Mark};
use super::manage::forget_members;
use super::member::{self, Member};
use super::notice as notices;
use super::open;
use super::post::{addressed, arrived};
use super::recall;
use super::row::{self as rows, Base, Group, Key, Mirror};
use super::stamp::Stamp;
use crate::account;
use crate::dedup;
use crate::done::Done;
use crate::error::Error;
use crate::held::{self, Way};
use crate::message::{self, Disposition, Incoming};
use crate::scene::{Scene, TimeId};
use crate::speaker::{self, Home};
use crate::stored::{self, Stored};

/// What a message of main's is known to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follows {
    /// Main says it.
    Stamp(Stamp),
    /// It stands behind this in a page of main's history.
    After(Base),
    /// Nothing is said, and main was compared with lately.
    Unsaid,
}

/// What became of a message of main's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// In its place.
    Kept(Done),
    /// It was there already; nothing was written.
    Duplicate,
    /// Something before it is missing here, perhaps even that somebody here is a member.
    Behind,
}

/// Where a mirror stands, for whoever compares it with main.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its main server.
    pub home: ServerId,
    /// The last that it has; none: it does not know where its members' time began.
    pub position: Option<Base>,
    /// Details and members must be asked for.
    pub stale: bool,
    /// Users of this server are members.
    pub lives: bool,
}

/// How a mirror stands; none if the group is ours, unknown or dissolved.
///
/// # Errors
/// If storage fails.
pub fn standing(reader: &(impl Reader + ?Sized), id: &GroupId) -> Result<Option<Standing>, StoreError> {
    let key = rows::key(reader, id);
    let Some(group) = rows::at(reader, &key)?.filter(|group| !group.dissolved) else { return Ok(None) };
    let Some(home) = group.home.clone() else { return Ok(None) };
    let position = log::position(reader, &key, &group)?;
    let stale = group.mirror.as_ref().is_some_and(|mirror| mirror.stale);
    Ok(Some(Standing { home, position, stale, lives: member::any_local(reader, &key)? }))
}

/// The groups of other servers that local users are members of: those that must be compared now and then.
///
/// # Errors
/// If storage fails.
pub fn list(reader: &(impl Reader + ?Sized)) -> Result<Vec<(GroupId, ServerId)>, StoreError> {
    let rows = reader.prefix(crate::table::GROUPS, &[], usize::MAX, false)?;
    let mut found = Vec::new();
    for (place, value) in &rows {
        let group = rows::parse(value)?;
        let key: Key = place.as_slice().try_into().map_err(|_| StoreError::Malformed { what: "a group's key" })?;
        if let Some(home) = group.home.filter(|_| !group.dissolved)
            && member::any_local(reader, &key)?
        {
            found.push((group.id, home));
        }
    }
    Ok(found)
}

/// Whether a message of main's was received before, to be asked before policy is.
///
/// # Errors
/// If storage fails.
pub fn knows(reader: &(impl Reader + ?Sized), group: &GroupId, message: &MessageId) -> Result<bool, StoreError> {
    Ok(log::find(reader, &rows::key(reader, group), message)?.is_some())
}

/// Whether a message of main's can be taken now, to be asked before policy is: false where something before it is missing.
///
/// # Errors
/// If storage fails.
pub fn is_next(
    reader: &(impl Reader + ?Sized),
    peer: &ServerId,
    id: &GroupId,
    follows: &Follows,
) -> Result<bool, StoreError> {
    let key = rows::key(reader, id);
    let Some(group) = rows::at(reader, &key)? else { return Ok(false) };
    // What the rule refuses is not missing anything.
    if group.home.as_ref() != Some(peer) || group.dissolved {
        return Ok(true);
    }
    Ok(member::any_local(reader, &key)? && fits(reader, &key, &group, follows)?)
}

/// Whether a message follows what is here.
fn fits(reader: &(impl Reader + ?Sized), key: &Key, group: &Group, follows: &Follows) -> Result<bool, StoreError> {
    let after = match follows {
        Follows::Unsaid => return Ok(true),
        Follows::Stamp(stamp) if stamp.revision > group.revision => return Ok(false),
        Follows::Stamp(stamp) => &stamp.after,
        Follows::After(after) => after,
    };
    // Where nothing is known of what came before, members' time begins here.
    Ok(log::position(reader, key, group)?.is_none_or(|position| position == *after))
}

/// The mirror that takes a message of main's, and its rows' key; none where nobody here is known to be a member.
fn taking(tx: &Tx<'_>, own: &ServerId, info: &MessageInfo, peer: &ServerId) -> Result<Option<(Group, Key)>, Error> {
    let id = addressed(&info.recv_id)?;
    let _claim = speaker::may_speak(tx, own, peer, &id, "messageInfo.recvID")?;
    let key = rows::key(tx, &id);
    let Some(group) = rows::at(tx, &key)? else { return Ok(None) };
    if group.home.as_ref() != Some(peer) {
        let words = format_args!("{peer} is not the group's main server");
        return Err(Error::field(Code::MayNotActFor, "messageInfo.recvID", words));
    }
    if group.dissolved {
        return Err(Error::field(Code::WrongState, "messageInfo.recvID", "the group was dissolved"));
    }
    Ok(member::any_local(tx, &key)?.then_some((group, key)))
}

/// Takes a message that main has put in order.
///
/// # Errors
/// 1104 if the peer is not the group's main server, or says of a user of ours what that user never wrote; 1202 if the group
/// was dissolved; 1201 if the same message came with other content.
pub fn take(tx: &mut Tx<'_>, scene: &mut Scene<'_>, m: Incoming, follows: &Follows) -> Result<Taken, Error> {
    let Some((group, key)) = taking(tx, scene.home, &m.info, &m.peer)? else { return Ok(Taken::Behind) };
    if log::find(tx, &key, &m.info.message_id)?.is_some() || message::duplicate(tx, &m.info, &m.digest)? {
        return Ok(Taken::Duplicate);
    }
    if !fits(tx, &key, &group, follows)? {
        return Ok(Taken::Behind);
    }
    let stored = record(tx, scene, &m)?;
    dedup::note_received(tx, &m.info, &m.digest, &stored.id);
    let (mark, done) = match m.disposition {
        Disposition::Deliver => {
            let mut done = recall::follow(tx, scene, &m.info)?;
            done.extend(arrived(tx, scene, &key, &m.info, &stored, m.expires_ms)?);
            (Mark::Shown, done)
        }
        Disposition::Hold(hold) => {
            held::put(tx, scene, &stored.id, Way::In, &hold);
            (Mark::Held, Done::default())
        }
    };
    log::append(tx, &key, group.revision, &m.info.message_id, stored.id, mark)?;
    tx.audit(m.audit);
    Ok(Taken::Kept(done))
}

/// The record of a message: a new one, or the one of our own user who wrote it (unless main's policy rewrote it).
fn record(tx: &mut Tx<'_>, scene: &Scene<'_>, m: &Incoming) -> Result<Arc<Stored>, Error> {
    if let Some(sender) = account::local_id(scene.home, &m.info.send_id) {
        let own = own_message(tx, &sender, &m.info)?;
        if own.info()?.content == m.info.content {
            return Ok(own);
        }
    }
    let mut stored = Stored::new(m.id, scene.now_ms, &m.info);
    stored.peer = Some(m.peer.as_str().to_owned());
    stored.put(tx);
    Ok(Arc::new(stored))
}

/// What a user of ours wrote to the group under this messageID: main may pass it on, not invent it.
fn own_message(reader: &(impl Reader + ?Sized), sender: &UserId, info: &MessageInfo) -> Result<Arc<Stored>, Error> {
    let invented = || Error::field(Code::MayNotActFor, "messageInfo.sendID", "this user never wrote that");
    let record = TimeId::parse(info.message_id.as_str()).ok_or_else(invented)?;
    let own = stored::get(reader, &record)?.filter(|own| own.peer.is_none()).ok_or_else(invented)?;
    let said = own.info()?;
    let same = said.send_id == *sender && said.recv_id == info.recv_id && said.chat_scene == info.chat_scene;
    let kind = matches!(said.content, Content::Repeal { .. }) == matches!(info.content, Content::Repeal { .. });
    if same && kind { Ok(own) } else { Err(invented()) }
}

/// Leaves a message out that must not be shown here (this server's policy refused it, or nobody wrote it), so that what
/// follows it is known to follow. Nothing if it does not follow what is here.
///
/// # Errors
/// As [`take`].
pub fn withhold(
    tx: &mut Tx<'_>,
    own: &ServerId,
    peer: &ServerId,
    info: &MessageInfo,
    follows: &Follows,
) -> Result<(), Error> {
    let Some((group, key)) = taking(tx, own, info, peer)? else { return Ok(()) };
    if log::find(tx, &key, &info.message_id)?.is_none() && fits(tx, &key, &group, follows)? {
        let nothing = TimeId([0; 16]);
        log::append(tx, &key, group.revision, &info.message_id, nothing, Mark::Withheld)?;
    }
    Ok(())
}

/// Main's newest message, where the mirror does not know where its members' time began because its main server knows only
/// the standard.
///
/// # Errors
/// If storage fails.
pub fn begin(tx: &mut Tx<'_>, id: &GroupId, newest: Base) -> Result<(), Error> {
    let key = rows::key(tx, id);
    let Some(mut group) = rows::at(tx, &key)? else { return Ok(()) };
    if group.home.is_some() && log::position(tx, &key, &group)?.is_none() {
        group.stand().base = Some(newest);
        rows::put(tx, &key, &group);
    }
    Ok(())
}

/// Main does not know the last message that is here (it was restored from an older copy): what it has now goes on from here.
///
/// # Errors
/// If storage fails.
pub fn rebase(tx: &mut Tx<'_>, id: &GroupId, newest: Base) -> Result<(), Error> {
    let key = rows::key(tx, id);
    let Some(mut group) = rows::at(tx, &key)?.filter(|group| group.home.is_some()) else { return Ok(()) };
    let floor = log::last(tx, &key)?.map_or(0, |line| line.number);
    let stand = group.stand();
    (stand.floor, stand.base) = (floor, Some(newest));
    rows::put(tx, &key, &group);
    Ok(())
}

/// Where a user is at home, as far as an ID tells.
fn home(tx: &Tx<'_>, own: &ServerId, id: &UserId) -> Result<Option<ServerId>, StoreError> {
    Ok(match speaker::home_of(tx, own, id)? {
        Home::Own => Some(own.clone()),
        Home::Server(home) | Home::Ask(home) => Some(home),
        Home::Unknown => None,
    })
}

/// A mirror that begins: its first local member came.
fn founded(info: &GroupInfo, peer: &ServerId) -> Group {
    Group {
        id: info.group_id.clone(),
        home: Some(peer.clone()),
        name: info.group_name.clone(),
        icon: info.group_icon.clone(),
        owner: info.create_user.clone(),
        created: info.create_time.clone(),
        open: true,
        visible: false,
        dissolved: false,
        members: 0,
        revision: 0,
        tickets: 0,
        mirror: Some(Mirror { stale: true, fresh: true, ..Mirror::default() }),
    }
}

/// What a notice came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noticed {
    /// What to push.
    pub done: Done,
    /// Details and members must be asked of main.
    pub stale: bool,
}

/// `grpnotify` (§7.7.13) from the group's main server. A notice that changes nothing here is told to nobody.
///
/// # Errors
/// 1104 if the peer is not the group's main server.
pub fn notice(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    peer: &ServerId,
    notice: &Notice,
    stamp: Option<&Stamp>,
) -> Result<Noticed, Error> {
    let id = &notice.group_info.group_id;
    speaker::claim(tx, scene.home, peer, id, "groupInfo.groupID")?;
    let known = rows::find(tx, id)?;
    if let Some(group) = &known
        && group.home.as_ref() != Some(peer)
    {
        let words = format_args!("{peer} is not the group's main server");
        return Err(Error::field(Code::MayNotActFor, "groupInfo.groupID", words));
    }
    let mut done = turned_down(tx, scene, notice)?;
    let concerns = here(tx, scene, &notice.users)?;
    let mut group = match known {
        Some(group) => group,
        None if notice.oper_type == OperType::Added && !concerns.is_empty() => founded(&notice.group_info, peer),
        // Whoever is told of a group that it does not know has missed something, or has no part in it: main knows.
        None => return Ok(Noticed { stale: done.deliveries.is_empty(), done }),
    };
    let seen = stamp.is_some_and(|stamp| stamp.revision <= group.revision);
    if group.dissolved || seen {
        return Ok(Noticed { done, stale: false });
    }
    let key = rows::key(tx, id);
    let lived = member::any_local(tx, &key)?;
    let before = if lived { member::locals_at(tx, &key)? } else { Vec::new() };
    let changed = apply(tx, scene, &mut group, notice)?;
    let lives = member::any_local(tx, &key)?;
    if lives && !lived {
        awaken(tx, &key, &mut group, stamp)?;
    }
    number(&mut group, stamp, lived);
    let counted = i32::try_from(group.members).is_ok_and(|many| many == notice.group_info.group_member_num);
    let stale = lives && !group.dissolved && (group.stand().stale || !counted);
    group.stand().stale = stale;
    rows::put(tx, &key, &group);
    if changed {
        let mut told = before;
        told.extend(member::locals_at(tx, &key)?);
        told.sort();
        told.dedup();
        notices::tell(tx, scene, &told, notice, &mut done)?;
    }
    if group.dissolved {
        forget_members(tx, &mut group)?;
    }
    Ok(Noticed { done, stale })
}

/// Members' time begins: with what main had then, if it says so.
fn awaken(tx: &Tx<'_>, key: &Key, group: &mut Group, stamp: Option<&Stamp>) -> Result<(), StoreError> {
    let floor = log::last(tx, key)?.map_or(0, |line| line.number);
    let base = stamp.map(|stamp| stamp.after.clone());
    group.mirror = Some(Mirror { floor, base, stale: true, fresh: true });
    Ok(())
}

/// A notice that is not the next one tells of others that were missed.
fn number(group: &mut Group, stamp: Option<&Stamp>, lived: bool) {
    let Some(stamp) = stamp else { return };
    if lived && stamp.revision > group.revision + 1 {
        group.stand().stale = true;
    }
    group.revision = stamp.revision;
}

/// Those of the users who are enabled users of this server.
fn here(tx: &Tx<'_>, scene: &Scene<'_>, users: &[UserInfo]) -> Result<Vec<UserId>, StoreError> {
    let mut found = Vec::new();
    for user in users {
        if let Some(id) = account::local_id(scene.home, &user.user_id)
            && account::is_enabled(tx, &id)?
        {
            found.push(id);
        }
    }
    Ok(found)
}

/// "Removed" of somebody who only applied: main's way to say no (R21).
fn turned_down(tx: &mut Tx<'_>, scene: &mut Scene<'_>, notice: &Notice) -> Result<Done, Error> {
    let mut done = Done::default();
    if notice.oper_type != OperType::Removed {
        return Ok(done);
    }
    let id = &notice.group_info.group_id;
    for user in here(tx, scene, &notice.users)? {
        if open::get(tx, id, &user, scene.now_ms)?.is_some() {
            open::close(tx, id, &user);
            open::tell_declined(tx, scene, notice, &user, &mut done)?;
        }
    }
    Ok(done)
}

/// Does to the mirror what main did to the group. False if nothing is different now.
fn apply(tx: &mut Tx<'_>, scene: &mut Scene<'_>, group: &mut Group, notice: &Notice) -> Result<bool, Error> {
    let old_owner = group.owner.clone();
    let mut changed = group.learn(&notice.group_info, notice.grpset.as_ref());
    match notice.oper_type {
        OperType::Added => {
            for user in &notice.users {
                changed |= join(tx, scene, group, user, UserType::Member)?;
            }
        }
        OperType::Removed => {
            for user in &notice.users {
                changed |= member::remove(tx, group, &user.user_id)?.is_some();
            }
        }
        OperType::Dissolved => {
            group.dissolved = true;
            changed = true;
        }
        OperType::AdminSet | OperType::AdminUnset => {
            let admin = notice.oper_type == OperType::AdminSet;
            let kind = if admin { UserType::Admin } else { UserType::Member };
            for user in &notice.users {
                changed |= rank(tx, group, &user.user_id, kind)?;
            }
        }
        OperType::Transferred => {
            let heir = group.owner.clone();
            changed |= rank(tx, group, &heir, UserType::Owner)?;
            if old_owner != heir {
                rank(tx, group, &old_owner, UserType::Member)?;
            }
        }
        OperType::Changed => {}
    }
    Ok(changed)
}

fn rank(tx: &mut Tx<'_>, group: &mut Group, user: &UserId, kind: UserType) -> Result<bool, Error> {
    match member::get(tx, group, user)? {
        Some(member) if member.kind == kind => Ok(false),
        Some(_) => Ok(member::set_kind(tx, group, user, kind)?),
        None => {
            group.stand().stale = true;
            Ok(false)
        }
    }
}

/// A member, in the one spelling of its ID if it is ours. False if it was one.
fn join(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    group: &mut Group,
    user: &UserInfo,
    kind: UserType,
) -> Result<bool, Error> {
    let mut info = notices::plain(user);
    let home = home(tx, scene.home, &info.user_id)?;
    if home.as_ref() == Some(scene.home) {
        let Some(id) = account::local_id(scene.home, &info.user_id) else { return Ok(false) };
        let Some(person) = open::person_of(tx, &id)? else { return Ok(false) };
        info = person;
        open::close(tx, &group.id, &id);
    }
    if let Some(before) = member::get(tx, group, &info.user_id)? {
        // An added one that is here already keeps its standing.
        let kind = if kind == UserType::Member { before.kind } else { kind };
        member::put(tx, scene.home, group, Member { info, kind, home })?;
        return Ok(false);
    }
    Ok(member::put(tx, scene.home, group, Member { info, kind, home })?)
}

/// Details and members as main has them now, asked for because something was missed. `stamp`: main's revision, of which an
/// older one than is known here changes nothing, and where this server's members' time began. Local users learn what they
/// missed.
///
/// # Errors
/// 1104 if the peer is not the group's main server.
pub fn snapshot(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    peer: &ServerId,
    id: &GroupId,
    info: &InfoAnswer,
    members: &[Shown],
    stamp: Option<&Stamp>,
) -> Result<Done, Error> {
    let revision = stamp.map(|stamp| stamp.revision);
    speaker::claim(tx, scene.home, peer, id, "groupID")?;
    let Some(details) = info.group_info.as_ref().filter(|details| details.group_id == *id) else {
        return Ok(Done::default());
    };
    let mut group = match rows::find(tx, id)? {
        None if !any_here(tx, scene, members)? => return Ok(Done::default()),
        None => founded(details, peer),
        Some(group) if group.dissolved => return Ok(Done::default()),
        Some(_) => rows::mirrored(tx, id, peer)?,
    };
    if revision.is_some_and(|revision| revision < group.revision) {
        return Ok(Done::default());
    }
    let changed = group.learn(details, info.grpset.as_ref());
    let key = rows::key(tx, id);
    let lived = member::any_local(tx, &key)?;
    let mut left: HashMap<UserId, Member> =
        member::all(tx, &group)?.into_iter().map(|member| (member.info.user_id.clone(), member)).collect();
    let mut came = Vec::new();
    for shown in members {
        let fresh = join(tx, scene, &mut group, &shown.user_info, shown.user_type)?;
        if !fresh && shown.user_type == UserType::Member {
            member::set_kind(tx, &group, &shown.user_info.user_id, UserType::Member)?;
        }
        let local = account::local_id(scene.home, &shown.user_info.user_id);
        if left.remove(local.as_ref().unwrap_or(&shown.user_info.user_id)).is_none() {
            came.push(shown.user_info.clone());
        }
    }
    let mut told = member::locals_at(tx, &key)?;
    let mut went = Vec::new();
    for (user, member) in left {
        member::remove(tx, &mut group, &user)?;
        if member.home.as_ref() == Some(scene.home) {
            told.push(user);
        }
        went.push(member.info);
    }
    if member::any_local(tx, &key)? && !lived {
        awaken(tx, &key, &mut group, stamp)?;
    }
    if log::position(tx, &key, &group)?.is_none() {
        group.stand().base = stamp.map(|stamp| stamp.after.clone());
    }
    let fresh = std::mem::take(&mut group.stand().fresh);
    if fresh {
        came.retain(|user: &UserInfo| account::local_id(scene.home, &user.user_id).is_some());
    }
    let changed = changed && !fresh;
    group.stand().stale = false;
    group.revision = revision.unwrap_or(group.revision);
    rows::put(tx, &key, &group);
    healed(tx, scene, &group, Missed { changed, came, went }, &told)
}

fn any_here(tx: &Tx<'_>, scene: &Scene<'_>, members: &[Shown]) -> Result<bool, StoreError> {
    for member in members {
        if let Some(id) = account::local_id(scene.home, &member.user_info.user_id)
            && account::is_enabled(tx, &id)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a snapshot brought.
struct Missed {
    changed: bool,
    came: Vec<UserInfo>,
    went: Vec<UserInfo>,
}

/// Tells local users what they missed; who did it is not known any more, so the owner stands for it.
fn healed(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    group: &Group,
    missed: Missed,
    told: &[UserId],
) -> Result<Done, Error> {
    let owner = member::get(tx, group, &group.owner)?.map(|member| member.info);
    let oper_user = owner.unwrap_or_else(|| UserInfo {
        user_id: group.owner.clone(),
        name: group.owner.as_str().to_owned(),
        phone_number: None,
        remark: None,
        portrait: None,
    });
    let mut done = Done::default();
    let came = missed.came.iter().map(notices::plain).collect();
    let lists = [(OperType::Added, came), (OperType::Removed, missed.went), (OperType::Changed, Vec::new())];
    for (oper_type, users) in lists {
        if users.is_empty() && !(oper_type == OperType::Changed && missed.changed) {
            continue;
        }
        let grpset = (oper_type == OperType::Changed).then(|| group.set());
        let notice = Notice { group_info: group.info(), oper_type, oper_user: oper_user.clone(), grpset, users };
        notices::tell(tx, scene, told, &notice, &mut done)?;
    }
    Ok(done)
}

/// Main says that the group is no more, or that nobody here is a member: what the mirror was never told.
///
/// # Errors
/// If storage fails.
pub fn ended(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    peer: &ServerId,
    id: &GroupId,
    dissolved: bool,
) -> Result<Done, Error> {
    let Some(mut group) = rows::find(tx, id)?.filter(|group| group.home.as_ref() == Some(peer) && !group.dissolved)
    else {
        return Ok(Done::default());
    };
    let told = member::locals(tx, &group)?;
    let mut went = Vec::new();
    for user in &told {
        went.extend(member::remove(tx, &mut group, user)?.map(|member| member.info));
    }
    group.dissolved |= dissolved;
    group.stand().stale = false;
    let key = rows::key(tx, id);
    rows::put(tx, &key, &group);
    let mut done = Done::default();
    let oper_type = if dissolved { OperType::Dissolved } else { OperType::Removed };
    if told.is_empty() && !dissolved {
        return Ok(done);
    }
    let users = if dissolved { Vec::new() } else { went };
    let by = UserInfo {
        user_id: group.owner.clone(),
        name: group.owner.as_str().to_owned(),
        phone_number: None,
        remark: None,
        portrait: None,
    };
    let notice = Notice { group_info: group.info(), oper_type, oper_user: by, grpset: None, users };
    notices::tell(tx, scene, &told, &notice, &mut done)?;
    if dissolved {
        forget_members(tx, &mut group)?;
    }
    Ok(done)
}
