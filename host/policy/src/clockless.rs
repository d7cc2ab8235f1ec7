//! What holds while the clock of the time limits stands: no plugin is run, none is prepared, and nobody is blamed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::sandbox::engine::Sandbox;
use crate::{Breaker, BundleSource, Call, Direction, Item, NoServices, Policy, PolicyOptions, Session, Step, Verdict};

const OPEN: &str = "name = \"open\"\n[defaults]\naccess = \"allow\"\n";
/// Refuses inwards, lets through outwards, and does what is usual inside: refuses access, holds content.
const MODES: &str = "[plugin.failure]\ninbound = \"closed\"\noutbound = \"open\"\n";
/// However crowded the machine.
const SOON: Duration = Duration::from_secs(30);

struct House {
    dir: tempfile::TempDir,
    policy: Policy,
    stopped: Arc<AtomicBool>,
    sandbox: &'static Sandbox,
}

impl House {
    fn new(manifest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let sandbox = Sandbox::that_stops(stopped.clone()).unwrap();
        let mut policy = Policy::open(options(dir.path())).unwrap();
        policy.workshop.sandbox = sandbox;
        let house = Self { dir, policy, stopped, sandbox };
        house.activate("tested", manifest).unwrap();
        house
    }

    /// A bundle with three plugins at hand: `peers.wasm`, `words.wasm`, `loops.wasm`.
    fn activate(&self, name: &str, manifest: &str) -> Result<u64, String> {
        let dir = self.dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("policy.toml"), format!("{OPEN}{manifest}")).unwrap();
        for (file, plugin) in [("peers", "access-list"), ("words", "content-filter"), ("loops", "hostile/loops")] {
            std::fs::copy(built(plugin), dir.join(format!("{file}.wasm"))).unwrap();
        }
        let activated = self.policy.activate(&dir, "test", "because");
        activated.map(|activation| activation.number).map_err(|error| error.to_string())
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        until("the clock is found dead", || !self.policy.clock().ticking);
    }

    fn let_go(&self) {
        self.stopped.store(false, Ordering::Relaxed);
        until("the clock is started anew", || self.policy.clock().ticking);
    }
}

/// A policy below `dir`, which begins with one that allows all and has no plugins.
pub(crate) fn options(dir: &Path) -> PolicyOptions {
    share_cache(&dir.join("policy"));
    PolicyOptions {
        dir: dir.join("policy"),
        key: [7; 32],
        trusted_keys: Vec::new(),
        signatures_needed: 1,
        allow_unsigned: true,
        builtins: &[],
        default_bundle: BundleSource::Files(vec![("policy.toml".into(), OPEN.as_bytes().to_vec())]),
        services: Arc::new(NoServices),
        redaction_key: [9; 32],
        breaker: Breaker { faults: 3, ..Breaker::default() },
    }
}

/// The compile cache of the tests in `tests/`: these are about other things.
fn share_cache(policy: &Path) {
    let exe = std::env::current_exe().unwrap();
    let target = exe.ancestors().nth(3).unwrap();
    let cache = target.join("tmp/compile-cache");
    std::fs::create_dir_all(&cache).unwrap();
    if !policy.exists() {
        std::fs::create_dir(policy).unwrap();
        std::os::unix::fs::symlink(cache, policy.join("cache")).unwrap();
    }
}

pub(crate) fn built(plugin: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let path = std::env::var_os("ISTHMUS_PLUGINS").map_or(workspace, PathBuf::from).join(format!("{plugin}.wasm"));
    assert!(path.exists(), "{} is missing: run cargo xtask plugins first", path.display());
    path
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < SOON, "not within {SOON:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn plugin(name: &str, more: &str) -> String {
    format!("[[plugin]]\nname = \"{name}\"\ncomponent = \"{name}.wasm\"\n{more}")
}

pub(crate) fn call(direction: Direction) -> Call {
    Call {
        operation: "message.send".into(),
        direction,
        peer: None,
        actor: "alice@north".into(),
        target: "carol@south".into(),
        time_ms: 1_700_000_000_000,
        attributes: Vec::new(),
    }
}

