//! A chat request (§7.4.2) of any bytes: an answer or a refusal, never a panic, and what was
//! understood is written so that it is understood the same way again.

#![no_main]

use isthmus_wire::call::message::Send;
use isthmus_wire::json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = json::read::<Send>(bytes) {
        let written = json::write(&read);
        assert_eq!(json::read::<Send>(&written).as_ref(), Ok(&read), "{}", String::from_utf8_lossy(&written));
    }
});
