//! The figures of a run, as a table for people and as JSON for machines.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::file::FileFigures;
use super::procstat::Usage;

/// End-to-end latencies in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, PartialEq)]
pub struct Latency {
    /// Half of the messages were quicker.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// Ninety-nine of a hundred.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

impl Latency {
    /// From microseconds in any order.
    #[must_use]
    pub fn of(mut micros: Vec<u32>) -> Latency {
        micros.sort_unstable();
        let at = |share: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank between 0 and len")]
            let rank = (share * micros.len() as f64).ceil() as usize;
            micros.get(rank.saturating_sub(1)).map_or(0.0, |us| f64::from(*us) / 1e3)
        };
        Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
    }
}

/// One phase: the same load for some seconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// `saturation`, `half load`, `paced`.
    pub name: String,
    /// Measured seconds, warm-up left out.
    pub seconds: f64,
    /// Messages that arrived within them.
    pub messages: u64,
    /// Arrivals a second.
    pub per_second: f64,
    /// From the sender's socket to the receiver's.
    pub latency_ms: Latency,
    /// CPU microseconds for one message, by process; `servers` is north and south together.
    pub cpu_micros_per_message: BTreeMap<String, f64>,
    /// Resident MiB at the end, by process.
    pub rss_mib: BTreeMap<String, f64>,
    /// Over the whole phase, warm-up included.
    #[serde(flatten)]
    pub account: Account,
}

/// Where every message of a phase went.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Handed to the senders' server.
    pub sent: u64,
    /// Answered with "kept".
    pub kept: u64,
    /// Answered with a refusal.
    pub refused: u64,
    /// Different ones at the receivers.
    pub received: u64,
    /// Kept, and never received.
    pub lost: u64,
    /// Received more than once.
    pub doubled: u64,
    /// Received after a later one of the same sender.
    pub out_of_order: u64,
    /// The first refusal's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

impl Account {
    /// Whether every message arrived once, in order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.out_of_order + self.refused == 0 && self.received > 0
    }
}

/// Memory of connections that do nothing.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Idle {
    /// Open sockets.
    pub connections: usize,
    /// The server's resident growth for each.
    pub kib_per_connection: f64,
}

/// The bare path beside it: hyper, mutual TLS, HTTP/2, nothing else.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Floor {
    /// Requests a second.
    pub requests_per_second: f64,
    /// CPU microseconds a request, both ends.
    pub cpu_micros_per_request: f64,
}

/// All of a run.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Users on each side.
    pub users: usize,
    /// Messages under way for each sender.
    pub window: usize,
    /// Bytes of one text.
    pub text_bytes: usize,
    /// Cores that servers and driver share.
    pub cores: usize,
    /// `release` or `debug`: a debug build's figures count for nothing.
    pub build: &'static str,
    /// In the order of their running.
    pub phases: Vec<Phase>,
    /// If asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
    /// If asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileFigures>,
    /// If asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
}

/// CPU microseconds a message between two readings, for each process and for both servers together.
#[must_use]
pub(super) fn cpu_per_message(
    from: &BTreeMap<String, Usage>,
    to: &BTreeMap<String, Usage>,
    messages: u64,
) -> BTreeMap<String, f64> {
    let spent = |name: &str| {
        let of = |usage: &BTreeMap<String, Usage>| usage.get(name).map_or(Duration::ZERO, |u| u.cpu);
        of(to).saturating_sub(of(from)).as_secs_f64() * 1e6 / messages.max(1) as f64
    };
    let mut all: BTreeMap<String, f64> = to.keys().map(|name| (name.clone(), spent(name))).collect();
    all.insert("servers".to_owned(), spent("north") + spent("south"));
    all
}

impl Report {
    /// Whether every message of every phase arrived once, in order, and the file as it was.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.phases.iter().all(|phase| phase.account.is_clean()) && self.file.as_ref().is_none_or(|file| file.same)
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        if let Some(file) = &self.file {
            file.row(&mut out);
            self.rest(&mut out);
            return out;
        }
        // Writing to a String never fails.
        let _ = writeln!(
            out,
            "{} users a side, {} under way each, {}-byte texts, {} cores shared with the driver, {} build",
            self.users, self.window, self.text_bytes, self.cores, self.build
        );
        let _ = writeln!(
            out,
            "\n{:<12}{:>12}{:>9}{:>9}{:>9}{:>9}   lost/doubled/out of order/refused",
            "", "messages/s", "p50 ms", "p90 ms", "p99 ms", "max ms"
        );
        self.phases.iter().for_each(|phase| speed_row(&mut out, phase));
        let _ = writeln!(
            out,
            "\n{:<12}{:>13}{:>13}{:>13}{:>13}{:>13}   µs of CPU a message (MiB resident)",
            "", "servers", "north", "south", "platform", "driver"
        );
        self.phases.iter().for_each(|phase| cost_row(&mut out, phase));
        self.rest(&mut out);
        out
    }

    fn rest(&self, out: &mut String) {
        if let Some(idle) = &self.idle {
            let _ = writeln!(out, "\n{} idle connections: {:.1} KiB each", idle.connections, idle.kib_per_connection);
        }
        if let Some(floor) = &self.floor {
            let (rate, cost) = (floor.requests_per_second, floor.cpu_micros_per_request);
            let _ = writeln!(
                out,
                "\nbare hyper, mutual TLS, HTTP/2, same machine: {rate:.0} requests/s, {cost:.1} µs of CPU each"
            );
            if let Some(phase) = self.phases.first().filter(|_| rate > 0.0 && cost > 0.0) {
                let servers = phase.cpu_micros_per_message.get("servers").copied().unwrap_or_default();
                let _ = writeln!(
                    out,
                    "a message costs {:.1} of its requests and flows at {:.0} % of its rate",
                    servers / cost,
                    100.0 * phase.per_second / rate
                );
            }
        }
        if self.build == "debug" {
            let _ = writeln!(out, "\nThis is a debug build: none of these figures counts. Use `cargo run --release`.");
        }
    }
}

