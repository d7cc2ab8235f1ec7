//! What operators watch: `/readyz`, `/metrics`, `/admin/v1/status`, the outbox.

use std::sync::atomic::Ordering;
use std::time::Duration;

use isthmus_domain::outbox;
use isthmus_policy::TIME_BUCKETS;
use serde_json::{Value, json};

use super::Server;
use crate::reply::{Problem, Reply, json as json_reply, whole};
use crate::telemetry;

/// Letters of a lane that are counted one by one.
const DEPTH_MAX: usize = 10_000;

impl Server {
    /// Ready while the store takes writes.
    pub(crate) fn ready(&self) -> Reply {
        if self.store.stats().failed {
            let body = json!({"ready": false, "why": "the store has stopped after a failed write; see the log"});
            return json_reply(503, body.to_string().into_bytes());
        }
        json_reply(200, json!({"ready": true}).to_string().into_bytes())
    }

    pub(crate) fn status(&self) -> Result<Value, Problem> {
        let stats = self.store.stats();
        let (lanes, down) = self.outbox.figures();
        let policy = self.policy.show();
        let peers: Vec<Value> = self
            .addresses
            .all()
            .iter()
            .map(|info| {
                let down = self.outbox.road(&info.server_id).is_down();
                json!({"serverId": info.server_id, "address": info.server_address,
                       "status": info.server_status, "down": down})
            })
            .collect();
        Ok(json!({
            "serverId": self.id, "generation": policy.generation, "policy": policy.name,
            "devices": self.hub.count(), "lanes": lanes, "peersDown": down, "peers": peers,
            "commits": stats.commits, "auditSize": stats.audit_size, "auditCheckpoint": stats.audit_checkpoint,
            "faults": telemetry::faults(),
        }))
    }

    pub(crate) fn outbox_view(&self) -> Result<Value, Problem> {
        let view = self.store.view()?;
        let mut lanes = Vec::new();
        for head in outbox::heads(&view)? {
            let lane = &head.id.lane;
            let depth = isthmus_store::lane::depth(&view, lane, DEPTH_MAX)?;
            lanes.push(json!({
                "peer": &*lane.peer, "conversation": hex::encode(lane.conversation), "call": head.call(),
                "sender": head.actor(), "letters": depth, "oldest": head.record(), "expiresMs": head.expires_ms,
            }));
        }
        Ok(json!({"lanes": lanes}))
    }

    /// Prometheus' text format.
    pub(crate) fn metrics(&self) -> Reply {
        self.gauge_store();
        self.gauge_connections();
        self.gauge_policy();
        telemetry::upkeep();
        whole(200, "text/plain; version=0.0.4; charset=utf-8", telemetry::render())
    }

    fn gauge_store(&self) {
        let stats = self.store.stats();
        metrics::counter!("isthmus_commits_total").absolute(stats.commits);
        metrics::counter!("isthmus_rules_total").absolute(stats.rules);
        metrics::counter!("isthmus_commit_microseconds_total").absolute(stats.commit_micros);
        metrics::gauge!("isthmus_store_queue").set(count(stats.queue_len));
        metrics::counter!("isthmus_audit_records_total").absolute(stats.audit_size);
        let (lanes, down) = self.outbox.figures();
        metrics::gauge!("isthmus_lanes").set(count(lanes));
        metrics::gauge!("isthmus_peers_down").set(count(down));
    }

    fn gauge_connections(&self) {
        let all = [
            ("interconnect", &self.connections.interconnect),
            ("client", &self.connections.client),
            ("admin", &self.connections.admin),
        ];
        for (listener, connections) in all {
            metrics::gauge!("isthmus_connections", "listener" => listener).set(count(connections.len()));
            let accepted = connections.counts().accepted.load(Ordering::Relaxed);
            metrics::counter!("isthmus_connections_accepted_total", "listener" => listener).absolute(accepted);
        }
        metrics::gauge!("isthmus_devices").set(count(self.hub.count()));
        metrics::gauge!("isthmus_peer_connections").set(count(self.peers.connections()));
    }

    fn gauge_policy(&self) {
        metrics::gauge!("isthmus_policy_generation").set(self.policy.show().generation as f64);
        for plugin in self.policy.stats() {
            let name = plugin.plugin.clone();
            metrics::counter!("isthmus_policy_calls_total", "plugin" => name.clone()).absolute(plugin.calls);
            metrics::counter!("isthmus_policy_microseconds_total", "plugin" => name.clone()).absolute(plugin.micros);
            for (verdict, n) in &plugin.verdicts {
                metrics::counter!("isthmus_policy_verdicts_total", "plugin" => name.clone(), "verdict" => *verdict)
                    .absolute(*n);
            }
            for (fault, n) in &plugin.faults {
                metrics::counter!("isthmus_policy_faults_total", "plugin" => name.clone(), "fault" => *fault)
                    .absolute(*n);
            }
            let mut sum = 0;
            for (i, n) in plugin.histogram.iter().enumerate() {
                sum += n;
                let bound = TIME_BUCKETS.get(i).map_or_else(|| "+Inf".to_owned(), seconds);
                metrics::counter!("isthmus_policy_seconds_bucket", "plugin" => name.clone(), "le" => bound)
                    .absolute(sum);
            }
        }
    }
}

fn seconds(micros: &u32) -> String {
    Duration::from_micros(u64::from(*micros)).as_secs_f64().to_string()
}

#[allow(clippy::cast_precision_loss, reason = "gauges are floating point; counts stay far below 2^52")]
fn count(n: usize) -> f64 {
    n as f64
}
