//! Every call of chapter 7, declared once: what it is named, where it lives, who may make it and in
//! whose name it acts.

pub mod group;
pub mod message;
pub mod registry;
pub mod user;

use crate::path;

/// The two methods that chapter 7 uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Parameters in the query.
    Get,
    /// Parameters in a JSON body.
    Post,
}

impl Method {
    /// As HTTP spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// Who answers a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Receiver {
    /// The management platform.
    Platform,
    /// A server.
    Server,
    /// Both: a server for its own users, the platform for all servers (R17).
    Both,
}

/// Who may make a call (reading, sections 1 and 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A server with a valid interconnect certificate.
    Server,
    /// An applicant that has no certificate yet.
    Applicant,
}

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallSpec {
    /// The operation's name, as policies and audit records know it.
    pub name: &'static str,
    /// GET or POST.
    pub method: Method,
    /// The path in chapter 7's form, without a trailing slash (R2); `{…}` is one percent-encoded segment.
    pub path: &'static str,
    /// Clause of T/CIIA 003—2019.
    pub clause: &'static str,
    /// The R numbers of our reading that apply.
    pub r: &'static [u8],
    /// Who answers.
    pub to: Receiver,
    /// Who may call.
    pub from: Caller,
    /// The field that names the user or server acting (R12); none where nobody is named.
    pub speaker: Option<&'static str>,
    /// Whether a group's home may speak for others here (R12's one exception).
    pub relay: Relay,
}

