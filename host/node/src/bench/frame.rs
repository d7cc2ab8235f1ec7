//! The socket's objects as the driver reads and writes them: borrowed and by hand, because the driver shares its cores with the
//! servers that it measures.

use std::borrow::Cow;

use serde::Deserialize;

/// An object from the server.
#[derive(Debug, Deserialize)]
pub(super) struct Frame<'a> {
    /// `event`, `sent`, `refused`, `error`.
    #[serde(rename = "type", borrow)]
    pub(super) kind: &'a str,
    #[serde(default)]
    pub(super) cursor: u64,
    #[serde(default)]
    pub(super) code: i64,
    #[serde(default, borrow)]
    pub(super) msg: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    event: Option<Event<'a>>,
}

#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    kind: &'a str,
    #[serde(default, borrow)]
    state: Option<&'a str>,
    #[serde(default)]
    code: i64,
    #[serde(default, borrow)]
    msg: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    message: Option<MessageInfo<'a>>,
}

#[derive(Debug, Deserialize)]
struct MessageInfo<'a> {
    #[serde(default, borrow)]
    content: Option<Content<'a>>,
}

#[derive(Debug, Deserialize)]
struct Content<'a> {
    #[serde(default, borrow)]
    message: Option<Cow<'a, str>>,
}

impl<'a> Frame<'a> {
    /// Reads it; `None` for what is no such object.
    pub(super) fn read(text: &'a str) -> Option<Frame<'a>> {
        serde_json::from_str(text).ok()
    }

    /// The text of a received message.
    pub(super) fn text(&self) -> Option<&str> {
        let event = self.event.as_ref().filter(|event| event.kind == "message")?;
        event.message.as_ref()?.content.as_ref()?.message.as_deref()
    }

    /// A receipt that says the message will not be delivered.
    pub(super) fn is_bad_receipt(&self) -> bool {
        let event = self.event.as_ref().filter(|event| event.kind == "receipt");
        event.is_some_and(|event| event.state != Some("delivered"))
    }

    /// The receipt's code.
    pub(super) fn event_code(&self) -> i64 {
        self.event.as_ref().map_or(0, |event| event.code)
    }

    /// The receipt's words, or its state.
    pub(super) fn event_msg(&self) -> Option<&str> {
        let event = self.event.as_ref()?;
        event.msg.as_deref().or(event.state)
    }
}

/// A `send`. Nothing in it needs escaping: IDs and texts are the driver's own.
pub(super) fn send_frame(client_id: &str, recv_id: &str, text: &str) -> String {
    format!(r#"{{"type":"send","clientID":"{client_id}","recvID":"{recv_id}","text":"{text}"}}"#)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn a_pushed_message_gives_its_cursor_and_text() {
        let text = r#"{"type":"event","cursor":9,"event":{"kind":"message","atMs":1,"message":{"sendID":"a","content":{"message":"one \"two\""}}}}"#;
        let frame = Frame::read(text).unwrap();
        assert_eq!((frame.kind, frame.cursor, frame.text()), ("event", 9, Some("one \"two\"")));
        assert!(!frame.is_bad_receipt());
    }

    #[test]
    fn a_receipt_is_bad_unless_it_says_delivered() {
        let read = |state: &str| {
            let text = format!(
                r#"{{"type":"event","cursor":1,"event":{{"kind":"receipt","messageID":"m","state":"{state}","code":1102}}}}"#
            );
            let frame = Frame::read(&text).unwrap();
            (frame.is_bad_receipt(), frame.event_code(), frame.text().is_none())
        };
        assert_eq!(read("delivered"), (false, 1102, true));
        assert_eq!(read("refused"), (true, 1102, true));
    }

    #[test]
    fn what_the_driver_writes_is_json() {
        let value: serde_json::Value = serde_json::from_str(&send_frame("1", "a@b", "hello")).unwrap();
        assert_eq!(value["recvID"], "a@b");
        assert_eq!(value["type"], "send");
    }
}
