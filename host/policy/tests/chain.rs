//! How the plugins of a bundle together come to a decision.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use isthmus_policy::{Direction, Severity, Verdict};
use support::{House, OPEN, call, event, guest, text, with};

fn black(name: &str, servers: &str) -> String {
    format!(
        "[[plugin]]\nname = \"{name}\"\ncomponent = \"builtin:access-list\"\ngrants = [\"lists\", \"directory\"]\n\
         [[plugin.settings.rules]]\nlist = \"black\"\nservers = [{servers}]\nreason = \"{name} says no\"\n"
    )
}

fn white(name: &str, servers: &str) -> String {
    format!(
        "[[plugin]]\nname = \"{name}\"\ncomponent = \"builtin:access-list\"\ngrants = [\"lists\", \"directory\"]\n\
         [[plugin.settings.rules]]\nlist = \"white\"\nservers = [{servers}]\n"
    )
}

fn words(name: &str, action: &str, words: &str) -> String {
    format!(
        "[[plugin]]\nname = \"{name}\"\ncomponent = \"builtin:content-filter\"\ngrants = [\"lists\"]\n\
         [[plugin.settings.keywords]]\naction = \"{action}\"\nwords = [{words}]\nreason = \"{name} says no\"\nlabel = \"{name}\"\n"
    )
}

#[test]
fn deny_overrides_and_the_first_deny_ends() {
    let deny_default = OPEN.replace("allow", "deny");
    let cases = [
        (OPEN.to_owned(), "north", true, vec![]),
        (deny_default.clone(), "north", false, vec![]),
        (format!("{OPEN}{}", black("one", "\"n*\"")), "north", false, vec!["deny"]),
        (format!("{OPEN}{}", black("one", "\"n*\"")), "south", true, vec!["abstain"]),
        (
            format!("{OPEN}{}{}", white("one", "\"north\""), black("two", "\"north\"")),
            "north",
            false,
            vec!["allow", "deny"],
        ),
        (format!("{OPEN}{}{}", black("one", "\"north\""), white("two", "\"north\"")), "north", false, vec!["deny"]),
        (format!("{deny_default}{}", white("one", "\"north\"")), "north", true, vec!["allow"]),
        (format!("{deny_default}{}", white("one", "\"north\"")), "south", false, vec!["abstain"]),
    ];
    let house = House::new();
    let policy = house.open();
    for (manifest, peer, allowed, verdicts) in cases {
        house.activate(&policy, &manifest);
        let outcome = policy.begin().access(&call(Direction::Inbound, peer));
        assert_eq!(outcome.allowed, allowed, "{manifest} {peer}: {outcome:?}");
        assert_eq!(outcome.reason.is_none(), allowed);
        let said: Vec<_> = outcome.steps.iter().map(|step| step.verdict).collect();
        assert_eq!(said, verdicts, "{manifest} {peer}");
    }
}

#[test]
fn a_denial_names_the_plugin_and_its_public_reason() {
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, &format!("{OPEN}{}", black("peers", "\"north\"")));
    let outcome = policy.begin().access(&call(Direction::Inbound, "north"));
    let reason = outcome.reason.unwrap();
    assert_eq!((reason.code.as_str(), reason.text.as_str()), ("blacklisted#/rules/0", "peers says no"));
    let step = &outcome.steps[0];
    assert_eq!((&*step.plugin, step.digest.len(), step.hook), ("peers", 16, "access"));
    assert_eq!(step.reason.as_ref(), Some(&reason));
}