fn verdict(session: &Session, direction: Direction) -> (Verdict, Vec<Step>) {
    let item = Item { kind: "message.text".into(), text: "hello".into(), attributes: Vec::new(), body: None };
    let outcome = session.content(&call(direction), &item);
    (outcome.verdict, outcome.steps)
}

fn blames_the_clock(steps: &[Step]) -> bool {
    let [step] = steps else { panic!("one plugin is asked: {steps:?}") };
    step.fault.as_ref().is_some_and(|fault| fault.contains("the clock that enforces time limits has stopped"))
}

#[test]
fn while_the_clock_stands_no_plugin_is_run_each_failure_mode_holds_and_the_next_clock_ends_it() {
    let manifest = [
        plugin("peers", &format!("grants = [\"lists\", \"directory\"]\nreuse = true\n{MODES}")),
        plugin("words", &format!("grants = [\"lists\", \"message\"]\n{MODES}")),
    ];
    let house = House::new(&manifest.concat());
    let session = house.policy.begin();
    let ways = [Direction::Inbound, Direction::Outbound, Direction::Internal];
    let well = |session: &Session| {
        for way in ways {
            let access = session.access(&call(way));
            assert!(access.allowed && access.steps[0].fault.is_none(), "{way:?}: {access:?}");
            let (verdict, steps) = verdict(session, way);
            assert!(verdict == Verdict::Pass && steps[0].fault.is_none(), "{way:?}: {steps:?}");
        }
    };
    well(&session);

    house.stop();
    for (way, allowed, said) in [
        (Direction::Inbound, false, "reject"),
        (Direction::Outbound, true, "pass"),
        (Direction::Internal, false, "hold"),
    ] {
        let access = session.access(&call(way));
        assert!(access.allowed == allowed && blames_the_clock(&access.steps), "{way:?}: {access:?}");
        let (verdict, steps) = verdict(&session, way);
        assert!(verdict.name() == said && blames_the_clock(&steps), "{way:?}: {verdict:?} {steps:?}");
    }
    let stats = house.policy.stats();
    for plugin in &stats {
        assert_eq!(plugin.faults, [("clock", 3)], "{}", plugin.plugin);
    }
    assert_eq!(stats.len(), 2);
    assert_eq!(house.policy.tripped(), None, "three failures trip the breaker, and these are nobody's");

    house.let_go();
    assert!(house.policy.clock().restarts > 0);
    well(&session);
}

#[test]
fn nothing_is_activated_while_the_clock_stands_and_the_policy_before_stays() {
    let house = House::new(&plugin("peers", "grants = [\"lists\", \"directory\"]\n"));
    let before = house.policy.show().generation;
    house.stop();
    let said = house.activate("late", &plugin("loops", "")).unwrap_err();
    assert!(said.contains("is not prepared: the clock that enforces time limits has stopped"), "{said}");
    assert_eq!(house.policy.show().generation, before);
    house.let_go();
    assert_eq!(house.activate("again", &plugin("loops", "")), Ok(before + 1));
}

#[test]
fn an_activation_waits_for_a_clock_that_is_only_late() {
    let house = House::new("");
    house.stop();
    thread::scope(|scope| {
        let activated =
            scope.spawn(|| house.activate("late", &plugin("peers", "grants = [\"lists\", \"directory\"]\n")));
        house.let_go();
        assert_eq!(activated.join().unwrap(), Ok(3));
    });
}

#[test]
fn a_call_that_loops_while_its_clock_dies_is_ended_by_the_next_clock() {
    let house = House::new(&plugin("loops", "[plugin.limits]\ntime_ms = 100\n"));
    let session = house.policy.begin();
    let begun = AtomicBool::new(false);
    thread::scope(|scope| {
        let asked = scope.spawn(|| {
            begun.store(true, Ordering::Relaxed);
            session.access(&call(Direction::Inbound))
        });
        until("the call has begun", || begun.load(Ordering::Relaxed));
        house.sandbox.ticker.kill();
        let access = asked.join().unwrap();
        assert!(!access.allowed && access.steps[0].fault.as_ref().unwrap().contains("100 ms"), "{access:?}");
    });
    until("the clock is started anew", || house.policy.clock().restarts > 0);
}
