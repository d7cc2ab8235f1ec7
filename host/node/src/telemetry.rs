//! What the process tells its operator: a log on standard error, figures for Prometheus, and the number of faults.
//!
//! A *fault* is an event of level ERROR: something of ours went wrong. Whatever a peer or client did wrong is logged lower, and
//! what an operator's plugin calls an error is the plugin's word, so that "no fault" is a statement that tests can make.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Response;
use isthmus_wire::Code;
use metrics::Label;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{Log, LogFormat};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is no filter.
    #[error(
        "`log.level` is `{level}`, which is no filter ({why}): write a level such as `info`, or `info,isthmus_node=debug`"
    )]
    Level {
        /// What was asked for.
        level: String,
        /// What is wrong with it.
        why: String,
    },
    /// Another library of this process took the place.
    #[error("telemetry is set up already by somebody else in this process")]
    Taken,
}

static FAULTS: AtomicU64 = AtomicU64::new(0);
static PROMETHEUS: OnceLock<PrometheusHandle> = OnceLock::new();

/// From 10 µs (a policy plugin) to 10 s (a call to a slow peer).
const SECONDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5,
    10.0,
];

/// Sets up log, fault counter and metrics for this process. The first call counts; later ones (several roles in one process,
/// as in tests) change nothing.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    if PROMETHEUS.get().is_some() {
        return Ok(());
    }
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|error| TelemetryError::Level { level: log.level.clone(), why: error.to_string() })?;
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .map_err(|_| TelemetryError::Taken)?
        .build_recorder();
    if PROMETHEUS.set(recorder.handle()).is_err() {
        return Ok(());
    }
    metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::Taken)?;
    subscribe(log.format, filter)?;
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
    Ok(())
}

fn subscribe(format: LogFormat, filter: EnvFilter) -> Result<(), TelemetryError> {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(Faults.with_filter(ours()))
        .try_init()
        .map_err(|_| TelemetryError::Taken)
}

/// Counts faults, whatever the log's own filter lets through.
struct Faults;

/// Where plugins' own lines go, see `isthmus_policy`.
const PLUGIN: &str = "isthmus::plugin";
/// Where it is told that a plugin kept failing: an error of the operator's policy, no fault of ours.
pub(crate) const BREAKER: &str = "isthmus::breaker";

fn ours() -> FilterFn {
    let ours =
        |event: &Metadata<'_>| *event.level() == Level::ERROR && event.target() != PLUGIN && event.target() != BREAKER;
    FilterFn::new(ours as fn(&Metadata<'_>) -> bool).with_max_level_hint(LevelFilter::ERROR)
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Faults {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            FAULTS.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("isthmus_faults_total").increment(1);
        }
    }
}

/// Counts a request that was answered, by listener, call, HTTP status and R5's code, and its time. The code is what
/// [`crate::reply`] left with the answer; an answer without one is a success.
pub fn request<B>(listener: &'static str, call: &'static str, reply: &Response<B>, took: Duration) {
    let code = reply.extensions().get::<Code>().copied().unwrap_or(Code::SUCCESS);
    let (status, code) = (reply.status().as_u16().to_string(), code.number().to_string());
    let labels = [
        Label::from_static_parts("listener", listener),
        Label::from_static_parts("call", call),
        Label::new("status", status),
        Label::new("code", code),
    ];
    metrics::counter!("isthmus_requests_total", labels.iter()).increment(1);
    metrics::histogram!("isthmus_request_seconds", "listener" => listener, "call" => call).record(took);
}

/// Counts `count` messages that came in one request, as [`request`] would count each.
pub fn letters(status: u16, code: Code, count: u64) {
    let labels = [
        Label::from_static_parts("listener", "interconnect"),
        Label::from_static_parts("call", isthmus_wire::call::MESSAGE_SEND.name),
        Label::new("status", status.to_string()),
        Label::new("code", code.number().to_string()),
    ];
    metrics::counter!("isthmus_requests_total", labels.iter()).increment(count);
}

/// Faults logged since this process set up its telemetry.
#[must_use]
pub fn faults() -> u64 {
    FAULTS.load(Ordering::Relaxed)
}

/// All figures in Prometheus' text format; empty before [`init`].
#[must_use]
pub fn render() -> String {
    PROMETHEUS.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Folds what histograms collected, so that they stay small while nobody scrapes. To be called every few seconds.
pub fn upkeep() {
    if let Some(handle) = PROMETHEUS.get() {
        handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn faults_are_counted_even_where_the_log_is_silent_and_lesser_events_are_not() {
        let log = |level: &str| Log { format: LogFormat::Json, level: level.to_owned() };
        assert!(matches!(init(&log("lo=u=d")), Err(TelemetryError::Level { .. })));
        init(&log("off")).unwrap();
        init(&log("info")).unwrap();
        let before = faults();
        tracing::warn!("a peer is away");
        tracing::error!(target: PLUGIN, "a plugin is unhappy");
        assert_eq!(faults(), before);
        tracing::error!("the disk is full");
        assert!(faults() > before);
        metrics::counter!("isthmus_test_total").increment(3);
        metrics::histogram!("isthmus_test_seconds").record(0.000_03);
        let reply = crate::reply::refuse(&crate::reply::Problem::refused(Code::DENIED_BY_ACCESS, "no"), "r");
        request("client", "message.send", &reply, Duration::from_micros(30));
        let text = render();
        assert!(text.contains("isthmus_test_total 3"), "{text}");
        let counted =
            "isthmus_requests_total{listener=\"client\",call=\"message.send\",status=\"200\",code=\"1102\"} 1";
        assert!(text.contains(counted), "{text}");
        assert!(text.contains("isthmus_test_seconds_bucket{le=\"0.00005\"} 1"), "{text}");
    }
}
