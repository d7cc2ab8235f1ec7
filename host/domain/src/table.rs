//! Every table of the domain. Keys are plain, so what they would tell is hashed with the store's index key;
//! times and sequence numbers stay plain (design §3).

use isthmus_store::Table;

/// [`TimeId`](crate::TimeId) → a message as it goes over the wire, with where it came from.
pub const MESSAGES: Table = Table::new(0x01, "messages", true);
/// User key, cursor (u64) → an event that refers to a message.
pub const INBOX: Table = Table::new(0x02, "inbox", false);
/// Repeal?, messageID, conversation → digest and record of a message received from a peer.
pub const DEDUP: Table = Table::new(0x03, "dedup", false);
/// Client's message id, user key → digest, record and cursor of a message submitted.
pub const SUBMITTED: Table = Table::new(0x04, "submitted", false);
/// User key, device → the cursor that the device has acknowledged.
pub const CURSORS: Table = Table::new(0x05, "cursors", false);
/// Record's [`TimeId`](crate::TimeId) → why it is held and which way it goes.
pub const HELD: Table = Table::new(0x06, "held", true);
/// Conversation, record's [`TimeId`](crate::TimeId) → nothing: the order in which held messages were written.
pub const HELD_ORDER: Table = Table::new(0x09, "held in order", false);
/// [`TimeId`](crate::TimeId) → news for users' devices.
pub const NEWS: Table = Table::new(0x07, "news", true);
/// User key, hash of a conversation → up to where the user has read it.
pub const MARKS: Table = Table::new(0x08, "marks", true);
/// User key → flags and profile of a local user.
pub const USERS: Table = Table::new(0x10, "users", true);
/// User key, device → one log-in.
pub const DEVICES: Table = Table::new(0x11, "devices", true);
/// SHA-256 of a token → whose it is.
pub const TOKENS: Table = Table::new(0x12, "tokens", true);
/// User key → when an even pace would have come to the last message of a user whose messages are limited (u64, milliseconds).
pub const LIMITED: Table = Table::new(0x16, "limited users", false);
/// Name → an administrator's account.
pub const ADMINISTRATORS: Table = Table::new(0x15, "administrators", true);
/// User key, key of another user → where the two stand (R18).
pub const FRIENDS: Table = Table::new(0x13, "friends", true);
/// User key → how many rows of [`FRIENDS`] it has.
pub const FRIEND_COUNTS: Table = Table::new(0x14, "friend counts", false);
/// serverId in lower case → `serverInfo` as the platform last gave it.
pub const PEERS: Table = Table::new(0x20, "peers", true);
/// Hash of a foreign ID → the server that first presented it (R11).
pub const FOREIGN: Table = Table::new(0x21, "foreign homes", false);
/// [`TimeId`](crate::TimeId) → an application to the platform.
pub const APPLICATIONS: Table = Table::new(0x30, "applications", true);
/// serverId in lower case → a registered server.
pub const SERVERS: Table = Table::new(0x31, "servers", true);
/// serverId in lower case → its pending application.
pub const PENDING: Table = Table::new(0x32, "pending applications", false);
/// Certificate serial → the server it was issued to.
pub const SERIALS: Table = Table::new(0x33, "serials", true);
/// Serial (u64) → serverId in lower case of the server that changed last with it, or nothing: a change of the platform's own.
pub const CHANGES: Table = Table::new(0x34, "changes of the registry", false);
/// Number → a notice that nobody has taken yet.
pub const NOTICES: Table = Table::new(0x35, "notices", true);
/// serverId → serial of the certificate whose end was told.
pub const EXPIRY_TOLD: Table = Table::new(0x36, "certificates told to expire", false);
/// Media key → a file: whose, what it is called, where its bytes lie.
pub const MEDIA: Table = Table::new(0x60, "media", true);
/// mediaID, media key → nothing: what servers call by an ID.
pub const MEDIA_NAMES: Table = Table::new(0x61, "media names", false);
/// Media key, kind, viewer, reference → the group that sees it, if it is one.
pub const MEDIA_REFS: Table = Table::new(0x62, "media references", true);
/// Media key, server, reference → nothing: who may pull it.
pub const MEDIA_GRANTS: Table = Table::new(0x63, "media grants", false);
/// Place → the media key of the picture in it.
pub const MEDIA_PLACES: Table = Table::new(0x64, "media places", false);
/// User key, media key → nothing: uploads that are not ended.
pub const MEDIA_OPEN: Table = Table::new(0x65, "open uploads", false);
/// User key → bytes of the user's uploads that are kept.
pub const MEDIA_USED: Table = Table::new(0x6a, "bytes uploaded", false);
/// Blob, media key → nothing: who needs the blob.
pub const BLOB_MEDIA: Table = Table::new(0x66, "blobs in use", false);
/// Media key → a file to be fetched.
pub const PULLS: Table = Table::new(0x67, "pulls", true);
/// Time (u64), media key → nothing: when to try next.
pub const PULL_DUE: Table = Table::new(0x68, "pulls due", false);
/// Media key, record → whether it is judged: messages that wait for a file.
pub const PULL_WAITERS: Table = Table::new(0x69, "waiting for files", false);
/// Single values of the process: its own enrolment, for one. Names are the caller's.
pub const META: Table = Table::new(0x40, "meta", true);
/// Group key → a group, ours or mirrored.
pub const GROUPS: Table = Table::new(0x50, "groups", true);
/// Group key, user key → a member.
pub const MEMBERS: Table = Table::new(0x51, "group members", true);
/// Group key, user key → a member that is a user of this server.
pub const LOCALS: Table = Table::new(0x52, "local group members", true);
/// Group key, serverId in lower case → how many members are at home there (nothing after the key: home unknown) and
/// the message that was the newest when the first of them came.
pub const PLACES: Table = Table::new(0x53, "group members' servers", false);
/// User key, group key → a group of a local user.
pub const OF_USER: Table = Table::new(0x54, "groups of users", true);
/// Group key, number (u64) → a line of the group's log: its messages in main's order.
pub const LOG: Table = Table::new(0x55, "group log", true);
/// messageID, group key → the number of its line.
pub const LINES: Table = Table::new(0x56, "group lines", false);
/// Group key, user key → an invitation that the main server waits for an answer to.
pub const INVITED: Table = Table::new(0x57, "invited", true);
/// Group key, user key → somebody who asks to be let in.
pub const APPLIED: Table = Table::new(0x58, "applied", true);
/// User key, group key → a local user's open invitation or application.
pub const PENDING_GROUPS: Table = Table::new(0x59, "open invitations", true);
