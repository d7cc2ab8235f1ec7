//! Guests that no compiler makes: whatever a component does, its call or its activation ends in an error that has a name
//! and blames it, within its limits, and the plugin beside it is asked as ever.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isthmus_policy::{Direction, Policy, Services};
use support::guest::encode_with;
use support::raw::{HONEST, Raw};
use support::{House, OPEN, call};

const FOR_EVER: &str = "(loop $l (br $l))";
/// `init` raises a flag, so that only calls find what is evil.
const FROM_NOW_ON: &str = "(i32.store (i32.const 700) (i32.const 1))";

const LIMITS: &str =
    "[plugin.limits]\ntime_ms = 20\ninit_ms = 300\nmemory_mib = 4\noutput_kib = 64\nhost_calls = 200\n";

/// A directory on a disk that has gone to sleep.
struct Slow;

impl Services for Slow {
    fn is_friend(&self, _: &str, _: &str) -> Option<bool> {
        std::thread::sleep(Duration::from_millis(50));
        None
    }
    fn same_group(&self, _: &str, _: &str) -> Option<bool> {
        None
    }
    fn server_area(&self, _: &str) -> Option<String> {
        None
    }
    fn user_attribute(&self, _: &str, _: &str) -> Option<String> {
        None
    }
}

/// The evil plugin before an honest one; where it fails, it has no say.
fn bundle(house: &House, name: &str, wasm: &[u8], reuse: bool) -> PathBuf {
    let manifest = format!(
        "{OPEN}[[plugin]]\nname = \"evil\"\ncomponent = \"evil.wasm\"\ngrants = [\"log\", \"lists\", \"directory\"]\n\
         reuse = {reuse}\n{LIMITS}[plugin.failure]\ninbound = \"open\"\n\
         [[plugin]]\nname = \"good\"\ncomponent = \"builtin:access-list\"\ngrants = [\"lists\", \"directory\"]\n"
    );
    let dir = house.bundle(name, &[("policy.toml", &manifest)]);
    std::fs::write(dir.join("evil.wasm"), wasm).unwrap();
    dir
}

/// Asks twice; both times the evil plugin is to blame, by name, and the good one has its say.
fn check(policy: &Policy, name: &str, expected: &str) {
    for _ in 0..2 {
        let started = Instant::now();
        let outcome = policy.begin().access(&call(Direction::Inbound, "north"));
        let took = started.elapsed();
        let [evil, good] = outcome.steps.as_slice() else { panic!("{name}: {outcome:?}") };
        assert_eq!((&*evil.plugin, evil.verdict), ("evil", "fault"), "{name}: {evil:?}");
        let fault = evil.fault.as_ref().unwrap();
        assert!(fault.starts_with(expected), "{name}: expected `{expected}`: {fault}");
        assert_eq!((&*good.plugin, good.verdict, &good.fault), ("good", "abstain", &None), "{name}: {good:?}");
        assert!(outcome.allowed, "{name}");
        assert!(took < Duration::from_secs(20), "{name}: {took:?}");
    }
    let shown = policy.show();
    let states: Vec<_> = shown.plugins.iter().map(|plugin| plugin.state.as_str()).collect();
    assert_eq!(states, [expected.split(':').next().unwrap(), "ready"], "{name}");
}

const LOG: &str = r#"(import "isthmus:policy/log@1.0.0" "write" (func $write (param i32 i32 i32)))"#;
const FRIEND: &str =
    r#"(import "isthmus:policy/directory@1.0.0" "is-friend" (func $friend (param i32 i32 i32 i32 i32)))"#;
const LISTS: &str =
    r#"(import "isthmus:policy/lists@1.0.0" "contains" (func $holds (param i32 i32 i32 i32) (result i32)))"#;

/// A denial whose code and text lie where it says.
macro_rules! deny {
    ($code:literal, $code_len:literal, $text:literal, $text_len:literal) => {
        concat!(
            "(i32.store8 (i32.const 512) (i32.const 1)) (i32.store (i32.const 516) (i32.const ",
            $code,
            ")) (i32.store (i32.const 520) (i32.const ",
            $code_len,
            ")) (i32.store (i32.const 524) (i32.const ",
            $text,
            ")) (i32.store (i32.const 528) (i32.const ",
            $text_len,
            ")) (i32.const 512)"
        )
    };
}

