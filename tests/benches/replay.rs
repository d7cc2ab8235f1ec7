//! Replay: recorded decisions with their texts before a candidate (policy as a product: 100,000 in under 30 s).
//!
//! `cargo bench -p isthmus-tests --bench replay` fills a server's audit log by the store's own functions, lets the server judge it
//! anew by the admin interface, and says whether the bound held; `cargo bench … -- 1000000` takes another number. Without `--bench`
//! (the gate) a few hundred are judged, and no bound is looked at. What comes of it is compared either way.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench that cannot start shall say so, and prints what it measures"
)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use isthmus_domain::{AuditRecord, TimeId};
use isthmus_node::clock;
use isthmus_store::{Options, Store, StoreError};
use isthmus_tests::{Role, Site, World, until};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Decisions of one transaction.
const BATCH: u64 = 500;
/// Bytes of a text.
const TEXT: usize = 200;
/// The first decision's time.
const BEGAN_MS: u64 = 1_780_000_000_000;
/// One in so many is from a server on the candidate's list …
const DENIED: u64 = 20;
/// … and one in so many holds one of its keywords.
const REJECTED: u64 = 10;
/// So many are to be judged in less than …
const MANY: u64 = 100_000;
const BOUND: Duration = Duration::from_secs(30);

fn main() {
    let measured = std::env::args().any(|arg| arg == "--bench");
    let asked = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let many: u64 = asked.unwrap_or(if measured { MANY } else { 400 });
    let took = Runtime::new().unwrap().block_on(replayed(many));
    let each = took / u32::try_from(many).unwrap();
    println!("{many} decisions replayed: {took:.2?}, {each:.1?} each");
    if measured {
        let held = took < BOUND || many > MANY;
        println!("{MANY} in less than {BOUND:?}: {}", if held { "held" } else { "NOT HELD" });
        assert!(held, "a bound was not held");
    }
}

