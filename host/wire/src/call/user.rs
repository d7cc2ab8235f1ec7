//! Users and friends (§7.6).

use serde::Serialize;

use crate::id::UserId;
use crate::json::{Fields, NAME_MAX, REMARK_MAX, Read, ReadError};
use crate::query;
use crate::record::{UserInfo, YesNo};

/// `GET /sns/find/users` and `GET /sns/find/groups` (§7.6.2, §7.7.3, R14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// In double quotes: exact.
    pub query: String,
    /// From 0.
    pub page: i32,
}

impl Search {
    /// The query string.
    #[must_use]
    pub fn to_query(&self) -> String {
        query::write(&[("query", &self.query), ("page", &self.page.to_string())])
    }
}

impl Read for Search {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        let page = f.optional_int("page")?.unwrap_or(0);
        if page < 0 {
            return Err(f.invalid("page", "must not be negative"));
        }
        let query = f.text("query", NAME_MAX)?.to_owned();
        if query == "\"\"" {
            return Err(f.missing("query"));
        }
        Ok(Self { query, page })
    }
}

/// The answer to a user search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Number of pages.
    pub pages: i32,
    /// This one, from 0.
    pub page: i32,
    /// The users on it.
    pub user_infos: Vec<UserInfo>,
}

impl Read for Found {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            pages: f.optional_int("pages")?.unwrap_or(0),
            page: f.optional_int("page")?.unwrap_or(0),
            user_infos: f.optional_list("userInfos", |item| item.record())?.unwrap_or_default(),
        })
    }
}

/// `POST /sns/add/users` (§7.6.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Add {
    /// The one asked.
    #[serde(rename = "userID")]
    pub user_id: UserId,
    /// Words with the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// The one asking.
    #[serde(rename = "userInfo")]
    pub user_info: UserInfo,
}

impl Read for Add {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            user_id: f.id("userID")?,
            remark: f.optional_prose("remark", REMARK_MAX)?.map(str::to_owned),
            user_info: f.record("userInfo")?,
        })
    }
}

/// `POST /sns/rsp/users` (§7.6.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Respond {
    /// The one who asked.
    #[serde(rename = "userID")]
    pub user_id: UserId,
    /// 1 agrees, 2 refuses.
    #[serde(rename = "isAgree")]
    pub is_agree: YesNo,
    /// The one answering.
    #[serde(rename = "userInfo")]
    pub user_info: UserInfo,
}

impl Read for Respond {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { user_id: f.id("userID")?, is_agree: YesNo::read(f, "isAgree")?, user_info: f.record("userInfo")? })
    }
}

/// `POST /sns/del/users` (§7.6.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delete {
    /// The other one.
    #[serde(rename = "userID")]
    pub user_id: UserId,
    /// Who ends it.
    #[serde(rename = "requesterID")]
    pub requester_id: UserId,
}

impl Read for Delete {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { user_id: f.id("userID")?, requester_id: f.id("requesterID")? })
    }
}

/// `GET /sns/users` (§7.6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// Whose.
    pub user_id: UserId,
}

impl Details {
    /// The query string.
    #[must_use]
    pub fn to_query(&self) -> String {
        query::write(&[("userID", self.user_id.as_str())])
    }
}

impl Read for Details {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { user_id: f.id("userID")? })
    }
}

/// The answer to [`Details`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DetailsAnswer {
    /// Left out if there is none.
    #[serde(rename = "userInfo", skip_serializing_if = "Option::is_none")]
    pub user_info: Option<UserInfo>,
}

impl Read for DetailsAnswer {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { user_info: f.optional_record("userInfo")? })
    }
}

/// `GET /sns/query/users/{userID}` (§7.6.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsFriend {
    /// The other one; stands in the path.
    pub user_id: UserId,
    /// Who asks.
    pub self_id: UserId,
}

impl IsFriend {
    /// The query string.
    #[must_use]
    pub fn to_query(&self) -> String {
        query::write(&[("selfID", self.self_id.as_str())])
    }
}

impl Read for IsFriend {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { user_id: f.id("userID")?, self_id: f.id("selfID")? })
    }
}

/// The answer to [`IsFriend`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IsFriendAnswer {
    /// 1 they are, 2 they are not.
    #[serde(rename = "isFriend")]
    pub is_friend: YesNo,
}

impl Read for IsFriendAnswer {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { is_friend: YesNo::read(f, "isFriend")? })
    }
}
