//! How a user of the target is made to act or to look: by a person, by a script, or through our own client interface.

mod command;
mod isthmus;
mod manual;

use std::path::PathBuf;

pub use isthmus::IsthmusUsers;

/// What a user of the target shall do, or is asked about.
#[derive(Debug, Clone)]
pub(super) enum Act<'a> {
    /// Writes to somebody.
    SendText { from: &'a str, to: &'a str, text: &'a str },
    /// Sends a file of the kit's machine.
    SendFile { from: &'a str, to: &'a str, kind: &'a str, file: PathBuf },
    /// Takes back the message with this text.
    Recall { from: &'a str, to: &'a str, text: &'a str },
    /// Is asked: was this text received, once? `yes` or `no`.
    Sees { user: &'a str, from: &'a str, text: &'a str },
    /// Is asked: was this file received whole? `yes` or `no`.
    SeesFile { user: &'a str, from: &'a str, name: &'a str },
    /// Is asked: is the message with this text taken back? `yes` or `no`.
    SeesRecall { user: &'a str, from: &'a str, text: &'a str },
    /// Asks for friendship.
    Befriend { from: &'a str, to: &'a str, remark: &'a str },
    /// Answers a request for friendship.
    AnswerFriend { user: &'a str, from: &'a str, agree: bool },
    /// Ends a friendship.
    Unfriend { from: &'a str, to: &'a str },
    /// Is asked: did this user ask for friendship? `yes` or `no`.
    SeesRequest { user: &'a str, from: &'a str },
    /// Searches everywhere; the answer names what was found, one userID a line.
    Search { user: &'a str, query: &'a str },
    /// Makes a group; the answer is its groupID.
    CreateGroup { owner: &'a str, name: &'a str },
    /// Invites into a group.
    Invite { by: &'a str, group: &'a str, who: &'a str },
    /// Answers an invitation.
    AnswerInvite { user: &'a str, group: &'a str, agree: bool },
    /// Decides on somebody's wish to join.
    DecideJoin { by: &'a str, group: &'a str, who: &'a str, agree: bool },
    /// Writes in a group.
    SendGroup { from: &'a str, group: &'a str, text: &'a str },
    /// Removes a member.
    Remove { by: &'a str, group: &'a str, who: &'a str },
    /// Leaves.
    Leave { user: &'a str, group: &'a str },
    /// Ends a group.
    Dissolve { by: &'a str, group: &'a str },
    /// Makes a member an admin, or no longer.
    SetAdmin { by: &'a str, group: &'a str, who: &'a str, admin: bool },
    /// Gives a group another name.
    Rename { by: &'a str, group: &'a str, name: &'a str },
    /// Gives a group another owner.
    Transfer { by: &'a str, group: &'a str, to: &'a str },
    /// Changes who may invite and whether the group can be found.
    Settings { by: &'a str, group: &'a str, allow: bool, visible: bool },
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ActError(pub(super) String);

/// What a script or a person must know of a step: its name, its arguments, and a sentence.
struct Sheet {
    name: &'static str,
    arguments: Vec<(&'static str, String)>,
    words: String,
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

impl Act<'_> {
    /// The answer of a question that was affirmed.
    pub(super) const YES: &'static str = "yes";

    fn sheet(&self) -> Sheet {
        let of = |name, arguments: &[(&'static str, &str)], words: String| Sheet {
            name,
            arguments: arguments.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            words,
        };
        match self {
            Act::SendText { from, to, text } => {
                of("send-text", &[("FROM", from), ("TO", to), ("TEXT", text)], format!("{from} writes to {to}: {text}"))
            }
            Act::SendFile { from, to, kind, file } => {
                let file = file.display().to_string();
                let words = format!("{from} sends to {to}, as {kind}, the file {file}");
                of("send-file", &[("FROM", from), ("TO", to), ("KIND", kind), ("FILE", &file)], words)
            }
            Act::Recall { from, to, text } => {
                let words = format!("{from} takes back the message to {to}: {text}");
                of("recall", &[("FROM", from), ("TO", to), ("TEXT", text)], words)
            }
            Act::Sees { user, from, text } => {
                let words = format!("does {user} see, once, from {from}: {text} (yes or no)");
                of("sees", &[("USER", user), ("FROM", from), ("TEXT", text)], words)
            }
            Act::SeesFile { user, from, name } => {
                let words = format!("can {user} open, from {from}, the file {name} (yes or no)");
                of("sees-file", &[("USER", user), ("FROM", from), ("NAME", name)], words)
            }
            Act::SeesRecall { user, from, text } => {
                let words = format!("is taken back for {user} what {from} wrote: {text} (yes or no)");
                of("sees-recall", &[("USER", user), ("FROM", from), ("TEXT", text)], words)
            }
            Act::SeesRequest { user, from } => {
                let words = format!("does {user} see that {from} asks for friendship (yes or no)");
                of("sees-request", &[("USER", user), ("FROM", from)], words)
            }
            Act::Search { user, query } => {
                let words = format!("{user} searches for {query}; name the userIDs found, one a line");
                of("search", &[("USER", user), ("QUERY", query)], words)
            }
            Act::Befriend { from, to, remark } => {
                let words = format!("{from} asks {to} for friendship with the words: {remark}");
                of("befriend", &[("FROM", from), ("TO", to), ("REMARK", remark)], words)
            }
            Act::AnswerFriend { user, from, agree } => {
                let words = format!("{user} answers the request of {from}: {}", yes_no(*agree));
                of("answer-friend", &[("USER", user), ("FROM", from), ("AGREE", &yes_no(*agree))], words)
            }
            Act::Unfriend { from, to } => {
                of("unfriend", &[("FROM", from), ("TO", to)], format!("{from} ends the friendship with {to}"))
            }
            Act::CreateGroup { .. }
            | Act::Invite { .. }
            | Act::AnswerInvite { .. }
            | Act::DecideJoin { .. }
            | Act::SendGroup { .. }
            | Act::Remove { .. }
            | Act::Leave { .. }
            | Act::Dissolve { .. }
            | Act::SetAdmin { .. }
            | Act::Rename { .. }
            | Act::Transfer { .. }
            | Act::Settings { .. } => self.group_sheet(),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other half of sheet()")]
    fn group_sheet(&self) -> Sheet {
        let of = |name, arguments: &[(&'static str, &str)], words: String| Sheet {
            name,
            arguments: arguments.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            words,
        };
        match self {
            Act::CreateGroup { owner, name } => {
                let words = format!("{owner} makes a group named {name}; answer with its groupID");
                of("create-group", &[("OWNER", owner), ("NAME", name)], words)
            }
            Act::Invite { by, group, who } => {
                of("invite", &[("BY", by), ("GROUP", group), ("WHO", who)], format!("{by} invites {who} into {group}"))
            }
            Act::AnswerInvite { user, group, agree } => {
                let words = format!("{user} answers the invitation into {group}: {}", yes_no(*agree));
                of("answer-invite", &[("USER", user), ("GROUP", group), ("AGREE", &yes_no(*agree))], words)
            }
            Act::DecideJoin { by, group, who, agree } => {
                let words = format!("{by} decides whether {who} may join {group}: {}", yes_no(*agree));
                of("decide-join", &[("BY", by), ("GROUP", group), ("WHO", who), ("AGREE", &yes_no(*agree))], words)
            }
            Act::SendGroup { from, group, text } => {
                let words = format!("{from} writes in the group {group}: {text}");
                of("send-group", &[("FROM", from), ("GROUP", group), ("TEXT", text)], words)
            }
            Act::Remove { by, group, who } => {
                let words = format!("{by} removes {who} from {group}");
                of("remove", &[("BY", by), ("GROUP", group), ("WHO", who)], words)
            }
            Act::Leave { user, group } => {
                of("leave", &[("USER", user), ("GROUP", group)], format!("{user} leaves {group}"))
            }
            Act::Dissolve { by, group } => {
                of("dissolve", &[("BY", by), ("GROUP", group)], format!("{by} dissolves {group}"))
            }
            Act::SetAdmin { by, group, who, admin } => {
                let words = format!("{by} makes {who} an admin of {group}: {}", yes_no(*admin));
                of("set-admin", &[("BY", by), ("GROUP", group), ("WHO", who), ("ADMIN", &yes_no(*admin))], words)
            }
            Act::Rename { by, group, name } => {
                let words = format!("{by} renames {group} to {name}");
                of("rename", &[("BY", by), ("GROUP", group), ("NAME", name)], words)
            }
            Act::Transfer { by, group, to } => {
                let words = format!("{by} makes {to} the owner of {group}");
                of("transfer", &[("BY", by), ("GROUP", group), ("TO", to)], words)
            }
            Act::Settings { by, group, allow, visible } => {
                let words = format!(
                    "{by} sets for {group}: members may invite {}, can be found {}",
                    yes_no(*allow),
                    yes_no(*visible)
                );
                let arguments =
                    [("BY", *by), ("GROUP", group), ("ALLOW", &yes_no(*allow)), ("VISIBLE", &yes_no(*visible))];
                of("settings", &arguments, words)
            }
            _ => of("nothing", &[], String::new()),
        }
    }
}

/// Who makes users of the target act.
pub enum Driver {
    /// A person at this terminal.
    Manual,
    /// A command, run by the shell for each step.
    Command(String),
    /// Our own server's client interface.
    Isthmus(IsthmusUsers),
}

impl Driver {
    /// Does one step; the answer is what the step's description asks for, else empty.
    pub(super) async fn act(&self, act: &Act<'_>) -> Result<String, ActError> {
        match self {
            Driver::Manual => manual::act(&act.sheet()).await,
            Driver::Command(command) => command::act(command, &act.sheet()).await,
            Driver::Isthmus(users) => users.act(act).await,
        }
    }

    /// Whether an answer comes by itself: a question may then be asked again and again.
    pub(super) fn is_patient(&self) -> bool {
        matches!(self, Driver::Manual)
    }
}
