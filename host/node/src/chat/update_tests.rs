#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap fails the test")]

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::app::{Body, Message, Person, Stand, State};
use super::super::exchange::{Ask, Progress, What, Why};
use super::super::words::Lang;
use super::*;

#[path = "line_tests.rs"]
mod line;

fn alice() -> App {
    let mut app = App::new("alice@north", Lang::En, TimeZone::UTC, "t");
    app.now_ms = 1_777_638_600_000;
    app.link = Link::Live;
    app
}

fn nothing(_: &str) -> Vec<String> {
    Vec::new()
}

fn key(app: &mut App, code: KeyCode) -> Vec<Act> {
    update(app, Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), nothing)
}

fn type_line(app: &mut App, line: &str) -> Vec<Act> {
    for c in line.chars() {
        assert_eq!(key(app, KeyCode::Char(c)), []);
    }
    key(app, KeyCode::Enter)
}

fn news(app: &mut App, news: News) -> Vec<Act> {
    update(app, Event::News(news), nothing)
}

fn event(app: &mut App, cursor: u64, value: Value) -> Vec<Act> {
    news(app, News::Inbox(cursor, value))
}

fn message(from: &str, to: &str, id: &str, text: &str) -> Value {
    let scene = if to.starts_with("g-") { "group" } else { "user" };
    json!({"kind": "message", "atMs": 1_777_638_600_000_u64, "message": {"sendID": from, "recvID": to, "messageType": "text",
        "version": "V1", "chatScene": scene, "messageID": id, "content": {"message": text}}})
}

fn lines<'a>(app: &'a App, chat: &ChatId) -> Vec<&'a Message> {
    app.chats[chat].lines.iter().collect()
}

fn carol() -> ChatId {
    ChatId::User("carol@south".into())
}

fn said(acts: &[Act]) -> (String, Value) {
    match acts {
        [Act::Send(client, body)] => (client.clone(), body.clone()),
        other => panic!("{other:?}"),
    }
}

