#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
use std::sync::{Arc, Mutex};

use wasmtime::Store;
use wasmtime::component::{self, Linker, Resource, ResourceType};

use super::trio::merge;
use crate::sandbox::engine::Sandbox;
use crate::sandbox::inspect::inspect;
use crate::sandbox::snapshot::{Instrumented, tests::store};
use crate::sandbox::state::State;

const LIFE: &str = "isthmus:policy/lifecycle@1.0.0";

/// As wit-component makes it. The k-th `next` asks for words, tells them, and is k + 10 k + 7 + 4 k; the ninth traps.
const THREE: &str = r#"(component
    (import "it:host/api" (instance $api
        (export "body" (type $body (sub resource)))
        (export "word" (func (param "n" u32) (result string)))
        (export "hear" (func (param "said" string)))
        (export "take" (func (result (own $body))))
        (export "[method]body.size" (func (param "self" (borrow $body)) (result u32)))))
    (core module $main
        (import "api" "word" (func $word (param i32 i32)))
        (import "api" "drop" (func $drop (param i32)))
        (import "api" "hear" (func $hear (param i32 i32)))
        (import "api" "take" (func $take (result i32)))
        (import "api" "size" (func $size (param i32) (result i32)))
        (memory (export "memory") 1)
        (table 3 3 funcref)
        (elem (i32.const 1) $sum $hear)
        (global $calls (mut i32) (i32.const 0))
        (global $free (mut i32) (i32.const 1024))
        (data (i32.const 8) "\00\00\00\00")
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            global.get $free
            (global.set $free (i32.add (global.get $free) (local.get 3))))
        (func $sum (param i32 i32) (result i32)
                (if (i32.gt_u (local.get 0) (i32.const 8)) (then (unreachable)))
                (i32.add (local.get 0) (local.get 1)))
        (func (export "init") (drop (call $next)))
        (func $next (export "next") (result i32) (local $body i32)
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 10)))
            (call $word (global.get $calls) (i32.const 16))
            (call_indirect (param i32 i32) (i32.load (i32.const 16)) (i32.load (i32.const 20)) (i32.const 2))
            (local.set $body (call $take))
            (call_indirect (param i32 i32) (result i32) (global.get $calls) (i32.load (i32.const 8)) (i32.const 1))
            (i32.add (call $size (local.get $body)))
            (call $drop (local.get $body))
            (i32.add (i32.load (i32.const 20)))))
    (core module $shim
        (type $two (func (param i32 i32)))
        (table (export "$imports") 2 2 funcref)
        (func (export "0") (type $two) (call_indirect (type $two) (local.get 0) (local.get 1) (i32.const 0)))
        (func (export "1") (type $two) (call_indirect (type $two) (local.get 0) (local.get 1) (i32.const 1))))
    (core module $fixup
        (import "actual" "0" (func $a (param i32 i32)))
        (import "actual" "1" (func $b (param i32 i32)))
        (import "shim" "$imports" (table 2 2 funcref))
        (elem (i32.const 0) $a $b))
    (core instance $s (instantiate $shim))
    (alias export $api "body" (type $body))
    (core func $drop (canon resource.drop $body))
    (core func $take (canon lower (func $api "take")))
    (core func $size (canon lower (func $api "[method]body.size")))
    (core instance $imported
        (export "word" (func $s "0"))
        (export "hear" (func $s "1"))
        (export "take" (func $take))
        (export "size" (func $size))
        (export "drop" (func $drop)))
    (core instance $m (instantiate $main (with "api" (instance $imported))))
    (alias core export $m "memory" (core memory $memory))
    (core func $word (canon lower (func $api "word") (memory $memory) (realloc (core func $m "cabi_realloc"))))
    (core func $hear (canon lower (func $api "hear") (memory $memory)))
    (core instance $actual (export "0" (func $word)) (export "1" (func $hear)))
    (core instance $f (instantiate $fixup (with "actual" (instance $actual)) (with "shim" (instance $s))))
    (func $init (canon lift (core func $m "init")))
    (instance $life (export "init" (func $init)))
    (export "isthmus:policy/lifecycle@1.0.0" (instance $life))
    (func $next (result u32) (canon lift (core func $m "next")))
    (instance $hook (export "next" (func $next)))
    (export "it:guest/hook" (instance $hook)))"#;

fn slim(wasm: &[u8]) -> Option<Vec<u8>> {
    super::slim(wasm, |name| name == LIFE)
}

/// A started component, and what it said.
struct Live(Store<State>, component::Instance, Arc<Mutex<Vec<String>>>);

