//! What a typed line means, and how it is completed. Pure.

use super::app::{App, ChatId};
use super::words::{Words, fill};

/// What stands behind a command's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    /// A chat, group or person, by name or ID: the rest of the line.
    Chat,
    /// One person or invitation, and words.
    Person,
    /// Several people.
    People,
    Path,
    /// A file of the chat, and perhaps a path.
    File,
    Words,
}

/// Every command: its name, what it takes, how that is told.
const COMMANDS: &[(&str, Takes, &str)] = &[
    ("help", Takes::Nothing, ""),
    ("to", Takes::Chat, "NAME"),
    ("chats", Takes::Nothing, ""),
    ("contacts", Takes::Nothing, ""),
    ("search", Takes::Words, "WORD [@SERVER]"),
    ("friend", Takes::Person, "NAME [WORDS]"),
    ("accept", Takes::Person, "NAME"),
    ("decline", Takes::Person, "NAME"),
    ("unfriend", Takes::Person, "NAME"),
    ("requests", Takes::Nothing, ""),
    ("group", Takes::Words, "NAME"),
    ("groups", Takes::Nothing, ""),
    ("invite", Takes::People, "NAME …"),
    ("members", Takes::Nothing, ""),
    ("remove", Takes::Person, "NAME"),
    ("leave", Takes::Nothing, ""),
    ("file", Takes::Path, "PATH"),
    ("save", Takes::File, "[NUMBER] [PATH]"),
    ("files", Takes::Nothing, ""),
    ("cancel", Takes::Words, "NUMBER"),
    ("recall", Takes::Words, "[N]"),
    ("lang", Takes::Words, "en|zh"),
    ("logout", Takes::Nothing, ""),
    ("quit", Takes::Nothing, ""),
];

/// How alike (0 to 1) a command has to be to what was typed, to be offered in its place.
const ALIKE: f64 = 0.5;

/// A line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Say(String),
    Help,
    To(String),
    Chats,
    Contacts,
    /// What, and where (`all`, `local`, `server:ID`).
    Search(String, String),
    Friend(String, String),
    /// A request or an invitation, and yes or no.
    Answer(String, bool),
    Unfriend(String),
    Requests,
    NewGroup(String),
    Groups,
    Invite(Vec<String>),
    Members,
    Remove(String),
    Leave,
    File(String),
    /// Which of the chat's files (the last one, if none is said), and where to.
    Save(Option<usize>, Option<String>),
    Files,
    Cancel(u64),
    /// The nth last of the user's own.
    Recall(usize),
    Lang(super::words::Lang),
    LogOut,
    Quit,
}

/// Each command with what it takes, and what it does.
pub(super) fn help(words: &Words) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let does = words.help;
    COMMANDS.iter().map(move |(name, _, takes)| {
        (*name, *takes, does.iter().find(|(known, _)| known == name).map_or("", |(_, does)| does))
    })
}

/// Reads a line that is not empty.
///
/// # Errors
/// In words for the user.
pub(super) fn parse(line: &str, words: &Words) -> Result<Command, String> {
    let Some(rest) = line.strip_prefix('/') else { return Ok(Command::Say(line.to_owned())) };
    if let Some(said) = rest.strip_prefix('/') {
        return Ok(Command::Say(format!("/{said}")));
    }
    let (typed, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.trim();
    let name = full_name(typed).ok_or_else(|| no_such(typed, words))?;
    let takes = COMMANDS.iter().find(|(known, _, _)| *known == name).map_or("", |(_, _, takes)| *takes);
    let missing = || fill(words.missing, &[name, takes]);
    read(name, rest).ok_or_else(missing)
}

/// The command that is called so, or the only one that begins so.
fn full_name(typed: &str) -> Option<&'static str> {
    let mut fits =
        COMMANDS.iter().map(|(name, _, _)| *name).filter(|name| !typed.is_empty() && name.starts_with(typed));
    let first = fits.next()?;
    let exact = COMMANDS.iter().map(|(name, _, _)| *name).find(|name| *name == typed);
    exact.or_else(|| fits.next().is_none().then_some(first))
}

