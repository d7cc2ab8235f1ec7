#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails shall panic")]

use isthmus_plugin::testing::{call, init, schema_names, validate};

use super::*;

/// The treatment as `severity field=redaction … [skeleton] [>sink]`.
fn treat(settings: &str, operation: &str, outcome: &str) -> String {
    let mut call = call("north");
    call.operation = operation;
    let event = Event { call, outcome, code: 0, fields: Vec::new() };
    let plugin = init::<AuditRedact>(settings).unwrap();
    let treatment = plugin.treat(&event);
    let mut said = format!("{:?}", treatment.severity);
    for (field, redaction) in treatment.redactions.iter() {
        said += &format!(" {field}={redaction:?}");
    }
    if !treatment.detail {
        said += " skeleton";
    }
    for sink in treatment.sinks.iter() {
        said += &format!(" >{sink}");
    }
    said.replace("Severity::", "").replace("Redaction::", "").to_lowercase()
}

fn check(settings: &str, cases: &[(&str, &str, &str)]) {
    for (operation, outcome, expected) in cases {
        let got = treat(settings, operation, outcome);
        assert_eq!(&got, expected, "{settings} on {operation} {outcome}");
    }
}

#[test]
fn without_settings_events_are_recorded_whole_and_as_grave_as_their_outcome() {
    check(
        "{}",
        &[
            ("message.send", "allowed", "info"),
            ("message.send", "rewritten", "notice"),
            ("message.send", "held", "notice"),
            ("message.send", "denied", "warning"),
            ("message.send", "rejected", "warning"),
            ("message.send", "failed", "warning"),
            ("message.send", "something new", "warning"),
        ],
    );
}

#[test]
fn fields_are_dropped_masked_or_hashed() {
    let settings = r#"{"events":[{"operations":["message.*"],
        "fields":{"text":"hash","actor":"mask","reason":"drop"}}]}"#;
    check(
        settings,
        &[("message.send", "allowed", "info actor=mask reason=drop text=hash"), ("user.login", "allowed", "info")],
    );
}

#[test]
fn the_first_entry_that_fits_decides() {
    let settings = r#"{"events":[
        {"operations":["user.login"],"outcomes":["denied","failed"],"severity":"critical","sinks":["siem"]},
        {"operations":["user.*"],"severity":"debug","detail":false},
        {"outcomes":["held"],"severity":"warning"}]}"#;
    check(
        settings,
        &[
            ("user.login", "failed", "critical >siem"),
            ("user.login", "allowed", "debug skeleton"),
            ("message.send", "held", "warning"),
            ("message.send", "allowed", "info"),
        ],
    );
}

#[test]
fn an_empty_condition_fits_nothing() {
    check(r#"{"events":[{"operations":[],"severity":"critical"}]}"#, &[("message.send", "allowed", "info")]);
}

#[test]
fn mistakes_in_settings_are_located() {
    for (settings, pointer, message) in [
        (r#"{"events":[{"fields":{"text":"burn"}}]}"#, "/events/0/fields/text", "burn"),
        (r#"{"events":[{"severity":"loud"}]}"#, "/events/0/severity", "loud"),
        (r#"{"events":[{"operation":[]}]}"#, "/events/0/operation", "unknown field"),
        (r#"{"event":[]}"#, "/event", "unknown field"),
        (r#"{"events":[{},{"detail":false}]}"#, "/events/1", "never reached"),
    ] {
        let found = validate::<AuditRedact>(settings);
        let hit = found.iter().any(|d| d.pointer == pointer && d.message.contains(message));
        assert!(hit, "{settings}: {found:?}");
    }
}

#[test]
fn the_schema_names_every_setting() {
    assert!(schema_names::<AuditRedact>(&["events"]));
}