fn speed_row(out: &mut String, phase: &Phase) {
    let (l, a) = (&phase.latency_ms, &phase.account);
    let _ = writeln!(
        out,
        "{:<12}{:>12.0}{:>9.1}{:>9.1}{:>9.1}{:>9.1}   {}/{}/{}/{}{}",
        phase.name,
        phase.per_second,
        l.p50,
        l.p90,
        l.p99,
        l.max,
        a.lost,
        a.doubled,
        a.out_of_order,
        a.refused,
        a.refusal.as_deref().map(|words| format!(" “{words}”")).unwrap_or_default()
    );
}

fn cost_row(out: &mut String, phase: &Phase) {
    let _ = write!(out, "{:<12}", phase.name);
    for name in ["servers", "north", "south", "platform", "driver"] {
        let cpu = phase.cpu_micros_per_message.get(name).copied().unwrap_or_default();
        let cell = match phase.rss_mib.get(name) {
            Some(rss) => format!("{cpu:.0} ({rss:.0})"),
            None => format!("{cpu:.0}"),
        };
        let _ = write!(out, "{cell:>13}");
    }
    let _ = writeln!(out);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn percentiles_are_ranks_among_the_sorted_latencies() {
        let latency = Latency::of((1..=1000).rev().map(|ms| ms * 1000).collect());
        assert_eq!(latency, Latency { p50: 500.0, p90: 900.0, p99: 990.0, max: 1000.0 });
        assert_eq!(Latency::of(vec![2_500]), Latency { p50: 2.5, p90: 2.5, p99: 2.5, max: 2.5 });
        assert_eq!(Latency::of(Vec::new()), Latency::default());
    }

    #[test]
    fn anything_lost_doubled_disordered_or_refused_makes_a_run_unclean() {
        let clean = Account { sent: 5, kept: 5, received: 5, ..Account::default() };
        assert!(clean.is_clean());
        for spoilt in [
            Account { lost: 1, ..clean.clone() },
            Account { doubled: 1, ..clean.clone() },
            Account { out_of_order: 1, ..clean.clone() },
            Account { refused: 1, ..clean.clone() },
            Account::default(),
        ] {
            assert!(!spoilt.is_clean(), "{spoilt:?}");
        }
    }

    #[test]
    fn cpu_is_told_for_each_process_and_for_both_servers_together() {
        let usage = |ms| Usage { cpu: Duration::from_millis(ms), ..Usage::default() };
        let map = |north, south, driver| {
            BTreeMap::from([
                ("north".to_owned(), usage(north)),
                ("south".to_owned(), usage(south)),
                ("driver".to_owned(), usage(driver)),
            ])
        };
        let cpu = cpu_per_message(&map(10, 20, 30), &map(110, 120, 60), 1000);
        assert_eq!((cpu["north"], cpu["south"], cpu["servers"]), (100.0, 100.0, 200.0));
        assert!((cpu["driver"] - 30.0).abs() < 1e-9);
    }

    #[test]
    fn a_table_names_its_phases_and_warns_of_a_debug_build() {
        let phase = Phase {
            name: "saturation".to_owned(),
            seconds: 10.0,
            messages: 50_000,
            per_second: 5_000.0,
            latency_ms: Latency::default(),
            cpu_micros_per_message: BTreeMap::from([("servers".to_owned(), 200.0)]),
            rss_mib: BTreeMap::new(),
            account: Account { received: 50_000, ..Account::default() },
        };
        let report = Report { build: "debug", phases: vec![phase], ..Report::default() };
        let table = report.table();
        assert!(table.contains("saturation") && table.contains("5000") && table.contains("debug build"), "{table}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["phases"][0]["outOfOrder"], 0);
        assert_eq!(json["phases"][0]["perSecond"], 5000.0);
    }
}
