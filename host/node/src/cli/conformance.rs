//! `isthmus conformance`: tests any implementation of the standard from outside, as a peer server.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use super::error::CliError;
use super::role::quiet;
use super::target::block_on_many;
use crate::conformance::{
    self, Applicant, Case, Driver, IsthmusUsers, Lab, Level, Pair, Report, Selection, Setup, SetupError,
};

const EXAMPLES: &str = "Examples:\n  \
    isthmus conformance --list\n  \
    isthmus conformance enroll --platform https://platform:7442 --ca ca.pem --id kit --address https://kit:7999 --identity kit\n  \
    isthmus conformance --target https://im.example:7443 --identity kit --ca ca.pem --listen 0.0.0.0:7999 \\\n    \
        --user alice@north --other-user bob@north --ask manual\n  \
    isthmus conformance … --isthmus-client https://127.0.0.1:8443 --isthmus-ca ca.pem --password secret --other-password another\n  \
    isthmus conformance … --only tls,7.4 --level mandatory --junit report.xml\n\n\
    Exit codes: 0 no mandatory case failed, 1 one did, 2 the kit could not run. What needs something that was not given is \
    skipped, and said so; it is not passed.";

/// What `isthmus conformance` was asked.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct ConformanceArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Registers the kit at a platform and waits for its administrator; key and certificate are kept in a folder.
    Enroll(EnrollArgs),
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  \
    isthmus conformance enroll --platform https://platform:7442 --ca ca.pem --id kit --address https://kit:7999 --identity kit")]
struct EnrollArgs {
    /// The platform's API.
    #[arg(long, value_name = "URL")]
    platform: String,
    /// PEM file with the platform's root certificate.
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// serverId to register: letters, digits, `_`, `-`. It is used up by it.
    #[arg(long, value_name = "SERVER_ID")]
    id: String,
    /// Address to register, where targets reach the kit's listener.
    #[arg(long, value_name = "URL")]
    address: String,
    /// Folder for key.pem, application.json and certificate.pem.
    #[arg(long, value_name = "DIR")]
    identity: PathBuf,
    /// Owner and contact to register.
    #[arg(long, default_value = "conformance")]
    owner: String,
}

#[derive(Debug, Clone, Args)]
struct RunArgs {
    /// The server to test, its interconnect address.
    #[arg(long, value_name = "URL", help_heading = "What to test")]
    target: Option<String>,
    /// The platform to test.
    #[arg(long, value_name = "URL", help_heading = "What to test")]
    platform: Option<String>,
    /// The platform may be left with an application to decide.
    #[arg(long, help_heading = "What to test")]
    may_apply: bool,

    #[command(flatten)]
    kit: KitArgs,

    /// userID of a user of the target.
    #[arg(long, value_name = "USER_ID", requires = "other_user", help_heading = "Users of the target")]
    user: Option<String>,
    /// userID of another.
    #[arg(long, value_name = "USER_ID", requires = "user", help_heading = "Users of the target")]
    other_user: Option<String>,
    /// groupID of a group of the target's.
    #[arg(long, value_name = "GROUP_ID", help_heading = "Users of the target")]
    group: Option<String>,
    /// `manual`: tells a person at this terminal what a user should do.
    #[arg(long, value_parser = ["manual"], help_heading = "Users of the target")]
    ask: Option<String>,
    /// Command that makes a user act: runs by the shell with CONFORMANCE_STEP and its arguments (CONFORMANCE_FROM, …) in the
    /// environment; exit status 0 is done, standard output the answer.
    #[arg(long, value_name = "COMMAND", conflicts_with = "ask", help_heading = "Users of the target")]
    ask_command: Option<String>,
    /// Client listener of an Isthmus server: its users act through /client/v1.
    #[arg(long, value_name = "URL", conflicts_with_all = ["ask", "ask_command"], requires_all = ["isthmus_ca", "password"],
        help_heading = "Users of the target")]
    isthmus_client: Option<String>,
    /// PEM file that verifies that listener.
    #[arg(long, value_name = "FILE", help_heading = "Users of the target")]
    isthmus_ca: Option<PathBuf>,
    /// Password of --user there.
    #[arg(long, env = "ISTHMUS_PASSWORD", hide_env_values = true, help_heading = "Users of the target")]
    password: Option<String>,
    /// Password of --other-user there, if it is another.
    #[arg(long, env = "ISTHMUS_OTHER_PASSWORD", hide_env_values = true, help_heading = "Users of the target")]
    other_password: Option<String>,

    /// Names, beginnings of names or clauses: `tls`, `message.out`, `7.6`. All where none is given.
    #[arg(long, value_delimiter = ',', value_name = "NAME", help_heading = "Which cases")]
    only: Vec<String>,
    /// Levels. All where none is given.
    #[arg(long, value_delimiter = ',', help_heading = "Which cases")]
    level: Vec<Level>,
    /// Lists the cases and runs none.
    #[arg(long, help_heading = "Which cases")]
    list: bool,
    /// Seconds to wait for what the target should do by itself.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", help_heading = "Which cases")]
    patience: u64,
    /// Seconds that the kit, as a group's main server, is silent before the target's mirror should see that it missed a message.
    #[arg(long, default_value_t = 65, value_name = "SECONDS", help_heading = "Which cases")]
    silence: u64,

    /// Writes the report as JSON too.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    report: Option<PathBuf>,
    /// Writes the report as JUnit XML too.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    junit: Option<PathBuf>,
}

