//! `isthmus chat`: a client in the terminal, of `/client/v1` alone (design §7).
//!
//! ```text
//! keys, resizes ──┐                        ┌── view: the state on the screen
//!                 ├──> update: the state ──┤
//! news <── net <──┼────────────────────────┴── acts ──> net
//! ```
//!
//! [`update`], [`perform`] and [`view`] are pure: what they do is tested without a terminal or a server. [`net`] keeps the
//! connection and carries out orders; both directions are bounded channels. Nothing of another user's text reaches the terminal
//! but through [`clean`].

mod answer;
mod app;
mod clean;
mod command;
mod editor;
mod exchange;
mod flow;
mod inbox;
mod login;
mod net;
mod perform;
mod session;
mod transfer;
mod update;
mod view;
mod words;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use jiff::tz::TimeZone;
use ratatui_core::terminal::Terminal;
use ratatui_crossterm::CrosstermBackend;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::client::{Api, ClientError};
use crate::clock::{now_ms, random_bytes};
use app::{App, ChatId};
use exchange::{Act, News};
pub(crate) use flow::size;
use net::Net;
use session::{Keeper, SessionError};
use update::{Event, update};
pub(crate) use words::Lang;

/// News and keys that may wait for the state; then their senders wait.
const WAITING: usize = 256;
/// Between two looks at the clock and two notes of what was read.
const TICK: Duration = Duration::from_secs(1);
const KEEP_EVERY: u32 = 5;

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) server: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) session: Option<PathBuf>,
    pub(crate) passphrase: bool,
    pub(crate) lang: Option<Lang>,
}

/// Why the client ended or did not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChatError {
    /// The arguments, or where it is run.
    #[error("{0}")]
    Usage(String),
    /// The user broke off.
    #[error("left before the log-in")]
    Left,
    /// The server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The file of the session.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The terminal.
    #[error("terminal: {0}")]
    Terminal(#[from] io::Error),
    /// The log-in ended while it ran.
    #[error("{0}")]
    LoggedOut(String),
}

/// Logs in or goes on with a session, and chats until the user leaves.
///
/// # Errors
/// [`ChatError`].
pub(crate) fn run(options: &Options) -> Result<(), ChatError> {
    let lang = options.lang.unwrap_or_else(|| Lang::of_environment(|name| std::env::var(name).ok()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let keeper = Arc::new(login::enter(options, lang.words(), &runtime)?);
    let head = keeper.head();
    let ca = options.ca.as_deref().unwrap_or(&head.ca);
    let api = Api::new(&head.server, ca)?;
    let tag = hex::encode(random_bytes::<8>());
    let mut app = App::new(&head.user, lang, TimeZone::system(), &tag);
    let ended = on_screen(|screen| runtime.block_on(chat(&mut app, screen, api, keeper.clone())));
    runtime.shutdown_background();
    ended
}

type Screen = Terminal<CrosstermBackend<io::Stdout>>;

/// Takes the whole terminal for `work`; whatever happens, it is as it was afterwards.
fn on_screen(work: impl FnOnce(Screen) -> Result<(), ChatError>) -> Result<(), ChatError> {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        before(panic);
    }));
    enable_raw_mode()?;
    let screen = execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)
        .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
    let ended = screen.map_err(ChatError::from).and_then(work);
    give_back();
    ended
}

fn give_back() {
    // A terminal that is gone needs nothing back.
    let _ = execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen, crossterm::cursor::Show);
    let _ = disable_raw_mode();
}

