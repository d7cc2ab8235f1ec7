//! What the client knows and shows: plain data, changed by [`update`](super::update) and drawn by [`view`](super::view) alone.
//!
//! Texts of others are cleaned ([`clean`]) where they enter; IDs are kept as they are, to be told to the server again,
//! and cleaned where they are shown.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::tz::TimeZone;
use serde_json::Value;

use super::clean;
use super::command::Completion;
use super::editor::Editor;
use super::words::{Lang, Words};

/// Messages of a chat in memory; older ones are let go.
pub(super) const LINES: usize = 5_000;

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ChatId {
    /// With this user.
    User(String),
    /// In this group.
    Group(String),
}

impl ChatId {
    pub(super) fn id(&self) -> &str {
        match self {
            ChatId::User(id) | ChatId::Group(id) => id,
        }
    }

    /// As the standard's `chatScene`.
    pub(super) fn scene(&self) -> &'static str {
        match self {
            ChatId::User(_) => "user",
            ChatId::Group(_) => "group",
        }
    }

    /// From `chatScene` and the other side's ID.
    pub(super) fn of(scene: &Value, id: &str) -> ChatId {
        if scene == "group" { ChatId::Group(id.to_owned()) } else { ChatId::User(id.to_owned()) }
    }

    /// Under which the session keeps what was read.
    pub(super) fn key(&self) -> String {
        format!("{} {}", self.scene(), self.id())
    }
}

/// A file as its message tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileBody {
    /// `image`, `voice` or `file`.
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) media: String,
    /// Bytes.
    pub(super) size: u64,
    pub(super) md5: Option<String>,
    /// Seconds, of voice.
    pub(super) duration: Option<u64>,
    /// By which `/save` names it in its chat.
    pub(super) number: usize,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Text(String),
    File(FileBody),
    /// Taken back.
    Recalled,
    /// What happened, told by nobody.
    Notice(String),
}

/// How far a message of the user's own is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Another's, or none at all.
    Nothing,
    Sending,
    Kept,
    Waiting,
    Held,
    Delivered,
    Refused(String),
    Dropped(String),
    Expired,
}

/// One message or notice in a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Its messageID; its clientID until that is known; empty for a notice.
    pub(super) id: String,
    pub(super) at_ms: u64,
    pub(super) from: String,
    pub(super) body: Body,
    pub(super) state: State,
    /// Why its file is not here.
    pub(super) trouble: Option<String>,
}

/// A conversation and how far it was read.
#[derive(Debug, Default)]
pub(super) struct Chat {
    pub(super) lines: VecDeque<Message>,
    pub(super) unread: usize,
    /// Of its newest event.
    pub(super) cursor: u64,
    pub(super) at_ms: u64,
    /// Rows of the screen between the newest line and the last one shown.
    pub(super) scroll: usize,
    /// Arrived below while scrolled up.
    pub(super) below: usize,
    pub(super) files: usize,
    pub(super) older_dropped: bool,
    pub(super) draft: String,
}

/// Somebody whom the user has to do with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) stand: Stand,
    pub(super) remark: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    Friends,
    /// The user has asked.
    Asked,
    /// The other one has.
    Asks,
}

/// A group, as a member or somebody invited sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    /// 1 member, 2 admin, 3 owner; 0: invited only.
    pub(super) rank: u64,
    pub(super) members: u64,
    /// Who invites.
    pub(super) by: String,
}

/// The connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    Connecting,
    CatchingUp,
    Live,
    Away { retry_s: u64, why: String },
}

/// A file on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) up: bool,
    pub(super) name: String,
    pub(super) done: u64,
    pub(super) size: u64,
    /// Where an upload goes.
    pub(super) to: Option<ChatId>,
    pub(super) kind: String,
    /// Why it rests for a moment.
    pub(super) broke: Option<String>,
}

/// A page over the chat: what a command answered.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
    pub(super) chosen: usize,
}

/// A row of it, and the command line that it offers.
#[derive(Debug, Default, Clone)]
pub(super) struct Row {
    pub(super) text: String,
    pub(super) command: String,
}

/// Everything.
#[derive(Debug)]
pub(super) struct App {
    pub(super) me: String,
    pub(super) lang: Lang,
    pub(super) zone: TimeZone,
    pub(super) now_ms: u64,
    /// Columns and rows of the terminal.
    pub(super) size: (u16, u16),
    pub(super) link: Link,
    pub(super) chats: BTreeMap<ChatId, Chat>,
    pub(super) open: Option<ChatId>,
    pub(super) people: BTreeMap<String, Person>,
    pub(super) groups: BTreeMap<String, Group>,
    /// Names of users that were told anywhere.
    pub(super) names: HashMap<String, String>,
    /// In which chat a message of the user's own lies, by its messageID.
    pub(super) own: HashMap<String, ChatId>,
    pub(super) input: Editor,
    pub(super) completion: Option<Completion>,
    pub(super) sheet: Option<Sheet>,
    pub(super) transfers: BTreeMap<u64, Transfer>,
    /// The line for what the client has to say.
    pub(super) note: String,
    /// What the server has not answered yet, in its order: under which clientID, and what.
    pub(super) unsent: Vec<(String, Value)>,
    /// Cursors up to which chats were read, by [`ChatId::key`].
    pub(super) read: BTreeMap<String, u64>,
    pub(super) typed: Vec<String>,
    pub(super) recalled_typed: usize,
    /// What was typed last could not be carried out; an arrow brings it back. Until the next key.
    pub(super) mistaken: bool,
    pub(super) leaving: bool,
    pub(super) tag: String,
    pub(super) next: u64,
}

