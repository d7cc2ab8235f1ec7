//! What a command does: a change of the state, and what is to be done outside. Pure.

use std::path::PathBuf;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::answer::show;
use super::app::{App, Body, ChatId, Message, Row, Stand, State, Transfer};
use super::clean;
use super::command::{Command, help};
use super::exchange::{Act, Ask, What};
use super::update::open;
use super::words::fill;

/// As a message's text may be at most (§7.3.2 as we keep it).
const LONGEST: usize = 65_536;

/// A part of a path or a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Carries out a command.
///
/// # Errors
/// In words for the user; nothing was done.
pub(super) fn perform(app: &mut App, command: Command) -> Result<Vec<Act>, String> {
    let words = app.words();
    match command {
        Command::Say(text) => return say(app, &text),
        Command::Help => show_help(app),
        Command::To(name) => {
            let chat = find_chat(app, &name)?;
            open(app, chat);
        }
        Command::Chats => show_chats(app),
        Command::Contacts => show_contacts(app),
        Command::Requests => show_requests(app),
        Command::Groups => show_groups(app),
        Command::Files => show_files(app),
        Command::Search(query, scope) => {
            app.note = words.searching.to_owned();
            let path = format!("/client/v1/users/search?query={}&scope={}", encoded(&query), encoded(&scope));
            return Ok(vec![ask(What::Search(query), Method::GET, path, None)]);
        }
        Command::Friend(name, remark) => {
            let id = find_person(app, &name)?;
            let mut body = json!({"userID": id});
            if !remark.is_empty() {
                body["remark"] = remark.into();
            }
            return Ok(vec![ask(What::Friend(id), Method::POST, "/client/v1/friends".into(), Some(body))]);
        }
        Command::Answer(name, agree) => return answer(app, &name, agree).map(|act| vec![act]),
        Command::Unfriend(name) => {
            let path = format!("/client/v1/friends/{}", encoded(&find_person(app, &name)?));
            return Ok(vec![ask(What::Change, Method::DELETE, path, None)]);
        }
        Command::NewGroup(name) => {
            let body = json!({"groupName": name});
            return Ok(vec![ask(What::NewGroup, Method::POST, "/client/v1/groups".into(), Some(body))]);
        }
        Command::Invite(names) => return invite(app, &names).map(|act| vec![act]),
        Command::Members => {
            let group = open_group(app)?;
            let path = format!("/client/v1/groups/{}/members", encoded(&group));
            return Ok(vec![ask(What::Members(group), Method::GET, path, None)]);
        }
        Command::Remove(name) => {
            let (group, id) = (open_group(app)?, find_person(app, &name)?);
            return Ok(vec![in_group(What::Change, &group, "remove", json!({"users": [id]}))]);
        }
        Command::Leave => {
            let group = open_group(app)?;
            return Ok(vec![in_group(What::Leave(group.clone()), &group, "leave", json!({}))]);
        }
        Command::File(path) => return upload(app, &path).map(|act| vec![act]),
        Command::Save(number, path) => return save(app, number, path.as_deref()).map(|act| vec![act]),
        Command::Cancel(number) => {
            let missing = || fill(words.no_such_transfer, &[&number.to_string()]);
            return app.transfers.contains_key(&number).then(|| vec![Act::Cancel(number)]).ok_or_else(missing);
        }
        Command::Recall(nth) => return recall(app, nth).map(|act| vec![act]),
        Command::Lang(lang) => app.lang = lang,
        Command::LogOut => return Ok(vec![Act::LogOut]),
        Command::Quit => return Ok(vec![Act::Quit]),
    }
    Ok(Vec::new())
}

fn ask(what: What, method: Method, path: String, body: Option<Value>) -> Act {
    Act::Ask(Ask { what, method, path, body })
}

fn in_group(what: What, group: &str, act: &str, body: Value) -> Act {
    ask(what, Method::POST, format!("/client/v1/groups/{}/{act}", encoded(group)), Some(body))
}

fn say(app: &mut App, text: &str) -> Result<Vec<Act>, String> {
    let chat = app.open.clone().ok_or(app.words().no_open_chat)?;
    if text.len() > LONGEST {
        return Err(app.words().too_long.to_owned());
    }
    let body = json!({"recvID": chat.id(), "scene": chat.scene(), "text": text});
    Ok(send(app, &chat, Body::Text(clean::block(text)), body))
}

/// Shows a message as being sent, and sends it.
pub(super) fn send(app: &mut App, chat: &ChatId, said: Body, mut body: Value) -> Vec<Act> {
    let number = app.number();
    let client = format!("{}-{number}", app.tag);
    body["clientID"] = client.clone().into();
    app.unsent.push((client.clone(), body.clone()));
    let message = Message {
        id: client.clone(),
        at_ms: app.now_ms,
        from: app.me.clone(),
        body: said,
        state: State::Sending,
        trouble: None,
    };
    let cursor = app.chat(chat).cursor;
    app.push(chat, cursor, message, false);
    let chat = app.chat(chat);
    (chat.scroll, chat.below, chat.unread) = (0, 0, 0);
    vec![Act::Send(client, body)]
}

