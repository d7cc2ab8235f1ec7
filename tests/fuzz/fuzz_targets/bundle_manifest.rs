//! A bundle's `policy.toml` of any text: a manifest or diagnostics, never a panic, and every
//! diagnostic names a line that is there.
//!
//! The reader is taken from its source files, with stand-ins for what it asks of the sandbox: the
//! whole policy crate would bring a compiler's worth of code into the instrumented build.

#![no_main]
#![allow(dead_code, reason = "the reader's neighbours are not all here")]

use libfuzzer_sys::fuzz_target;

#[path = "../../../host/policy/src/call.rs"]
mod call;

#[path = "../../../host/policy/src/bundle"]
mod bundle {
    pub(crate) mod diagnostic;
    pub(crate) mod manifest;
    pub(crate) mod table;

    pub(crate) const MANIFEST: &str = "policy.toml";
}

mod sandbox {
    pub(crate) mod engine {
        pub(crate) const MAX_MEMORY_MIB: u32 = 512;
    }
    pub(crate) mod inspect {
        pub(crate) const GRANTS: [&str; 3] = ["log", "clock", "lists"];
    }
    pub(crate) mod state {
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Limits {
            pub(crate) time_ms: u32,
            pub(crate) init_ms: u32,
            pub(crate) memory_mib: u32,
            pub(crate) output_kib: u32,
            pub(crate) host_calls: u32,
            pub(crate) log_lines: u32,
        }
    }
}

fuzz_target!(|text: &str| {
    let mut diagnostics = Vec::new();
    let manifest = bundle::manifest::read(text, &mut diagnostics);
    assert!(manifest.is_some() || !diagnostics.is_empty(), "refused without a word");
    let lines = text.split('\n').count();
    for diagnostic in &diagnostics {
        let line = diagnostic.line.unwrap_or(1) as usize;
        assert!((1..=lines).contains(&line), "{diagnostic} is beyond the {lines} lines");
    }
    for (index, _) in manifest.iter().flat_map(|manifest| &manifest.plugins).enumerate() {
        bundle::manifest::settings_diagnostic(text, index, "/a/0", true, String::new());
    }
});
