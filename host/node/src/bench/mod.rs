//! `isthmus bench`: the load driver. N users on north write to N users on south through everything there is (TLS, mutual TLS,
//! three policy plugins, sealed and durable storage on both sides, audit) and it says how fast, how late and at what cost.

mod driver;
mod error;
mod figures;
mod file;
mod floor;
mod frame;
mod ground;
mod procstat;
mod tally;

use std::path::PathBuf;
use std::time::Duration;

pub use driver::{Load, Outcome};
pub use error::BenchError;
pub use figures::{Account, Floor, Idle, Latency, Phase, Report};
pub use file::FileFigures;
pub use ground::{Couple, Ground};
pub use procstat::{Usage, usage};

use crate::demo::{Say, Shape};

/// What `isthmus bench` was asked.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  \
    isthmus bench                             servers of its own: saturation, then half of that rate\n  \
    isthmus bench --demo demo-data/demo.json  against a running demo\n  \
    isthmus bench --rate 2000 --seconds 60    paced\n  \
    isthmus bench --file-mib 2048             one file of 2 GiB: MiB/s and memory
  \
    isthmus bench --idle 500 --floor --json   memory of idle connections, bare hyper beside it, as JSON\n\n\
    Exit code 1 if any message was lost, doubled, out of order or refused.")]
pub struct BenchArgs {
    /// Use the running demo whose demo.json this is, instead of servers of its own.
    #[arg(long, value_name = "FILE")]
    pub demo: Option<PathBuf>,
    /// Users on each side.
    #[arg(long, default_value_t = 20)]
    pub users: usize,
    /// Measured seconds of each phase.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Seconds before the measured time of each phase.
    #[arg(long, default_value_t = 2)]
    pub warm_up: u64,
    /// Messages under way for each writer, until its reader has them.
    #[arg(long, default_value_t = 32)]
    pub window: usize,
    /// Only one phase, paced at this many messages a second over all writers.
    #[arg(long, value_name = "PER_SECOND")]
    pub rate: Option<f64>,
    /// Only the saturation phase.
    #[arg(long, conflicts_with = "rate")]
    pub saturate_only: bool,
    /// Bytes of one text.
    #[arg(long, default_value_t = 200)]
    pub text_bytes: usize,
    /// Also open this many idle client connections and say what each costs in memory (mind `ulimit -n`).
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub idle: usize,
    /// Only one file of this many MiB, from north to south: MiB/s and resident memory.
    #[arg(long, value_name = "MIB", conflicts_with_all = ["rate", "saturate_only", "idle"])]
    pub file_mib: Option<u64>,
    /// Also measure bare hyper with mutual TLS in this process, beside which the figures stand.
    #[arg(long)]
    pub floor: bool,
    /// Folder for servers of its own, begun afresh; on the disk that is to be measured.
    #[arg(long, value_name = "DIR", default_value = "bench-data", conflicts_with = "demo")]
    pub data: PathBuf,
    /// First of the ports for servers of its own.
    #[arg(long, value_name = "PORT", default_value_t = 7800, conflicts_with = "demo")]
    pub port_base: u16,
    /// Progress as JSON too: the command line's `--json`.
    #[arg(skip)]
    pub json: bool,
}

/// Runs everything that was asked. The caller prints the report; [`Report::is_clean`] says whether every message arrived once, in
/// order. Progress goes to standard error, so that standard output holds the figures alone.
///
/// # Errors
/// [`BenchError`].
pub async fn run(args: &BenchArgs) -> Result<Report, BenchError> {
    check(args)?;
    let mut say = Say::new(if args.json { Shape::Json } else { Shape::Plain }, Box::new(std::io::stderr()));
    let floor = if args.floor {
        say.progress("measuring bare hyper with mutual TLS");
        Some(floor::measure(Duration::from_secs(args.seconds.min(10)), args.text_bytes, args.users).await?)
    } else {
        None
    };
    let ground = match &args.demo {
        Some(path) => Ground::of_demo(path)?,
        None => Ground::of_its_own(&args.data, args.port_base, &mut say).await?,
    };
    let measured = measure(args, &ground, &mut say).await;
    ground.leave().await;
    let (phases, idle, file) = measured?;
    Ok(Report {
        users: args.users,
        window: args.window,
        text_bytes: args.text_bytes,
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        phases,
        idle,
        file,
        floor,
    })
}