/// What it does, and what its call ends in.
fn calls() -> Vec<(&'static str, Raw, &'static str)> {
    let decide = |decide| Raw { decide, ..HONEST };
    let after = |after| Raw { after, ..HONEST };
    let realloc = |realloc| Raw { realloc, init: FROM_NOW_ON, ..HONEST };
    let logs = |decide| Raw { imports: &["log"], functions: LOG, decide, ..HONEST };
    vec![
        ("loops", decide("(loop $l (br $l)) (i32.const 512)"), "timeout: ran longer than its limit of 20 ms"),
        ("loops after its answer", after(FOR_EVER), "timeout"),
        (
            "loops while it takes its arguments",
            realloc("(loop $l (br_if $l (i32.load (i32.const 700)))) (i32.const 4096)"),
            "timeout",
        ),
        (
            "recurses",
            Raw { fields: "(func $deep (call $deep) (call $deep))", decide: "(call $deep) (i32.const 512)", ..HONEST },
            "trap: trapped: wasm trap: call stack exhausted",
        ),
        (
            "grows its memory at a stroke",
            decide("(if (i32.eq (memory.grow (i32.const 4096)) (i32.const -1)) (then unreachable)) (i32.const 512)"),
            "memory: wanted more memory than its limit of 4 MiB",
        ),
        (
            "grows its memory page by page",
            decide("(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable"),
            "memory",
        ),
        (
            "asks for ever for more memory",
            decide("(loop $l (drop (memory.grow (i32.const 1))) (br $l)) unreachable"),
            "timeout",
        ),
        (
            "grows its table",
            Raw {
                fields: "(table $t 1 funcref)",
                decide: "(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1)))) \
                         unreachable",
                ..HONEST
            },
            "memory",
        ),
        ("traps", decide("unreachable"), "trap: trapped: wasm trap: wasm `unreachable` instruction executed"),
        (
            "divides by zero",
            decide("(i32.div_u (i32.const 1) (i32.const 0))"),
            "trap: trapped: wasm trap: integer divide by zero",
        ),
        (
            "reads beyond its memory",
            decide("(i32.load (i32.const -4))"),
            "trap: trapped: wasm trap: out of bounds memory access",
        ),
        ("traps after its answer", after("unreachable"), "trap"),
        (
            "traps while it takes its arguments",
            realloc("(if (i32.load (i32.const 700)) (then unreachable)) (i32.const 4096)"),
            "trap",
        ),
        ("answers from beyond its memory", decide("(i32.const -16)"), "invalid: gave an invalid answer: "),
        ("answers from a crooked place", decide("(i32.const 514)"), "invalid: gave an invalid answer: "),
        (
            "answers what is no decision",
            decide("(i32.store8 (i32.const 512) (i32.const 9)) (i32.const 512)"),
            "invalid",
        ),
        ("denies without a code", decide(deny!(64, 0, 64, 5)), "invalid"),
        ("denies with a code of control characters", decide(deny!(64, 6, 64, 5)), "invalid"),
        ("denies in no language", decide(deny!(64, 5, 96, 3)), "invalid"),
        ("denies with a text that it does not have", decide(deny!(64, 5, 2147483647, 2147483647)), "invalid"),
        (
            "denies with all its memory",
            decide(deny!(64, 5, 0, 131072)),
            "output: returned more than its limit of 64 KiB",
        ),
        (
            "takes its arguments beyond its memory",
            realloc("(select (i32.const -65536) (i32.const 4096) (i32.load (i32.const 700)))"),
            "invalid",
        ),
        (
            "takes its arguments at a crooked place",
            realloc("(select (i32.const 4097) (i32.const 4096) (i32.load (i32.const 700)))"),
            "invalid",
        ),
        (
            "logs for ever",
            logs("(loop $l (call $write (i32.const 0) (i32.const 64) (i32.const 5)) (br $l)) unreachable"),
            "host-calls: called the host more often than its limit of 200 a call",
        ),
        (
            "asks the host for ever",
            Raw {
                imports: &["lists"],
                functions: LISTS,
                decide: "(loop $l (drop (call $holds (i32.const 80) (i32.const 4) (i32.const 64) (i32.const 5))) \
                         (br $l)) unreachable",
                ..HONEST
            },
            "host-calls",
        ),
        (
            "logs all its memory",
            logs("(call $write (i32.const 0) (i32.const 0) (i32.const 131072)) (i32.const 512)"),
            "output",
        ),
        (
            "logs what it does not have",
            logs("(call $write (i32.const 0) (i32.const -8) (i32.const 64)) (i32.const 512)"),
            "invalid",
        ),
        (
            "logs in no language",
            logs("(call $write (i32.const 0) (i32.const 96) (i32.const 3)) (i32.const 512)"),
            "invalid",
        ),
        (
            "logs at no level",
            logs("(call $write (i32.const 9) (i32.const 64) (i32.const 5)) (i32.const 512)"),
            "invalid",
        ),
        (
            "calls the host after its answer",
            Raw { after: "(call $write (i32.const 0) (i32.const 64) (i32.const 5))", ..logs("(i32.const 512)") },
            "trap: trapped: wasm trap: cannot leave component instance",
        ),
        (
            "calls the host while it takes its arguments",
            Raw {
                realloc: "(if (i32.load (i32.const 700)) (then (call $write (i32.const 0) (i32.const 64) (i32.const 5)))) \
                          (i32.const 4096)",
                init: FROM_NOW_ON,
                ..logs("(i32.const 512)")
            },
            "trap: trapped: wasm trap: cannot leave component instance",
        ),
        (
            "waits in the host for ever",
            Raw {
                imports: &["directory"],
                functions: FRIEND,
                decide: "(loop $l (call $friend (i32.const 64) (i32.const 5) (i32.const 72) (i32.const 5) (i32.const 600)) \
                         (br $l)) unreachable",
                ..HONEST
            },
            "timeout",
        ),
    ]
}

