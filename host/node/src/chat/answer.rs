//! Answers of the server to what was asked become lists, pages and notes. Pure.

use serde_json::{Value, json};

use super::app::{App, Body, ChatId, Group, Person, Row, Sheet, Stand, State, Transfer};
use super::clean;
use super::exchange::{Act, Ask, Progress, What, Why};
use super::inbox::{lists, shown};
use super::words::fill;

/// An answer, or why there is none.
pub(super) fn answered(app: &mut App, what: What, result: Result<Value, Why>) -> Vec<Act> {
    let answer = match result {
        Ok(answer) => answer,
        Err(why) => {
            app.note = told(app, &why);
            return Vec::new();
        }
    };
    let words = app.words();
    match what {
        What::Contacts(first) => return people(app, &answer, first, "contacts"),
        What::Requests(first) => return people(app, &answer, first, "requests"),
        What::Groups => groups(app, &answer),
        What::Pending => pending(app, &answer),
        What::Search(query) => found(app, &query, &answer),
        What::Members(group) => members(app, &group, &answer),
        What::Friend(id) => {
            app.note = fill(words.request_sent, &[&app.person(&id)]);
            return lists();
        }
        What::NewGroup => {
            let name = shown(&answer["groupInfo"]["groupName"]);
            let id = answer["groupInfo"]["groupID"].as_str().unwrap_or_default().to_owned();
            app.groups.insert(id.clone(), Group { name: name.clone(), rank: 3, members: 1, by: String::new() });
            super::update::open(app, ChatId::Group(id));
            app.note = fill(words.group_made, &[&name]);
        }
        What::Invite(names) => app.note = fill(words.invited, &[&names]),
        What::Leave(_) | What::Change => {
            app.note = words.done.to_owned();
            return lists();
        }
        What::Recall(chat, id) => {
            if let Some(line) = app.chat(&chat).lines.iter_mut().rev().find(|line| line.id == id) {
                (line.body, line.state) = (Body::Recalled, State::Nothing);
            }
        }
    }
    Vec::new()
}

/// A refusal or a silence in words.
pub(super) fn told(app: &App, why: &Why) -> String {
    let msg = clean::line(&why.msg);
    match why.code {
        Some(code) => fill(app.words().refused, &[&format!("{msg} ({code})")]),
        None => fill(app.words().no_answer, &[&msg]),
    }
}

fn rows(answer: &Value, list: &str) -> Vec<Value> {
    answer[list].as_array().cloned().unwrap_or_default()
}

/// A page of friends, or of open requests.
fn people(app: &mut App, answer: &Value, first: bool, list: &str) -> Vec<Act> {
    let friends = list == "contacts";
    if first {
        app.people.retain(|_, person| (person.stand == Stand::Friends) != friends);
    }
    for link in rows(answer, list) {
        let stand = match link["stand"].as_str() {
            Some("friends") => Stand::Friends,
            Some("asks") => Stand::Asks,
            Some("asked") => Stand::Asked,
            Some(_) | None => continue,
        };
        let id = link["userInfo"]["userID"].as_str().unwrap_or_default().to_owned();
        app.learn(&link["userInfo"]);
        let person = Person { name: shown(&link["userInfo"]["name"]), stand, remark: shown(&link["remark"]) };
        app.people.insert(id, person);
    }
    let Some(next) = answer["next"].as_str() else { return Vec::new() };
    let (what, path) =
        if friends { (What::Contacts(false), "contacts") } else { (What::Requests(false), "friends/requests") };
    let path = format!("/client/v1/{path}?limit=500&after={}", super::perform::encoded(next));
    vec![Act::Ask(Ask { what, method: http::Method::GET, path, body: None })]
}

fn groups(app: &mut App, answer: &Value) {
    app.groups.retain(|_, group| group.rank == 0);
    for row in rows(answer, "groups") {
        let info = &row["groupInfo"];
        let group = Group {
            name: shown(&info["groupName"]),
            rank: row["userType"].as_u64().unwrap_or(1),
            members: info["groupMemberNum"].as_u64().unwrap_or_default(),
            by: String::new(),
        };
        app.groups.insert(info["groupID"].as_str().unwrap_or_default().to_owned(), group);
    }
}

fn pending(app: &mut App, answer: &Value) {
    app.groups.retain(|_, group| group.rank > 0);
    for row in rows(answer, "pending").iter().filter(|row| row["kind"] == "invitation") {
        app.learn(&row["user"]);
        let group = Group {
            name: shown(&row["groupInfo"]["groupName"]),
            rank: 0,
            members: row["groupInfo"]["groupMemberNum"].as_u64().unwrap_or_default(),
            by: row["user"]["userID"].as_str().unwrap_or_default().to_owned(),
        };
        app.groups.entry(row["groupID"].as_str().unwrap_or_default().to_owned()).or_insert(group);
    }
}