/// What a group's home may do in the name of users of other servers (R12, R20, R22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relay {
    /// Nothing: the speaker's home calls.
    Never,
    /// The home of the group in this field may call as well as the speaker's.
    Also(&'static str),
    /// As [`Relay::Also`], in messages with `chatScene` group only.
    InGroups(&'static str),
    /// Only the home of the group in this field may call, whoever acted.
    Only(&'static str),
}

/// Why no call was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unroutable {
    /// No call has this path.
    NoRoute,
    /// One has, with the other method.
    WrongMethod(Method),
}

/// A call that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub spec: &'static CallSpec,
    /// The decoded segment of a path with `{name}`, by its name.
    pub param: Option<(&'static str, String)>,
}

/// Finds the call for a request's method and path, with or without a trailing slash (R2).
///
/// # Errors
/// Why there is none.
pub fn find(method: &str, path: &str) -> Result<Found, Unroutable> {
    let path = path::normalise(path);
    let mut other = None;
    for spec in CALLS {
        let Some(param) = spec.matches(path) else {
            continue;
        };
        if spec.method.as_str() == method {
            return Ok(Found { spec, param });
        }
        other = Some(spec.method);
    }
    Err(other.map_or(Unroutable::NoRoute, Unroutable::WrongMethod))
}

impl CallSpec {
    fn matches(&self, path: &str) -> Option<Option<(&'static str, String)>> {
        let Some((head, name)) = self.path.split_once('{') else {
            return (self.path == path).then_some(None);
        };
        let segment = path.strip_prefix(head).filter(|s| !s.is_empty() && !s.contains('/'))?;
        let name = name.strip_suffix('}')?;
        Some(Some((name, path::decode(segment)?)))
    }

    /// The path with its `{…}` filled in.
    #[must_use]
    pub fn path_for(&self, param: &str) -> String {
        match self.path.split_once('{') {
            Some((head, _)) => format!("{head}{}", path::encode(param)),
            None => self.path.to_owned(),
        }
    }
}

macro_rules! calls {
    ($($(#[$doc:meta])* $konst:ident = $name:literal $method:ident $path:literal,
        $clause:literal $r:expr, $from:ident => $to:ident, $speaker:expr $(, $relay:expr)?;)*) => {
        $($(#[$doc])* pub const $konst: CallSpec = CallSpec {
            name: $name, method: Method::$method, path: $path, clause: $clause, r: &$r,
            to: Receiver::$to, from: Caller::$from, speaker: $speaker, relay: calls!(@relay $($relay)?),
        };)*
        /// Every call there is.
        pub const CALLS: &[CallSpec] = &[$($konst),*];
    };
    (@relay) => { Relay::Never };
    (@relay $relay:expr) => { $relay };
}

calls! {
    /// Send a message.
    MESSAGE_SEND = "message.send" Post "/sns/chat", "7.4.2" [2, 7, 8, 12], Server => Server, Some("messageInfo.sendID"),
        Relay::InGroups("messageInfo.recvID");
    /// Pull a file.
    FILE_DOWNLOAD = "file.download" Get "/sns/download/file", "7.4.5" [2, 3, 9], Server => Server, None;
    /// Tell the sender's server that a file could not be had: ours, optional.
    FILE_REPORT = "file.report" Post "/isthmus/v1/file/report", "7.4.3" [12], Server => Server, Some("userID");
    /// Query servers and their addresses.
    NODES = "address.query" Post "/sns/managernode/nodes", "7.5.4" [2, 16], Server => Platform, Some("ownerID");
    /// Apply for registration.
    REGISTER = "registry.register" Post "/sns/managernode/register", "7.5.1" [13, 15], Applicant => Platform, None;
    /// Follow an application up.
    APPLICATION = "registry.application" Post "/sns/managernode/application", "7.5.1" [15], Applicant => Platform, None;
    /// Apply for a change.
    UPDATE = "registry.update" Post "/sns/managernode/update", "7.5.2" [15], Server => Platform, Some("serverInfo.serverId");
    /// Apply for deregistration.
    DEREGISTER = "registry.deregister" Post "/sns/managernode/deregister", "7.5.3" [15], Server => Platform, None;
    /// Renew the certificate.
    RENEW = "registry.renew" Post "/sns/managernode/renew", "7.5.1" [13, 15], Server => Platform, None;
    /// Revoked certificates.
    CRL = "registry.crl" Get "/sns/managernode/crl", "6.1" [13, 15], Server => Platform, None;
    /// Search users.
    USER_SEARCH = "user.search" Get "/sns/find/users", "7.6.2" [3, 14, 17], Server => Both, None;
    /// Ask for friendship.
    USER_ADD = "friend.request" Post "/sns/add/users", "7.6.3" [2, 12, 18], Server => Server, Some("userInfo.userID");
    /// Answer such a request.
    USER_ANSWER = "friend.answer" Post "/sns/rsp/users", "7.6.4" [12, 18], Server => Server, Some("userInfo.userID");
    /// End a friendship.
    USER_DELETE = "friend.delete" Post "/sns/del/users", "7.6.5" [12, 18], Server => Server, Some("requesterID");
    /// A user's details.
    USER_DETAILS = "user.details" Get "/sns/users", "7.6.6" [3, 14], Server => Server, None;
    /// Are two users friends?
    USER_IS_FRIEND = "friend.query" Get "/sns/query/users/{userID}", "7.6.7" [3, 12], Server => Server, Some("selfID");
    /// Search groups.
    GROUP_SEARCH = "group.search" Get "/sns/find/groups", "7.7.3" [3, 14], Server => Server, None;
    /// Invite into a group.
    GROUP_INVITE = "group.invite" Post "/sns/invite/groupreq", "7.7.4" [6, 12, 20, 21], Server => Server, Some("reqInfo.userInfo.userID"),
        Relay::Also("reqInfo.groupInfo.groupID");
    /// Answer an invitation.
    GROUP_ANSWER = "group.answer" Post "/sns/invite/grouprep", "7.7.5" [12], Server => Server, Some("userID");
    /// Remove members.
    GROUP_REMOVE = "group.remove" Post "/sns/remove/groupmembers", "7.7.6" [12], Server => Server, Some("userID");
    /// Leave a group.
    GROUP_LEAVE = "group.leave" Post "/sns/quit/groupmember", "7.7.7" [12], Server => Server, Some("userID");
    /// A group's messages.
    GROUP_HISTORY = "group.history" Get "/sns/grpchat", "7.7.9" [3, 22], Server => Server, None;
    /// Change a group.
    GROUP_UPDATE = "group.update" Post "/sns/update/grpinfo/{groupID}", "7.7.10" [12], Server => Server, Some("ownerID");
    /// A group's details.
    GROUP_INFO = "group.info" Get "/sns/groupInfo", "7.7.11" [3], Server => Server, None;
    /// A group's members.
    GROUP_MEMBERS = "group.members" Get "/sns/groupmembers", "7.7.12" [3, 19], Server => Server, None;
    /// Tell members' servers what changed.
    GROUP_NOTICE = "group.notice" Post "/sns/notify/grpnotify", "7.7.13" [12, 22], Server => Server, Some("operUser.userID"),
        Relay::Only("groupInfo.groupID");
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn r2_every_call_is_found_with_and_without_a_trailing_slash() {
        for spec in CALLS {
            let path = spec.path_for("张/三@north");
            for form in [path.clone(), format!("{path}/")] {
                let found = find(spec.method.as_str(), &form).unwrap();
                assert_eq!(found.spec.name, spec.name);
                if let Some((_, value)) = found.param {
                    assert_eq!(value, "张/三@north");
                }
            }
        }
    }

    #[test]
    fn r4_a_wrong_method_and_a_wrong_path_are_told_apart() {
        assert_eq!(find("GET", "/sns/chat/"), Err(Unroutable::WrongMethod(Method::Post)));
        assert_eq!(find("GET", "/sns/chats"), Err(Unroutable::NoRoute));
        assert_eq!(find("GET", "/sns/query/users/"), Err(Unroutable::NoRoute));
        assert_eq!(find("GET", "/sns/query/users/a/b"), Err(Unroutable::NoRoute));
    }

    #[test]
    fn names_and_routes_are_unique() {
        for (i, a) in CALLS.iter().enumerate() {
            for b in &CALLS[i + 1..] {
                assert!(a.name != b.name && (a.path, a.method) != (b.path, b.method), "{}", a.name);
            }
        }
    }
}
