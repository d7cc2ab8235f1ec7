//! What hooks are asked about. The texts are borrowed from what the host has handed over in one piece, so that a hook
//! that looks at two of them does not pay for twenty.

use crate::Direction;
use crate::bindings::imports::isthmus::policy::types::Packed;

/// One operation that somebody wants carried out.
///
/// ```
/// use isthmus_plugin::testing::call;
/// let mut call = call("north");
/// call.attributes.push(("messageType", "text"));
/// assert_eq!((call.operation, call.attribute("messageType")), ("message.send", Some("text")));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Call<'a> {
    /// What: `message.send`, `user.login`, `address.query`, …
    pub operation: &'a str,
    /// Which way it goes.
    pub direction: Direction,
    /// The other server; none for internal calls.
    pub peer: Option<Server<'a>>,
    /// The user acting, as a userID; empty if none.
    pub actor: &'a str,
    /// The userID, groupID or serverID that it is done to; empty if none.
    pub target: &'a str,
    /// Now, in milliseconds since 1970 UTC.
    pub time_ms: u64,
    /// Further facts, by name: `chatScene`, `messageType`, `messageID`, …
    pub attributes: Vec<(&'a str, &'a str)>,
}

/// The other server of a call.
///
/// ```
/// use isthmus_plugin::{Server, testing::call};
/// let north = Server { id: "north", area: "", product: "" };
/// assert_eq!(call("north").peer, Some(north));
/// assert_eq!(call("").peer, None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Server<'a> {
    /// serverId as its certificate says.
    pub id: &'a str,
    /// `area` of its registration; empty if unknown.
    pub area: &'a str,
    /// `serverType` of its registration; empty if unknown.
    pub product: &'a str,
}

/// One text or file that somebody wants to say.
///
/// ```
/// use isthmus_plugin::Item;
/// let item = Item { kind: "file.metadata", text: "cat.png", attributes: vec![("mediaType", "image/png")] };
/// assert_eq!(item.attribute("mediaType"), Some("image/png"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Item<'a> {
    /// `message.text`, `file.metadata`, `file.content`, `group.text`, `profile.text`, `friend.remark`.
    pub kind: &'a str,
    /// The text, whole; for a file its name. Empty where only the body carries it.
    pub text: &'a str,
    /// `size`, `mediaType`, … of a file.
    pub attributes: Vec<(&'a str, &'a str)>,
}

/// What happened, after its decision, and what would be recorded of it.
///
/// ```
/// use isthmus_plugin::{Event, testing::call};
/// let event = Event { call: call("north"), outcome: "allowed", code: 0, fields: vec![("text", "hello")] };
/// assert_eq!(event.field("text"), Some("hello"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// What was asked for.
    pub call: Call<'a>,
    /// `allowed`, `denied`, `rejected`, `rewritten`, `held`, `failed`.
    pub outcome: &'a str,
    /// The standard's or our code (0 success).
    pub code: u32,
    /// What would be recorded beside the call, by name: `text`, `reason`, …
    pub fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Call<'a> {
    /// A further fact about the call, as `messageType`.
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        find(&self.attributes, name)
    }
}

impl<'a> Item<'a> {
    /// A further fact about the item, as `mediaType`.
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        find(&self.attributes, name)
    }
}

impl<'a> Event<'a> {
    /// What would be recorded under this name.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        find(&self.fields, name)
    }
}

fn find<'a>(pairs: &[(&'a str, &'a str)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

/// The texts of a packed call that are not read yet, each behind its length. What a host has left out is empty.
struct Texts<'a>(&'a str);

/// A length's digits are to this base; those that are not its last have it added to them.
const BASE: usize = 64;
const DIGIT_BITS: u32 = 6;

impl<'a> Texts<'a> {
    #[inline]
    fn next(&mut self) -> &'a str {
        // Most texts are short: theirs is the only digit.
        if let Some(length) = self.0.bytes().next().map(usize::from).filter(|digit| *digit < BASE)
            && let Some((text, rest)) = self.0.split_at_checked(1 + length)
            && let Some(text) = text.get(1..)
        {
            self.0 = rest;
            return text;
        }
        self.long().unwrap_or_else(|| {
            self.0 = "";
            ""
        })
    }

    #[cold]
    fn long(&mut self) -> Option<&'a str> {
        let (mut length, mut shift) = (0usize, 0);
        for (at, digit) in self.0.bytes().enumerate() {
            let digit = usize::from(digit);
            length |= (digit % BASE).checked_shl(shift)?;
            if digit < BASE {
                let (text, rest) = self.0.get(at + 1..)?.split_at_checked(length)?;
                self.0 = rest;
                return Some(text);
            }
            shift += DIGIT_BITS;
        }
        None
    }

    fn pair(&mut self) -> Option<(&'a str, &'a str)> {
        (!self.0.is_empty()).then(|| (self.next(), self.next()))
    }

    fn pairs(&mut self, most: usize) -> Vec<(&'a str, &'a str)> {
        std::iter::from_fn(|| self.pair()).take(most).collect()
    }

    fn rest(mut self) -> Vec<(&'a str, &'a str)> {
        self.pairs(usize::MAX)
    }
}

