#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;
use serde_json::{Value, json};

use super::super::app::{Group, Person, Row, Stand, Transfer};
use super::super::perform::send;
use super::super::update::{Event, open, update};
use super::super::words::Lang;
use super::*;

/// 2026-05-01, 12:30 UTC: a Friday.
const NOON: u64 = 1_777_638_600_000;

/// The screen as a person sees it: a wide character is one, whatever columns it takes.
fn screen(app: &App, columns_wide: u16, rows: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(columns_wide, rows)).unwrap();
    terminal.draw(|frame| draw(frame, app)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let row = |y: u16| {
        let (mut text, mut skip) = (String::new(), 0);
        for x in 0..columns_wide {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            text.push_str(symbol);
            skip = columns(symbol).saturating_sub(1);
        }
        text.trim_end().to_owned()
    };
    (0..rows).map(row).collect()
}

fn hear(app: &mut App, cursor: u64, at_ms: u64, from: &str, to: &str, text: &str) {
    let scene = if to.starts_with("g-") { "group" } else { "user" };
    let event = json!({"kind": "message", "atMs": at_ms, "message": {"sendID": from, "recvID": to, "messageType": "text",
        "chatScene": scene, "messageID": format!("m{cursor}"), "content": {"message": text}}});
    app.hear(cursor, &event);
}

fn alice(lang: Lang) -> App {
    let mut app = App::new("alice@north", lang, TimeZone::UTC, "t");
    (app.now_ms, app.link) = (NOON + 120_000, Link::Live);
    app.people
        .insert("carol@south".into(), Person { name: "Carol".into(), stand: Stand::Friends, remark: String::new() });
    app.groups.insert("g-1@north".into(), Group { name: "茶话会".into(), rank: 3, members: 2, by: String::new() });
    hear(&mut app, 1, NOON - 86_400_000, "carol@south", "alice@north", "yesterday's");
    hear(&mut app, 2, NOON, "carol@south", "alice@north", "你好，北方！");
    hear(&mut app, 3, NOON - 60_000, "bob@north", "g-1@north", "tea?");
    app
}

fn in_carols_chat(lang: Lang) -> App {
    let mut app = alice(lang);
    let carol = ChatId::User("carol@south".into());
    open(&mut app, carol.clone());
    app.note.clear();
    for (text, id) in [("hello", "m10"), ("spam", "m11")] {
        send(&mut app, &carol, super::super::app::Body::Text(text.into()), json!({}));
        let client = app.unsent[0].0.clone();
        super::super::answer::sent(&mut app, &client, Ok(json!({"messageID": id, "state": "kept"})));
    }
    app.hear(10, &json!({"kind": "receipt", "messageID": "m10", "state": "delivered"}));
    app.hear(11, &json!({"kind": "receipt", "messageID": "m11", "state": "refused", "code": 1102, "msg": "links are not taken here"}));
    app
}

#[test]
fn a_chat_in_eighty_columns() {
    let mut app = in_carols_chat(Lang::En);
    app.input.set("half a");
    let expected = [
        "alice@north > Carol@south                                             (1) online",
        "Carol@south            │",
        "#茶话会              1 │",
        "                       │",
        "                       │---------------- 2026-04-30 Thursday -----------------",
        "                       │12:30 Carol@south: yesterday's",
        "                       │------------------ 2026-05-01 Friday ------------------",
        "                       │12:30 Carol@south: 你好，北方！",
        "                       │12:32 you: hello  [delivered]",
        "                       │12:32 you: spam  [refused: links are not taken here",
        "                       │      (1102)]",
        "",
        "> half a",
    ];
    let shown = screen(&app, 80, 13);
    for (at, (shown, expected)) in shown.iter().zip(expected).enumerate() {
        let plain = |text: &str| text.replace('-', "").split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(plain(shown), plain(expected), "row {at} of\n{}", screen(&app, 80, 13).join("\n"));
    }
}