fn found(app: &mut App, query: &str, answer: &Value) {
    let words = app.words();
    let row = |info: &Value| {
        let id = shown(&info["userID"]);
        let remark = shown(&info["remark"]);
        let text =
            [shown(&info["name"]), id.clone(), remark].iter().filter(|t| !t.is_empty()).cloned().collect::<Vec<_>>();
        let known = app.people.get(info["userID"].as_str().unwrap_or_default()).map(|person| person.stand);
        let command = if known == Some(Stand::Friends) { format!("/to {id}") } else { format!("/friend {id} ") };
        Row { text: text.join(" · "), command }
    };
    let mut list: Vec<Row> = rows(answer, "userInfos").iter().map(row).collect();
    if let Some(note) = answer["note"].as_str() {
        list.push(Row { text: fill(words.peer_note, &[&clean::line(note)]), command: String::new() });
    }
    rows(answer, "userInfos").iter().for_each(|info| app.learn(info));
    app.note.clear();
    show(app, fill(words.found, &[query]), list);
}

fn members(app: &mut App, group: &str, answer: &Value) {
    let words = app.words();
    rows(answer, "members").iter().for_each(|row| app.learn(&row["userInfo"]));
    let row = |row: &Value| {
        let id = row["userInfo"]["userID"].as_str().unwrap_or_default();
        let rank = match row["userType"].as_u64() {
            Some(3) => format!(" · {}", words.owner),
            Some(2) => format!(" · {}", words.admin),
            Some(_) | None => String::new(),
        };
        Row {
            text: format!("{} · {}{rank}", shown(&row["userInfo"]["name"]), clean::line(id)),
            command: format!("/to {}", clean::line(id)),
        }
    };
    let list = rows(answer, "members").iter().map(row).collect();
    let title = fill(words.members, &[&app.group_name(group)]);
    show(app, title, list);
}

/// Lays a page over the chat.
pub(super) fn show(app: &mut App, title: String, mut rows: Vec<Row>) {
    if rows.is_empty() {
        rows.push(Row { text: app.words().none.to_owned(), command: String::new() });
    }
    app.sheet = Some(Sheet { title, rows, chosen: 0 });
}

/// What became of a message.
pub(super) fn sent(app: &mut App, client: &str, result: Result<Value, Why>) {
    app.unsent.retain(|(waiting, _)| waiting != client);
    let Some((chat, line)) = app
        .chats
        .iter_mut()
        .find_map(|(id, chat)| Some((id, chat.lines.iter_mut().rev().find(|line| line.id == client)?)))
    else {
        return;
    };
    match result {
        Ok(answer) => {
            line.id = answer["messageID"].as_str().unwrap_or_default().to_owned();
            line.state = if answer["state"] == "held" { State::Held } else { State::Kept };
            app.own.insert(line.id.clone(), chat.clone());
        }
        Err(Why { code, msg }) => {
            let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
            line.state = State::Refused(format!("{}{code}", clean::line(&msg)));
        }
    }
}

/// How far a file is; what is uploaded is sent.
pub(super) fn moved(app: &mut App, number: u64, progress: Progress) -> Vec<Act> {
    let words = app.words();
    let Some(transfer) = app.transfers.get_mut(&number) else { return Vec::new() };
    let name = transfer.name.clone();
    match progress {
        Progress::Began { name, size, kind } => {
            *transfer = Transfer { name: clean::line(&name), size, kind, ..transfer.clone() }
        }
        Progress::At(done) => (transfer.done, transfer.broke) = (done, None),
        Progress::Broke(why) => transfer.broke = Some(clean::line(&why)),
        Progress::Uploaded(media) => {
            let Transfer { to, kind, .. } = transfer.clone();
            let (name, size) = (transfer.name.clone(), transfer.size);
            app.transfers.remove(&number);
            let Some(chat) = to else { return Vec::new() };
            let body = json!({"recvID": chat.id(), "scene": chat.scene(), "type": kind, "mediaID": media});
            let file = super::app::FileBody { kind, name, media, size, md5: None, duration: None, number: 0 };
            return super::perform::send(app, &chat, Body::File(file), body);
        }
        Progress::Saved(path) => end(app, number, fill(words.saved, &[&clean::line(&path.display().to_string())])),
        Progress::Failed(why) => end(app, number, fill(words.transfer_failed, &[&name, &clean::line(&why)])),
        Progress::Canceled => {
            let up = transfer.up;
            let told = fill(words.canceled, &[&name]);
            end(app, number, if up { told } else { format!("{told}; {}", words.canceled_left) });
        }
    }
    Vec::new()
}

fn end(app: &mut App, number: u64, told: String) {
    app.transfers.remove(&number);
    app.note = told;
}
