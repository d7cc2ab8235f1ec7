//! The structures of §7.2.

use serde::{Deserialize, Serialize};

use crate::id::{GroupId, MediaId, ServerId, UserId};
use crate::json::{Fields, NAME_MAX, REMARK_MAX, Read, ReadError};

/// `serverStatus` (§7.2.1): a *string* of one digit (R1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum ServerStatus {
    /// `"0"`
    #[default]
    #[serde(rename = "0")]
    Normal,
    /// `"1"`: refused until it is resumed.
    #[serde(rename = "1")]
    Suspended,
    /// `"2"`: for good; the ID is never used again (§7.5.3).
    #[serde(rename = "2")]
    Deregistered,
}

impl ServerStatus {
    /// As on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ServerStatus::Normal => "0",
            ServerStatus::Suspended => "1",
            ServerStatus::Deregistered => "2",
        }
    }
}

/// `serverInfo` (§7.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    /// Unique at the platform, never changed, never used again.
    pub server_id: ServerId,
    /// For people.
    pub server_name: String,
    /// `https://host[:port]` of the interconnect listener.
    pub server_address: String,
    /// The standing.
    pub server_status: ServerStatus,
    /// The person answerable.
    pub contact_name: String,
    /// Their e-mail.
    pub contact_email: String,
    /// Their telephone.
    pub contact_mobile: String,
    /// Product type.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server_type: Option<String>,
    /// Country or region of its users.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub area: Option<String>,
}

impl Read for ServerInfo {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            server_id: f.id("serverId")?,
            server_name: f.text("serverName", NAME_MAX)?.to_owned(),
            server_address: f.text("serverAddress", NAME_MAX)?.to_owned(),
            server_status: status(f)?,
            contact_name: f.text("contactName", NAME_MAX)?.to_owned(),
            contact_email: f.text("contactEmail", NAME_MAX)?.to_owned(),
            contact_mobile: f.text("contactMobile", NAME_MAX)?.to_owned(),
            server_type: f.optional_text("serverType", NAME_MAX)?.map(str::to_owned),
            area: f.optional_text("area", NAME_MAX)?.map(str::to_owned),
        })
    }
}

fn status(f: &Fields<'_>) -> Result<ServerStatus, ReadError> {
    match f.int("serverStatus")? {
        0 => Ok(ServerStatus::Normal),
        1 => Ok(ServerStatus::Suspended),
        2 => Ok(ServerStatus::Deregistered),
        _ => Err(f.invalid("serverStatus", "must be \"0\", \"1\" or \"2\"")),
    }
}

/// `userInfo` (§7.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInfo {
    /// The ID.
    #[serde(rename = "userID")]
    pub user_id: UserId,
    /// For people.
    pub name: String,
    /// With country code, as 0086…
    #[serde(rename = "phoneNumber", skip_serializing_if = "Option::is_none", default)]
    pub phone_number: Option<String>,
    /// Free words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remark: Option<String>,
    /// The portrait's file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub portrait: Option<MediaId>,
}

impl Read for UserInfo {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            user_id: f.id("userID")?,
            name: f.text("name", NAME_MAX)?.to_owned(),
            phone_number: f.optional_text("phoneNumber", NAME_MAX)?.map(str::to_owned),
            remark: f.optional_prose("remark", REMARK_MAX)?.map(str::to_owned),
            portrait: f.optional_id("portrait")?,
        })
    }
}

/// `groupInfo` (§7.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupInfo {
    /// The ID.
    #[serde(rename = "groupID")]
    pub group_id: GroupId,
    /// For people.
    pub group_name: String,
    /// How many members it has.
    pub group_member_num: i32,
    /// The owner's userID.
    pub create_user: UserId,
    /// RFC 3339 in UTC when we write it, opaque when we read it (R10).
    pub create_time: String,
    /// The icon's file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group_icon: Option<MediaId>,
}

impl Read for GroupInfo {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        let group_member_num = f.int("groupMemberNum")?;
        if group_member_num < 0 {
            return Err(f.invalid("groupMemberNum", "must not be negative"));
        }
        Ok(Self {
            group_id: f.id("groupID")?,
            group_name: f.text("groupName", NAME_MAX)?.to_owned(),
            group_member_num,
            create_user: f.id("createUser")?,
            create_time: f.text("createTime", NAME_MAX)?.to_owned(),
            group_icon: f.optional_id("groupIcon")?,
        })
    }
}

/// The standard's 1 yes, 2 no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct YesNo(pub bool);

impl YesNo {
    /// Reads 1 or 2.
    ///
    /// # Errors
    /// 1002, 1003.
    pub fn read(f: &Fields<'_>, name: &str) -> Result<Self, ReadError> {
        f.choice(name, 1..=2).map(|n| Self(n == 1))
    }
}

impl Serialize for YesNo {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i32(if self.0 { 1 } else { 2 })
    }
}

/// `grpset` (§7.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpSet {
    /// May members invite?
    pub is_allow: YesNo,
    /// Can it be found by search?
    pub is_visible: YesNo,
}

impl Read for GrpSet {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { is_allow: YesNo::read(f, "isAllow")?, is_visible: YesNo::read(f, "isVisible")? })
    }
}

/// `reqInfo` (§7.2.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReqInfo {
    /// The group.
    pub group_info: GroupInfo,
    /// The inviter.
    pub user_info: UserInfo,
    /// The invited; as bare IDs too (R6), which then stand for the name as well.
    pub invite_users: Vec<UserInfo>,
}

impl Read for ReqInfo {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        let invited = f.list("inviteUsers", |item| match item.as_text() {
            None => item.record(),
            Some(name) => Ok(UserInfo {
                user_id: item.id()?,
                name: name.to_owned(),
                phone_number: None,
                remark: None,
                portrait: None,
            }),
        })?;
        Ok(Self { group_info: f.record("groupInfo")?, user_info: f.record("userInfo")?, invite_users: invited })
    }
}