impl App {
    /// Of a user who has just logged in. `tag` makes clientIDs that no other run has used.
    pub(super) fn new(me: &str, lang: Lang, zone: TimeZone, tag: &str) -> App {
        App {
            me: me.to_owned(),
            lang,
            zone,
            now_ms: 0,
            size: (80, 24),
            link: Link::Connecting,
            chats: BTreeMap::new(),
            open: None,
            people: BTreeMap::new(),
            groups: BTreeMap::new(),
            names: HashMap::new(),
            own: HashMap::new(),
            input: Editor::default(),
            completion: None,
            sheet: None,
            transfers: BTreeMap::new(),
            note: String::new(),
            unsent: Vec::new(),
            read: BTreeMap::new(),
            typed: Vec::new(),
            recalled_typed: 0,
            mistaken: false,
            leaving: false,
            tag: tag.to_owned(),
            next: 0,
        }
    }

    pub(super) fn words(&self) -> &'static Words {
        self.lang.words()
    }

    /// The next number of this run.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn chat(&mut self, id: &ChatId) -> &mut Chat {
        self.chats.entry(id.clone()).or_default()
    }

    pub(super) fn opened(&self) -> Option<(&ChatId, &Chat)> {
        let id = self.open.as_ref()?;
        Some((id, self.chats.get(id)?))
    }

    /// A user as shown: the name, with the server of those who are at another one, so that nobody poses as somebody from here.
    pub(super) fn person(&self, id: &str) -> String {
        if id == self.me {
            return self.words().you.to_owned();
        }
        let known = self.people.get(id).map(|person| &person.name).or_else(|| self.names.get(id));
        let (local, server) = id.rsplit_once('@').unwrap_or((id, ""));
        let own = self.me.rsplit_once('@').map(|(_, server)| server);
        match known.filter(|name| !name.is_empty()) {
            Some(name) if own == Some(server) => name.clone(),
            Some(name) if name.as_str() != id => format!("{name}@{}", clean::line(server)),
            Some(_) | None if own == Some(server) => clean::line(local),
            Some(_) | None => clean::line(id),
        }
    }

    /// A chat's title.
    pub(super) fn title(&self, id: &ChatId) -> String {
        match id {
            ChatId::User(user) => self.person(user),
            ChatId::Group(group) => self.group_name(group),
        }
    }

    pub(super) fn group_name(&self, id: &str) -> String {
        self.groups.get(id).map(|group| group.name.clone()).filter(|n| !n.is_empty()).unwrap_or_else(|| clean::line(id))
    }

    /// Chats, the newest first.
    pub(super) fn by_time(&self) -> Vec<&ChatId> {
        let mut chats: Vec<_> = self.chats.iter().collect();
        chats.sort_by_key(|(_, chat)| std::cmp::Reverse((chat.at_ms, chat.cursor)));
        chats.into_iter().map(|(id, _)| id).collect()
    }

    /// Requests and invitations that wait for the user.
    pub(super) fn waiting(&self) -> usize {
        let asks = self.people.values().filter(|person| person.stand == Stand::Asks).count();
        asks + self.groups.values().filter(|group| group.rank == 0).count()
    }

    /// Unread messages outside of the open chat.
    pub(super) fn unread_elsewhere(&self) -> usize {
        self.chats.iter().filter(|(id, _)| Some(*id) != self.open.as_ref()).map(|(_, chat)| chat.unread).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_from_elsewhere_poses_as_somebody_from_here() {
        let mut app = App::new("alice@north", Lang::En, TimeZone::UTC, "t");
        app.names.insert("bob@north".into(), "Bob".into());
        app.names.insert("eve@south".into(), "Bob".into());
        assert_eq!(app.person("bob@north"), "Bob");
        assert_eq!(app.person("eve@south"), "Bob@south");
        assert_eq!(app.person("zoe@north"), "zoe");
        assert_eq!(app.person("zoe@south"), "zoe@south");
        assert_eq!(app.person("10086\u{1b}[m"), "10086\u{fffd}[m");
        assert_eq!(app.person("alice@north"), "you");
    }
}
