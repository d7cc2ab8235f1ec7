//! Many messages in one request, between servers of ours (reading, section 9): `POST /isthmus/v1/letters`.
//!
//! Optional and never needed: a server offers it in the head of its answers ([`OFFER`]), and whoever does not know it goes
//! on with `POST /sns/chat/`. Each letter is answered by itself, as a request of its own would be. Letters of one lane
//! are carried out in their order; if one of them is not settled, those after it are not touched.

use std::fmt;

use serde::Serialize;

use crate::code::{Answer, Code, Empty};
use crate::json::{Fields, Read, ReadError};

/// Where it lives.
pub const PATH: &str = "/isthmus/v1/letters";
/// The header field of an [`Offer`].
pub const OFFER: &str = "isthmus-letters";

/// How much a server takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Letters in one request.
    pub letters: usize,
    /// Bytes of its body.
    pub bytes: usize,
}

impl Offer {
    /// Reads the header field.
    #[must_use]
    pub fn parse(text: &str) -> Option<Offer> {
        let (letters, bytes) = text.trim().split_once(' ')?;
        let offer = Offer { letters: letters.parse().ok()?, bytes: bytes.trim().parse().ok()? };
        (offer.letters > 0 && offer.bytes > 0).then_some(offer)
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.letters, self.bytes)
    }
}

/// Writes a request: for each letter the number of its lane within this request, and the body that `POST /sns/chat/` would
/// have.
#[must_use]
pub fn write<'a>(letters: impl IntoIterator<Item = (usize, &'a [u8])>) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 * 1024);
    out.extend_from_slice(br#"{"letters":["#);
    for (index, (lane, chat)) in letters.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(format!(r#"{{"lane":{lane},"#).as_bytes());
        // The chat body is an object: its members join ours.
        out.extend_from_slice(chat.strip_prefix(b"{").unwrap_or(chat));
    }
    out.extend_from_slice(b"]}");
    out
}

/// Bytes that [`write()`] adds to one chat body, at most.
pub const FRAMING: usize = 32;

/// What became of one letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterAnswer {
    /// The HTTP status that it would have had by itself.
    pub status: u16,
    /// As in any answer.
    pub code: Code,
    /// As in any answer.
    pub msg: String,
    /// Seconds, where `Retry-After` would have stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Read for LetterAnswer {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        let Answer { code, msg, .. } = Answer::<Empty>::read_fields(f)?;
        let status = f.int64("status")?;
        let retry_after = f.optional_int64("retryAfter")?.and_then(|seconds| u64::try_from(seconds).ok());
        let status = u16::try_from(status).map_err(|_| f.invalid("status", "is no HTTP status"))?;
        Ok(Self { status, code, msg, retry_after })
    }
}

/// One answer a letter, in the request's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// The answers.
    pub answers: Vec<LetterAnswer>,
}

impl Read for Answers {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { answers: f.list("answers", |item| item.record())? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn an_offer_that_offers_nothing_is_none() {
        assert_eq!(
            Offer::parse(&Offer { letters: 128, bytes: 70 }.to_string()),
            Some(Offer { letters: 128, bytes: 70 })
        );
        for text in ["", "128", "0 10", "10 0", "a b", "-1 5", "1 2 3"] {
            assert_eq!(Offer::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_request_holds_each_chat_body_and_its_lane() {
        let written = write([(0, br#"{"messageInfo":{"a":1}}"#.as_slice()), (7, br#"{"messageInfo":{}}"#.as_slice())]);
        let expected = br#"{"letters":[{"lane":0,"messageInfo":{"a":1}},{"lane":7,"messageInfo":{}}]}"#;
        assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8(expected.to_vec()).unwrap());
    }

    #[test]
    fn answers_come_back_as_they_were_written() {
        let answer = |status, code, retry_after| LetterAnswer { status, code, msg: "so".to_owned(), retry_after };
        let answers =
            Answers { answers: vec![answer(200, Code::Success, None), answer(429, Code::TooManyRequests, Some(3))] };
        let written = Answer::of(answers.clone()).write();
        assert_eq!(Answer::<Answers>::read(&written).unwrap().body, Some(answers));
        assert!(json::read::<Answers>(br#"{"answers":[{"code":0,"msg":""}]}"#).is_err(), "no status");
    }
}
