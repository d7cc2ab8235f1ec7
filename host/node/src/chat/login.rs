//! Before the screen: whose session it is, opened with its secret or made by a log-in.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use serde_json::{Value, json};

use super::session::{Head, Keeper, Kept, Secret, SessionError, file_name, folder, latest};
use super::words::{Words, fill};
use super::{ChatError, Options, clean};
use crate::client::{Api, ClientError};

/// Wrong secrets until it ends.
const TRIES: usize = 3;
/// What the system trusts, where no bundle is named.
const SYSTEM_CAS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Opens the session that the options mean, or logs in and makes it.
pub(super) fn enter(options: &Options, words: &Words, runtime: &tokio::runtime::Runtime) -> Result<Keeper, ChatError> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(ChatError::Usage("isthmus chat needs a terminal".into()));
    }
    if let Some(path) = existing(options)? {
        let head = Head::read(&path)?;
        match (head.secret, reopen(&path, &head, words)?) {
            (_, Opened::Open(keeper)) => return Ok(*keeper),
            // The password may have changed since: then the new one logs in.
            (Secret::Password, Opened::Not(password)) => {
                let api = Api::new(&head.server, &head.ca)?;
                if let Ok(answer) = runtime.block_on(log_in(&api, &head.user, &password)) {
                    return make(&path, head.server.as_str(), &head.ca, Secret::Password, &password, &answer);
                }
                return Err(SessionError::Secret(path.display().to_string()).into());
            }
            (Secret::Passphrase, Opened::Not(_)) => return Err(SessionError::Secret(path.display().to_string()).into()),
        }
    }
    anew(options, words, runtime)
}

enum Opened {
    Open(Box<Keeper>),
    /// With the secret tried last.
    Not(String),
}

