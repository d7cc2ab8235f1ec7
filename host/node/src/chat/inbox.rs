//! The inbox's events (`GET /client/v1/inbox`, the socket) become what is shown. Unknown kinds are passed over, as the
//! interface asks of its clients.

use serde_json::Value;

use super::app::{App, Body, Chat, ChatId, FileBody, LINES, Link, Message, State};
use super::clean;
use super::exchange::{Act, Ask, What};
use super::flow;
use super::words::fill;

impl App {
    /// Takes an event; answers what has to be asked because of it.
    pub(super) fn hear(&mut self, cursor: u64, event: &Value) -> Vec<Act> {
        match event["kind"].as_str().unwrap_or_default() {
            "message" => self.hear_message(cursor, event),
            "sent" => self.hear_sent(cursor, event),
            "receipt" => self.hear_receipt(event),
            "recalled" => self.hear_recalled(cursor, event),
            "file.failed" => self.hear_file_failed(cursor, event),
            "friend.request" => return self.hear_friend_request(cursor, event),
            "friend.answer" => return self.hear_friend_answer(cursor, event),
            "friend.deleted" => return self.hear_friend_deleted(cursor, event),
            "group.invited" => return self.hear_invited(event),
            "group.request" | "group.answer" | "group.notice" => return self.hear_group(cursor, event),
            "measure.taken" | "measure.lifted" if self.link == Link::Live => self.hear_measure(event),
            _ => {}
        }
        Vec::new()
    }

    /// An administrator has done something about this user's behaviour, or ended it.
    fn hear_measure(&mut self, event: &Value) {
        let words = self.words();
        let why = shown(&event["words"]);
        let until = event["untilMs"].as_u64().map(|ms| flow::moment(self, ms)).unwrap_or_default();
        let rate = event["perMinute"].to_string();
        self.note = match (text(&event["kind"]), text(&event["measure"])) {
            ("measure.lifted", _) => words.measure_over.to_owned(),
            (_, "mute") => fill(words.muted, &[&until, &why]),
            (_, "limit") => fill(words.limited, &[&rate, &until, &why]),
            (_, "warn") => fill(words.warned, &[&why]),
            // Who is suspended is told by the log-in.
            _ => return,
        };
    }

    fn hear_message(&mut self, cursor: u64, event: &Value) {
        let info = &event["message"];
        let other = if info["chatScene"] == "group" { &info["recvID"] } else { &info["sendID"] };
        let chat = ChatId::of(&info["chatScene"], text(other));
        if let Some(body) = body(info) {
            let message = Message {
                id: text(&info["messageID"]).to_owned(),
                from: text(&info["sendID"]).to_owned(),
                body,
                ..blank(event)
            };
            self.push(&chat, cursor, message, true);
        }
    }

    fn hear_sent(&mut self, cursor: u64, event: &Value) {
        let info = &event["message"];
        let chat = ChatId::of(&info["chatScene"], text(&info["recvID"]));
        let (id, client) = (text(&info["messageID"]), text(&event["clientID"]));
        let Some(body) = body(info) else { return };
        self.own.insert(id.to_owned(), chat.clone());
        let state = if event["state"] == "held" { State::Held } else { State::Kept };
        self.unsent.retain(|(waiting, _)| waiting != client);
        let message = Message { id: id.to_owned(), from: self.me.clone(), body, state, ..blank(event) };
        let known = self.chat(&chat).lines.iter_mut().rev().find(|line| line.id == id || line.id == client);
        match known {
            Some(line) => {
                // The number by which /save names a file stays.
                let (Body::File(new), Body::File(old)) = (message.body.clone(), &line.body) else {
                    *line = message;
                    return self.wrote(&chat, cursor);
                };
                *line = Message { body: Body::File(FileBody { number: old.number, ..new }), ..message };
            }
            None => self.push(&chat, cursor, message, false),
        }
        self.wrote(&chat, cursor);
    }

    /// Who writes in a chat has read it, on whatever device.
    fn wrote(&mut self, id: &ChatId, cursor: u64) {
        let chat = self.chat(id);
        chat.unread = 0;
        chat.cursor = chat.cursor.max(cursor);
    }

    fn hear_receipt(&mut self, event: &Value) {
        let msg = why(event);
        let state = match text(&event["state"]) {
            "waiting" => State::Waiting,
            "held" => State::Held,
            "delivered" => State::Delivered,
            "refused" => State::Refused(msg),
            "dropped" => State::Dropped(msg),
            "expired" => State::Expired,
            _ => return,
        };
        if let Some(line) = self.own_line(text(&event["messageID"])) {
            line.state = state;
        }
    }

    fn own_line(&mut self, id: &str) -> Option<&mut Message> {
        let chat = self.own.get(id)?;
        self.chats.get_mut(chat)?.lines.iter_mut().rev().find(|line| line.id == id)
    }

