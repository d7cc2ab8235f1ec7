//! Plugins of a few lines, assembled where a test needs them.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What a guest answers is what its capability told it: `allow` (or `pass`) for yes, `abstain` (or `rewrite`) for no.
pub(crate) struct Guest {
    /// Capabilities that it imports.
    pub(crate) imports: &'static [&'static str],
    /// Core functions that it imports: interface, function, signature.
    pub(crate) functions: &'static [(&'static str, &'static str, &'static str)],
    /// What it does in `init`; nothing as a rule.
    pub(crate) init: &'static str,
    /// Body of the hook: leaves an i32, 1 for yes, 0 for no.
    pub(crate) hook: &'static str,
    /// `access` or `content`.
    pub(crate) kind: &'static str,
}

/// `alice`, `carol`, `list`, `key` lie in its memory from here on, eight bytes each.
const DATA: &str = r#"(data (i32.const 64) "alice\00\00\00carol\00\00\00list\00\00\00\00key\00\00\00\00\00")"#;

impl Guest {
    /// The component.
    pub(crate) fn build(&self) -> Vec<u8> {
        encode(&self.module(), self.imports, self.kind)
    }

    fn module(&self) -> String {
        let import = |(interface, name, signature): &(&str, &str, &str)| {
            let own = match *name {
                "[method]body.size" => "size",
                "[resource-drop]body" => "drop",
                plain => plain,
            };
            format!(r#"(import "isthmus:policy/{interface}@1.0.0" "{name}" (func ${own} {signature}))"#)
        };
        let imports: String = self.functions.iter().map(import).collect();
        let (init, hook) = (self.init, self.hook);
        let answer = match self.kind {
            // decision: 0 allow, 2 abstain.
            "access" => {
                r#"(func (export "isthmus:policy/access-hook@1.0.0#decide") (param i32) (result i32)
                    (i32.store8 (i32.const 512) (select (i32.const 0) (i32.const 2) (call $asked (local.get 0))))
                    (i32.const 512))"#
            }
            // judgement: verdict 0 pass, 2 rewrite to `key`; no labels.
            _ => {
                r#"(func (export "isthmus:policy/content-hook@1.0.0#judge") (param i32) (result i32)
                    (i32.store8 (i32.const 512) (select (i32.const 0) (i32.const 2) (call $asked (local.get 0))))
                    (i32.store (i32.const 516) (i32.const 88))
                    (i32.store (i32.const 520) (i32.const 3))
                    (i32.const 512))"#
            }
        };
        format!(
            r#"(module
                {imports}
                (memory (export "memory") 16)
                {DATA}
                (global $top (mut i32) (i32.const 4096))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
                    (global.get $top)
                    (global.set $top (i32.add (global.get $top) (local.get 3))))
                (func $asked (param $call i32) (result i32) {hook})
                (func (export "isthmus:policy/lifecycle@1.0.0#settings-schema") (result i32) (i32.const 256))
                (func (export "isthmus:policy/lifecycle@1.0.0#validate-settings") (param i32 i32) (result i32)
                    (i32.const 256))
                (func (export "isthmus:policy/lifecycle@1.0.0#init") (param i32 i32) (result i32) {init} (i32.const 256))
                {answer}
            )"#
        )
    }
}

/// A component of a core module as it is written, whatever that does; `kind` as in [`Guest`], or several with `+`.
pub(crate) fn encode(module: &str, imports: &[&str], kind: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/1.0.0")).unwrap();
    encode_with(resolve, module, imports, kind)
}

/// The same against another idea of what the interface is.
pub(crate) fn encode_with(mut resolve: Resolve, module: &str, imports: &[&str], kind: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).unwrap();
    let imports: String = imports.iter().map(|name| format!("import isthmus:policy/{name}@1.0.0;\n")).collect();
    let hooks = kind.split('+').flat_map(|kind| match kind {
        "packed-access alone" => vec!["packed-access-hook".to_owned()],
        "packed-access" => vec!["packed-access-hook".to_owned(), "packed-access-reason".to_owned()],
        kind => vec![format!("{kind}-hook")],
    });
    let exports = hooks.chain(["lifecycle".to_owned()]).map(|name| format!("export isthmus:policy/{name}@1.0.0;\n"));
    let exports: String = exports.collect();
    let world = format!("package test:guest;\nworld guest {{\n{imports}{exports}}}\n");
    let package = resolve.push_str("guest.wit", &world).unwrap();
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().validate(false).module(&module).unwrap().encode().unwrap()
}