type Measured = (Vec<Phase>, Option<Idle>, Option<FileFigures>);

async fn measure(args: &BenchArgs, ground: &Ground, say: &mut Say) -> Result<Measured, BenchError> {
    let Some(mib) = args.file_mib else {
        let (phases, idle) = phases(args, ground, say).await?;
        return Ok((phases, idle, None));
    };
    let couples = ground.couples(1).await?;
    let couple = couples.first().ok_or_else(|| BenchError::Driver("nobody to send to".to_owned()))?;
    let file = file::drive(mib, couple, ground, say).await?;
    Ok((Vec::new(), None, Some(file)))
}

fn check(args: &BenchArgs) -> Result<(), BenchError> {
    let says = |words: &str| Err(BenchError::Option(words.to_owned()));
    match args {
        BenchArgs { users: 0, .. } => says("--users 0: at least one has to write"),
        BenchArgs { window: 0, .. } => says("--window 0: at least one message has to be under way"),
        BenchArgs { file_mib: Some(0), .. } => says("--file-mib 0: there has to be a file"),
        BenchArgs { seconds: 0, .. } => says("--seconds 0: there has to be a time to measure"),
        BenchArgs { rate: Some(rate), .. } if !rate.is_finite() || *rate <= 0.0 => says("--rate: above 0"),
        _ => Ok(()),
    }
}

async fn phases(args: &BenchArgs, ground: &Ground, say: &mut Say) -> Result<(Vec<Phase>, Option<Idle>), BenchError> {
    say.progress(&format!("creating and logging in {} users on each side", args.users));
    let couples = ground.couples(args.users).await?;
    let idle = match args.idle {
        0 => None,
        count => Some(ground::idle(ground, &couples[0], count).await?),
    };
    let mut phases = Vec::new();
    if let Some(rate) = args.rate {
        phases.push(phase("paced", args, Some(rate), ground, &couples, say).await?);
    } else {
        let full = phase("saturation", args, None, ground, &couples, say).await?;
        let half = full.per_second / 2.0;
        phases.push(full);
        if !args.saturate_only && half > 0.0 {
            phases.push(phase("half load", args, Some(half), ground, &couples, say).await?);
        }
    }
    Ok((phases, idle))
}

/// Drives one phase on a thread of its own: one is enough for the driver, and leaves the others to the servers.
async fn phase(
    name: &str,
    args: &BenchArgs,
    rate: Option<f64>,
    ground: &Ground,
    couples: &[Couple],
    say: &mut Say,
) -> Result<Phase, BenchError> {
    let pace = rate.map(|rate| Duration::from_secs_f64(couples.len() as f64 / rate));
    say.progress(&match rate {
        Some(rate) => format!("{name}: {rate:.0} messages a second for {} s", args.seconds),
        None => {
            format!("{name}: {} messages under way for each of {} users, {} s", args.window, args.users, args.seconds)
        }
    });
    let load = Load {
        window: args.window,
        pace,
        text_bytes: args.text_bytes,
        warm_up: Duration::from_secs(args.warm_up),
        measured: Duration::from_secs(args.seconds),
    };
    let mut usages = Vec::new();
    let outcome = on_one_thread(driver::drive(couples, load, |_| usages.push(ground.usage())))?;
    let [from, to] = usages.as_slice() else {
        return Err(BenchError::Driver("the measured time never ended".to_owned()));
    };
    let messages = outcome.latencies.len() as u64;
    Ok(Phase {
        name: name.to_owned(),
        seconds: load.measured.as_secs_f64(),
        messages,
        per_second: messages as f64 / load.measured.as_secs_f64(),
        latency_ms: Latency::of(outcome.latencies),
        cpu_micros_per_message: figures::cpu_per_message(from, to, messages),
        rss_mib: to.iter().map(|(name, usage)| (name.clone(), usage.rss_kib as f64 / 1024.0)).collect(),
        account: outcome.account,
    })
}

/// The caller's runtime waits meanwhile: it has nothing else to do.
fn on_one_thread<T: Send>(work: impl Future<Output = Result<T, BenchError>> + Send) -> Result<T, BenchError> {
    let driving = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(BenchError::system("start the driver"))?.block_on(work)
    };
    std::thread::scope(|scope| {
        let driver = scope.spawn(driving);
        driver.join().unwrap_or_else(|_| Err(BenchError::Driver("it panicked".to_owned())))
    })
}
