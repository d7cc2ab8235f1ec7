//! Groups (§7.7).

use serde::{Serialize, Serializer};

use crate::code::{Code, Refusal};
use crate::id::{GroupId, UserId};
use crate::json::{Fields, Read, ReadError};
use crate::message::MessageInfo;
use crate::query;
use crate::record::{GroupInfo, GrpSet, ReqInfo, UserInfo, YesNo};

/// The most messages of one [`History`].
pub const HISTORY_MAX: i32 = 200;

/// The answer to a group search (§7.7.3): without groups its fields are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Number of pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<i32>,
    /// This one, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<i32>,
    /// The groups on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupInfo>,
}

impl Read for Found {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            pages: f.optional_int("pages")?,
            page: f.optional_int("page")?,
            groups: f.optional_list("groups", |item| item.record())?.unwrap_or_default(),
        })
    }
}

/// `POST /sns/invite/groupreq` (§7.7.4, R6, R20, R21).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Invite {
    /// Who invites whom into what.
    pub req_info: ReqInfo,
}

impl Read for Invite {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { req_info: f.record("reqInfo")? })
    }
}

/// `POST /sns/invite/grouprep` (§7.7.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reply {
    /// The group.
    #[serde(rename = "groupID")]
    pub group_id: GroupId,
    /// Who answers.
    #[serde(rename = "userID")]
    pub user_id: UserId,
    /// 1 agrees, 2 refuses.
    #[serde(rename = "respResult")]
    pub resp_result: YesNo,
}

impl Read for Reply {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { group_id: f.id("groupID")?, user_id: f.id("userID")?, resp_result: YesNo::read(f, "respResult")? })
    }
}

/// `POST /sns/remove/groupmembers` (§7.7.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remove {
    /// The group.
    #[serde(rename = "groupID")]
    pub group_id: GroupId,
    /// Who removes.
    #[serde(rename = "userID")]
    pub user_id: UserId,
    /// Who is removed.
    #[serde(rename = "delMembers")]
    pub del_members: Vec<UserId>,
}

impl Read for Remove {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            group_id: f.id("groupID")?,
            user_id: f.id("userID")?,
            del_members: f.list("delMembers", |item| item.id())?,
        })
    }
}

/// `POST /sns/quit/groupmember` (§7.7.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leave {
    /// The group.
    #[serde(rename = "groupID")]
    pub group_id: GroupId,
    /// Who leaves.
    #[serde(rename = "userID")]
    pub user_id: UserId,
}

impl Read for Leave {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { group_id: f.id("groupID")?, user_id: f.id("userID")? })
    }
}

/// `GET /sns/grpchat` (§7.7.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The group.
    pub group_id: GroupId,
    /// The cursor; none for the text's `-1`.
    pub message_id: Option<String>,
    /// How many: later ones if positive, earlier ones if negative; within ±[`HISTORY_MAX`], not 0.
    pub size: i32,
}

impl History {
    /// The query string.
    #[must_use]
    pub fn to_query(&self) -> String {
        let cursor = self.message_id.as_deref().unwrap_or("-1");
        query::write(&[("groupID", self.group_id.as_str()), ("messageID", cursor), ("size", &self.size.to_string())])
    }
}

impl Read for History {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        let size = f.int("size")?;
        if size == 0 {
            return Err(f.invalid("size", "must not be 0"));
        }
        let cursor = f.text("messageID", crate::id::ID_MAX)?;
        Ok(Self {
            group_id: f.id("groupID")?,
            message_id: (cursor != "-1").then(|| cursor.to_owned()),
            size: size.clamp(-HISTORY_MAX, HISTORY_MAX),
        })
    }
}

/// The answer to [`History`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryAnswer {
    /// The newest message of the group; `-1` if there is none, and read so where a peer leaves it out.
    #[serde(rename = "maxMessageID")]
    pub max_message_id: String,
    /// The oldest.
    #[serde(rename = "minMessageID")]
    pub min_message_id: String,
    /// In main's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageInfo>,
}

impl Read for HistoryAnswer {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            max_message_id: f.optional_text("maxMessageID", crate::id::ID_MAX)?.unwrap_or("-1").to_owned(),
            min_message_id: f.optional_text("minMessageID", crate::id::ID_MAX)?.unwrap_or("-1").to_owned(),
            messages: f.optional_list("messages", |item| item.record())?.unwrap_or_default(),
        })
    }
}