/// `lists::contains("list", "alice")`.
pub(crate) const IN_LIST: &str = "(call $contains (i32.const 80) (i32.const 4) (i32.const 64) (i32.const 5))";

pub(crate) const CONTAINS: (&str, &str, &str) = ("lists", "contains", "(param i32 i32 i32 i32) (result i32)");

/// Asks the host's list in each call.
pub(crate) fn asks_list() -> Vec<u8> {
    Guest { imports: &["lists"], functions: &[CONTAINS], init: "", hook: IN_LIST, kind: "access" }.build()
}

/// Asks the host's list once, in `init`.
pub(crate) fn copies_list() -> Vec<u8> {
    let init = "(i32.store (i32.const 700) \
                (call $contains (i32.const 80) (i32.const 4) (i32.const 64) (i32.const 5)))";
    let hook = "(i32.load (i32.const 700))";
    Guest { imports: &["lists"], functions: &[CONTAINS], init, hook, kind: "access" }.build()
}

/// For every capability a guest that uses it, in its hook.
pub(crate) fn of_capability(capability: &str) -> Vec<u8> {
    let (function, hook, kind) = match capability {
        "log" => (
            ("log", "write", "(param i32 i32 i32)"),
            "(call $write (i32.const 1) (i32.const 64) (i32.const 5)) (i32.const 1)",
            "access",
        ),
        "clock" => {
            (("clock", "now-ms", "(result i64)"), "(i64.gt_u (call $now-ms) (i64.const 1000000000000))", "access")
        }
        // The first character of the settings: they are a table.
        "settings" => (
            ("settings", "read", "(param i32)"),
            "(call $read (i32.const 600)) (i32.eq (i32.load8_u (i32.load (i32.const 600))) (i32.const 123))",
            "access",
        ),
        "lists" => (CONTAINS, IN_LIST, "access"),
        // `some(true)`.
        "directory" => (
            ("directory", "is-friend", "(param i32 i32 i32 i32 i32)"),
            "(call $is-friend (i32.const 64) (i32.const 5) (i32.const 72) (i32.const 5) (i32.const 600)) \
             (i32.eq (i32.load16_u (i32.const 600)) (i32.const 257))",
            "access",
        ),
        "counters" => (
            ("counters", "add", "(param i32 i32 i32 i32) (result i64)"),
            "(i64.eq (call $add (i32.const 88) (i32.const 3) (i32.const 1) (i32.const 60000)) (i64.const 1))",
            "access",
        ),
        "metrics" => (
            ("metrics", "count", "(param i32 i32 i64)"),
            "(call $count (i32.const 88) (i32.const 3) (i64.const 7)) (i32.const 1)",
            "access",
        ),
        "message" => return reads_body(),
        other => panic!("no capability {other}"),
    };
    let import: &'static str = capability.to_owned().leak();
    Guest { imports: vec![import].leak(), functions: vec![function].leak(), init: "", hook, kind }.build()
}

/// Whether a body is lent to it, and is of five bytes. The handle lies behind the call (72 bytes) and the item (24).
fn reads_body() -> Vec<u8> {
    let hook = r#"(local $yes i32)
        (if (i32.load8_u offset=96 (local.get $call))
            (then
                (local.set $yes (i64.eq (call $size (i32.load offset=100 (local.get $call))) (i64.const 5)))
                (call $drop (i32.load offset=100 (local.get $call)))))
        (local.get $yes)"#;
    let functions: &[(&str, &str, &str)] = &[
        ("message", "[method]body.size", "(param i32) (result i64)"),
        ("message", "[resource-drop]body", "(param i32)"),
    ];
    Guest { imports: &["message"], functions, init: "", hook, kind: "content" }.build()
}
