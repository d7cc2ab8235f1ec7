//! The one place where the state changes: something happened, the state is another, and this is to be done. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::answer::{answered, moved, sent};
use super::app::{App, ChatId, Link};
use super::command::{complete, parse};
use super::exchange::{Act, News};
use super::inbox::lists;
use super::perform::perform;
use super::{clean, flow};

/// Lines typed before that the arrows bring back.
const TYPED: usize = 100;

/// Something happened.
#[derive(Debug)]
pub(super) enum Event {
    Key(KeyEvent),
    Paste(String),
    Resize(u16, u16),
    News(News),
    /// It is later now (milliseconds since 1970).
    Tick(u64),
}

/// Changes the state; `list` answers the names in a folder, for completion.
pub(super) fn update(app: &mut App, event: Event, list: impl Fn(&str) -> Vec<String>) -> Vec<Act> {
    match event {
        Event::Key(key) => press(app, key, list),
        Event::Paste(text) => {
            app.completion = None;
            app.input.insert(&text);
            Vec::new()
        }
        Event::Resize(columns, rows) => {
            app.size = (columns, rows);
            clamp(app);
            Vec::new()
        }
        Event::Tick(now_ms) => {
            app.now_ms = now_ms;
            if let Link::Away { retry_s, .. } = &mut app.link {
                *retry_s = retry_s.saturating_sub(1);
            }
            Vec::new()
        }
        Event::News(news) => hear(app, news),
    }
}

fn hear(app: &mut App, news: News) -> Vec<Act> {
    match news {
        News::Link(Link::Live) => {
            app.link = Link::Live;
            lists()
        }
        News::Link(link) => {
            app.link = link;
            Vec::new()
        }
        News::Inbox(cursor, event) => app.hear(cursor, &event),
        News::Answer(what, result) => answered(app, what, result),
        News::Sent(client, result) => {
            sent(app, &client, result);
            Vec::new()
        }
        News::Transfer(number, progress) => moved(app, number, progress),
        News::LoggedOut => vec![Act::Quit],
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what other keys are there means nothing here")]
fn press(app: &mut App, key: KeyEvent, list: impl Fn(&str) -> Vec<String>) -> Vec<Act> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    let tab = matches!(key.code, KeyCode::Tab | KeyCode::BackTab);
    if !tab {
        app.completion = None;
    }
    if control && key.code == KeyCode::Char('c') {
        return leave(app);
    }
    (app.leaving, app.mistaken) = (false, false);
    match key.code {
        KeyCode::Char('d') if control && app.input.is_empty() => return vec![Act::Quit],
        KeyCode::Enter if alt => app.input.insert("\n"),
        KeyCode::Char('j') if control => app.input.insert("\n"),
        KeyCode::Enter => return enter(app),
        KeyCode::Tab if app.input.is_empty() => next_unread(app),
        KeyCode::Tab => turn(app, list, 1),
        KeyCode::BackTab => turn(app, list, -1),
        KeyCode::Esc if app.sheet.is_some() => app.sheet = None,
        KeyCode::Esc => app.note.clear(),
        KeyCode::Up if alt => step(app, -1),
        KeyCode::Down if alt => step(app, 1),
        KeyCode::Char('p') if control => step(app, -1),
        KeyCode::Char('n') if control => step(app, 1),
        KeyCode::Up | KeyCode::Down if app.sheet.is_some() => choose(app, if key.code == KeyCode::Up { -1 } else { 1 }),
        KeyCode::PageUp | KeyCode::PageDown if app.sheet.is_some() => {
            let page = isize::try_from(app.size.1).unwrap_or(24).max(8) - 6;
            choose(app, if key.code == KeyCode::PageUp { -page } else { page });
        }
        KeyCode::PageUp => scroll(app, 1),
        KeyCode::PageDown => scroll(app, -1),
        KeyCode::Up => typed(app, 1),
        KeyCode::Down => typed(app, -1),
        KeyCode::F(1) => return perform(app, super::command::Command::Help).unwrap_or_default(),
        _ => edit(app, key, control, alt),
    }
    Vec::new()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "most keys change nothing")]
fn edit(app: &mut App, key: KeyEvent, control: bool, alt: bool) {
    match key.code {
        KeyCode::Char('a') if control => app.input.home(),
        KeyCode::Char('e') if control => app.input.end(),
        KeyCode::Char('w') if control => app.input.delete_word(),
        KeyCode::Char('u') if control => app.input.delete_line(),
        KeyCode::Char('h') if control => app.input.backspace(),
        KeyCode::Char(c) if !control && !alt => app.input.insert(c.encode_utf8(&mut [0; 4])),
        KeyCode::Backspace if alt => app.input.delete_word(),
        KeyCode::Backspace => app.input.backspace(),
        KeyCode::Delete => app.input.delete(),
        KeyCode::Left => app.input.left(),
        KeyCode::Right => app.input.right(),
        KeyCode::Home => app.input.home(),
        KeyCode::End => app.input.end(),
        _ => {}
    }
}

/// Twice: leaves. Once: what is written goes, as in a shell.
fn leave(app: &mut App) -> Vec<Act> {
    if app.leaving {
        return vec![Act::Quit];
    }
    app.input.take();
    app.leaving = true;
    app.note = app.words().once_more.to_owned();
    Vec::new()
}

