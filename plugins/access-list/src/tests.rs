#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails shall panic")]

use isthmus_plugin::testing::{TestHost, call, init, schema_names, validate};
use isthmus_plugin::{Call, Decision, Direction, Server};

use super::*;

/// What a call meets under these settings: `allow`, `abstain`, or the denial's code and text.
fn decide(settings: &str, call: &Call) -> String {
    TestHost::default().list("bad", ["evil", "spam-*"]).list("users", ["alice@*", "bob"]).list("empty", []).install();
    match init::<AccessList>(settings).unwrap().decide(call) {
        Decision::Allow => "allow".into(),
        Decision::Abstain => "abstain".into(),
        Decision::Deny(reason) => format!("{}: {}", reason.code, reason.text),
    }
}

fn check(settings: &str, cases: &[(&str, &str)]) {
    for (peer, expected) in cases {
        let got = decide(settings, &call(peer));
        assert!(got.starts_with(expected), "{settings} against {peer:?}: {got}");
    }
}

#[test]
fn without_settings_it_has_no_opinion() {
    check("{}", &[("north", "abstain"), ("", "abstain")]);
}

#[test]
fn a_black_server_is_denied_in_public_words() {
    let settings = r#"{"rules":[{"list":"black","servers":["north","n-*"]}]}"#;
    let denied = "blacklisted#/rules/0: this server is not admitted here";
    check(settings, &[("north", denied), ("NORTH", denied), ("n-1", denied), ("south", "abstain")]);
}

#[test]
fn a_list_of_the_bundle_counts_like_a_rule() {
    check(
        r#"{"black_list":"bad"}"#,
        &[("evil", "blacklisted#/black_list/0"), ("spam-7", "blacklisted#/black_list/1"), ("north", "abstain")],
    );
    check(
        r#"{"mode":"listed-only","white_list":"bad"}"#,
        &[("evil", "allow"), ("north", "not-listed#/mode: this server is not admitted here")],
    );
}