fn started(wasm: &[u8]) -> Live {
    let sandbox = Sandbox::shared().unwrap();
    let mut linker = Linker::<State>::new(&sandbox.engine);
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let mut api = linker.instance("it:host/api").unwrap();
    api.resource("body", ResourceType::host::<u8>(), |_, _| Ok(())).unwrap();
    api.func_wrap("word", |_, (n,): (u32,)| Ok(("word".repeat(n as usize),))).unwrap();
    let said = heard.clone();
    api.func_wrap("hear", move |_, (word,): (String,)| {
        said.lock().unwrap().push(word);
        Ok(())
    })
    .unwrap();
    api.func_wrap("take", |_, ()| Ok((Resource::<u8>::new_own(7),))).unwrap();
    api.func_wrap("[method]body.size", |_, (body,): (Resource<u8>,)| Ok((body.rep(),))).unwrap();
    let mut store = store(sandbox);
    store.set_epoch_deadline(1);
    let instance = linker.instantiate(&mut store, &sandbox.compile(wasm).unwrap()).unwrap();
    Live(store, instance, heard)
}

impl Live {
    fn next(&mut self) -> u32 {
        self.try_next().unwrap()
    }

    fn try_next(&mut self) -> wasmtime::Result<u32> {
        let Self(store, instance, _) = self;
        store.set_epoch_deadline(1);
        let hook = instance.get_export_index(&mut *store, None, "it:guest/hook").unwrap();
        let next = instance.get_export_index(&mut *store, Some(&hook), "next").unwrap();
        Ok(instance.get_typed_func::<(), (u32,)>(&mut *store, next)?.call(store, ())?.0)
    }

    fn heard(&self) -> Vec<String> {
        self.2.lock().unwrap().clone()
    }
}

fn snapshot() -> Vec<u8> {
    let wasm = wat::parse_str(THREE).unwrap();
    let instrumented = Instrumented::new(&wasm).unwrap();
    let mut live = started(&instrumented.wasm);
    assert_eq!([live.next(), live.next()], [11 + 7 + 4, 22 + 7 + 8]);
    live.0.data_mut().lend_memory(1 << 20);
    instrumented.snapshot(&mut live.0, live.1).unwrap()
}

#[test]
fn what_is_slimmer_does_the_same() {
    let thick = snapshot();
    let thin = slim(&thick).unwrap();
    let (before, after) = (inspect(&thick).unwrap(), inspect(&thin).unwrap());
    assert_eq!((before.core_instances, before.lifecycle), (3, true));
    assert_eq!((after.core_instances, after.lifecycle), (2, false));
    assert_eq!(before.names, after.names);
    for _ in 0..2 {
        let (mut one, mut other) = (started(&thick), started(&thin));
        for k in 3..6 {
            assert_eq!([one.next(), other.next()], [11 * k + 7 + 4 * k; 2]);
        }
        assert_eq!(one.heard(), other.heard());
        assert_eq!(other.heard(), [3, 4, 5].map(|k| "word".repeat(k)));
    }
    assert!(slim(&thin).is_none(), "there is nothing more to do");
}

/// What is changed in it, and into what.
const ODD: [(&str, &str); 22] = [
    // The shim does more, or something else.
    (PASSED, "(nop) (call_indirect (type $two) (local.get 0) (local.get 1) (i32.const 1))"),
    (PASSED, "(call_indirect (type $two) (local.get 1) (local.get 0) (i32.const 1))"),
    (PASSED, "(call_indirect (type $two) (local.get 0) (i32.const 9) (i32.const 1))"),
    (PASSED, "(call_indirect (type $two) (local.get 0) (local.get 1) (i32.const 1)) (nop)"),
    (PLACES, "(memory 1) (table (export \"$imports\") 2 2"),
    (PLACES, "(table 1 funcref) (table (export \"$imports\") 2 2"),
    (PLACES, "(global (export \"more\") i32 (i32.const 0)) (table (export \"$imports\") 2 2"),
    (PLACES, "(func) (start 0) (table (export \"$imports\") 2 2"),
    // The fixup takes more, or something else.
    ("(import \"actual\" \"0\"", "(import \"shim\" \"0\""),
    ("(import \"shim\" \"$imports\" (table 2 2 funcref))", "(table 2 2 funcref)"),
    ("(elem (i32.const 0) $a $b)", "(elem (i32.const 0) $a $b) (func) (start 2)"),
    ("(elem (i32.const 0) $a $b)", "(elem func $a) (elem (i32.const 0) $a $b)"),
    ("(with \"shim\" (instance $s))", "(with \"shim\" (instance $s)) (with \"more\" (instance $m))"),
    ("(with \"actual\" (instance $actual))", "(with \"actual\" (instance $actual)) (with \"more\" (instance $s))"),
    // `main` knows its table, or would be another one.
    ("(table 3 3 funcref)", "(table (export \"table\") 3 3 funcref)"),
    ("(table 3 3 funcref)", "(table 3 funcref) (func (drop (table.grow (ref.null func) (i32.const 1))))"),
    ("(table 3 3 funcref)", "(table 3 3 funcref) (func (drop (table.size)))"),
    ("(memory (export \"memory\") 1)", "(memory (export \"memory\") 1) (export \"$imports\" (memory 0))"),
    ("(memory (export \"memory\") 1)", "(memory (export \"memory\") 1) (@custom \".debug_line\" \"\")"),
    // There is more of it.
    ("(core instance $s ", "(core instance (instantiate $shim)) (core instance $s "),
    ("(core instance $s ", "(core module) (core instance $s "),
    (
        "(func $init (canon",
        "(func (param \"a\" u32) (param \"b\" u32) (canon lift (core func $s \"0\"))) (func $init (canon",
    ),
];
const PASSED: &str = "(call_indirect (type $two) (local.get 0) (local.get 1) (i32.const 1))";
const PLACES: &str = "(table (export \"$imports\") 2 2";