fn reopen(path: &Path, head: &Head, words: &Words) -> Result<Opened, ChatError> {
    let whose = clean::line(&format!("{} ({})", head.user, head.server));
    let prompt = match head.secret {
        Secret::Password => fill(words.prompt_password, &[&whose]),
        Secret::Passphrase => fill(words.prompt_passphrase, &[&whose]),
    };
    let mut last = String::new();
    for _ in 0..TRIES {
        last = ask(&prompt, false)?;
        match Keeper::open(path, &last) {
            Ok(keeper) => return Ok(Opened::Open(Box::new(keeper))),
            // One try is enough to see whether it is the new password.
            Err(SessionError::Secret(_)) if head.secret == Secret::Password => return Ok(Opened::Not(last)),
            Err(SessionError::Secret(_)) => say(words.wrong_secret)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Opened::Not(last))
}

/// The file that the options mean, if it is there.
fn existing(options: &Options) -> Result<Option<PathBuf>, ChatError> {
    let path = match (&options.session, &options.server, &options.user) {
        (Some(path), _, _) => Some(path.clone()),
        (None, Some(server), Some(user)) => Some(sessions()?.join(file_name(server, user))),
        (None, None, None) => latest(&sessions()?),
        (None, _, _) => None,
    };
    Ok(path.filter(|path| path.exists()))
}

fn sessions() -> Result<PathBuf, ChatError> {
    let none = || {
        ChatError::Usage("neither HOME nor XDG_STATE_HOME is set: say with --session where to keep the session".into())
    };
    folder(|name| std::env::var(name).ok()).ok_or_else(none)
}

fn anew(options: &Options, words: &Words, runtime: &tokio::runtime::Runtime) -> Result<Keeper, ChatError> {
    let given = |value: &Option<String>, prompt: &str| value.clone().map_or_else(|| ask(prompt, true), Ok);
    let server = given(&options.server, words.prompt_server)?;
    let server = server.trim().trim_end_matches('/').to_owned();
    let system = || SYSTEM_CAS.iter().map(PathBuf::from).find(|path| path.exists());
    let ca = options.ca.clone().or_else(system);
    let ca = ca.ok_or_else(|| ChatError::Usage("no CA bundle is known here: name one with --ca".into()))?;
    let ca = std::path::absolute(&ca).unwrap_or(ca);
    let api = Api::new(&server, &ca)?;
    let user = given(&options.user, words.prompt_user)?.trim().to_owned();
    let (password, answer) = password(&api, &user, words, runtime)?;
    let path = match &options.session {
        Some(path) => path.clone(),
        None => sessions()?.join(file_name(&server, &user)),
    };
    if options.passphrase {
        let passphrase = new_passphrase(words)?;
        return make(&path, &server, &ca, Secret::Passphrase, &passphrase, &answer);
    }
    make(&path, &server, &ca, Secret::Password, &password, &answer)
}

/// Asks for the password until it is right, a few times.
fn password(
    api: &Api,
    user: &str,
    words: &Words,
    runtime: &tokio::runtime::Runtime,
) -> Result<(String, Value), ChatError> {
    let mut tries = 1;
    loop {
        let password = ask(&fill(words.prompt_password, &[&clean::line(user)]), false)?;
        match runtime.block_on(log_in(api, user, &password)) {
            Ok(answer) => return Ok((password, answer)),
            Err(ClientError::Refused { status: 401, .. }) if tries < TRIES => say(words.wrong_secret)?,
            Err(error) => return Err(error.into()),
        }
        tries += 1;
    }
}

fn new_passphrase(words: &Words) -> Result<String, ChatError> {
    loop {
        let passphrase = ask(words.prompt_new_passphrase, false)?;
        if ask(words.prompt_again, false)? == passphrase && !passphrase.is_empty() {
            return Ok(passphrase);
        }
        say(words.differs)?;
    }
}

async fn log_in(api: &Api, user: &str, password: &str) -> Result<Value, ClientError> {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let device = format!("isthmus chat {}", clean::line(&host)).trim().to_owned();
    let body = json!({"userID": user, "password": password, "deviceName": device});
    // Asked once in a while, from a runtime that rests between: no connection is left to be used again.
    api.apart().post("/client/v1/login", &body).await
}

fn make(
    path: &Path,
    server: &str,
    ca: &Path,
    secret: Secret,
    words: &str,
    answer: &Value,
) -> Result<Keeper, ChatError> {
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    let head = Head::new(server, &text("userID"), ca, secret);
    let kept = Kept { access: text("accessToken"), refresh: text("refreshToken"), ..Kept::default() };
    Ok(Keeper::create(path, head, words, kept)?)
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Asks for a line; without `echo` nothing of it is shown.
fn ask(prompt: &str, echo: bool) -> Result<String, ChatError> {
    enable_raw_mode()?;
    // Only now: what is typed before would be shown.
    let asked = write!(io::stdout(), "{prompt}").and_then(|()| io::stdout().flush()).and_then(|()| line(echo));
    let ended = disable_raw_mode();
    say("")?;
    let line = asked?;
    ended?;
    line.ok_or(ChatError::Left)
}

/// Reads keys to the end of the line; `None`: the user leaves.
#[expect(clippy::wildcard_enum_match_arm, reason = "most keys change nothing")]
fn line(echo: bool) -> io::Result<Option<String>> {
    let mut text = String::new();
    loop {
        let Event::Key(key) = read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let mut out = io::stdout();
        match key.code {
            KeyCode::Enter => return Ok(Some(text)),
            KeyCode::Char('c' | 'd') if control => return Ok(None),
            KeyCode::Char('u') if control && !echo => text.clear(),
            KeyCode::Char('j') if control => return Ok(Some(text)),
            KeyCode::Char(c) if !control => {
                text.push(c);
                if echo {
                    write!(out, "{c}")?;
                }
            }
            KeyCode::Backspace => {
                let gone = text.pop();
                if let (true, Some(gone)) = (echo, gone) {
                    let wide = unicode_width::UnicodeWidthChar::width(gone).unwrap_or(0);
                    write!(out, "{}", "\u{8} \u{8}".repeat(wide))?;
                }
            }
            _ => {}
        }
        out.flush()?;
    }
}
