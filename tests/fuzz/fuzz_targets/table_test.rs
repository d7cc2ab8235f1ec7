//! A table test of any text: cases or a sentence about what is wrong, never a panic, and every case
//! stands on a line that is there.

#![no_main]
#![allow(dead_code, reason = "the reader's neighbours are not all here")]

use libfuzzer_sys::fuzz_target;

#[path = "../../../host/policy/src/call.rs"]
mod call;

#[path = "../../../host/policy/src/bundle"]
mod bundle {
    pub(crate) mod diagnostic;
    pub(crate) mod table;

    pub(crate) const MANIFEST: &str = "policy.toml";
}

#[path = "../../../host/policy/src/trial"]
mod trial {
    pub(crate) mod cases;
    pub(crate) mod time;
}

fuzz_target!(|text: &str| {
    let lines = text.split('\n').count() as u32;
    let table = match trial::cases::read(text) {
        Ok(table) => table,
        Err(said) => {
            assert!(!said.to_string().is_empty(), "refused without a word");
            return assert!(said.line.is_none_or(|line| (1..=lines).contains(&line)), "{said} of {lines} lines");
        }
    };
    for case in &table.cases {
        let line = trial::cases::Table::line(text, case);
        assert!((1..=lines).contains(&line), "line {line} is beyond the {lines} lines");
        for step in case.steps() {
            let _ = step.item.map(|item| item.content());
        }
    }
});