/// `POST /sns/update/grpinfo/{groupID}` (§7.7.10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Update {
    /// The group; must be the one in the path.
    #[serde(rename = "groupID")]
    pub group_id: GroupId,
    /// Who changes.
    #[serde(rename = "ownerID")]
    pub owner_id: UserId,
    /// New settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpset: Option<GrpSet>,
    /// New details.
    #[serde(rename = "groupInfo", skip_serializing_if = "Option::is_none")]
    pub group_info: Option<GroupInfo>,
}

impl Update {
    /// 1003 unless the path names the same group as the body.
    ///
    /// # Errors
    /// 1003.
    pub fn agrees_with_path(&self, group_id: &str) -> Result<(), Refusal> {
        if self.group_id.as_str() == group_id {
            return Ok(());
        }
        Err(Refusal::field(Code::InvalidField, "groupID", "is not the one in the path"))
    }
}

impl Read for Update {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            group_id: f.id("groupID")?,
            owner_id: f.id("ownerID")?,
            grpset: f.optional_record("grpset")?,
            group_info: f.optional_record("groupInfo")?,
        })
    }
}

/// `GET /sns/groupInfo` and `GET /sns/groupmembers` (§7.7.11, §7.7.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfGroup {
    /// The group.
    pub group_id: GroupId,
}

impl OfGroup {
    /// The query string.
    #[must_use]
    pub fn to_query(&self) -> String {
        query::write(&[("groupID", self.group_id.as_str())])
    }
}

impl Read for OfGroup {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { group_id: f.id("groupID")? })
    }
}

/// The answer to `group.info`: left out what is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InfoAnswer {
    /// Settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpset: Option<GrpSet>,
    /// Details.
    #[serde(rename = "groupInfo", skip_serializing_if = "Option::is_none")]
    pub group_info: Option<GroupInfo>,
}

impl Read for InfoAnswer {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { grpset: f.optional_record("grpset")?, group_info: f.optional_record("groupInfo")? })
    }
}

/// `userType` (§7.7.12, R19: the text's second 2 is a 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UserType {
    /// 1
    Member,
    /// 2
    Admin,
    /// 3
    Owner,
}

impl Serialize for UserType {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i32(match self {
            UserType::Member => 1,
            UserType::Admin => 2,
            UserType::Owner => 3,
        })
    }
}

/// One member (§7.7.12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Standing in the group.
    pub user_type: UserType,
    /// Who.
    pub user_info: UserInfo,
}

impl Read for Member {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        let user_type = match f.choice("userType", 1..=3)? {
            1 => UserType::Member,
            2 => UserType::Admin,
            _ => UserType::Owner,
        };
        Ok(Self { user_type, user_info: f.record("userInfo")? })
    }
}

/// The answer to `group.members`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MembersAnswer {
    /// All members.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
}

impl Read for MembersAnswer {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { members: f.optional_list("members", |item| item.record())?.unwrap_or_default() })
    }
}

macro_rules! oper_types {
    ($($(#[$doc:meta])* $variant:ident = $number:literal,)*) => {
        /// `operType` (§7.7.13).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum OperType { $($(#[$doc])* $variant,)* }
        impl OperType {
            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> i32 {
                match self { $(OperType::$variant => $number,)* }
            }
            fn from_number(number: i32) -> Option<Self> {
                match number { $($number => Some(OperType::$variant),)* _ => None }
            }
        }
    };
}

oper_types! {
    /// Members were added.
    Added = 1,
    /// Members were removed or left.
    Removed = 2,
    /// The group is no more.
    Dissolved = 3,
    /// Members became admins.
    AdminSet = 4,
    /// Admins became members.
    AdminUnset = 5,
    /// It has another owner.
    Transferred = 6,
    /// Its details or settings changed.
    Changed = 7,
}

impl Serialize for OperType {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i32(self.number())
    }
}

/// `POST /sns/notify/grpnotify` (§7.7.13).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The group as it now is.
    pub group_info: GroupInfo,
    /// What happened.
    pub oper_type: OperType,
    /// Who did it.
    pub oper_user: UserInfo,
    /// New settings, if they changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpset: Option<GrpSet>,
    /// To whom it was done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserInfo>,
}

impl Read for Notice {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        let oper_type =
            OperType::from_number(f.int("operType")?).ok_or_else(|| f.invalid("operType", "must be from 1 to 7"))?;
        Ok(Self {
            group_info: f.record("groupInfo")?,
            oper_type,
            oper_user: f.record("operUser")?,
            grpset: f.optional_record("grpset")?,
            users: f.optional_list("users", |item| item.record())?.unwrap_or_default(),
        })
    }
}