#[test]
fn every_evil_call_ends_in_an_error_with_a_name_and_leaves_the_plugin_beside_it_alone() {
    let house = House { services: Arc::new(Slow), ..House::new() };
    let policy = house.open();
    for (index, (name, guest, expected)) in calls().into_iter().enumerate() {
        let wasm = guest.build();
        for reuse in [false, true] {
            let dir = bundle(&house, &format!("evil-{index}-{reuse}"), &wasm, reuse);
            policy.activate(&dir, "test", name).unwrap_or_else(|error| panic!("{name}: {error}"));
            check(&policy, name, expected);
        }
    }
}

#[test]
fn whoever_traps_a_thousand_times_leaves_no_instance_behind() {
    let house = House::new();
    let policy = house.open();
    let wasm = Raw { decide: "unreachable", ..HONEST }.build();
    policy.activate(&bundle(&house, "traps", &wasm, false), "test", "traps").unwrap();
    let session = policy.begin();
    for round in 0..1_500 {
        let outcome = session.access(&call(Direction::Inbound, "north"));
        assert!(outcome.steps[0].fault.as_ref().unwrap().starts_with("trap"), "{round}: {outcome:?}");
        assert_eq!(outcome.steps[1].fault, None, "{round}");
    }
}

/// A component with further core instances beside its own.
fn crowded(more: u8) -> Vec<u8> {
    let mut wasm = HONEST.build();
    let modules = wasmparser::Parser::new(0).parse_all(&wasm);
    let modules = modules.filter(|part| matches!(part, Ok(wasmparser::Payload::ModuleSection { .. }))).count();
    let module = b"\0asm\x01\0\0\0\x05\x03\x01\0\x01";
    wasm.extend([1, u8::try_from(module.len()).unwrap()].iter().chain(module));
    let mut instances = vec![more];
    (0..more).for_each(|_| instances.extend([0, u8::try_from(modules).unwrap(), 0]));
    let size = instances.len();
    wasm.extend([2, (size & 0x7f) as u8 | 0x80, (size >> 7) as u8].iter().chain(&instances));
    wasm
}

