//! A plugin of any bytes: what it is from outside or a sentence about what is wrong with it, never a panic, before the
//! engine sees any of it.

#![no_main]
#![allow(dead_code, reason = "the reader's neighbours are not all here")]

use libfuzzer_sys::fuzz_target;

#[path = "../../../host/policy/src/sandbox"]
mod sandbox {
    pub(crate) mod inspect;

    pub(crate) mod wasi {
        pub(crate) fn imported(name: &str) -> Option<bool> {
            name.strip_prefix("wasi:").map(|rest| rest.contains("@0.2."))
        }
    }
}

fuzz_target!(|bytes: &[u8]| match sandbox::inspect::inspect(bytes) {
    Ok(anatomy) => {
        let all = anatomy.grants();
        let none = anatomy.objections(&[]);
        assert!(anatomy.objections(&all).len() <= none.len(), "a grant makes it no worse");
        assert!(!anatomy.hooks().is_empty() || !none.is_empty(), "without a hook it is no plugin");
    }
    Err(said) => assert!(!said.is_empty(), "refused without a word"),
});
