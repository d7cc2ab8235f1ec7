//! Guests that no honest compiler makes: a core module with any of its parts replaced by something evil.

use super::guest::encode;

/// The parts of a module that answers `allow`. Memory from 512 on is the answer's.
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    pub(crate) imports: &'static [&'static str],
    /// Core imports, as text.
    pub(crate) functions: &'static str,
    /// Further fields of the module.
    pub(crate) fields: &'static str,
    pub(crate) memory: &'static str,
    /// Leaves a pointer; `(local.get 3)` is the size.
    pub(crate) realloc: &'static str,
    /// What `settings-schema` answers: a pointer to a pointer and a length.
    pub(crate) schema: &'static str,
    pub(crate) init: &'static str,
    /// Leaves a pointer to a decision.
    pub(crate) decide: &'static str,
    /// After the answer was read.
    pub(crate) after: &'static str,
}

pub(crate) const HONEST: Raw = Raw {
    imports: &[],
    functions: "",
    fields: "",
    memory: r#"(memory (export "memory") 2)"#,
    realloc: "(global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8))) \
              (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 3)))",
    schema: "(i32.const 256)",
    init: "",
    decide: "(i32.const 512)",
    after: "",
};

impl Raw {
    pub(crate) fn module(&self) -> String {
        let Self { functions, fields, memory, realloc, schema, init, decide, after, .. } = self;
        format!(
            r#"(module
                {functions}
                {memory}
                (data (i32.const 64) "alice\00\00\00carol\00\00\00list\00\00\00\00key\00\00\00\00\00\ff\fe\fd")
                (global $top (mut i32) (i32.const 4096))
                {fields}
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
                (func (export "isthmus:policy/lifecycle@1.0.0#settings-schema") (result i32) {schema})
                (func (export "isthmus:policy/lifecycle@1.0.0#validate-settings") (param i32 i32) (result i32)
                    (i32.const 256))
                (func (export "isthmus:policy/lifecycle@1.0.0#init") (param i32 i32) (result i32) {init} (i32.const 256))
                (func (export "isthmus:policy/access-hook@1.0.0#decide") (param i32) (result i32) {decide})
                (func (export "cabi_post_isthmus:policy/access-hook@1.0.0#decide") (param i32) {after})
            )"#
        )
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        encode(&self.module(), self.imports, "access")
    }
}