#[test]
fn rewrites_compose_and_the_first_reject_or_hold_ends() {
    let mask_then_mask = format!("{OPEN}{}{}", words("one", "mask", "\"secret\""), words("two", "mask", "\"plan\""));
    let mask_then_reject =
        format!("{OPEN}{}{}", words("one", "mask", "\"secret\""), words("two", "reject", "\"secret\", \"bad\""));
    let hold_then_reject = format!("{OPEN}{}{}", words("one", "hold", "\"bad\""), words("two", "reject", "\"bad\""));
    let rewrite = |text: &str| Verdict::Rewrite(text.to_owned());
    let house = House::new();
    let policy = house.open();
    let check = |manifest: &str, said: &str, verdicts: &[&str]| {
        house.activate(&policy, manifest);
        let outcome = policy.begin().content(&call(Direction::Outbound, "south"), &text(said));
        assert_eq!(outcome.steps.iter().map(|step| step.verdict).collect::<Vec<_>>(), verdicts, "{said}");
        outcome
    };
    assert_eq!(check(&mask_then_mask, "hello", &["pass", "pass"]).verdict, Verdict::Pass);
    let both = check(&mask_then_mask, "the secret plan", &["rewrite", "rewrite"]);
    assert_eq!((both.verdict, both.labels), (rewrite("the ****** ****"), vec!["one".to_owned(), "two".to_owned()]));
    let masked_first = check(&mask_then_reject, "a secret", &["rewrite", "pass"]);
    assert_eq!(masked_first.verdict, rewrite("a ******"), "the second plugin sees the rewritten text");
    let rejected = check(&mask_then_reject, "a bad secret", &["rewrite", "reject"]);
    assert!(matches!(rejected.verdict, Verdict::Reject(reason) if reason.text == "two says no"));
    assert!(matches!(check(&hold_then_reject, "bad", &["hold"]).verdict, Verdict::Hold(_)));
}

#[test]
fn audit_plugins_reduce_detail_and_the_host_redacts() {
    let manifest = format!(
        "{OPEN}[[plugin]]\nname = \"one\"\ncomponent = \"builtin:audit-redact\"\n\
         [[plugin.settings.events]]\noperations = [\"message.*\"]\nseverity = \"notice\"\n\
         fields = {{ text = \"mask\", actor = \"hash\", secret = \"drop\" }}\n\
         [[plugin]]\nname = \"two\"\ncomponent = \"builtin:audit-redact\"\n\
         [[plugin.settings.events]]\noperations = [\"message.*\"]\nseverity = \"info\"\n\
         fields = {{ text = \"hash\", secret = \"mask\" }}\nsinks = [\"siem\"]\n"
    );
    let house = House::new();
    let policy = house.open();
    house.activate(&policy, &manifest);
    let outcome = policy.begin().audit(&event(&[("text", "hello"), ("secret", "x"), ("other", "kept")]));
    assert_eq!((outcome.severity, outcome.detail, outcome.whole), (Severity::Notice, true, false));
    assert!(outcome.actor.starts_with("blake3k:") && outcome.target == "carol@south");
    assert_eq!(outcome.sinks, ["siem"]);
    assert_eq!(outcome.fields.len(), 2, "{:?}", outcome.fields);
    assert!(outcome.fields[0].1.starts_with("blake3k:"), "the redaction that shows less holds");
    assert_eq!(outcome.fields[1], ("other".to_owned(), "kept".to_owned()));
}

#[test]
fn without_audit_plugins_an_event_is_recorded_whole() {
    let house = House::new();
    let outcome = house.open().begin().audit(&event(&[("text", "hello")]));
    assert_eq!(outcome.fields, [("text".to_owned(), "hello".to_owned())]);
    assert_eq!((outcome.severity, outcome.detail, outcome.whole), (Severity::Info, true, false));
}

#[test]
fn thousands_of_entries_come_from_the_bundles_lists() {
    let house = House::new();
    let policy = house.open();
    let manifest = format!(
        "{OPEN}[[plugin]]\nname = \"peers\"\ncomponent = \"builtin:access-list\"\ngrants = [\"lists\", \"directory\"]\n\
         [plugin.settings]\nblack_list = \"servers\"\n\
         [[plugin]]\nname = \"words\"\ncomponent = \"builtin:content-filter\"\ngrants = [\"lists\"]\n\
         [[plugin.settings.keywords]]\nlist = \"words\"\naction = \"reject\"\n"
    );
    let servers: String = (0..5_000).map(|i| format!("server-{i}\n")).collect();
    let words: String = (0..5_000).map(|i| format!("keyword{i:05}\n")).collect();
    let files = [("policy.toml", manifest.as_str()), ("lists/servers.txt", &servers), ("lists/words.txt", &words)];
    policy.activate(&house.bundle("lists", &files), "test", "lists").unwrap();
    let session = policy.begin();
    assert!(!session.access(&call(Direction::Inbound, "server-4999")).allowed);
    assert!(session.access(&call(Direction::Inbound, "server-5000")).allowed);
    let judge = |said: &str| session.content(&call(Direction::Inbound, "x"), &text(said)).verdict;
    assert!(matches!(judge("xx keyword04999 xx"), Verdict::Reject(_)));
    assert_eq!(judge("xx keyword99999 xx"), Verdict::Pass);
}