#[test]
fn an_entry_with_an_at_sign_is_a_user() {
    check(r#"{"black_list":"users"}"#, &[("north", "blacklisted"), ("", "blacklisted#/black_list/0: this is")]);
    check(r#"{"black_list":"users"}"#, &[("bob", "blacklisted"), ("alice@north", "blacklisted")]);
    check(r#"{"mode":"listed-only","white_list":"users"}"#, &[("north", "allow")]);
}

#[test]
fn empty_is_not_the_same_as_left_out() {
    check(r#"{"black_list":"empty"}"#, &[("north", "abstain")]);
    check(r#"{"mode":"listed-only","white_list":"empty"}"#, &[("north", "not-listed")]);
    check(r#"{"rules":[{"list":"black","servers":[]}]}"#, &[("north", "abstain")]);
    check(r#"{"rules":[{"list":"black"}]}"#, &[("north", "blacklisted"), ("", "blacklisted")]);
}

#[test]
fn the_own_server_is_always_admitted() {
    let settings = r#"{"mode":"listed-only","own":"home","rules":[{"list":"black"}]}"#;
    check(settings, &[("home", "allow"), ("Home", "allow"), ("north", "blacklisted")]);
}

#[test]
fn black_overrides_white() {
    let settings = r#"{"mode":"listed-only","black_list":"bad",
        "rules":[{"list":"white","servers":["*"]}]}"#;
    check(settings, &[("evil", "blacklisted"), ("north", "allow")]);
}

#[test]
fn listed_only_asks_nothing_of_local_calls() {
    check(r#"{"mode":"listed-only"}"#, &[("", "abstain"), ("north", "not-listed")]);
}

#[test]
fn all_conditions_of_a_rule_must_hold() {
    let rule = r#"{"rules":[{"list":"black","areas":["cn-*"],"products":["X"],
        "users":["*@north"],"operations":["message.*"],"direction":"inbound"}]}"#;
    let mut fitting = call("north");
    fitting.peer = Some(Server { id: "north", area: "CN-11", product: "x" });
    type Change = fn(&mut Call);
    let changes: [(&str, Change); 7] = [
        ("blacklisted", |_| {}),
        ("abstain", |call| call.peer.as_mut().unwrap().area = "de"),
        ("abstain", |call| call.peer.as_mut().unwrap().product = ""),
        ("abstain", |call| call.actor = "alice@south"),
        ("abstain", |call| call.operation = "user.search"),
        ("abstain", |call| call.direction = Direction::Outbound),
        ("abstain", |call| call.peer = None),
    ];
    for (expected, change) in changes {
        let mut call = fitting.clone();
        change(&mut call);
        let got = decide(rule, &call);
        assert!(got.starts_with(expected), "{call:?}: {got}");
    }
}

#[test]
fn strangers_may_write_unless_the_settings_deny_it() {
    type Change = fn(&mut Call);
    let cases: [(&str, &str, Change); 10] = [
        ("{}", "abstain", |call| call.target = "stranger@south"),
        (r#"{"strangers":"allow"}"#, "abstain", |call| call.target = "stranger@south"),
        (DENY, "stranger#/strangers: only friends may write", |call| call.target = "stranger@south"),
        (DENY, "abstain", |_| {}),
        (DENY, "abstain", |call| call.target = "unheard@west"),
        (DENY, "abstain", |call| call.target = call.actor),
        (DENY, "abstain", |call| {
            call.target = "stranger@south";
            call.operation = "friend.request";
        }),
        (DENY, "abstain", |call| {
            call.target = "stranger@south";
            call.attributes = vec![("chatScene", "group")];
        }),
        (DENY, "abstain", |call| {
            call.target = "stranger@south";
            call.attributes = vec![("messageType", "repeal")];
        }),
        (r#"{"strangers":"deny","rules":[{"list":"white"}]}"#, "stranger", |call| call.target = "stranger@south"),
    ];
    for (settings, expected, change) in cases {
        let mut call = call("");
        change(&mut call);
        let mut host = TestHost::default();
        host.friends.insert(("alice@north".into(), "carol@south".into()), true);
        host.friends.insert(("alice@north".into(), "stranger@south".into()), false);
        host.install();
        let got = match init::<AccessList>(settings).unwrap().decide(&call) {
            Decision::Allow => "allow".to_owned(),
            Decision::Abstain => "abstain".to_owned(),
            Decision::Deny(reason) => format!("{}: {}", reason.code, reason.text),
        };
        assert!(got.starts_with(expected), "{settings} {call:?}: {got}");
    }
}

const DENY: &str = r#"{"strangers":"deny"}"#;

#[test]
fn a_rule_holds_within_its_hours() {
    let hour = |hour: f64| (hour * 3_600_000.0) as u64 + 20_000 * 86_400_000;
    for (hours, offset, at, denied) in [
        ("08:00-18:00", "+00:00", 8.0, true),
        ("08:00-18:00", "+00:00", 17.99, true),
        ("08:00-18:00", "+00:00", 18.0, false),
        ("08:00-18:00", "+00:00", 7.99, false),
        ("08:00-18:00", "+08:00", 0.0, true),
        ("08:00-18:00", "+08:00", 10.0, false),
        ("08:00-18:00", "-05:00", 12.0, false),
        ("08:00-18:00", "-05:00", 13.0, true),
        ("22:00 - 06:00", "+00:00", 23.0, true),
        ("22:00-06:00", "+00:00", 5.99, true),
        ("22:00-06:00", "+00:00", 6.0, false),
        ("00:00-24:00", "+00:00", 23.99, true),
    ] {
        let settings = format!(r#"{{"utc_offset":"{offset}","rules":[{{"list":"black","hours":"{hours}"}}]}}"#);
        let mut call = call("north");
        call.time_ms = hour(at);
        let expected = if denied { "blacklisted" } else { "abstain" };
        let got = decide(&settings, &call);
        assert!(got.starts_with(expected), "{settings} at {at}: {got}");
    }
}

#[test]
fn a_rule_s_reason_is_what_those_denied_are_told() {
    let settings = r#"{"rules":[{"list":"black","reason":"本服务器暂停互联"}]}"#;
    check(settings, &[("north", "blacklisted#/rules/0: 本服务器暂停互联")]);
    check(r#"{"rules":[{"list":"black"}]}"#, &[("", "blacklisted#/rules/0: this is not admitted here")]);
}

#[test]
fn mistakes_in_settings_are_located() {
    for (settings, pointer, message) in [
        (r#"{"mode":"closed"}"#, "/mode", "unknown variant"),
        (r#"{"strangers":"never"}"#, "/strangers", "unknown variant"),
        (r#"{"blacklist":"bad"}"#, "/blacklist", "unknown field"),
        (r#"{"rules":[{"servers":["n"]}]}"#, "/rules/0", "missing field `list`"),
        (r#"{"rules":[{"list":"black","hours":"8-18"}]}"#, "/rules/0/hours", "no span"),
        (r#"{"rules":[{"list":"black","hours":"08:00-08:00"}]}"#, "/rules/0/hours", "no span"),
        (r#"{"utc_offset":"CST"}"#, "/utc_offset", "no offset"),
        (r#"{"black_list":"bda"}"#, "/black_list", "no list `bda`"),
        (r#"{"white_list":"friend"}"#, "/white_list", "no list `friend`"),
        (r#"{"mode":"listed-only"}"#, "/mode", "admits no other server"),
        (r#"{"rules":[{"list":"black"}]}"#, "/rules/0", "denies everything"),
    ] {
        let found = validate::<AccessList>(settings);
        let hit = found.iter().any(|d| d.pointer == pointer && d.message.contains(message));
        assert!(hit, "{settings}: {found:?}");
    }
}

#[test]
fn the_schema_names_every_setting() {
    let keys = ["mode", "rules", "black_list", "white_list", "own", "utc_offset", "strangers"];
    assert!(schema_names::<AccessList>(&keys));
}
