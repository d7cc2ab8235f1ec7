//! The chain that is measured: access with 1,000 entries, content with 1,000 keywords over 200 bytes, audit with redaction.
#![allow(dead_code, reason = "each bench uses its part")]

use std::collections::HashSet;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex};

use aho_corasick::AhoCorasick;
use isthmus_policy::{Call, Direction, Event, Item, Policy, Services, Verdict};

use super::support::{House, OPEN, call, event, guest, text};

const TEXT_BYTES: usize = 200;

pub(crate) fn manifest(reuse: bool) -> String {
    format!(
        "name = \"bench\"\n[defaults]\naccess = \"allow\"\n\
         [[plugin]]\nname = \"peers\"\ncomponent = \"builtin:access-list\"\ngrants = [\"lists\", \"directory\"]\nreuse = {reuse}\n\
         [plugin.settings]\nblack_list = \"servers\"\n\
         [[plugin]]\nname = \"words\"\ncomponent = \"builtin:content-filter\"\ngrants = [\"lists\"]\nreuse = {reuse}\n\
         [[plugin.settings.keywords]]\nlist = \"words\"\naction = \"reject\"\n\
         [[plugin]]\nname = \"redact\"\ncomponent = \"builtin:audit-redact\"\nreuse = {reuse}\n\
         [[plugin.settings.events]]\noperations = [\"message.*\"]\nfields = {{ text = \"drop\", actor = \"hash\" }}\n"
    )
}

fn words(count: u32) -> Vec<String> {
    (0..count).map(|i| format!("{:x}", spread(i))).collect()
}

/// Words that share no long prefix, as real ones do not.
fn spread(i: u32) -> u32 {
    i.wrapping_mul(2_654_435_761) | 0x8000_0000
}

pub(crate) fn bundle(house: &House, name: &str, manifest: &str) -> PathBuf {
    let servers: String = (0..1_000).map(|i| format!("server-{i}\n")).collect();
    let words = words(1_000).join("\n");
    house.bundle(name, &[("policy.toml", manifest), ("lists/servers.txt", &servers), ("lists/words.txt", &words)])
}

pub(crate) fn policy_of(house: &House, manifest: &str) -> Policy {
    let policy = house.open();
    policy.activate(&bundle(house, "bench", manifest), "bench", "bench").unwrap();
    policy
}

pub(crate) fn policy(house: &House, reuse: bool) -> Policy {
    policy_of(house, &manifest(reuse))
}

/// A plugin that allows everything and does nothing: what is left is what any plugin costs.
const NOTHING: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
    (func (export "isthmus:policy/lifecycle@1.0.0#settings-schema") (result i32) (i32.const 256))
    (func (export "isthmus:policy/lifecycle@1.0.0#validate-settings") (param i32 i32) (result i32) (i32.const 256))
    (func (export "isthmus:policy/lifecycle@1.0.0#init") (param i32 i32) (result i32) (i32.const 256))
    (func (export "isthmus:policy/packed-access-hook@1.0.0#decide")
        (param i32 i32 i32 i64 i32 i32) (result i32) (i32.const 0))
    (func (export "isthmus:policy/packed-access-reason@1.0.0#why") (result i32) (i32.const 256)))"#;

/// Only such a plugin.
pub(crate) fn nothing(house: &House, reuse: bool) -> Policy {
    let policy = house.open();
    let plugin = "[[plugin]]\nname = \"nothing\"\ncomponent = \"it.wasm\"";
    let manifest = format!("{OPEN}{plugin}\nreuse = {reuse}\n");
    let bundle = house.bundle("nothing", &[("policy.toml", &manifest)]);
    std::fs::write(bundle.join("it.wasm"), guest::encode(NOTHING, &[], "packed-access")).unwrap();
    policy.activate(&bundle, "bench", "bench").unwrap();
    policy
}

/// Five plugins and lists of 100,000 entries together.
pub(crate) fn large(house: &House) -> PathBuf {
    let more = "[[plugin]]\nname = \"numbers\"\ncomponent = \"builtin:dlp-cn\"\n\
                [[plugin]]\nname = \"rates\"\ncomponent = \"builtin:rate-guard\"\ngrants = [\"counters\", \"lists\"]\n\
                [[plugin.settings.limits]]\nper = [\"peer\"]\nrate = \"1000/minute\"\n";
    let limits = "[plugin.limits]\nmemory_mib = 64\n";
    let manifest =
        manifest(false).replace("black_list = \"servers\"\n", &format!("black_list = \"servers\"\n{limits}"));
    let servers: String = (0..90_000).map(|i| format!("server-{i}\n")).collect();
    let words = words(10_000).join("\n");
    let manifest = manifest + more;
    house.bundle("large", &[("policy.toml", &manifest), ("lists/servers.txt", &servers), ("lists/words.txt", &words)])
}

/// A message as the gate asks about it.
pub(crate) struct Message {
    pub(crate) call: Call,
    pub(crate) item: Item,
    pub(crate) event: Event,
}

impl Message {
    pub(crate) fn new() -> Self {
        let said = "the quick brown fox jumps over the lazy dog ".repeat(5)[..TEXT_BYTES].to_owned();
        let event = event(&[("text", &said), ("reason", "")]);
        Self { call: call(Direction::Inbound, "north"), item: text(&said), event }
    }

    pub(crate) fn judge(&self, policy: &Policy) {
        let session = policy.begin();
        let access = session.access(&self.call);
        let content = session.content(&self.call, &self.item);
        let audit = session.audit(&self.event);
        assert!(access.allowed && content.verdict == Verdict::Pass && audit.fields.len() == 1);
        black_box((access, content, audit));
    }
}

/// The same rules without a sandbox.
pub(crate) struct Native {
    servers: HashSet<String>,
    keywords: AhoCorasick,
}

impl Native {
    pub(crate) fn new() -> Self {
        let servers = (0..1_000).map(|i| format!("server-{i}")).collect();
        let keywords = AhoCorasick::builder().ascii_case_insensitive(true).build(words(1_000)).unwrap();
        Self { servers, keywords }
    }

    pub(crate) fn judge(&self, message: &Message) {
        let peer = message.call.peer.as_ref().map_or("", |peer| &peer.id);
        let denied = self.servers.contains(&peer.to_lowercase());
        let found = self.keywords.is_match(&message.item.text);
        let actor = blake3::keyed_hash(&[9; 32], message.event.call.actor.as_bytes());
        let fields: Vec<_> = message.event.fields.iter().filter(|(name, _)| name != "text").cloned().collect();
        black_box((denied, found, actor, fields));
    }
}

/// A directory in which whoever asks waits until all are there.
pub(crate) struct Waiting {
    all: usize,
    state: Mutex<(usize, usize)>,
    changed: Condvar,
}

impl Waiting {
    pub(crate) fn new(all: usize) -> Self {
        Self { all, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Until it is let go.
    pub(crate) fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        let round = state.1;
        while state.1 == round {
            state = self.changed.wait(state).unwrap();
        }
    }

    pub(crate) fn all_there(&self) {
        let mut state = self.state.lock().unwrap();
        while state.0 < self.all {
            state = self.changed.wait(state).unwrap();
        }
    }

    pub(crate) fn let_go(&self) {
        let mut state = self.state.lock().unwrap();
        *state = (0, state.1 + 1);
        self.changed.notify_all();
    }
}

impl Services for Waiting {
    fn is_friend(&self, _: &str, _: &str) -> Option<bool> {
        self.wait();
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