/// What was typed is no command: which ones begin so, or which one is nearest.
fn no_such(typed: &str, words: &Words) -> String {
    let names = || COMMANDS.iter().map(|(name, _, _)| *name);
    let begun: Vec<String> =
        names().filter(|name| !typed.is_empty() && name.starts_with(typed)).map(|name| format!("/{name}")).collect();
    if !begun.is_empty() {
        return fill(words.ambiguous, &[&format!("/{typed}"), &begun.join(" ")]);
    }
    let typed_small = typed.to_lowercase();
    let alike = |name: &str| strsim::normalized_damerau_levenshtein(name, &typed_small);
    let nearest = names().max_by(|a, b| alike(a).total_cmp(&alike(b))).filter(|name| alike(name) >= ALIKE);
    match nearest {
        Some(name) => fill(words.did_you_mean, &[typed, name]),
        None => fill(words.unknown_command, &[typed]),
    }
}

fn read(name: &str, rest: &str) -> Option<Command> {
    let some = || (!rest.is_empty()).then(|| rest.to_owned());
    let (first, more) = rest.split_once(char::is_whitespace).map_or((rest, ""), |(first, more)| (first, more.trim()));
    Some(match name {
        "help" => Command::Help,
        "to" => Command::To(some()?),
        "chats" => Command::Chats,
        "contacts" => Command::Contacts,
        "search" => search(&some()?)?,
        "friend" => Command::Friend(some().map(|_| first.to_owned())?, more.to_owned()),
        "accept" => Command::Answer(some()?, true),
        "decline" => Command::Answer(some()?, false),
        "unfriend" => Command::Unfriend(some()?),
        "requests" => Command::Requests,
        "group" => Command::NewGroup(some()?),
        "groups" => Command::Groups,
        "invite" => Command::Invite(some()?.split_whitespace().map(str::to_owned).collect()),
        "members" => Command::Members,
        "remove" => Command::Remove(some()?),
        "leave" => Command::Leave,
        "file" => Command::File(some()?),
        "save" if rest.is_empty() => Command::Save(None, None),
        "save" => match first.trim_start_matches('#').parse() {
            Ok(number) => Command::Save(Some(number), (!more.is_empty()).then(|| more.to_owned())),
            Err(_) => Command::Save(None, some()),
        },
        "files" => Command::Files,
        "cancel" => Command::Cancel(rest.trim_start_matches('#').parse().ok()?),
        "recall" if rest.is_empty() => Command::Recall(1),
        "recall" => Command::Recall(rest.parse().ok().filter(|n| *n > 0)?),
        "lang" => Command::Lang(clap::ValueEnum::from_str(rest, true).ok()?),
        "logout" => Command::LogOut,
        "quit" => Command::Quit,
        _ => return None,
    })
}

fn search(rest: &str) -> Option<Command> {
    let scope = rest.rsplit_once(char::is_whitespace).and_then(|(what, last)| Some((what, last.strip_prefix('@')?)));
    Some(match scope {
        Some((what, "here")) => Command::Search(what.trim().to_owned(), "local".to_owned()),
        Some((what, server)) if !server.is_empty() => {
            Command::Search(what.trim().to_owned(), format!("server:{server}"))
        }
        Some(_) | None => Command::Search(rest.to_owned(), "all".to_owned()),
    })
}

/// What Tab offers: in whose place, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Completion {
    /// Where in the input the completed word begins, in bytes.
    pub(super) from: usize,
    pub(super) offers: Vec<String>,
    /// Which one stands in the input.
    pub(super) at: usize,
}