/// What an earlier run has sent without hearing of it: shown, and sent again under its clientID.
pub(super) fn again(app: &mut App, unsent: Vec<(String, Value)>) -> Vec<Act> {
    for (client, body) in &unsent {
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        let chat = ChatId::of(&body["scene"], text("recvID"));
        let said = Body::Text(clean::block(if text("text").is_empty() { text("type") } else { text("text") }));
        let message = Message {
            id: client.clone(),
            at_ms: app.now_ms,
            from: app.me.clone(),
            body: said,
            state: State::Sending,
            trouble: None,
        };
        app.push(&chat, 0, message, false);
    }
    app.unsent.clone_from(&unsent);
    unsent.into_iter().map(|(client, body)| Act::Send(client, body)).collect()
}

fn answer(app: &App, name: &str, agree: bool) -> Result<Act, String> {
    let body = json!({"agree": agree});
    let invited = app.groups.iter().filter(|(_, group)| group.rank == 0);
    let mut groups = invited.filter(|(id, group)| *id == name || group.name == name).map(|(id, _)| id);
    if let Some(group) = groups.next() {
        return Ok(in_group(What::Change, group, "answer", body));
    }
    let id = find_person(app, name)?;
    if app.people.get(&id).is_none_or(|person| person.stand != Stand::Asks) {
        return Err(fill(app.words().nothing_to_accept, &[&app.person(&id)]));
    }
    Ok(ask(What::Change, Method::POST, format!("/client/v1/friends/{}/answer", encoded(&id)), Some(body)))
}

fn invite(app: &App, names: &[String]) -> Result<Act, String> {
    let group = open_group(app)?;
    let ids = names.iter().map(|name| find_person(app, name)).collect::<Result<Vec<_>, _>>()?;
    let shown = ids.iter().map(|id| app.person(id)).collect::<Vec<_>>().join(", ");
    Ok(in_group(What::Invite(shown), &group, "invite", json!({"users": ids})))
}

fn open_group(app: &App) -> Result<String, String> {
    match &app.open {
        Some(ChatId::Group(group)) => Ok(group.clone()),
        Some(ChatId::User(_)) | None => Err(app.words().no_open_group.to_owned()),
    }
}

fn upload(app: &mut App, path: &str) -> Result<Act, String> {
    let to = app.open.clone().ok_or(app.words().no_open_chat)?;
    let number = app.number();
    let name = clean::line(path.rsplit('/').next().unwrap_or(path));
    let transfer = Transfer { up: true, name, done: 0, size: 0, to: Some(to), kind: String::new(), broke: None };
    app.transfers.insert(number, transfer);
    Ok(Act::Upload { number, path: PathBuf::from(path) })
}

fn save(app: &mut App, wanted: Option<usize>, path: Option<&str>) -> Result<Act, String> {
    let (_, chat) = app.opened().ok_or(app.words().no_open_chat)?;
    let file = |message: &Message| match &message.body {
        Body::File(file) if wanted.is_none_or(|number| number == file.number) => {
            Some((message.from.clone(), file.clone()))
        }
        Body::File(_) | Body::Text(_) | Body::Recalled | Body::Notice(_) => None,
    };
    let missing = || fill(app.words().no_such_file, &[&wanted.map(|number| number.to_string()).unwrap_or_default()]);
    let (from, file) = chat.lines.iter().rev().find_map(file).ok_or_else(missing)?;
    let number = app.number();
    let transfer = Transfer {
        up: false,
        name: file.name.clone(),
        done: 0,
        size: file.size,
        to: None,
        kind: file.kind.clone(),
        broke: None,
    };
    app.transfers.insert(number, transfer);
    Ok(Act::Save { number, from, file, to: path.map(PathBuf::from) })
}

fn recall(app: &App, nth: usize) -> Result<Act, String> {
    let (id, chat) = app.opened().ok_or(app.words().no_open_chat)?;
    let mine = chat.lines.iter().rev().filter(|line| line.from == app.me && line.body != Body::Recalled);
    let line =
        mine.filter(|line| line.state != State::Sending && !matches!(line.state, State::Refused(_))).nth(nth - 1);
    let message = line.ok_or(app.words().nothing_to_recall)?.id.clone();
    let what = What::Recall(id.clone(), message.clone());
    Ok(match id {
        ChatId::Group(group) => in_group(what, group, "recall", json!({"messageID": message})),
        ChatId::User(_) => {
            ask(what, Method::POST, format!("/client/v1/messages/{}/recall", encoded(&message)), Some(json!({})))
        }
    })
}

