//! `isthmus admin overview`: how a server fares, at a glance. Programs get all of it with `--json`.

use std::fmt::Write as _;

use serde_json::Value;

use super::error::CliError;
use super::out::{Out, plain};
use super::target::Target;
use super::when;
use crate::admin_token::Role;
use crate::chat::size;

/// Columns of the names on the left.
const NAMES: usize = 12;

pub(super) fn overview(target: &Target, out: &Out) -> Result<(), CliError> {
    out.answer(&target.get(Role::System, "/admin/v1/figures")?, in_words);
    Ok(())
}

fn in_words(figures: &Value) -> String {
    let lines = [
        ("server", server(figures)),
        ("state", state(figures)),
        ("policy", policy(&figures["policy"])),
        ("users", format!("{}, {}", count(&figures["users"], "user"), devices(&figures["devices"]))),
        ("connections", connections(&figures["connections"])),
        ("servers", peers(&figures["peers"])),
        ("queues", queues(figures)),
        ("held", held(&figures["held"])),
        ("messages", messages(&figures["messages"])),
        ("disk", disk(&figures["disk"])),
        ("audit log", audit(&figures["store"])),
        ("faults", faults(&figures["faults"])),
    ];
    let mut text = String::new();
    for (name, line) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:NAMES$} {line}");
    }
    text
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// `1 lane`, `2 lanes`.
fn count(value: &Value, what: &str) -> String {
    let plural = if number(value) == 1 { "" } else { "s" };
    format!("{} {what}{plural}", number(value))
}

fn server(figures: &Value) -> String {
    let time = |ms: &Value| ms.as_u64().map_or_else(|| "-".to_owned(), when::show);
    format!(
        "{}, up since {}, its clock says {}",
        plain(&figures["serverId"]),
        time(&figures["sinceMs"]),
        time(&figures["atMs"])
    )
}

fn state(figures: &Value) -> String {
    let ready = if figures["ready"] == true { "ready" } else { "NOT READY" };
    let stopped = if figures["store"]["failed"] == true { "; the store has stopped after a failed write" } else { "" };
    format!("{ready}: {}{stopped}", plain(&figures["stage"]))
}

/// Which generation, and the plugins that did something wrong.
fn policy(policy: &Value) -> String {
    let plugins = policy["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = format!(
        "generation {} ({}), {}",
        plain(&policy["generation"]),
        plain(&policy["name"]),
        count(&plugins.len().into(), "plugin")
    );
    for plugin in plugins.iter().filter(|plugin| plugin["state"] != "ready") {
        let _ = write!(text, "; {}: {}", plain(&plugin["name"]), plain(&plugin["state"]));
    }
    text
}

fn devices(devices: &Value) -> String {
    format!("{} online", count(devices, "device"))
}

fn connections(of: &Value) -> String {
    let (client, server) = (number(&of["client"]), number(&of["interconnect"]));
    format!("{client} from clients, {server} from servers, {} to administration", number(&of["admin"]))
}

fn peers(peers: &Value) -> String {
    match number(&peers["down"]) {
        0 => format!("{} known, all up", number(&peers["known"])),
        down => format!("{} known, {down} down: `admin peers` tells which", number(&peers["known"])),
    }
}

fn queues(figures: &Value) -> String {
    let lanes = match number(&figures["lanes"]) {
        0 => "nothing waits for other servers".to_owned(),
        lanes => format!("{} for other servers: `admin outbox` lists them", count(&lanes.into(), "lane")),
    };
    format!("{lanes}; {} for the disk", count(&figures["store"]["queue"], "write"))
}

fn held(held: &Value) -> String {
    match number(held) {
        0 => "no message waits for the security administrator".to_owned(),
        1 => "1 message waits for the security administrator: `admin held list`".to_owned(),
        many => format!("{many} messages wait for the security administrator: `admin held list`"),
    }
}

fn messages(of: &Value) -> String {
    let all = ["sent", "received", "delivered", "refused", "expired"];
    all.map(|name| format!("{} {name}", number(&of[name]))).join(", ")
}

fn disk(of: &Value) -> String {
    let part = |name: &str| size(number(&of[name]));
    format!("{}: database {}, files {}, audit log {}", part("all"), part("database"), part("files"), part("audit"))
}

fn audit(store: &Value) -> String {
    let (all, signed) = (number(&store["auditSize"]), number(&store["auditCheckpoint"]));
    match all.saturating_sub(signed) {
        0 => format!("{}, signed to the last", count(&all.into(), "record")),
        left => format!("{}, the last {left} not signed yet", count(&all.into(), "record")),
    }
}

fn faults(faults: &Value) -> String {
    match number(faults) {
        0 => "none since the start".to_owned(),
        many => format!("{many} since the start: see the log"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn figures() -> Value {
        json!({"code": 0, "msg": "success", "serverId": "north", "ready": true, "stage": "serving", "atMs": 1_777_638_660_000_u64,
            "sinceMs": 1_777_638_600_000_u64, "users": 12, "held": 0, "devices": 1, "lanes": 0, "faults": 0,
            "messages": {"sent": 5, "received": 4, "delivered": 3, "refused": 2, "expired": 1, "held": 0},
            "policy": {"generation": 3, "name": "default", "plugins": [{"name": "words", "state": "ready"}]},
            "peers": {"known": 2, "down": 0}, "connections": {"interconnect": 2, "client": 1, "admin": 1},
            "store": {"failed": false, "queue": 0, "commits": 9, "commitMicros": 99, "auditSize": 40, "auditCheckpoint": 40},
            "disk": {"database": 1_600_000, "files": 0, "audit": 40_960, "all": 1_700_000}})
    }

    #[test]
    fn a_server_is_told_of_in_a_few_lines_that_line_up() {
        let expected = "server       north, up since 2026-05-01T12:30:00Z, its clock says 2026-05-01T12:31:00Z\n\
            state        ready: serving\n\
            policy       generation 3 (default), 1 plugin\n\
            users        12 users, 1 device online\n\
            connections  1 from clients, 2 from servers, 1 to administration\n\
            servers      2 known, all up\n\
            queues       nothing waits for other servers; 0 writes for the disk\n\
            held         no message waits for the security administrator\n\
            messages     5 sent, 4 received, 3 delivered, 2 refused, 1 expired\n\
            disk         1.7 MB: database 1.6 MB, files 0 B, audit log 40.9 kB\n\
            audit log    40 records, signed to the last\n\
            faults       none since the start\n";
        assert_eq!(in_words(&figures()), expected);
    }

    #[test]
    fn what_wants_a_look_is_said_with_where_to_look() {
        let mut figures = figures();
        (figures["ready"], figures["stage"]) = (json!(false), json!("the platform refuses this server\u{1b}[2J"));
        figures["policy"]["plugins"][0]["state"] = json!("timeout");
        (figures["lanes"], figures["held"], figures["faults"]) = (json!(1), json!(2), json!(3));
        (figures["peers"]["down"], figures["store"]["auditCheckpoint"]) = (json!(1), json!(38));
        figures["store"]["failed"] = json!(true);
        let said = in_words(&figures);
        for part in [
            "NOT READY: the platform refuses this server\u{fffd}[2J; the store has stopped",
            "1 plugin; words: timeout",
            "2 known, 1 down: `admin peers`",
            "1 lane for other servers: `admin outbox`",
            "2 messages wait for the security administrator: `admin held list`",
            "40 records, the last 2 not signed yet",
            "3 since the start: see the log",
        ] {
            assert!(said.contains(part), "{part} is not in\n{said}");
        }
    }
}
