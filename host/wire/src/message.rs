//! `messageInfo` and its contents (§7.3).

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::id::{GroupId, MediaId, MessageId, UserId};
use crate::json::{Fields, NAME_MAX, Read, ReadError};

/// The longest text of a message, in bytes of UTF-8.
pub const TEXT_MAX: usize = 64 * 1024;
/// The one `version` there is (§7.3.1).
pub const VERSION: &str = "V1";

/// `messageType` (§7.3.1), read without regard to case. A peer's `video` is read as `file` (R8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// `text`
    Text,
    /// `image`
    Image,
    /// `voice`
    Voice,
    /// `file`
    File,
    /// `repeal`: recall (R7).
    Repeal,
}

impl MessageType {
    /// As on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            MessageType::Text => "text",
            MessageType::Image => "image",
            MessageType::Voice => "voice",
            MessageType::File => "file",
            MessageType::Repeal => "repeal",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        const ALL: [MessageType; 5] =
            [MessageType::Text, MessageType::Image, MessageType::Voice, MessageType::File, MessageType::Repeal];
        if text.eq_ignore_ascii_case("video") {
            return Some(MessageType::File);
        }
        ALL.into_iter().find(|t| text.eq_ignore_ascii_case(t.as_str()))
    }
}

/// `chatScene` (§7.3.1), read without regard to case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChatScene {
    /// `user`: one to one.
    User,
    /// `group`
    Group,
}

impl ChatScene {
    /// As on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ChatScene::User => "user",
            ChatScene::Group => "group",
        }
    }
}

/// A file, picture or voice recording (§7.3.3–7.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// Bytes.
    pub size: i64,
    /// For people; never a path on disk.
    pub name: String,
    /// Which file.
    pub media_id: MediaId,
    /// 32 hexadecimal digits, lower case.
    pub md5: String,
    /// Seconds: always there for voice, perhaps for a video (R8), which is written without it.
    pub duration: Option<i64>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// §7.3.2
    Text {
        /// The text, not empty.
        message: String,
    },
    /// §7.3.3
    Image(FileContent),
    /// §7.3.4
    Voice(FileContent),
    /// §7.3.5
    File(FileContent),
    /// Recall of a message (R7); where a peer names none, the outer messageID is meant and stands here.
    Repeal {
        /// The message recalled.
        message_id: MessageId,
    },
}

impl Content {
    /// The `messageType` that goes with it.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self {
            Content::Text { .. } => MessageType::Text,
            Content::Image(_) => MessageType::Image,
            Content::Voice(_) => MessageType::Voice,
            Content::File(_) => MessageType::File,
            Content::Repeal { .. } => MessageType::Repeal,
        }
    }

    /// The text of a text message.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Content::Text { message } = self { Some(message) } else { None }
    }

    /// The file of an image, voice or file message.
    #[must_use]
    pub fn file(&self) -> Option<&FileContent> {
        match self {
            Content::Image(file) | Content::Voice(file) | Content::File(file) => Some(file),
            Content::Text { .. } | Content::Repeal { .. } => None,
        }
    }

    /// Reads the fields of `content` for a known type. `outer` is the message's own ID (R7).
    ///
    /// # Errors
    /// 1002, 1003.
    pub fn read(kind: MessageType, outer: &MessageId, f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(match kind {
            MessageType::Text => Content::Text { message: f.prose("message", TEXT_MAX)?.to_owned() },
            MessageType::Image => Content::Image(file(f, false)?),
            MessageType::Voice => Content::Voice(file(f, true)?),
            MessageType::File => Content::File(file(f, false)?),
            MessageType::Repeal => {
                Content::Repeal { message_id: f.optional_id("messageID")?.unwrap_or_else(|| outer.clone()) }
            }
        })
    }
}

