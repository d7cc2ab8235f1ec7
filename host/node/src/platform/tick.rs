//! What a platform does by the clock: sign checkpoints, renew its own certificates and the revocation list, fold metrics.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::start::stopped;
use super::{State, authority};
use crate::{clock, telemetry};

/// Until when a revocation list is good; a new one is made long before.
pub(super) const CRL_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Between two renewals of list and own certificates: well within the life of either.
const RENEW_EVERY: Duration = Duration::from_secs(6 * 3600);

/// Between two looks for certificates that are about to expire.
const EXPIRY_EVERY: Duration = Duration::from_secs(3600);
/// Between two looks at the authority's folder.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Runs until the stop, and signs once more then: what was decided last is in the last checkpoint.
pub(super) async fn run(state: Arc<State>, stop: watch::Receiver<bool>) {
    let mut stopped = std::pin::pin!(stopped(stop));
    let mut checkpoints = tokio::time::interval(Duration::from_millis(state.config.audit.checkpoint_ms));
    checkpoints.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut renewals = tokio::time::interval_at(tokio::time::Instant::now() + RENEW_EVERY, RENEW_EVERY);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut expiries = tokio::time::interval(EXPIRY_EVERY);
    expiries.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stopped => break,
            _ = checkpoints.tick() => checkpoint(&state).await,
            _ = renewals.tick() => renew(&state),
            _ = expiries.tick() => {
                state.warn_of_endings();
                state.tell_of_expiry().await;
            }
            _ = looks.tick() => {
                authority::look(&state).await;
                state.take_acts().await;
            }
        }
    }
    checkpoint(&state).await;
}

async fn checkpoint(state: &Arc<State>) {
    let store = state.store.clone();
    let signed = tokio::task::spawn_blocking(move || store.checkpoint(clock::now_ms())).await;
    match signed {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::error!(error = crate::reply::chain(&error), "the audit log could not be signed"),
        Err(error) => tracing::error!(%error, "the audit log could not be signed"),
    }
    measure(state);
    telemetry::upkeep();
}

fn renew(state: &State) {
    if let Err(error) = authority::settings(state) {
        tracing::error!(error = crate::reply::chain(&error), "the platform's own certificates could not be renewed");
    }
}

/// Gauges that nobody else sets.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floating point")]
pub(super) fn measure(state: &State) {
    let stats = state.store.stats();
    metrics::gauge!("isthmus_connections", "listener" => "platform").set(state.servers.len() as f64);
    metrics::gauge!("isthmus_connections", "listener" => "platform-admin").set(state.administrators.len() as f64);
    metrics::counter!("isthmus_commits_total").absolute(stats.commits);
    metrics::gauge!("isthmus_audit_records").set(stats.audit_size as f64);
    metrics::gauge!("isthmus_audit_checkpoint_records").set(stats.audit_checkpoint as f64);
}