#[test]
fn a_chat_in_forty_columns_and_in_chinese() {
    let app = in_carols_chat(Lang::Zh);
    let shown = screen(&app, 40, 12);
    let all = shown.join("\n");
    for part in
        ["Carol@south", "在线", "2026-05-01 星期五", "12:30 Carol@south: 你好，北方！", "我: hello  [已送达]", "被拒绝"]
    {
        assert!(all.contains(part), "{part} is missing in\n{all}");
    }
    assert!(shown.iter().all(|row| columns(row) <= 40), "{all}");
    assert!(!all.contains('│'), "no room for the list of chats:\n{all}");
    assert!(shown[0].contains("(1)"), "what is unread elsewhere is told all the same:\n{all}");
}

#[test]
fn a_mistake_is_told_above_the_empty_line_which_says_how_it_comes_back() {
    for (lang, told, back) in [
        (Lang::En, "did you mean /to?", "> ↑ brings back: /too bob"),
        (Lang::Zh, "您是想用 /to 吗", "> ↑ 找回：/too bob"),
    ] {
        let mut app = in_carols_chat(lang);
        let key = |app: &mut App, code| {
            let key = Event::Key(KeyEvent::new(code, KeyModifiers::NONE));
            assert_eq!(update(app, key, |_| Vec::new()), []);
        };
        "/too bob".chars().for_each(|c| key(&mut app, KeyCode::Char(c)));
        key(&mut app, KeyCode::Enter);
        let shown = screen(&app, 80, 13);
        assert!(shown[11].contains(told) && shown[12] == back, "{}", shown.join("\n"));
        key(&mut app, KeyCode::Char('h'));
        assert_eq!(screen(&app, 80, 13)[12], "> h");
    }
}

#[test]
fn no_chat_open_tells_how_to_begin() {
    let app = App::new("alice@north", Lang::En, TimeZone::UTC, "t");
    let all = screen(&app, 80, 24).join("\n");
    assert!(all.contains("connecting…") && all.contains("/help"), "{all}");
}

/// What somebody may put anywhere: clears the screen, sets the title, goes up, rings, turns the text round, hides.
const HOSTILE: &str = "A\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}1A\u{8}\r\u{202e}x\u{200b}\u{2066}\u{e0041}\u{7f}\u{0}Z";