/// The loop: something happens, the state changes, orders go out, the screen is drawn.
async fn chat(app: &mut App, mut terminal: Screen, api: Api, keeper: Arc<Keeper>) -> Result<(), ChatError> {
    let size = terminal.size()?;
    app.size = (size.width, size.height);
    app.now_ms = now_ms();
    let (news, mut heard) = mpsc::channel(WAITING);
    let mut net = Net::start(api, keeper.clone(), news);
    let mut keys = keyboard();
    let mut waiting = restore(app, &keeper);
    let mut tick = tokio::time::interval(TICK);
    let (mut terminate, mut hang_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut ticks = 0;
    loop {
        if let Some(end) = carry_out(app, &mut net, waiting).await {
            keep(app, &keeper, end.forget)?;
            return end.result;
        }
        terminal.draw(|frame| view::draw(frame, app))?;
        let event = tokio::select! {
            Some(event) = keys.recv() => match event? {
                Some(event) => event,
                None => {
                    terminal.clear()?;
                    Event::Tick(now_ms())
                }
            },
            Some(news) = heard.recv() => Event::News(news),
            _ = tick.tick() => {
                ticks += 1;
                if ticks % KEEP_EVERY == 0 {
                    keep(app, &keeper, false)?;
                }
                Event::Tick(now_ms())
            }
            _ = terminate.recv() => return keep(app, &keeper, false),
            _ = hang_up.recv() => return keep(app, &keeper, false),
        };
        let logged_out = matches!(event, Event::News(News::LoggedOut));
        waiting = update(app, event, names_in);
        // What else is there already is drawn with it.
        for _ in 0..WAITING {
            let Ok(news) = heard.try_recv() else { break };
            waiting.extend(update(app, Event::News(news), names_in));
        }
        if logged_out {
            return Err(ChatError::LoggedOut(app.words().logged_out.to_owned()));
        }
    }
}

struct End {
    forget: bool,
    result: Result<(), ChatError>,
}

/// Hands orders on; an end, if one of them is to leave.
async fn carry_out(app: &mut App, net: &mut Net, acts: Vec<Act>) -> Option<End> {
    let mut acts = std::collections::VecDeque::from(acts);
    while let Some(act) = acts.pop_front() {
        match act {
            Act::Quit => return Some(End { forget: false, result: Ok(()) }),
            Act::LogOut => match net.log_out().await {
                Ok(()) => return Some(End { forget: true, result: Ok(()) }),
                Err(why) => app.note = answer::told(app, &why),
            },
            act @ (Act::Send(..)
            | Act::Ask(_)
            | Act::Upload { .. }
            | Act::Save { .. }
            | Act::Cancel(_)
            | Act::Nudge) => {
                if let Some(news) = net.carry_out(act, app.words().too_many) {
                    acts.extend(update(app, Event::News(news), names_in));
                }
            }
        }
    }
    None
}

/// What was read and what is unsent, from the session; the latter goes out again under its old names.
fn restore(app: &mut App, keeper: &Keeper) -> Vec<Act> {
    let kept = keeper.kept();
    app.read = kept.read;
    for (key, draft) in kept.drafts {
        if let Some((scene, id)) = key.split_once(' ') {
            let chat = if scene == "group" { ChatId::Group(id.to_owned()) } else { ChatId::User(id.to_owned()) };
            app.chat(&chat).draft = draft;
        }
    }
    perform::again(app, kept.unsent)
}

/// Notes what was read and what is unsent.
fn keep(app: &App, keeper: &Keeper, forget: bool) -> Result<(), ChatError> {
    if forget {
        return Ok(());
    }
    let mut drafts: std::collections::BTreeMap<String, String> =
        app.chats.iter().map(|(id, chat)| (id.key(), chat.draft.clone())).collect();
    if let Some(open) = &app.open {
        drafts.insert(open.key(), app.input.text().to_owned());
    }
    drafts.retain(|_, draft| !draft.is_empty() && !draft.starts_with('/'));
    let kept = keeper.kept();
    if (&kept.read, &kept.unsent, &kept.drafts) == (&app.read, &app.unsent, &drafts) {
        return Ok(());
    }
    let (read, unsent) = (app.read.clone(), app.unsent.clone());
    Ok(keeper.change(|kept| (kept.read, kept.unsent, kept.drafts) = (read, unsent, drafts))?)
}

/// What the terminal says, read on a thread of its own that ends with the process. `None`: draw everything anew.
fn keyboard() -> mpsc::Receiver<io::Result<Option<Event>>> {
    let (keys, typed) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        loop {
            let event = match event::read() {
                Ok(event::Event::Key(key)) if key.kind == KeyEventKind::Release => continue,
                Ok(event::Event::Key(key))
                    if key.code == KeyCode::Char('l') && key.modifiers == KeyModifiers::CONTROL =>
                {
                    Ok(None)
                }
                Ok(event::Event::Key(key)) => Ok(Some(Event::Key(key))),
                Ok(event::Event::Paste(text)) => Ok(Some(Event::Paste(text))),
                Ok(event::Event::Resize(columns, rows)) => Ok(Some(Event::Resize(columns, rows))),
                Ok(event::Event::FocusGained | event::Event::FocusLost | event::Event::Mouse(_)) => continue,
                Err(error) => Err(error),
            };
            let broken = event.is_err();
            if keys.blocking_send(event).is_err() || broken {
                return;
            }
        }
    });
    typed
}

/// The names in a folder, as they are typed: folders with a `/` at their end.
fn names_in(folder: &str) -> Vec<String> {
    let folder = if folder.is_empty() { PathBuf::from(".") } else { transfer::expanded(folder.as_ref()) };
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).take(10_000);
    let name = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        Some(if entry.path().is_dir() { format!("{name}/") } else { name })
    };
    entries.filter_map(name).collect()
}