fn enter(app: &mut App) -> Vec<Act> {
    if app.input.is_empty() {
        let chosen = app.sheet.take().and_then(|sheet| sheet.rows.get(sheet.chosen).map(|row| row.command.clone()));
        return match chosen.filter(|command| !command.is_empty()) {
            // What wants more than a name is left to be finished.
            Some(command) if command.ends_with(' ') || !command.starts_with("/to ") => {
                app.input.set(&command);
                Vec::new()
            }
            Some(command) => carry_out(app, &command),
            None if matches!(app.link, Link::Away { .. }) => vec![Act::Nudge],
            None => Vec::new(),
        };
    }
    let line = app.input.text().trim_end().to_owned();
    if line.is_empty() {
        app.input.take();
        return Vec::new();
    }
    carry_out(app, &line)
}

/// Carries a line out. Whatever comes of it, the next line begins empty, as in a shell: one that could not be carried out is told
/// of, and is brought back by an arrow.
fn carry_out(app: &mut App, line: &str) -> Vec<Act> {
    app.sheet = None;
    app.note.clear();
    app.input.take();
    remember(app, line);
    parse(line, app.words()).and_then(|command| perform(app, command)).unwrap_or_else(|told| {
        (app.note, app.mistaken) = (told, true);
        Vec::new()
    })
}

fn remember(app: &mut App, line: &str) {
    app.typed.retain(|before| before != line);
    app.typed.push(line.to_owned());
    let many = app.typed.len().saturating_sub(TYPED);
    app.typed.drain(..many);
    app.recalled_typed = 0;
}

/// The next offer of a completion, or the first of a new one.
fn turn(app: &mut App, list: impl Fn(&str) -> Vec<String>, by: isize) {
    let next = match app.completion.take() {
        Some(mut completion) => {
            let many = completion.offers.len().cast_signed();
            completion.at = (completion.at.cast_signed() + by).rem_euclid(many).cast_unsigned();
            Some(completion)
        }
        None => complete(app, app.input.before(), list),
    };
    if let Some(completion) = next {
        if let Some(offer) = completion.offers.get(completion.at) {
            app.input.complete(completion.from, offer);
        }
        // One offer is taken; the next Tab completes what follows it.
        app.completion = (completion.offers.len() > 1).then_some(completion);
    }
}

fn next_unread(app: &mut App) {
    let open_one = app.open.clone();
    let next = app
        .by_time()
        .into_iter()
        .find(|id| Some(*id) != open_one.as_ref() && app.chats.get(id).is_some_and(|c| c.unread > 0));
    if let Some(next) = next.cloned() {
        open(app, next);
    }
}

fn step(app: &mut App, by: isize) {
    let chats = app.by_time();
    let at = app.open.as_ref().and_then(|open| chats.iter().position(|id| *id == open));
    let many = chats.len().cast_signed();
    if many == 0 {
        return;
    }
    let next = at.map_or(0, |at| (at.cast_signed() + by).rem_euclid(many).cast_unsigned());
    if let Some(next) = chats.get(next).map(|id| (*id).clone()) {
        open(app, next);
    }
}

fn choose(app: &mut App, by: isize) {
    if let Some(sheet) = &mut app.sheet {
        sheet.chosen = sheet.chosen.saturating_add_signed(by).min(sheet.rows.len().saturating_sub(1));
    }
}

/// Brings a chat before the user's eyes: it is read then.
pub(super) fn open(app: &mut App, id: ChatId) {
    if let Some(before) = app.open.clone() {
        app.chat(&before).draft = app.input.take();
    }
    let chat = app.chat(&id);
    let (cursor, draft) = (chat.cursor, std::mem::take(&mut chat.draft));
    (chat.unread, chat.scroll, chat.below) = (0, 0, 0);
    app.input.set(&draft);
    app.read.insert(id.key(), cursor);
    app.sheet = None;
    app.note = clean::line(id.id());
    app.open = Some(id);
}

/// Half a page up or down.
fn scroll(app: &mut App, direction: isize) {
    let Some(id) = app.open.clone() else { return };
    let page = usize::from(app.size.1).saturating_sub(4).max(2) / 2;
    let chat = app.chat(&id);
    chat.scroll = chat.scroll.saturating_add_signed(direction * page.cast_signed());
    clamp(app);
}

/// No further up than the first row; at the end all is read.
fn clamp(app: &mut App) {
    let Some((id, chat)) = app.opened().map(|(id, chat)| (id.clone(), chat)) else { return };
    let rows = flow::all(app, chat, flow::width(app.size)).len();
    let most = rows.saturating_sub(usize::from(app.size.1).saturating_sub(3));
    let chat = app.chat(&id);
    chat.scroll = chat.scroll.min(most);
    if chat.scroll == 0 {
        (chat.below, chat.unread) = (0, 0);
        let cursor = chat.cursor;
        app.read.insert(id.key(), cursor);
    }
}

/// Lines typed before.
fn typed(app: &mut App, by: isize) {
    let at = app.recalled_typed.saturating_add_signed(by).min(app.typed.len());
    if at == app.recalled_typed {
        return;
    }
    app.recalled_typed = at;
    let line = app.typed.len().checked_sub(at).and_then(|at| app.typed.get(at)).cloned().unwrap_or_default();
    app.input.set(&line);
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
