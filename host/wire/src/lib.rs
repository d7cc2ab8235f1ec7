//! Chapter 7 of T/CIIA 003—2019 as types: identifiers, structures, messages, one declaration per
//! call, and the table of codes.
//!
//! Reading is tolerant and writing strict (R1): see [`json`]. Nothing here does I/O or knows the time.

pub mod address;
pub mod call;
pub mod code;
pub mod homes;
pub mod id;
pub mod json;
pub mod letters;
pub mod message;
pub mod path;
pub mod query;
pub mod record;
pub mod registry;

pub use address::Address;
pub use call::{CALLS, CallSpec};
pub use code::{Answer, Code, Empty, Refusal, Retry, Transport};
pub use id::{GroupId, InvalidId, MediaId, MessageId, ServerId, UserId};
pub use json::{Fields, Read, ReadError};
pub use message::{ChatScene, Content, FileContent, MessageInfo, MessageType};
pub use record::{GroupInfo, GrpSet, ReqInfo, ServerInfo, ServerStatus, UserInfo};

/// The one media type of every JSON body that we write (§7.1.1 c).
pub const JSON_TYPE: &str = "application/json;charset=utf-8";