/// What could stand in place of the word before the cursor. `list` answers the names in a folder, folders with a `/` at their end.
pub(super) fn complete(app: &App, before: &str, list: impl Fn(&str) -> Vec<String>) -> Option<Completion> {
    let typed = before.strip_prefix('/')?;
    let Some((name, rest)) = typed.split_once(' ') else {
        let offers = COMMANDS
            .iter()
            .map(|(name, takes, _)| format!("/{name}{}", if *takes == Takes::Nothing { "" } else { " " }));
        return offer(0, offers.filter(|offer| offer.starts_with(before)).collect());
    };
    let name = full_name(name)?;
    let takes = COMMANDS.iter().find(|(known, _, _)| *known == name).map(|(_, takes, _)| *takes)?;
    let rest_at = before.len() - rest.len();
    let word_at = before.rfind(' ').map_or(0, |at| at + 1);
    match takes {
        Takes::Chat => offer(rest_at, chats(app, rest)),
        Takes::Person if !rest.contains(' ') => offer(rest_at, people(app, name, rest, "")),
        Takes::People => offer(word_at, people(app, name, &before[word_at..], " ")),
        Takes::Path => offer(rest_at, paths(rest, &list)),
        Takes::File => match rest.split_once(' ') {
            Some((_, path)) => offer(before.len() - path.len(), paths(path, &list)),
            None => offer(rest_at, numbers(app, rest)),
        },
        Takes::Words if name == "lang" => offer(rest_at, begin(["en", "zh"].map(str::to_owned), rest)),
        Takes::Words if name == "cancel" => offer(rest_at, begin(app.transfers.keys().map(u64::to_string), rest)),
        Takes::Nothing | Takes::Words | Takes::Person => None,
    }
}

fn offer(from: usize, offers: Vec<String>) -> Option<Completion> {
    (!offers.is_empty()).then_some(Completion { from, offers, at: 0 })
}

fn begin(offers: impl IntoIterator<Item = String>, with: &str) -> Vec<String> {
    offers.into_iter().filter(|offer| offer.starts_with(with)).collect()
}

fn alike(text: &str, typed: &str) -> bool {
    text.to_lowercase().starts_with(&typed.to_lowercase())
}

fn chats(app: &App, typed: &str) -> Vec<String> {
    let mut names: Vec<String> = people(app, "to", typed, "");
    let groups = app.groups.values().filter(|group| group.rank > 0 && alike(&group.name, typed));
    names.extend(groups.map(|group| group.name.clone()));
    names
}

/// IDs of whom a command may mean, found by ID or name.
fn people(app: &App, name: &str, typed: &str, end: &str) -> Vec<String> {
    let waiting = matches!(name, "accept" | "decline");
    let mut ids: Vec<&String> =
        app.people.iter().filter(|(_, p)| !waiting || p.stand == super::app::Stand::Asks).map(|(id, _)| id).collect();
    if waiting {
        ids.extend(app.groups.iter().filter(|(_, group)| group.rank == 0).map(|(id, _)| id));
    } else {
        ids.extend(app.names.keys());
        ids.extend(app.chats.keys().filter_map(|chat| match chat {
            ChatId::User(id) => Some(id),
            ChatId::Group(_) => None,
        }));
    }
    ids.sort();
    ids.dedup();
    let named = |id: &str| app.people.get(id).map(|person| &person.name).or_else(|| app.names.get(id));
    ids.retain(|id| **id != app.me && (alike(id, typed) || named(id).is_some_and(|name| alike(name, typed))));
    // What would not come back from the screen as it is cannot be offered.
    ids.retain(|id| !id.contains(char::is_whitespace) && !id.chars().any(super::clean::commands));
    ids.into_iter().map(|id| format!("{id}{end}")).collect()
}

fn numbers(app: &App, typed: &str) -> Vec<String> {
    let files = app.opened().map_or(0, |(_, chat)| chat.files);
    begin((1..=files).rev().map(|number| number.to_string()), typed)
}

fn paths(typed: &str, list: &impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let (folder, start) = typed.rfind('/').map_or(("", typed), |at| typed.split_at(at + 1));
    let mut names = list(folder);
    names.retain(|name| name.starts_with(start) && (start.starts_with('.') || !name.starts_with('.')));
    names.retain(|name| !name.chars().any(super::clean::commands));
    names.sort();
    names.into_iter().map(|name| format!("{folder}{name}")).collect()
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