#[test]
fn a_reused_plugin_judges_as_a_fresh_one_does() {
    let house = House::new();
    let policy = house.open();
    for reuse in ["reuse = false", "reuse = true"] {
        let settings = "[[plugin.settings.keywords]]\nwords = [\"bad\"]\naction = \"reject\"\n";
        house.activate(&policy, &with("content-filter", &format!("{reuse}\n{settings}")));
        let session = policy.begin();
        for round in 0..2_500 {
            let (said, rejected) = if round % 7 == 0 { ("all bad", true) } else { ("all good", false) };
            let outcome = session.content(&call(Direction::Inbound, "x"), &text(said));
            assert_eq!(matches!(outcome.verdict, Verdict::Reject(_)), rejected, "{reuse} {round}: {outcome:?}");
        }
    }
    let stats = policy.stats();
    let it = stats.iter().find(|stats| stats.plugin == "it").unwrap();
    assert_eq!((it.calls, it.faults.len()), (5_000, 0), "{it:?}");
}

/// Denies with all texts that it was asked with, if their number and the rest is as it should be; the plain form traps.
const BOTH: &str = r#"(module
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 4096))
    (data (i32.const 64) "asked")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
        (global.get $top)
        (global.set $top (i32.add (global.get $top) (local.get 3))))
    (func (export "isthmus:policy/lifecycle@1.0.0#settings-schema") (result i32) (i32.const 256))
    (func (export "isthmus:policy/lifecycle@1.0.0#validate-settings") (param i32 i32) (result i32) (i32.const 256))
    (func (export "isthmus:policy/lifecycle@1.0.0#init") (param i32 i32) (result i32) (i32.const 256))
    (func (export "isthmus:policy/access-hook@1.0.0#decide") (param i32) (result i32) unreachable)
    (func (export "isthmus:policy/packed-access-hook@1.0.0#decide")
        (param $direction i32) (param $peer i32) (param $attributes i32) (param $time i64)
        (param $texts i32) (param $bytes i32) (result i32) (local $at i32)
        (if (i32.eqz (local.get $peer)) (then unreachable))
        (if (i32.ne (local.get $attributes) (i32.const 2)) (then unreachable))
        (local.set $at (i32.add (local.get $texts) (local.get $bytes)))
        (loop $each
            (local.set $at (i32.sub (local.get $at) (i32.const 1)))
            (if (i32.lt_u (i32.load8_u (local.get $at)) (i32.const 32)) (then (i32.store8 (local.get $at) (i32.const 124))))
            (br_if $each (i32.gt_u (local.get $at) (local.get $texts))))
        (i32.store (i32.const 512) (i32.const 64))
        (i32.store (i32.const 516) (i32.const 5))
        (i32.store (i32.const 520) (local.get $texts))
        (i32.store (i32.const 524) (local.get $bytes))
        (i32.const 1))
    (func (export "isthmus:policy/packed-access-reason@1.0.0#why") (result i32) (i32.const 512)))"#;

#[test]
fn of_two_forms_of_a_hook_the_packed_one_is_asked() {
    let house = House::new();
    let policy = house.open();
    let manifest = format!("{OPEN}[[plugin]]\nname = \"it\"\ncomponent = \"it.wasm\"\n");
    let bundle = house.bundle("both", &[("policy.toml", &manifest)]);
    std::fs::write(bundle.join("it.wasm"), guest::encode(BOTH, &[], "access+packed-access")).unwrap();
    policy.activate(&bundle, "test", "both").unwrap();
    let said = policy.begin().access(&call(Direction::Inbound, "north")).reason.unwrap();
    let texts = "|message.send|alice@north|carol@south|north|||chatScene|user|messageType|text";
    assert_eq!((said.code.as_str(), said.text.as_str()), ("asked", texts));
}

#[test]
fn a_packed_hook_that_cannot_say_why_is_not_activated() {
    let house = House::new();
    let policy = house.open();
    let manifest = format!("{OPEN}[[plugin]]\nname = \"it\"\ncomponent = \"it.wasm\"\n");
    let bundle = house.bundle("alone", &[("policy.toml", &manifest)]);
    std::fs::write(bundle.join("it.wasm"), guest::encode(BOTH, &[], "packed-access alone")).unwrap();
    let refused = policy.activate(&bundle, "test", "alone").unwrap_err().to_string();
    assert!(refused.contains("packed-access-reason"), "{refused}");
}