#[test]
fn what_is_made_otherwise_keeps_its_instances() {
    assert!(merge(&wat::parse_str(THREE).unwrap()).is_some());
    for (what, other) in ODD {
        let odd = THREE.replacen(what, other, 1);
        assert_ne!(odd, THREE, "{what}");
        assert!(merge(&wat::parse_str(&odd).unwrap()).is_none(), "{what} → {other}");
    }
}

#[test]
fn an_export_that_something_needs_stays() {
    let plain = r#"(component (instance $i) (export $e "isthmus:policy/lifecycle@1.0.0" (instance $i)))"#;
    assert!(slim(&wat::parse_str(plain).unwrap()).is_some());
    for more in [r#"(export "again" (instance $e))"#, r#"(instance (export "it" (instance $e)))"#] {
        let needed = plain.replace("(instance $i)))", &format!("(instance $i)) {more})"));
        assert!(slim(&wat::parse_str(&needed).unwrap()).is_none(), "{more}");
    }
}

#[test]
fn a_trace_names_the_same_functions() {
    let trace = |wasm: &[u8]| {
        let mut live = started(wasm);
        let error = (0..9).find_map(|_| live.try_next().err()).unwrap();
        let trace = error.downcast_ref::<wasmtime::WasmBacktrace>().unwrap();
        trace.frames().iter().map(|frame| frame.func_name().map(str::to_owned)).collect::<Vec<_>>()
    };
    let thick = snapshot();
    assert_eq!(trace(&slim(&thick).unwrap()), trace(&thick));
    assert_eq!(trace(&thick), [Some("sum".to_owned()), Some("next".to_owned())]);
}

/// A shipped plugin as a snapshot, though `init` did nothing.
fn shipped(plugin: &str) -> Vec<u8> {
    let sandbox = Sandbox::shared().unwrap();
    let wasm = std::fs::read(crate::clockless::built(plugin)).unwrap();
    let instrumented = Instrumented::new(&wasm).unwrap();
    let component = sandbox.compile(&instrumented.wasm).unwrap();
    let mut store = store(sandbox);
    store.set_epoch_deadline(1);
    let instance = sandbox.linker.instantiate(&mut store, &component).unwrap();
    store.data_mut().lend_memory(1 << 20);
    store.set_hostcall_fuel(1 << 30);
    instrumented.snapshot(&mut store, instance).unwrap()
}

#[test]
fn what_is_shipped_has_no_instance_too_many() {
    for (plugin, instances) in
        [("access-list", 2), ("content-filter", 2), ("rate-guard", 2), ("dlp-cn", 1), ("audit-redact", 1)]
    {
        let snapshot = shipped(plugin);
        let thin = slim(&snapshot).unwrap();
        let (before, after) = (inspect(&snapshot).unwrap(), inspect(&thin).unwrap());
        assert_eq!((after.core_instances, after.lifecycle), (instances, false), "{plugin}");
        assert_eq!((before.names, before.access, before.content), (after.names, after.access, after.content));
        Sandbox::shared().unwrap().compile(&thin).unwrap();
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let whole = wat::parse_str(THREE).unwrap();
    (0..whole.len()).for_each(|end| drop(slim(&whole[..end])));
    for at in 0..whole.len() {
        for bit in [0, 1, 2, 4, 7] {
            let mut other = whole.clone();
            other[at] ^= 1 << bit;
            drop(slim(&other));
        }
    }
}
