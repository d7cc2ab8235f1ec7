//! What operators watch: `/readyz`, `/metrics`, `/admin/v1/status`, the outbox.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use isthmus_domain::{held, outbox};
use isthmus_policy::TIME_BUCKETS;
use serde_json::{Value, json};

use super::Server;
use super::audit_search::blocking;
use crate::reply::{Problem, Reply, json as json_reply, whole};
use crate::{clock, telemetry};

/// Letters of a lane that are counted one by one.
const DEPTH_MAX: usize = 10_000;
/// Messages in quarantine that are counted.
const HELD_MAX: usize = 1000;
const DISK_EVERY: Duration = Duration::from_secs(30);

impl Server {
    /// Ready while the store takes writes, plugins can be run, the certificate holds and the platform does not refuse us.
    pub(crate) fn ready(&self) -> Reply {
        if self.store.stats().failed {
            let body = json!({"ready": false, "why": "the store has stopped after a failed write; see the log"});
            return json_reply(503, body.to_string().into_bytes());
        }
        if !self.policy.clock().ticking {
            let body = json!({"ready": false, "why": "the clock of the plugins' time limits has stopped: none is run"});
            return json_reply(503, body.to_string().into_bytes());
        }
        let said = self.stage.say(self.channel.facts().as_ref(), clock::now());
        if !said.ready {
            return json_reply(503, json!({"ready": false, "why": said.words}).to_string().into_bytes());
        }
        json_reply(200, json!({"ready": true, "stage": said.words}).to_string().into_bytes())
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
        let said = self.stage.say(self.channel.facts().as_ref(), clock::now());
        Ok(json!({
            "ready": said.ready && !stats.failed, "stage": said.words,
            "serverId": self.id, "generation": policy.generation, "policy": policy.name,
            "devices": self.hub.count(), "lanes": lanes, "peersDown": down, "peers": peers,
            "commits": stats.commits, "auditSize": stats.audit_size, "auditCheckpoint": stats.audit_checkpoint,
            "faults": telemetry::faults(),
        }))
    }

    /// Everything that the console shows live, in one answer.
    pub(crate) async fn live_figures(self: &Arc<Self>) -> Result<Value, Problem> {
        let stats = self.store.stats();
        let (lanes, down) = self.outbox.figures();
        let policy = self.policy.show();
        let peers = self.addresses.all().into_iter().filter(|info| info.server_id != self.id).count();
        let connections = |of: &isthmus_net::Connections| of.len();
        let disk = self.disk_use().await?;
        let said = self.stage.say(self.channel.facts().as_ref(), clock::now());
        let server = self.clone();
        let held = blocking(move || held::waiting(&server.store.view()?, HELD_MAX)).await??;
        Ok(json!({
            "serverId": self.id, "ready": said.ready && !stats.failed && self.policy.clock().ticking, "stage": said.words,
            "atMs": clock::now_ms(), "sinceMs": self.tally.since_ms(),
            "users": self.people.len(), "held": held,
            "messages": self.tally.view(),
            "policy": {"generation": policy.generation, "name": policy.name, "plugins": policy.plugins},
            "devices": self.hub.count(), "lanes": lanes, "peers": {"known": peers, "down": down},
            "connections": {
                "interconnect": connections(&self.connections.interconnect),
                "client": connections(&self.connections.client), "admin": connections(&self.connections.admin),
            },
            "store": {
                "failed": stats.failed, "queue": stats.queue_len, "commits": stats.commits,
                "commitMicros": stats.commit_micros, "auditSize": stats.audit_size,
                "auditCheckpoint": stats.audit_checkpoint,
            },
            "disk": disk, "faults": telemetry::faults(),
        }))
    }

    /// Bytes on the disk by what they are for. Counted anew twice a minute at most.
    async fn disk_use(self: &Arc<Self>) -> Result<Value, Problem> {
        let mut last = self.disk.lock().await;
        if let Some((when, known)) = &*last
            && when.elapsed() < DISK_EVERY
        {
            return Ok(known.clone());
        }
        let dir = self.config.data_dir.clone();
        let counted = blocking(move || {
            let of = |name: &str| bytes_below(&dir.join(name));
            json!({"database": of("store.redb") + of("store.journal"), "files": of("blobs"), "audit": of("audit"),
                "all": bytes_below(&dir)})
        });
        let counted = counted.await?;
        *last = Some((Instant::now(), counted.clone()));
        Ok(counted)
    }

    /// The other servers, as the console shows them.
    pub(crate) fn peers_view(&self) -> Result<Value, Problem> {
        let view = self.store.view()?;
        let mut letters: HashMap<String, (usize, usize)> = HashMap::new();
        for head in outbox::heads(&view)? {
            let lane = &head.id.lane;
            let of_peer = letters.entry(lane.peer.to_ascii_lowercase()).or_default();
            of_peer.0 += 1;
            of_peer.1 += isthmus_store::lane::depth(&view, lane, DEPTH_MAX)?;
        }
        let mut peers = Vec::new();
        for info in self.addresses.all().into_iter().filter(|info| info.server_id != self.id) {
            let road = self.outbox.road(&info.server_id);
            let met = road.latest().clone();
            let (lanes, waiting) = letters.get(&info.server_id.folded()).copied().unwrap_or_default();
            let mut peer = json!({
                "serverId": info.server_id, "name": info.server_name, "address": info.server_address,
                "status": info.server_status, "area": info.area, "contact": info.contact_name,
                "contactEmail": info.contact_email, "down": road.is_down(), "lanes": lanes, "letters": waiting,
            });
            if met.at_ms > 0 {
                peer["lastContactMs"] = met.at_ms.into();
            }
            if let Some((serial, until_ms)) = met.certificate {
                peer["certificate"] = json!({"serial": serial, "untilMs": until_ms});
            }
            if let Some((failures, wait)) = road.trouble() {
                peer["failures"] = failures.into();
                peer["retryInMs"] = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).into();
            }
            peers.push(peer);
        }
        peers.sort_by(|a, b| a["serverId"].as_str().cmp(&b["serverId"].as_str()));
        Ok(json!({"peers": peers}))
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
        let clock = self.policy.clock();
        metrics::gauge!("isthmus_policy_clock_ticking").set(count(usize::from(clock.ticking)));
        metrics::counter!("isthmus_policy_clock_restarts_total").absolute(clock.restarts);
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

/// What lies in a folder, or a file; what cannot be read counts nothing.
fn bytes_below(path: &Path) -> u64 {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| bytes_below(&entry.path())).sum()
}

fn seconds(micros: &u32) -> String {
    Duration::from_micros(u64::from(*micros)).as_secs_f64().to_string()
}

#[allow(clippy::cast_precision_loss, reason = "gauges are floating point; counts stay far below 2^52")]
fn count(n: usize) -> f64 {
    n as f64
}