fn unpack(packed: &Packed) -> (Call<'_>, Texts<'_>) {
    let mut texts = Texts(&packed.texts);
    let (operation, actor, target) = (texts.next(), texts.next(), texts.next());
    let peer = packed.peer.then(|| Server { id: texts.next(), area: texts.next(), product: texts.next() });
    let attributes = texts.pairs(packed.attributes as usize);
    let Packed { direction, time_ms, .. } = *packed;
    (Call { operation, direction, peer, actor, target, time_ms, attributes }, texts)
}

/// What an access hook is asked.
pub(crate) fn call(packed: &Packed) -> Call<'_> {
    unpack(packed).0
}

/// What a content hook is asked.
pub(crate) fn item(packed: &Packed) -> (Call<'_>, Item<'_>) {
    let (call, mut texts) = unpack(packed);
    let (kind, text) = (texts.next(), texts.next());
    (call, Item { kind, text, attributes: texts.rest() })
}

/// What an audit hook is asked.
pub(crate) fn event(packed: &Packed, code: u32) -> Event<'_> {
    let (call, mut texts) = unpack(packed);
    let outcome = texts.next();
    Event { call, outcome, code, fields: texts.rest() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind_its_length(text: &str) -> String {
        let (mut said, mut left) = (String::new(), text.len());
        while left >= BASE {
            said.push(char::from(u8::try_from(BASE + left % BASE).expect("a digit")));
            left /= BASE;
        }
        said.push(char::from(u8::try_from(left).expect("a digit")));
        said + text
    }

    fn packed(peer: bool, attributes: u32, texts: &[&str]) -> Packed {
        let texts = texts.iter().map(|text| behind_its_length(text)).collect();
        Packed { direction: Direction::Inbound, peer, attributes, time_ms: 7, texts }
    }

    #[test]
    fn every_text_comes_to_its_place() {
        let of_call = ["message.send", "王芳@north", "carol@south", "north", "CN-11", "", "chatScene", "user"];
        let expected = Call {
            operation: "message.send",
            direction: Direction::Inbound,
            peer: Some(Server { id: "north", area: "CN-11", product: "" }),
            actor: "王芳@north",
            target: "carol@south",
            time_ms: 7,
            attributes: vec![("chatScene", "user")],
        };
        let with = |more: &[&'static str]| packed(true, 1, &[&of_call[..], more].concat());
        assert_eq!(call(&with(&[])), expected);
        let asked = with(&["message.text", "你好", "size", "6"]);
        assert_eq!(
            item(&asked),
            (expected.clone(), Item { kind: "message.text", text: "你好", attributes: vec![("size", "6")] })
        );
        let asked = with(&["allowed", "text", "", "reason", "none"]);
        let fields = vec![("text", ""), ("reason", "none")];
        assert_eq!(event(&asked, 3), Event { call: expected, outcome: "allowed", code: 3, fields });
    }

    #[test]
    fn without_a_peer_there_are_no_texts_of_one() {
        let asked = packed(false, 0, &["user.login", "alice@north", "", "profile.text", "hi"]);
        let (call, item) = item(&asked);
        assert_eq!((call.actor, call.peer, item.text), ("alice@north", None, "hi"));
    }

    #[test]
    fn texts_of_any_length_come_whole() {
        for length in [0, 1, 63, 64, 65, 4_095, 4_096, 300_000] {
            let long = "x".repeat(length);
            let asked = packed(false, 0, &["", "", "", "message.text", &long, "name", "value"]);
            let (_, item) = item(&asked);
            assert_eq!((item.text, item.attributes), (long.as_str(), vec![("name", "value")]));
        }
    }

    #[test]
    fn what_a_host_says_wrongly_harms_nobody() {
        let mut asked = packed(true, 1_000_000, &["a", "b"]);
        assert_eq!((call(&asked).actor, call(&asked).attributes), ("b", vec![]));
        for texts in ["\u{1}", "\u{1}王", "\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}a", "王王", "\u{41}王"] {
            asked.texts = texts.to_owned();
            assert_eq!((call(&asked).operation, call(&asked).attributes), ("", vec![]), "{texts:?}");
        }
    }
}