/// Who the kit is, and which other certificates it may show.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Who the kit is")]
struct KitArgs {
    /// PEM file with the platform's root certificate.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Folder that `isthmus conformance enroll` has filled, instead of --cert and --key.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cert", "key"])]
    identity: Option<PathBuf>,
    /// PEM chain of the registered server that the kit is.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Its serverId, where the certificate does not name it as R13 says.
    #[arg(long, value_name = "SERVER_ID")]
    peer_id: Option<String>,
    /// Where the kit listens, to hear what the target calls; the registered serverAddress must lead there.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Another registered server, for what needs two: a folder of `enroll`.
    #[arg(long, value_name = "DIR")]
    second_identity: Option<PathBuf>,
    /// The same as files.
    #[arg(long, value_name = "FILE", requires = "second_key")]
    second_cert: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "second_cert", hide_short_help = true)]
    second_key: Option<PathBuf>,
    /// A certificate of the platform that is over.
    #[arg(long, value_name = "FILE", requires = "expired_key")]
    expired_cert: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "expired_cert", hide_short_help = true)]
    expired_key: Option<PathBuf>,
    /// A certificate of the platform's authority for a server that it does not know.
    #[arg(long, value_name = "FILE", requires = "unregistered_key")]
    unregistered_cert: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "unregistered_cert", hide_short_help = true)]
    unregistered_key: Option<PathBuf>,
    /// The certificate of a server that has deregistered: an earlier identity of the kit's, for instance.
    #[arg(long, value_name = "FILE", requires = "deregistered_key")]
    deregistered_cert: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "deregistered_cert", hide_short_help = true)]
    deregistered_key: Option<PathBuf>,
}

impl From<SetupError> for CliError {
    fn from(error: SetupError) -> CliError {
        CliError::Usage(crate::reply::chain(&error))
    }
}

pub(super) fn run(args: &ConformanceArgs, json: bool) -> Result<(), CliError> {
    quiet()?;
    if let Some(Command::Enroll(args)) = &args.command {
        return enroll(args);
    }
    let selection = Selection { only: args.run.only.clone(), levels: args.run.level.clone() };
    let cases = conformance::selected(&selection);
    if cases.is_empty() {
        return Err(CliError::Usage("no case has this name, clause or level; --list shows all".to_owned()));
    }
    if args.run.list {
        return list(&cases, json);
    }
    let report = block_on_many(async { try_all(&args.run, &selection).await })?;
    show(&args.run, &report, json)?;
    if report.conforms() { Ok(()) } else { Err(CliError::Failed("a mandatory case failed; see above".to_owned())) }
}

fn enroll(args: &EnrollArgs) -> Result<(), CliError> {
    let ca = file(&args.ca)?;
    let applicant = Applicant { id: args.id.clone(), address: args.address.clone(), owner: args.owner.clone() };
    let enrolled =
        block_on_many(async { Ok(conformance::enroll(&args.platform, &ca, &args.identity, &applicant, say).await?) })?;
    say(&format!("certificate: {}", enrolled.certificate.display()));
    Ok(())
}

