//! The table of codes (§7.6.7, R5), what HTTP says with each (R4), and answers.

use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};

use crate::json::{self, Fields, Read, ReadError};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $konst:ident = $number:literal;)*) => {
        /// `code` of an answer. §7.6.7 fixes 0 and 1; the rest are ours (R5). Peers may send any number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
            /// A number of somebody else's. Made by [`Code::from_number`] only.
            Other(i32),
        }
        impl Code {
            $($(#[$doc])* pub const $konst: Code = Code::$variant;)*
            /// Every code of our table.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];
            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> i32 {
                match self {
                    $(Code::$variant => $number,)*
                    Code::Other(n) => n,
                }
            }
            /// From the wire; a number outside our table is kept as it is.
            #[must_use]
            pub const fn from_number(number: i32) -> Code {
                match number {
                    $($number => Code::$variant,)*
                    n => Code::Other(n),
                }
            }
        }
    };
}

codes! {
    /// Success.
    Success SUCCESS = 0;
    /// A failure that no other code covers.
    Failure FAILURE = 1;
    /// Malformed request: JSON, encoding, depth.
    Malformed MALFORMED = 1001;
    /// A mandatory field is missing or empty.
    MissingField MISSING_FIELD = 1002;
    /// A field's value is invalid.
    InvalidField INVALID_FIELD = 1003;
    /// Not found.
    NotFound NOT_FOUND = 1004;
    /// No valid identity.
    NoIdentity NO_IDENTITY = 1101;
    /// Denied by access policy.
    DeniedByAccess DENIED_BY_ACCESS = 1102;
    /// Denied by content policy.
    DeniedByContent DENIED_BY_CONTENT = 1103;
    /// The caller may not act for this user, group or server (R12).
    MayNotActFor MAY_NOT_ACT_FOR = 1104;
    /// The operation is not permitted to this user.
    NotPermitted NOT_PERMITTED = 1105;
    /// Already exists or already decided.
    AlreadyExists ALREADY_EXISTS = 1201;
    /// The state does not permit it: dissolved, deregistered, expired.
    WrongState WRONG_STATE = 1202;
    /// Too many requests; retry after the time in `Retry-After`.
    TooManyRequests TOO_MANY_REQUESTS = 1301;
    /// Overloaded or shutting down; retry.
    Overloaded OVERLOADED = 1302;
    /// The other server could not be reached.
    PeerUnreachable PEER_UNREACHABLE = 1303;
    /// File content does not match size or md5.
    ContentMismatch CONTENT_MISMATCH = 1401;
    /// File type not allowed for this message type.
    TypeNotAllowed TYPE_NOT_ALLOWED = 1402;
}

/// Whether a caller that was told a code should try the same thing again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It went well.
    Done,
    /// The same request may succeed later.
    Later,
    /// The same request will be refused again (reading, section 5).
    Never,
}

impl Retry {
    /// What a peer's answer means for a letter. A server in trouble (408, 429, 5xx) is asked again whatever `code` it
    /// found time to write; else the code decides.
    #[must_use]
    pub const fn of(http_status: u16, code: Code) -> Retry {
        match (http_status, code.retry()) {
            (408 | 429 | 500.., Retry::Never | Retry::Done) => Retry::Later,
            (_, retry) => retry,
        }
    }
}

impl Code {
    /// The HTTP status of an answer with this code (R4): 200 for whatever the domain said.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Code::Malformed => 400,
            Code::NoIdentity => 401,
            Code::TooManyRequests => 429,
            Code::Overloaded => 503,
            Code::Success
            | Code::Failure
            | Code::MissingField
            | Code::InvalidField
            | Code::NotFound
            | Code::DeniedByAccess
            | Code::DeniedByContent
            | Code::MayNotActFor
            | Code::NotPermitted
            | Code::AlreadyExists
            | Code::WrongState
            | Code::PeerUnreachable
            | Code::ContentMismatch
            | Code::TypeNotAllowed
            | Code::Other(_) => 200,
        }
    }

    /// What a sender does with a letter that was answered with this code: a refusal for good leaves
    /// the lane, anything that may pass is retried. Foreign codes count as refusals, since a peer
    /// that knows only §7.6.7 says 1 for everything.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Code::Success => Retry::Done,
            Code::TooManyRequests | Code::Overloaded | Code::PeerUnreachable | Code::NoIdentity => Retry::Later,
            Code::Failure
            | Code::Malformed
            | Code::MissingField
            | Code::InvalidField
            | Code::NotFound
            | Code::DeniedByAccess
            | Code::DeniedByContent
            | Code::MayNotActFor
            | Code::NotPermitted
            | Code::AlreadyExists
            | Code::WrongState
            | Code::ContentMismatch
            | Code::TypeNotAllowed
            | Code::Other(_) => Retry::Never,
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.number().fmt(f)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i32(self.number())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        i32::deserialize(d).map(Code::from_number)
    }
}