fn file(f: &Fields<'_>, voice: bool) -> Result<FileContent, ReadError> {
    let md5 = f.text("md5", 64)?;
    if md5.len() != 32 || !md5.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(f.invalid("md5", "must be 32 hexadecimal digits"));
    }
    let file = FileContent {
        size: natural(f, "size")?.ok_or_else(|| f.missing("size"))?,
        name: f.text("name", NAME_MAX)?.to_owned(),
        media_id: f.id("mediaID")?,
        md5: md5.to_ascii_lowercase(),
        duration: natural(f, "duration")?,
    };
    if voice && file.duration.is_none() {
        return Err(f.missing("duration"));
    }
    Ok(file)
}

fn natural(f: &Fields<'_>, name: &str) -> Result<Option<i64>, ReadError> {
    match f.optional_int64(name)? {
        Some(number) if number < 0 => Err(f.invalid(name, "must not be negative")),
        number => Ok(number),
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut out = s.serialize_struct("content", 5)?;
        match self {
            Content::Text { message } => out.serialize_field("message", message)?,
            Content::Repeal { message_id } => out.serialize_field("messageID", message_id)?,
            Content::Image(file) | Content::Voice(file) | Content::File(file) => {
                out.serialize_field("size", &file.size)?;
                out.serialize_field("name", &file.name)?;
                out.serialize_field("mediaID", &file.media_id)?;
                out.serialize_field("md5", &file.md5)?;
                if matches!(self, Content::Voice(_)) {
                    out.serialize_field("duration", &file.duration.unwrap_or(0))?;
                }
            }
        }
        out.end()
    }
}

/// `messageInfo` (§7.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageInfo {
    /// Who says it.
    pub send_id: UserId,
    /// To whom: a userID, in a group the groupID.
    pub recv_id: UserId,
    /// One to one, or a group.
    pub chat_scene: ChatScene,
    /// Unique within (`chat_scene`, `send_id`, `recv_id`).
    pub message_id: MessageId,
    /// What; gives `messageType` too.
    pub content: Content,
}

impl MessageInfo {
    /// `messageType`.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        self.content.message_type()
    }

    /// The group written to, if it is one.
    #[must_use]
    pub fn group(&self) -> Option<GroupId> {
        match self.chat_scene {
            ChatScene::User => None,
            ChatScene::Group => GroupId::parse(self.recv_id.as_str()).ok(),
        }
    }
}

impl Read for MessageInfo {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        let send_id = f.id("sendID")?;
        let recv_id = f.id("recvID")?;
        let kind = MessageType::parse(f.text("messageType", NAME_MAX)?)
            .ok_or_else(|| f.invalid("messageType", "must be text, voice, image, file or repeal"))?;
        if !f.text("version", NAME_MAX)?.eq_ignore_ascii_case(VERSION) {
            return Err(f.invalid("version", "must be V1"));
        }
        let chat_scene = scene(f)?;
        let message_id: MessageId = f.id("messageID")?;
        let content = f.optional_object("content", |inner| Content::read(kind, &message_id, inner))?;
        let content = match (content, kind) {
            (Some(content), _) => content,
            (None, MessageType::Repeal) => Content::Repeal { message_id: message_id.clone() },
            (None, MessageType::Text | MessageType::Image | MessageType::Voice | MessageType::File) => {
                return Err(f.missing("content"));
            }
        };
        Ok(Self { send_id, recv_id, chat_scene, message_id, content })
    }
}

fn scene(f: &Fields<'_>) -> Result<ChatScene, ReadError> {
    let text = f.text("chatScene", NAME_MAX)?;
    [ChatScene::User, ChatScene::Group]
        .into_iter()
        .find(|s| text.eq_ignore_ascii_case(s.as_str()))
        .ok_or_else(|| f.invalid("chatScene", "must be user or group"))
}

impl Serialize for MessageInfo {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut out = s.serialize_struct("messageInfo", 7)?;
        out.serialize_field("sendID", &self.send_id)?;
        out.serialize_field("recvID", &self.recv_id)?;
        out.serialize_field("messageType", self.message_type().as_str())?;
        out.serialize_field("version", VERSION)?;
        out.serialize_field("chatScene", self.chat_scene.as_str())?;
        out.serialize_field("messageID", &self.message_id)?;
        out.serialize_field("content", &self.content)?;
        out.end()
    }
}