    fn hear_recalled(&mut self, cursor: u64, event: &Value) {
        let (from, id) = (text(&event["sendID"]).to_owned(), text(&event["messageID"]).to_owned());
        let other =
            if event["chatScene"] != "group" && from != self.me { from.as_str() } else { text(&event["recvID"]) };
        let chat = ChatId::of(&event["chatScene"], other);
        match self.chat(&chat).lines.iter_mut().rev().find(|line| line.id == id && !id.is_empty()) {
            Some(line) => (line.body, line.state) = (Body::Recalled, State::Nothing),
            None => self.push(&chat, cursor, Message { id, from, body: Body::Recalled, ..blank(event) }, false),
        }
    }

    fn hear_file_failed(&mut self, cursor: u64, event: &Value) {
        let other = if event["chatScene"] == "group" || event["sendID"] == self.me.as_str() || event["sendID"].is_null()
        {
            &event["recvID"]
        } else {
            &event["sendID"]
        };
        let chat = ChatId::of(&event["chatScene"], text(other));
        let (id, msg) = (text(&event["messageID"]), why(event));
        match self.chat(&chat).lines.iter_mut().rev().find(|line| line.id == id) {
            Some(line) => line.trouble = Some(msg),
            None => {
                let told = fill(self.words().file_failed, &[&format!("{}: {msg}", shown(&event["name"]))]);
                self.notice(&chat, cursor, event, told);
            }
        }
    }

    fn hear_friend_request(&mut self, cursor: u64, event: &Value) -> Vec<Act> {
        let id = text(&event["userID"]).to_owned();
        self.learn(&event["userInfo"]);
        let name = self.person(&id);
        if event["direction"] == "out" && event["state"].is_string() {
            let told = fill(self.words().ask_failed, &[&name, &why(event)]);
            self.notice(&ChatId::User(id), cursor, event, told);
        } else if event["direction"] == "in" && self.link == Link::Live {
            self.note = fill(self.words().asks_friendship, &[&name, &clean::line(&id)]);
        }
        self.refresh()
    }

    fn hear_friend_answer(&mut self, cursor: u64, event: &Value) -> Vec<Act> {
        let id = text(&event["userID"]).to_owned();
        self.learn(&event["userInfo"]);
        let (words, name) = (self.words(), self.person(&id));
        let told = match (event["state"].is_string(), event["isAgree"] == 1, event["direction"] == "in") {
            (true, _, _) => fill(words.ask_failed, &[&name, &why(event)]),
            (false, true, _) => fill(words.is_friend, &[&name]),
            (false, false, true) => fill(words.declined_friendship, &[&name]),
            (false, false, false) => return self.refresh(),
        };
        self.notice(&ChatId::User(id), cursor, event, told);
        self.refresh()
    }

    fn hear_friend_deleted(&mut self, cursor: u64, event: &Value) -> Vec<Act> {
        let chat = ChatId::User(text(&event["userID"]).to_owned());
        let words = self.words();
        let told = if event["was"] == "friends" { words.friend_ended } else { words.request_ended };
        if self.chats.contains_key(&chat) {
            self.notice(&chat, cursor, event, told.to_owned());
        }
        self.refresh()
    }

    fn hear_invited(&mut self, event: &Value) -> Vec<Act> {
        self.learn(&event["user"]);
        if self.link == Link::Live {
            let (by, group) = (self.person(text(&event["user"]["userID"])), shown(&event["groupInfo"]["groupName"]));
            let told = fill(self.words().invites, &[&by, &group]);
            self.note = format!("{told}: /accept {}", clean::line(text(&event["groupID"])));
        }
        self.refresh()
    }

    fn hear_group(&mut self, cursor: u64, event: &Value) -> Vec<Act> {
        let chat = ChatId::Group(text(&event["groupID"]).to_owned());
        self.learn(&event["user"]);
        self.learn(&event["operUser"]);
        event["users"].as_array().into_iter().flatten().for_each(|user| self.learn(user));
        if let (Some(group), Some(name)) = (self.groups.get_mut(chat.id()), event["groupInfo"]["groupName"].as_str()) {
            group.name = clean::line(name);
        }
        if let Some(told) = self.tell_group(event) {
            self.notice(&chat, cursor, event, told);
        }
        self.refresh()
    }

