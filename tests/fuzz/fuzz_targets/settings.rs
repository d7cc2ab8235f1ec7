//! Settings of any shape against a schema of any shape: mistakes, or what is wrong with the schema; never a panic, never
//! without end.

#![no_main]
#![allow(dead_code, reason = "the reader's neighbours are not all here")]

use libfuzzer_sys::fuzz_target;

mod bundle {
    pub(crate) mod table {
        pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
            known.iter().copied().find(|known| known.starts_with(word))
        }
    }
}

#[path = "../../../host/policy/src/schema.rs"]
mod schema;

fuzz_target!(|text: &str| {
    let (schema, settings) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(settings) = serde_json::from_str(settings) else { return };
    if let Err(said) = schema::mistakes(schema, &settings) {
        assert!(!said.is_empty(), "refused without a word");
    }
});