#[test]
fn no_text_of_another_user_commands_the_terminal() {
    let mut app = alice(Lang::En);
    let info = json!({"userID": format!("eve{HOSTILE}@south"), "name": HOSTILE, "remark": HOSTILE});
    let id = info["userID"].as_str().unwrap().to_owned();
    hear(&mut app, 20, NOON, &id, "alice@north", HOSTILE);
    hear(&mut app, 21, NOON, &id, "g-9@south", HOSTILE);
    let chat = ChatId::User(id.clone());
    let file = json!({"kind": "message", "atMs": NOON, "message": {"sendID": id, "recvID": "alice@north", "messageType": "file",
        "chatScene": "user", "messageID": HOSTILE, "content": {"name": HOSTILE, "size": 1, "mediaID": HOSTILE, "md5": HOSTILE}}});
    app.hear(22, &file);
    let mut failed = json!({"kind": "file.failed", "messageID": HOSTILE, "sendID": id, "recvID": "alice@north", "chatScene": "user",
        "name": HOSTILE, "code": 1, "msg": HOSTILE});
    app.hear(23, &failed);
    failed["messageID"] = "another".into();
    app.hear(24, &failed);
    for event in [
        json!({"kind": "friend.request", "direction": "in", "userID": id, "userInfo": info, "remark": HOSTILE}),
        json!({"kind": "friend.request", "direction": "out", "userID": id, "state": "refused", "msg": HOSTILE}),
        json!({"kind": "friend.answer", "direction": "in", "userID": id, "isAgree": 1, "userInfo": info}),
        json!({"kind": "group.invited", "groupID": HOSTILE, "groupInfo": {"groupName": HOSTILE}, "user": info}),
        json!({"kind": "group.notice", "groupID": "g-1@north", "operType": 1, "operUser": info, "users": [info],
            "groupInfo": {"groupName": HOSTILE}}),
    ] {
        app.hear(25, &event);
        check_clean(&app, "its event");
    }
    let found = json!({"userInfos": [info], "note": HOSTILE, "members": [{"userType": 2, "userInfo": info}], "pending": [
        {"kind": "invitation", "groupID": HOSTILE, "groupInfo": {"groupName": HOSTILE}, "user": info}],
        "requests": [{"userInfo": info, "stand": "asks", "remark": HOSTILE}]});
    open(&mut app, chat.clone());
    check_clean(&app, "its chat");
    use super::super::exchange::{News, What, Why};
    for what in [What::Search(HOSTILE.into()), What::Members("g-1@north".into()), What::Pending, What::Requests(true)] {
        answered(&mut app, what, Ok(found.clone()));
    }
    for page in ["/chats", "/contacts", "/requests", "/groups", "/help", "/files"] {
        let command = super::super::command::parse(page, app.words()).unwrap();
        super::super::perform::perform(&mut app, command).unwrap();
        check_clean(&app, page);
    }
    app.sheet = Some(Sheet {
        title: HOSTILE.into(),
        rows: vec![Row { text: HOSTILE.into(), command: String::new() }],
        chosen: 0,
    });
    check_clean(&app, "even what nobody cleaned");
    app.sheet = None;
    answered(&mut app, What::Change, Err(Why { code: Some(1), msg: HOSTILE.into() }));
    check_clean(&app, "a refusal");
    app.link = Link::Away { retry_s: 1, why: HOSTILE.into() };
    let transfer = Transfer {
        up: false,
        name: HOSTILE.into(),
        done: 1,
        size: 2,
        to: None,
        kind: "file".into(),
        broke: Some(HOSTILE.into()),
    };
    (app.note, app.transfers) = (String::new(), [(1, transfer)].into());
    check_clean(&app, "a file under way");
    super::super::update::update(&mut app, super::super::update::Event::Paste(HOSTILE.into()), |_| Vec::new());
    super::super::update::update(&mut app, super::super::update::Event::News(News::Link(Link::Live)), |_| Vec::new());
    check_clean(&app, "what was pasted");
}

fn answered(app: &mut App, what: super::super::exchange::What, result: Result<Value, super::super::exchange::Why>) {
    super::super::answer::answered(app, what, result);
}

/// In no size of the screen does a cell hold an order.
fn check_clean(app: &App, what: &str) {
    for (wide, high) in [(80, 24), (40, 10)] {
        for row in screen(app, wide, high) {
            assert!(!row.chars().any(commands), "{what}: {row:?}");
        }
    }
}

#[test]
fn any_size_is_drawn() {
    let mut app = in_carols_chat(Lang::Zh);
    app.input.set(&"很长的输入".repeat(40));
    for (wide, high) in [(1, 1), (2, 3), (10, 4), (23, 5), (69, 7), (70, 2), (200, 60)] {
        app.size = (wide, high);
        screen(&app, wide, high);
        let command = super::super::command::parse("/help", app.words()).unwrap();
        super::super::perform::perform(&mut app, command).unwrap();
        screen(&app, wide, high);
        app.sheet = None;
    }
}

#[test]
fn a_page_shows_the_chosen_row_and_files_their_progress() {
    let mut app = alice(Lang::En);
    let rows = (0..50).map(|n| Row { text: format!("row {n}"), command: String::new() }).collect();
    app.sheet = Some(Sheet { title: "Rows".into(), rows, chosen: 40 });
    let all = screen(&app, 80, 24).join("\n");
    assert!(all.contains("row 40") && !all.contains("row 41") && all.contains("Rows"), "{all}");
    app.sheet = None;
    let transfer = Transfer {
        up: true,
        name: "cat.png".into(),
        done: 500_000,
        size: 2_000_000,
        to: None,
        kind: "image".into(),
        broke: None,
    };
    app.transfers.insert(3, transfer);
    let all = screen(&app, 80, 24).join("\n");
    assert!(all.contains("#3 sending cat.png: 500.0 kB of 2.0 MB (25%)"), "{all}");
}