async fn try_all(args: &RunArgs, selection: &Selection) -> Result<Report, CliError> {
    let lab = Lab::open(setup(args).await?).await?;
    Ok(conformance::run(&lab, selection, |result| say(&result.line())).await)
}

async fn setup(args: &RunArgs) -> Result<Setup, CliError> {
    let kit = &args.kit;
    let ca = kit.ca.as_deref().ok_or_else(|| lacks("--ca: the platform's root certificate"))?;
    let own = pair("--cert", kit.identity.as_deref(), &kit.cert, &kit.key)?;
    let own = own.ok_or_else(|| lacks("--cert and --key, or --identity: `isthmus conformance enroll` gets them"))?;
    Ok(Setup {
        target: args.target.clone(),
        users: args.user.clone().zip(args.other_user.clone()),
        group: args.group.clone(),
        ca: file(ca)?,
        own,
        own_id: kit.peer_id.clone(),
        second: pair("--second-cert", kit.second_identity.as_deref(), &kit.second_cert, &kit.second_key)?,
        expired: pair("--expired-cert", None, &kit.expired_cert, &kit.expired_key)?,
        unregistered: pair("--unregistered-cert", None, &kit.unregistered_cert, &kit.unregistered_key)?,
        deregistered: pair("--deregistered-cert", None, &kit.deregistered_cert, &kit.deregistered_key)?,
        platform: args.platform.clone(),
        may_apply: args.may_apply,
        listen: kit.listen,
        driver: driver(args).await?,
        patience: Duration::from_secs(args.patience),
        silence: Duration::from_secs(args.silence),
    })
}

async fn driver(args: &RunArgs) -> Result<Option<Driver>, CliError> {
    if let Some(command) = &args.ask_command {
        return Ok(Some(Driver::Command(command.clone())));
    }
    let (Some(url), Some(ca), Some(password)) = (&args.isthmus_client, &args.isthmus_ca, &args.password) else {
        return Ok(args.ask.as_ref().map(|_| Driver::Manual));
    };
    let other_password = args.other_password.as_ref().unwrap_or(password);
    let both = [(&args.user, password), (&args.other_user, other_password)];
    let users: Vec<(String, String)> =
        both.into_iter().filter_map(|(user, password)| Some((user.clone()?, password.clone()))).collect();
    let users = IsthmusUsers::log_in(url, ca, &users).await;
    let users = users.map_err(|(user, error)| {
        let whose = if user.is_empty() { String::new() } else { format!("{user}: ") };
        CliError::Usage(format!("--isthmus-client: {whose}{}", crate::reply::chain(&error)))
    });
    Ok(Some(Driver::Isthmus(users?)))
}

fn lacks(what: &str) -> CliError {
    CliError::Usage(format!("give {what}"))
}

fn pair(
    what: &'static str,
    identity: Option<&Path>,
    cert: &Option<PathBuf>,
    key: &Option<PathBuf>,
) -> Result<Option<Pair>, CliError> {
    let in_folder = identity.map(|folder| (folder.join("certificate.pem"), folder.join("key.pem")));
    let named = cert.clone().zip(key.clone());
    let files = in_folder.or(named);
    Ok(files.map(|(cert, key)| Pair::from_files(what, &cert, &key)).transpose()?)
}

fn file(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))
}

fn list(cases: &[Case], json: bool) -> Result<(), CliError> {
    let text = if json {
        let all: Vec<_> = cases.iter().map(Case::to_json).collect();
        serde_json::to_string_pretty(&all).map_err(|error| CliError::chain(&error))?
    } else {
        cases.iter().map(|case| format!("{case}\n")).collect()
    };
    print(&text)
}

fn show(args: &RunArgs, report: &Report, json: bool) -> Result<(), CliError> {
    let pretty = serde_json::to_string_pretty(report).map_err(|error| CliError::chain(&error))?;
    for (path, text) in [(&args.report, &pretty), (&args.junit, &report.junit())] {
        let Some(path) = path else { continue };
        std::fs::write(path, text).map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))?;
    }
    print(if json { &pretty } else { "" })?;
    if json { Ok(()) } else { print(&report.text()) }
}

fn print(text: &str) -> Result<(), CliError> {
    if text.is_empty() {
        return Ok(());
    }
    writeln!(std::io::stdout().lock(), "{}", text.trim_end()).map_err(|error| CliError::chain(&error))
}

/// Progress, beside the report.
fn say(words: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{words}");
}