/// Why a request never reached the domain; it carries its own HTTP status (R4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// No such path.
    NoRoute,
    /// The path exists, not with this method.
    WrongMethod,
    /// JSON, encoding or depth.
    Malformed,
    /// The body is larger than allowed.
    TooLarge,
    /// Not JSON where JSON is due.
    WrongMediaType,
    /// No certificate or token, or one that is not valid.
    NoIdentity,
    /// A valid identity that may not use this interface.
    ForeignIdentity,
    /// Rate limit.
    TooManyRequests,
    /// Overload or shutdown.
    Overloaded,
    /// Our own fault.
    Fault,
}

impl Transport {
    /// HTTP status and `code` (R4, R5).
    #[must_use]
    pub const fn answer(self) -> (u16, Code) {
        match self {
            Transport::NoRoute => (404, Code::NotFound),
            Transport::WrongMethod => (405, Code::Malformed),
            Transport::Malformed => (400, Code::Malformed),
            Transport::TooLarge => (413, Code::Malformed),
            Transport::WrongMediaType => (415, Code::Malformed),
            Transport::NoIdentity => (401, Code::NoIdentity),
            Transport::ForeignIdentity => (403, Code::NoIdentity),
            Transport::TooManyRequests => (429, Code::TooManyRequests),
            Transport::Overloaded => (503, Code::Overloaded),
            Transport::Fault => (500, Code::Failure),
        }
    }
}

/// The caller's fault: a code, the field it is about, and words that the caller may read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which of R5's codes.
    pub code: Code,
    /// The field, as a dotted path (`messageInfo.content.message`).
    pub field: Option<String>,
    /// Public words; they name the field where there is one.
    pub message: String,
}

impl Refusal {
    /// A refusal that is about no field.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, field: None, message: message.into() }
    }

    /// A refusal about a field; its name goes into the words too.
    pub fn field(code: Code, field: impl Into<String>, what: impl std::fmt::Display) -> Self {
        let field = field.into();
        Self { code, message: format!("{field}: {what}"), field: Some(field) }
    }
}

/// An answer without anything beside `code` and `msg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Empty {}

impl Read for Empty {
    fn read(_: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {})
    }
}

/// `{"code", "msg", …}` (§7.4.2 and every other call). The rest is there only with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T = Empty> {
    /// The code.
    pub code: Code,
    /// Plain words; `success` when all went well.
    pub msg: String,
    /// The call's own fields, flattened on the wire.
    pub body: Option<T>,
}

impl Answer<Empty> {
    /// `{"code":0,"msg":"success"}`.
    #[must_use]
    pub fn success() -> Self {
        Self { code: Code::Success, msg: "success".to_owned(), body: None }
    }
}

impl<T> Answer<T> {
    /// Success with the call's own fields.
    pub fn of(body: T) -> Self {
        Self { code: Code::Success, msg: "success".to_owned(), body: Some(body) }
    }

    /// A code and its words.
    pub fn refused(code: Code, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into(), body: None }
    }
}

impl<T> From<&Refusal> for Answer<T> {
    fn from(refusal: &Refusal) -> Self {
        Self::refused(refusal.code, refusal.message.clone())
    }
}

impl<T: Serialize> Answer<T> {
    /// The body, as it goes on the wire.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        json::write(self)
    }
}

impl<T: Read> Answer<T> {
    /// Reads a peer's answer tolerantly. A missing `msg` is empty; the call's own fields are looked at
    /// only with code 0.
    ///
    /// # Errors
    /// Not JSON, no `code`, or with code 0 a field that is missing or wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        json::read_with(bytes, Self::read_fields)
    }

    /// As [`Answer::read`], of an answer within another one.
    ///
    /// # Errors
    /// As [`Answer::read`].
    pub fn read_fields(fields: &Fields<'_>) -> Result<Self, ReadError> {
        let code = Code::from_number(fields.int("code")?);
        let msg = fields.optional_prose("msg", MSG_MAX)?.unwrap_or_default().to_owned();
        let body = (code == Code::Success).then(|| T::read(fields)).transpose()?;
        Ok(Self { code, msg, body })
    }
}