fn asked(acts: &[Act]) -> &Ask {
    match acts {
        [Act::Ask(ask)] => ask,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_is_shown_at_once_and_what_becomes_of_it_is_told_at_it() {
    let mut app = alice();
    type_line(&mut app, "/to carol@south");
    let (client, body) = said(&type_line(&mut app, "hello"));
    assert_eq!(body, json!({"clientID": client, "recvID": "carol@south", "scene": "user", "text": "hello"}));
    assert_eq!(lines(&app, &carol())[0].state, State::Sending);
    let sent = json!({"kind": "sent", "atMs": 1_777_638_601_000_u64, "clientID": client, "state": "kept",
        "message": message("alice@north", "carol@south", "m1", "h***o")["message"]});
    event(&mut app, 3, sent.clone());
    news(&mut app, News::Sent(client, Ok(json!({"messageID": "m1", "state": "kept"}))));
    event(&mut app, 3, sent);
    let shown = lines(&app, &carol());
    assert_eq!(
        (shown.len(), &shown[0].state, &shown[0].body),
        (1, &State::Kept, &Body::Text("h***o".into())),
        "as masked"
    );
    event(&mut app, 4, json!({"kind": "receipt", "atMs": 1, "messageID": "m1", "state": "delivered"}));
    assert_eq!(lines(&app, &carol())[0].state, State::Delivered);
    assert!(app.unsent.is_empty());
    let (client, _) = said(&type_line(&mut app, "worse"));
    news(&mut app, News::Sent(client, Err(Why { code: Some(1102), msg: "no\u{1b}[31m".into() })));
    assert_eq!(lines(&app, &carol())[1].state, State::Refused("no\u{fffd}[31m (1102)".into()));
    let (client, _) = said(&type_line(&mut app, "later"));
    news(&mut app, News::Sent(client, Ok(json!({"messageID": "m3", "state": "held"}))));
    event(&mut app, 9, json!({"kind": "receipt", "atMs": 1, "messageID": "m3", "state": "dropped", "msg": "by hand"}));
    assert_eq!(lines(&app, &carol())[2].state, State::Dropped("by hand".into()));
}

#[test]
fn unread_messages_are_counted_until_their_chat_is_opened_or_written_in() {
    let mut app = alice();
    app.read.insert(carol().key(), 2);
    for cursor in 1..=4 {
        event(&mut app, cursor, message("carol@south", "alice@north", &format!("m{cursor}"), "x"));
    }
    assert_eq!((app.chats[&carol()].unread, app.unread_elsewhere()), (2, 2), "two were read in an earlier run");
    event(&mut app, 5, message("dave@south", "g-1@north", "m5", "x"));
    assert_eq!(app.unread_elsewhere(), 3);
    key(&mut app, KeyCode::Tab);
    key(&mut app, KeyCode::Tab);
    assert_eq!(app.unread_elsewhere(), 0, "Tab goes from one to the next");
    assert_eq!(app.read[&carol().key()], 4);
    event(&mut app, 6, message("bob@north", "alice@north", "m6", "x"));
    let sent = json!({"kind": "sent", "atMs": 1, "clientID": "phone-1", "state": "kept",
        "message": message("alice@north", "bob@north", "m7", "from my phone")["message"]});
    event(&mut app, 7, sent);
    assert_eq!(app.chats[&ChatId::User("bob@north".into())].unread, 0, "whoever answers has read");
}

#[test]
fn what_is_taken_back_is_gone() {
    let mut app = alice();
    event(&mut app, 1, message("carol@south", "alice@north", "m1", "secret"));
    let recalled = json!({"kind": "recalled", "atMs": 1, "messageID": "m1", "sendID": "carol@south", "recvID": "alice@north",
        "chatScene": "user"});
    event(&mut app, 2, recalled);
    assert_eq!(lines(&app, &carol())[0].body, Body::Recalled);
    assert!(!format!("{app:?}").contains("secret"));
    type_line(&mut app, "/to carol@south");
    let (client, _) = said(&type_line(&mut app, "oops"));
    assert_eq!(type_line(&mut app, "/recall"), [], "it has no answer yet");
    news(&mut app, News::Sent(client, Ok(json!({"messageID": "m/2", "state": "kept"}))));
    let acts = type_line(&mut app, "/recall");
    assert_eq!(asked(&acts).path, "/client/v1/messages/m%2F2/recall");
    news(&mut app, News::Answer(asked(&acts).what.clone(), Ok(json!({"code": 0}))));
    assert_eq!(lines(&app, &carol())[1].body, Body::Recalled);
    type_line(&mut app, "/recall");
    assert!(app.note.contains("no message"), "{}", app.note);
}

#[test]
fn friendship_goes_both_ways() {
    let mut app = alice();
    let acts = type_line(&mut app, "/friend carol@south It is Alice.");
    assert_eq!(asked(&acts).body, Some(json!({"userID": "carol@south", "remark": "It is Alice."})));
    let told = event(
        &mut app,
        1,
        json!({"kind": "friend.answer", "atMs": 1, "direction": "in", "userID": "carol@south", "isAgree": 1,
        "userInfo": {"userID": "carol@south", "name": "Carol"}}),
    );
    assert!(
        told.iter().any(|act| matches!(act, Act::Ask(ask) if ask.what == What::Contacts(true))),
        "the lists are asked for"
    );
    assert_eq!(lines(&app, &carol())[0].body, Body::Notice("Carol@south and you are friends now".into()));
    event(
        &mut app,
        2,
        json!({"kind": "friend.request", "atMs": 1, "direction": "in", "userID": "dave@south", "remark": "hi",
        "userInfo": {"userID": "dave@south", "name": "Dave"}}),
    );
    assert_eq!(app.note, "Dave@south asks for friendship: /accept dave@south");
    let page = json!({"code": 0, "requests": [{"userInfo": {"userID": "dave@south", "name": "Dave"}, "stand": "asks", "sinceMs": 1,
        "remark": "hi"}]});
    news(&mut app, News::Answer(What::Requests(true), Ok(page)));
    assert_eq!(app.waiting(), 1);
    let acts = type_line(&mut app, "/accept dave");
    assert_eq!(
        (asked(&acts).path.as_str(), asked(&acts).body.clone()),
        ("/client/v1/friends/dave%40south/answer", Some(json!({"agree": true})))
    );
    type_line(&mut app, "/decline carol");
    assert!(app.note.contains("nothing is waiting"), "{}", app.note);
}

#[test]
fn a_long_list_of_friends_is_read_page_by_page() {
    let mut app = alice();
    app.people.insert("old@north".into(), Person { name: String::new(), stand: Stand::Friends, remark: String::new() });
    let link = |id: &str| json!({"userInfo": {"userID": id, "name": id}, "stand": "friends", "sinceMs": 1});
    let acts = news(
        &mut app,
        News::Answer(What::Contacts(true), Ok(json!({"contacts": [link("a@north")], "next": "a@north"}))),
    );
    assert_eq!(asked(&acts).path, "/client/v1/contacts?limit=500&after=a%40north");
    news(&mut app, News::Answer(What::Contacts(false), Ok(json!({"contacts": [link("b@north")]}))));
    assert_eq!(app.people.keys().collect::<Vec<_>>(), ["a@north", "b@north"]);
}

#[test]
fn groups_are_made_peopled_and_their_notices_stand_in_the_flow() {
    let mut app = alice();
    let acts = type_line(&mut app, "/group Tea & 茶");
    assert_eq!(asked(&acts).body, Some(json!({"groupName": "Tea & 茶"})));
    news(
        &mut app,
        News::Answer(What::NewGroup, Ok(json!({"groupInfo": {"groupID": "g-1@north", "groupName": "Tea & 茶"}}))),
    );
    let group = ChatId::Group("g-1@north".into());
    assert_eq!(app.open, Some(group.clone()));
    let acts = type_line(&mut app, "/invite bob@north carol@south");
    assert_eq!(asked(&acts).path, "/client/v1/groups/g%2D1%40north/invite");
    assert_eq!(asked(&acts).body, Some(json!({"users": ["bob@north", "carol@south"]})));
    let user = |id: &str| json!({"userID": id, "name": id.split('@').next().unwrap()});
    for (oper, by, users, told) in [
        (1, "carol@south", vec!["carol@south"], "carol@south joined"),
        (1, "alice@north", vec!["bob@north"], "you brought in bob"),
        (4, "alice@north", vec!["carol@south"], "you made carol@south admin"),
        (2, "bob@north", vec!["bob@north"], "bob left"),
        (2, "carol@south", vec!["alice@north"], "carol@south removed you"),
        (3, "alice@north", vec![], "you dissolved the group"),
    ] {
        let users: Vec<Value> = users.into_iter().map(user).collect();
        let notice = json!({"kind": "group.notice", "atMs": 1, "groupID": "g-1@north", "operType": oper, "operUser": user(by),
            "users": users, "groupInfo": {"groupID": "g-1@north", "groupName": "Tea"}});
        event(&mut app, 1, notice);
        assert_eq!(lines(&app, &group).last().unwrap().body, Body::Notice(told.into()));
    }
    assert_eq!(app.title(&group), "Tea", "the name is the newest");
    let (_, body) = said(&type_line(&mut app, "hi all"));
    assert_eq!((&body["scene"], &body["recvID"]), (&json!("group"), &json!("g-1@north")));
    let acts = type_line(&mut app, "/leave");
    assert_eq!(asked(&acts).path, "/client/v1/groups/g%2D1%40north/leave");
}

#[test]
fn an_invitation_is_told_and_accepted_by_its_name() {
    let mut app = alice();
    let pending = json!({"pending": [{"kind": "invitation", "groupID": "g-2@south", "expiresMs": 1,
        "groupInfo": {"groupID": "g-2@south", "groupName": "Go", "groupMemberNum": 2},
        "user": {"userID": "carol@south", "name": "Carol"}}]});
    news(&mut app, News::Answer(What::Pending, Ok(pending)));
    assert_eq!(app.waiting(), 1);
    type_line(&mut app, "/requests");
    assert_eq!(app.sheet.as_ref().unwrap().rows[0].text, "Carol@south invites you to “Go”");
    key(&mut app, KeyCode::Enter);
    assert_eq!(app.input.text(), "/accept g-2@south", "the row offers its command");
    let acts = key(&mut app, KeyCode::Enter);
    assert_eq!(asked(&acts).path, "/client/v1/groups/g%2D2%40south/answer");
}

#[test]
fn people_found_on_other_servers_are_shown_and_asked() {
    let mut app = alice();
    let acts = type_line(&mut app, "/search 卡");
    assert_eq!(asked(&acts).path, "/client/v1/users/search?query=%E5%8D%A1&scope=all");
    let found = json!({"code": 0, "pages": 1, "page": 0, "note": "west", "userInfos": [
        {"userID": "carol@south", "name": "卡罗尔\u{202e}", "remark": "a\u{7}b"}]});
    news(&mut app, News::Answer(What::Search("卡".into()), Ok(found)));
    let rows: Vec<&str> = app.sheet.as_ref().unwrap().rows.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(rows, ["卡罗尔 · carol@south · a\u{fffd}b", "not answered: west"]);
    key(&mut app, KeyCode::Enter);
    assert_eq!(app.input.text(), "/friend carol@south ");
}

#[test]
fn a_file_is_uploaded_then_sent_and_fetched_by_its_number() {
    let mut app = alice();
    type_line(&mut app, "/file x.png");
    assert!(app.note.contains("open a chat"), "{}", app.note);
    type_line(&mut app, "/to carol@south");
    let acts = type_line(&mut app, "/file pictures/猫.png");
    let [Act::Upload { number, .. }] = acts.as_slice() else { panic!("{acts:?}") };
    news(
        &mut app,
        News::Transfer(*number, Progress::Began { name: "猫.png".into(), size: 2000, kind: "image".into() }),
    );
    news(&mut app, News::Transfer(*number, Progress::At(500)));
    assert_eq!(app.transfers[number].done, 500);
    let acts = news(&mut app, News::Transfer(*number, Progress::Uploaded("m-1".into())));
    let (_, body) = said(&acts);
    assert_eq!(
        (&body["type"], &body["mediaID"], &body["recvID"]),
        (&json!("image"), &json!("m-1"), &json!("carol@south"))
    );
    assert!(app.transfers.is_empty());
    let mut picture = message("carol@south", "alice@north", "m9", "");
    picture["message"]["messageType"] = "file".into();
    picture["message"]["content"] = json!({"size": 7, "name": "a.txt", "mediaID": "m-2", "md5": "0".repeat(32)});
    event(&mut app, 9, picture);
    let acts = type_line(&mut app, "/save 2 /tmp/b.txt");
    let [Act::Save { from, file, to, .. }] = acts.as_slice() else { panic!("{acts:?}") };
    assert_eq!(
        (from.as_str(), file.media.as_str(), to.as_ref().unwrap().to_str()),
        ("carol@south", "m-2", Some("/tmp/b.txt"))
    );
    type_line(&mut app, "/save 7");
    assert!(app.note.contains("no file 7"), "{}", app.note);
    event(
        &mut app,
        10,
        json!({"kind": "file.failed", "atMs": 1, "messageID": "m9", "sendID": "carol@south", "recvID": "alice@north",
        "chatScene": "user", "mediaID": "m-2", "name": "a.txt", "code": 1402, "msg": "md5"}),
    );
    assert_eq!(lines(&app, &carol())[1].trouble.as_deref(), Some("md5 (1402)"));
}

#[test]
fn what_has_no_answer_is_sent_again_by_the_next_run_under_the_same_name() {
    let mut app = alice();
    type_line(&mut app, "/to carol@south");
    type_line(&mut app, "hello");
    let unsent = app.unsent.clone();
    let mut later = alice();
    let (client, body) = said(&super::super::perform::again(&mut later, unsent.clone()));
    assert_eq!((&client, &body), (&unsent[0].0, &unsent[0].1));
    // The server had it: one message, not two.
    let sent = json!({"kind": "sent", "atMs": 1, "clientID": client, "state": "kept",
        "message": message("alice@north", "carol@south", "m1", "hello")["message"]});
    event(&mut later, 1, sent);
    assert_eq!((lines(&later, &carol()).len(), later.unsent.len()), (1, 0));
}

#[test]
fn after_a_break_the_lists_are_asked_for_again_and_enter_does_not_wait() {
    let mut app = alice();
    news(&mut app, News::Link(Link::Away { retry_s: 7, why: "gone".into() }));
    assert_eq!(key(&mut app, KeyCode::Enter), [Act::Nudge]);
    update(&mut app, Event::Tick(1), nothing);
    assert_eq!(app.link, Link::Away { retry_s: 6, why: "gone".into() });
    assert_eq!(news(&mut app, News::Link(Link::Live)), lists());
}

#[test]
fn what_arrives_does_not_move_what_is_being_read_above() {
    let mut app = alice();
    update(&mut app, Event::Resize(60, 12), nothing);
    for number in 0..60 {
        event(
            &mut app,
            number,
            message("carol@south", "alice@north", &format!("m{number}"), &format!("number {number}")),
        );
    }
    type_line(&mut app, "/to carol@south");
    key(&mut app, KeyCode::PageUp);
    key(&mut app, KeyCode::PageUp);
    let shown = |app: &App| {
        let rows = flow::window(app, &app.chats[&carol()], 60, 9);
        rows.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let before = shown(&app);
    event(&mut app, 99, message("carol@south", "alice@north", "m99", "new\nin two lines"));
    assert_eq!(shown(&app), before);
    assert_eq!((app.chats[&carol()].below, app.chats[&carol()].unread), (1, 1));
    for _ in 0..40 {
        key(&mut app, KeyCode::PageUp);
    }
    assert!(shown(&app)[0].contains("2026-05-01"), "the first row is the first day: {:?}", shown(&app));
    for _ in 0..40 {
        key(&mut app, KeyCode::PageDown);
    }
    assert_eq!((app.chats[&carol()].below, app.chats[&carol()].unread), (0, 0));
}

#[test]
fn unknown_events_are_passed_over() {
    let mut app = alice();
    for value in
        [json!({"kind": "gone", "atMs": 1}), json!({"kind": "tomorrow's"}), json!(7), json!({"kind": "message"})]
    {
        assert_eq!(event(&mut app, 1, value), []);
    }
    assert!(app.chats.is_empty());
}