/// Whom a name means: an ID, a name, or the beginning of either that only one has.
fn find_person(app: &App, name: &str) -> Result<String, String> {
    let mut known: Vec<&String> = app.people.keys().chain(app.names.keys()).collect();
    known.extend(app.chats.keys().filter_map(|chat| match chat {
        ChatId::User(id) => Some(id),
        ChatId::Group(_) => None,
    }));
    known.sort();
    known.dedup();
    if known.iter().any(|id| *id == name) || name.contains('@') {
        return Ok(name.to_owned());
    }
    let called = |id: &str| {
        app.people.get(id).map(|person| &person.name).or_else(|| app.names.get(id)).cloned().unwrap_or_default()
    };
    let small = name.to_lowercase();
    let exact = |id: &&&String| called(id) == name || id.rsplit_once('@').is_some_and(|(local, _)| local == name);
    let near = |id: &&&String| called(id).to_lowercase().starts_with(&small) || id.to_lowercase().starts_with(&small);
    let mut fits: Vec<&&String> = known.iter().filter(exact).collect();
    if fits.is_empty() {
        fits = known.iter().filter(near).collect();
    }
    match fits.as_slice() {
        [only] => Ok((**only).clone()),
        [] => Err(fill(app.words().unknown_name, &[name, name])),
        several => {
            let list = several.iter().map(|id| clean::line(id)).collect::<Vec<_>>().join(", ");
            Err(fill(app.words().ambiguous, &[name, &list]))
        }
    }
}

fn find_chat(app: &App, name: &str) -> Result<ChatId, String> {
    let mine = || app.groups.iter().filter(|(_, group)| group.rank > 0);
    let groups: Vec<&String> =
        mine().filter(|(id, group)| *id == name || group.name == name).map(|(id, _)| id).collect();
    match groups.as_slice() {
        [only] => Ok(ChatId::Group((*only).clone())),
        [] => find_person(app, name).map(ChatId::User),
        several => {
            let list = several.iter().map(|id| clean::line(id)).collect::<Vec<_>>().join(", ");
            Err(fill(app.words().ambiguous, &[name, &list]))
        }
    }
}

fn show_help(app: &mut App) {
    let rows = help(app.words()).map(|(name, takes, does)| Row {
        text: format!("{:<22} {does}", format!("/{name} {takes}").trim_end()),
        command: format!("/{name} "),
    });
    let keys = app.words().keys.split('\n').map(|text| Row { text: text.to_owned(), command: String::new() });
    let rows = rows.chain(keys).collect();
    show(app, app.words().help_title.to_owned(), rows);
}

fn show_chats(app: &mut App) {
    let row = |id: &ChatId| {
        let unread = app.chats.get(id).map_or(0, |chat| chat.unread);
        let count = if unread > 0 { format!("({unread}) ") } else { String::new() };
        Row { text: format!("{count}{}", app.title(id)), command: format!("/to {}", clean::line(id.id())) }
    };
    let rows = app.by_time().into_iter().map(row).collect();
    show(app, app.words().chats.to_owned(), rows);
}

fn show_contacts(app: &mut App) {
    let friends = app.people.iter().filter(|(_, person)| person.stand == Stand::Friends);
    let rows = friends
        .map(|(id, person)| Row {
            text: format!("{} · {}", person.name, clean::line(id)),
            command: format!("/to {}", clean::line(id)),
        })
        .collect();
    show(app, app.words().contacts.to_owned(), rows);
}

fn show_requests(app: &mut App) {
    let words = app.words();
    let open = app.people.iter().filter(|(_, person)| person.stand != Stand::Friends);
    let mut rows: Vec<Row> = open
        .map(|(id, person)| {
            let id = clean::line(id);
            if person.stand == Stand::Asks {
                let says = fill(words.asks, &[&person.remark]);
                return Row { text: format!("{} · {id} · {says}", person.name), command: format!("/accept {id}") };
            }
            Row { text: format!("{} · {id} · {}", person.name, words.asked), command: format!("/unfriend {id}") }
        })
        .collect();
    rows.extend(app.groups.iter().filter(|(_, group)| group.rank == 0).map(|(id, group)| Row {
        text: fill(words.invites, &[&app.person(&group.by), &group.name]),
        command: format!("/accept {}", clean::line(id)),
    }));
    show(app, words.requests.to_owned(), rows);
}

fn show_groups(app: &mut App) {
    let mine = app.groups.iter().filter(|(_, group)| group.rank > 0);
    let rows = mine
        .map(|(id, group)| Row {
            text: format!("{} ({})", group.name, group.members),
            command: format!("/to {}", clean::line(id)),
        })
        .collect();
    show(app, app.words().groups.to_owned(), rows);
}

fn show_files(app: &mut App) {
    let rows = app
        .transfers
        .iter()
        .map(|(number, transfer)| Row {
            text: super::flow::transfer(app, *number, transfer),
            command: format!("/cancel {number}"),
        })
        .collect();
    show(app, app.words().files.to_owned(), rows);
}