async fn replayed(many: u64) -> Duration {
    let mut world = World::one().await;
    let candidate = candidate(world.folder("candidate"));
    let north = world.site_mut("north");
    north.stop().await;
    let began = Instant::now();
    record(north, many);
    println!("{many} decisions written: {:.2?}", began.elapsed());
    north.start().await;
    signed(north).await;
    let security = north.admin(Role::Security);
    security.post("/admin/v1/policy/check", &json!({"dir": candidate})).await.unwrap();
    let path = "/admin/v1/policy/replay";
    let began = Instant::now();
    let ask = json!({"dir": candidate, "limit": 10 * many, "to_ms": BEGAN_MS + many});
    security.post(path, &ask).await.unwrap();
    let view = loop {
        let view = security.get(path).await.unwrap();
        if view["running"] == false {
            break view;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let took = began.elapsed();
    agrees(&view, many);
    world.finish().await;
    took
}

/// A list of 1,000 servers, 1,000 keywords, records redacted; every plugin in a fresh instance for every call.
fn candidate(folder: PathBuf) -> PathBuf {
    let manifest = "name = \"candidate\"\n[defaults]\naccess = \"allow\"\n\
        [[plugin]]\nname = \"peers\"\ncomponent = \"builtin:access-list\"\ngrants = [\"lists\", \"directory\"]\n\
        [plugin.settings]\nblack_list = \"servers\"\n\
        [[plugin]]\nname = \"words\"\ncomponent = \"builtin:content-filter\"\ngrants = [\"lists\"]\n\
        [[plugin.settings.keywords]]\nlist = \"words\"\naction = \"reject\"\n\
        [[plugin]]\nname = \"redact\"\ncomponent = \"builtin:audit-redact\"\n\
        [[plugin.settings.events]]\noperations = [\"message.*\"]\nfields = { text = \"drop\", actor = \"hash\" }\n";
    let list = |entry: fn(u64) -> String| {
        (0..1_000).fold(String::new(), |mut all, n| {
            writeln!(all, "{}", entry(n)).unwrap();
            all
        })
    };
    std::fs::create_dir_all(folder.join("lists")).unwrap();
    std::fs::write(folder.join("policy.toml"), manifest).unwrap();
    std::fs::write(folder.join("lists/servers.txt"), list(|n| format!("server-{n}"))).unwrap();
    std::fs::write(folder.join("lists/words.txt"), list(keyword)).unwrap();
    folder
}

/// Words that share no long prefix, as real ones do not.
fn keyword(n: u64) -> String {
    format!("{:08x}", (n + 1).wrapping_mul(2_654_435_761) & 0xffff_ffff)
}

/// Writes decisions into a stopped server's log, as a policy that keeps texts leaves them.
fn record(site: &Site, many: u64) {
    let id = site.id.folded();
    let store =
        Store::open(&Options::new(&site.config.data_dir, &site.config.keyring, &id, &format!("{id}/isthmus"))).unwrap();
    for start in (0..many).step_by(usize::try_from(BATCH).unwrap()) {
        let records: Vec<_> = (start..many.min(start + BATCH)).map(decision).collect();
        let written = store.write_blocking(move |tx| {
            for record in records {
                tx.audit(record);
            }
            Ok::<_, StoreError>(())
        });
        written.unwrap();
    }
    store.close();
}

fn decision(n: u64) -> Vec<u8> {
    let at = BEGAN_MS + n;
    let peer = if n.is_multiple_of(DENIED) { format!("server-{}", n % 1_000) } else { "west".to_owned() };
    let text = match n % REJECTED {
        1 => format!("message {n} tells of {} and more. ", keyword(n % 1_000)),
        _ => format!("message {n} is well meant. "),
    };
    let text = format!("{text}{}", "the quick brown fox jumps over the lazy dog ".repeat(5));
    let record = AuditRecord::new(TimeId::mint(at, &mut clock::random), at, "message.send", "inbound");
    let record = record.actor(format!("walter{}@{peer}", n % 100)).target("alice@north").peer(peer).generation(1);
    let record = record.field("messageType", "text").field("messageID", format!("m-{n}")).field("text", &text[..TEXT]);
    record.to_json()
}

/// Waits until the log's records are in its files, as those of the past are.
async fn signed(site: &Site) {
    until("the log is signed", async || {
        let figures = site.admin(Role::System).get("/admin/v1/figures").await.unwrap();
        (figures["store"]["auditSize"] == figures["store"]["auditCheckpoint"]).then_some(())
    })
    .await;
}

/// All hooks were asked, about everything, and the report tells what each would have done.
fn agrees(view: &Value, many: u64) {
    let (report, comparison) = (&view["report"], &view["report"]["comparison"]);
    assert!(view["failed"].is_null() && report["decisions"] == many && report["access_only"] == 0, "{view}");
    let (denied, rejected) = (many / DENIED, many / REJECTED);
    let ways = comparison["disagreements"].as_array().unwrap();
    let found = |outcome: &str| ways.iter().find(|way| way["candidate"] == outcome).map(|way| way["count"].clone());
    assert_eq!((found("denied"), found("rejected")), (Some(json!(denied)), Some(json!(rejected))), "{comparison}");
    assert_eq!(comparison["disagreed"], denied + rejected);
    let asked = |name: &str| {
        let plugins = report["plugins"].as_array().unwrap();
        plugins.iter().find(|plugin| plugin["plugin"] == name).unwrap()["calls"].as_u64().unwrap()
    };
    assert_eq!([asked("peers"), asked("words"), asked("redact")], [many, many - denied, many]);
    let changes: Vec<_> =
        report["records"].as_array().unwrap().iter().map(|c| (&c["what"], &c["candidate"], &c["count"])).collect();
    assert_eq!(
        changes,
        [(&json!("actor"), &json!("hashed"), &json!(many)), (&json!("text"), &json!("left out"), &json!(many))]
    );
}