    fn tell_group(&self, event: &Value) -> Option<String> {
        let words = self.words();
        let user = self.person(text(&event["user"]["userID"]));
        let by = self.person(text(&event["operUser"]["userID"]));
        let ids: Vec<&str> =
            event["users"].as_array().into_iter().flatten().map(|user| text(&user["userID"])).collect();
        let others = ids.iter().map(|id| self.person(id)).collect::<Vec<_>>().join(", ");
        let alone = ids == [text(&event["operUser"]["userID"])];
        Some(match (text(&event["kind"]), text(&event["result"]), event["operType"].as_i64()) {
            ("group.request", _, _) => fill(words.applies, &[&user]),
            ("group.answer", "declined", _) => fill(words.invitation_declined, &[&user]),
            ("group.answer", "failed", _) => fill(words.invitation_failed, &[&user, &why(event)]),
            ("group.notice", _, Some(1)) if alone => fill(words.joined, &[&others]),
            ("group.notice", _, Some(1)) => fill(words.added, &[&by, &others]),
            ("group.notice", _, Some(2)) if alone => fill(words.left, &[&others]),
            ("group.notice", _, Some(2)) => fill(words.removed, &[&by, &others]),
            ("group.notice", _, Some(3)) => fill(words.dissolved, &[&by]),
            ("group.notice", _, Some(4)) => fill(words.admin_set, &[&by, &others]),
            ("group.notice", _, Some(5)) => fill(words.admin_unset, &[&by, &others]),
            ("group.notice", _, Some(6)) => fill(words.transferred, &[&by, &others]),
            ("group.notice", _, Some(7)) => fill(words.changed, &[&by]),
            _ => return None,
        })
    }

    fn notice(&mut self, chat: &ChatId, cursor: u64, event: &Value, told: String) {
        self.push(chat, cursor, Message { body: Body::Notice(told), ..blank(event) }, false);
    }

    /// Remembers a user's name.
    pub(super) fn learn(&mut self, info: &Value) {
        let (id, name) = (text(&info["userID"]), shown(&info["name"]));
        if !id.is_empty() && !name.is_empty() {
            self.names.insert(id.to_owned(), name);
        }
    }

    /// Puts a message at the end of its chat. `counts`: as unread, unless it is before the user's eyes.
    pub(super) fn push(&mut self, id: &ChatId, cursor: u64, message: Message, counts: bool) {
        let before_eyes = self.open.as_ref() == Some(id) && self.chats.get(id).is_some_and(|chat| chat.scroll == 0);
        let scrolled = self.chats.get(id).is_some_and(|chat| chat.scroll > 0);
        let rows = if scrolled { flow::rows(self, &message, flow::width(self.size)) } else { 0 };
        let read = self.read.get(&id.key()).copied().unwrap_or_default();
        let chat = self.chat(id);
        chat.cursor = chat.cursor.max(cursor);
        chat.at_ms = chat.at_ms.max(message.at_ms);
        if counts && cursor > read && !before_eyes {
            chat.unread += 1;
        }
        if scrolled {
            chat.scroll += rows;
            chat.below += usize::from(counts);
        }
        append(chat, message);
        if before_eyes {
            self.read.insert(id.key(), cursor.max(read));
        }
    }

    /// Asks for all lists anew; while catching up nothing, since they are asked for at its end.
    pub(super) fn refresh(&self) -> Vec<Act> {
        if self.link == Link::Live { lists() } else { Vec::new() }
    }
}

/// Adds a line, numbers its file, and lets go of the oldest.
fn append(chat: &mut Chat, mut message: Message) {
    if let Body::File(file) = &mut message.body {
        chat.files += 1;
        file.number = chat.files;
    }
    chat.lines.push_back(message);
    if chat.lines.len() > LINES {
        chat.lines.pop_front();
        chat.older_dropped = true;
    }
}

/// The questions after friends, requests, groups and invitations.
pub(super) fn lists() -> Vec<Act> {
    let ask = |what, path: &str| Act::Ask(Ask { what, method: http::Method::GET, path: path.to_owned(), body: None });
    vec![
        ask(What::Contacts(true), "/client/v1/contacts?limit=500"),
        ask(What::Requests(true), "/client/v1/friends/requests?limit=500"),
        ask(What::Groups, "/client/v1/groups"),
        ask(What::Pending, "/client/v1/groups/pending"),
    ]
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A text of others, cleaned, as one line.
pub(super) fn shown(value: &Value) -> String {
    clean::line(text(value))
}

/// The other side's words and code.
fn why(event: &Value) -> String {
    match event["code"].as_i64() {
        Some(code) => format!("{} ({code})", shown(&event["msg"])),
        None => shown(&event["msg"]),
    }
}

fn blank(event: &Value) -> Message {
    Message {
        id: String::new(),
        at_ms: event["atMs"].as_u64().unwrap_or_default(),
        from: String::new(),
        body: Body::Recalled,
        state: State::Nothing,
        trouble: None,
    }
}

fn body(info: &Value) -> Option<Body> {
    let content = &info["content"];
    match text(&info["messageType"]) {
        "text" => Some(Body::Text(clean::block(text(&content["message"])))),
        kind @ ("image" | "voice" | "file") => Some(Body::File(FileBody {
            kind: kind.to_owned(),
            name: shown(&content["name"]),
            media: text(&content["mediaID"]).to_owned(),
            size: content["size"].as_u64().unwrap_or_default(),
            md5: content["md5"].as_str().map(str::to_owned),
            duration: content["duration"].as_u64(),
            number: 0,
        })),
        _ => None,
    }
}