/// The longest `msg` that we take from a peer, in bytes.
const MSG_MAX: usize = 4096;

impl<T: Serialize> Serialize for Answer<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a, T> {
            code: Code,
            msg: &'a str,
            #[serde(flatten)]
            body: &'a T,
        }
        match &self.body {
            Some(body) => Flat { code: self.code, msg: &self.msg, body }.serialize(s),
            None => {
                let mut fields = s.serialize_struct("Answer", 2)?;
                fields.serialize_field("code", &self.code)?;
                fields.serialize_field("msg", &self.msg)?;
                fields.end()
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn r5_numbers_are_those_of_the_table() {
        let numbers: Vec<i32> = Code::ALL.iter().map(|c| c.number()).collect();
        let table =
            [0, 1, 1001, 1002, 1003, 1004, 1101, 1102, 1103, 1104, 1105, 1201, 1202, 1301, 1302, 1303, 1401, 1402];
        assert_eq!(numbers, table);
        for number in table.into_iter().chain([-1, 2, 999, i32::MAX]) {
            assert_eq!(Code::from_number(number).number(), number);
        }
    }

    #[test]
    fn r4_what_the_domain_said_is_http_200_and_the_rest_has_its_own_status() {
        let own = [(1001, 400), (1101, 401), (1301, 429), (1302, 503)];
        for code in Code::ALL {
            let status = own.iter().find(|(n, _)| *n == code.number()).map_or(200, |(_, s)| *s);
            assert_eq!(code.http_status(), status, "{code}");
        }
        let transport = [
            (Transport::NoRoute, 404),
            (Transport::WrongMethod, 405),
            (Transport::Malformed, 400),
            (Transport::TooLarge, 413),
            (Transport::WrongMediaType, 415),
            (Transport::NoIdentity, 401),
            (Transport::ForeignIdentity, 403),
            (Transport::TooManyRequests, 429),
            (Transport::Overloaded, 503),
            (Transport::Fault, 500),
        ];
        for (why, status) in transport {
            assert_eq!(why.answer().0, status, "{why:?}");
            assert_ne!(why.answer().1, Code::Success, "a caller that reads only code is not misled");
        }
    }

    #[test]
    fn a_refusal_for_good_leaves_the_lane_and_trouble_does_not() {
        let cases = [
            (200, 0, Retry::Done),
            (200, 1, Retry::Never),
            (200, 1002, Retry::Never),
            (200, 1102, Retry::Never),
            (200, 1104, Retry::Never),
            (200, 77, Retry::Never),
            (400, 1001, Retry::Never),
            (401, 1101, Retry::Later),
            (429, 1301, Retry::Later),
            (503, 1302, Retry::Later),
            (500, 1, Retry::Later),
            (502, 0, Retry::Later),
        ];
        for (status, code, retry) in cases {
            assert_eq!(Retry::of(status, Code::from_number(code)), retry, "{status} {code}");
        }
    }

    #[test]
    fn an_answer_is_written_strictly_and_read_tolerantly() {
        assert_eq!(Answer::success().write(), br#"{"code":0,"msg":"success"}"#);
        assert_eq!(Answer::of(Empty {}).write(), br#"{"code":0,"msg":"success"}"#);
        let cases: [(&[u8], i32, &str); 4] = [
            (br#"{"code":0,"msg":"ok"}"#, 0, "ok"),
            (br#"{"code":"1103","msg":"no"}"#, 1103, "no"),
            (br#"{"code":77}"#, 77, ""),
            (br#" {"msg":null,"code":1,"more":{"a":[1]}} "#, 1, ""),
        ];
        for (body, code, msg) in cases {
            let answer = Answer::<Empty>::read(body).unwrap();
            assert_eq!((answer.code.number(), answer.msg.as_str()), (code, msg));
        }
        assert_eq!(Answer::<Empty>::read(br#"{"msg":"x"}"#).unwrap_err().field.as_deref(), Some("code"));
    }
}