/// Says that it has an access hook, and means something else by it.
fn liar() -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let wit = "package isthmus:policy@1.0.0;
        interface lifecycle {
            settings-schema: func() -> string;
            validate-settings: func(settings: string) -> list<string>;
            init: func(settings: string) -> result<_, string>;
        }
        interface access-hook { decide: func(call: list<list<list<list<list<list<string>>>>>>) -> u64; }";
    resolve.push_str("policy.wit", wit).unwrap();
    let module = HONEST
        .module()
        .replace("(param i32) (result i32) (i32.const 512)", "(param i32 i32) (result i64) (i64.const 1)");
    let module = module.replace("cabi_post_isthmus:policy/access-hook@1.0.0#decide", "unused");
    encode_with(resolve, &module, &[], "access")
}

/// What it does, and what its activation is refused with.
fn activations() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let with = |fields| Raw { fields, ..HONEST }.build();
    let memory = |memory| Raw { memory, ..HONEST }.build();
    let init = |init| Raw { init, ..HONEST }.build();
    let schema = |schema| Raw { schema, ..HONEST }.build();
    vec![
        (
            "hangs in its start",
            with("(func $hang (loop $l (br $l))) (start $hang)"),
            "does not start: ran longer than `init_ms` allows (300 ms)",
        ),
        ("traps in its start", with("(func $trap unreachable) (start $trap)"), "does not start: it trapped"),
        ("hangs in its init", init(FOR_EVER), "`init` failed: ran longer than `init_ms` allows (300 ms)"),
        ("traps in its init", init("unreachable"), "`init` failed: it trapped"),
        ("answers its init from nowhere", init("(return (i32.const -16))"), "`init` failed: it gave an invalid answer"),
        ("hangs in its schema", schema("(loop $l (br $l)) (i32.const 256)"), "`settings-schema` failed: ran longer"),
        (
            "has a schema of all its memory",
            schema("(i32.store (i32.const 260) (i32.const 131072)) (i32.const 256)"),
            "`settings-schema` failed: it returned more than its limit of 64 KiB",
        ),
        (
            "has a schema in no language",
            schema(
                "(i32.store (i32.const 256) (i32.const 96)) (i32.store (i32.const 260) (i32.const 3)) (i32.const 256)",
            ),
            "`settings-schema` failed: it gave an invalid answer",
        ),
        (
            "has a schema that is none",
            schema(
                "(i32.store (i32.const 256) (i32.const 64)) (i32.store (i32.const 260) (i32.const 5)) (i32.const 256)",
            ),
            "its settings schema",
        ),
        (
            "begins with more memory than it may have",
            memory(r#"(memory (export "memory") 100)"#),
            "does not start: it wanted more memory",
        ),
        ("shares its memory", memory(r#"(memory (export "memory") 2 2 shared)"#), "does not compile"),
        ("begins with a table of a million", with("(table 1000000 funcref)"), "does not"),
        ("has tables by the dozen", with(&*"(table 1 funcref)".repeat(24).leak()), "does not"),
        (
            "is a crowd",
            crowded(120),
            "does not start: it gave an invalid answer: resource limit exceeded: memory count",
        ),
        ("lies about its kind", liar(), "does not"),
        ("is cut off", HONEST.build().split_off(9), "is not a WebAssembly component"),
    ]
}

#[test]
fn what_is_evil_from_the_start_is_refused_by_name_and_the_old_policy_goes_on() {
    let house = House::new();
    let policy = house.open();
    for (index, (name, wasm, expected)) in activations().into_iter().enumerate() {
        let started = Instant::now();
        let dir = bundle(&house, &format!("refused-{index}"), &wasm, false);
        let refused = policy.activate(&dir, "test", name).expect_err(name).to_string();
        assert!(
            refused.contains("evil.wasm") && refused.contains(expected),
            "{name}: expected `{expected}`: {refused}"
        );
        assert!(started.elapsed() < Duration::from_secs(30), "{name}");
        let session = policy.begin();
        assert!(session.generation() == 1 && session.access(&call(Direction::Inbound, "north")).allowed, "{name}");
    }
}
