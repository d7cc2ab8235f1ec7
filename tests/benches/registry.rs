//! A platform with ten thousand servers, and how soon a suspension is felt (issue of the registry: R13, R16).
//!
//! `cargo bench -p isthmus-tests --bench registry` measures and says of each bound whether it held; it takes some minutes, for servers
//! that only poll do so twice a minute. `cargo bench … -- large`, `pushed` or `polled` measure a part. Without `--bench` (the
//! gate) everything is done once, small, and no bound is looked at.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench that cannot start shall say so, and prints what it measures"
)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http::Method;
use isthmus_domain::administrator::Role as Reviewer;
use isthmus_domain::registry::{self, Approve, Issued};
use isthmus_domain::{Error, Scene};
use isthmus_net::PeerAddress;
use isthmus_node::clock;
use isthmus_store::{Options, Store, Tx};
use isthmus_tests::{Peer, Role, World, text_message, world::DOMAIN};
use isthmus_wire::call::registry::Register;
use isthmus_wire::registry::{Ask, PATH};
use isthmus_wire::{ServerId, ServerInfo, ServerStatus};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const NODES: &str = "/sns/managernode/nodes";
/// A revocation list that nobody has made yet: none is asked for.
const NEWEST: u64 = 1 << 52;
/// Registrations of one transaction.
const BATCH: usize = 250;

/// How much of everything.
struct Size {
    servers: usize,
    queries: usize,
    pushed: usize,
    /// Servers that poll, and suspensions that each of them hears of.
    polling: usize,
    polled: usize,
    refresh_s: u64,
    measured: bool,
}

impl Size {
    fn of(measured: bool) -> Size {
        if measured {
            // As the configuration has it by default.
            return Size {
                servers: 10_000,
                queries: 5000,
                pushed: 200,
                polling: 8,
                polled: 4,
                refresh_s: 30,
                measured,
            };
        }
        Size { servers: 30, queries: 20, pushed: 1, polling: 1, polled: 1, refresh_s: 1, measured }
    }
}

/// Times, the shortest first.
struct Times(Vec<Duration>);

impl Times {
    fn of(mut times: Vec<Duration>) -> Times {
        times.sort_unstable();
        Times(times)
    }

    fn at(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent).div_ceil(100).clamp(1, self.0.len()) - 1]
    }

    fn show(&self, what: &str) {
        let [half, most, last] = [50, 99, 100].map(|percent| self.at(percent));
        println!("{what}: {} trials, p50 {half:.2?}, p99 {most:.2?}, max {last:.2?}", self.0.len());
    }
}

/// Says whether a bound held, and keeps whether all did.
struct Bounds {
    measured: bool,
    all: bool,
}

impl Bounds {
    fn look(&mut self, what: &str, took: Duration, bound: Duration) {
        if self.measured {
            let held = took < bound;
            self.all &= held;
            println!("  {what}: {took:.2?}, bound {bound:?}: {}", if held { "held" } else { "NOT HELD" });
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let size = Size::of(args.iter().any(|arg| arg == "--bench"));
    let named: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with("--")).collect();
    let wanted = |part: &str| named.is_empty() || named.contains(&part);
    let mut bounds = Bounds { measured: size.measured, all: true };
    let runtime = Runtime::new().unwrap();
    if wanted("large") {
        large(&runtime, &size, &mut bounds);
    }
    if wanted("pushed") {
        let times = runtime.block_on(pushed(&size));
        times.show("suspension felt where the platform pushes");
        bounds.look("the slowest", times.at(100), Duration::from_secs(5));
    }
    if wanted("polled") {
        let times = runtime.block_on(polled(&size));
        times.show("suspension felt where servers only poll");
        bounds.look("the slowest", times.at(100), Duration::from_secs(60));
    }
    assert!(bounds.all, "a bound was not held");
}

/// Start, queries by ID, a delta and the whole list, of a platform with many servers.
fn large(runtime: &Runtime, size: &Size, bounds: &mut Bounds) {
    let mut world = runtime.block_on(World::plan().start());
    let west = runtime.block_on(world.enrolled_peer("west"));
    let (_, chain) = runtime.block_on(world.enroll_pem("east", "https://127.0.0.1:9"));
    runtime.block_on(world.stop_platform());
    fill(&world, size.servers, &chain);
    let began = Instant::now();
    runtime.block_on(world.start_platform());
    let start = began.elapsed();
    println!("start with {} servers: {start:.2?}", size.servers);
    bounds.look("the start", start, Duration::from_secs(2));
    let platform = PeerAddress::platform(&world.platform().api_url()).unwrap();

    let times = runtime.block_on(query(&west, &platform, size));
    times.show("query by ID");
    bounds.look("p99", times.at(99), Duration::from_millis(5));

    let (whole, servers, pages, serial) = runtime.block_on(read_from(&west, &platform, 0));
    println!("the whole list: {servers} servers, {pages} answers, {} KiB, {:.2?}", whole.0 / 1024, whole.1);
    runtime.block_on(world.change_standing("s00001", "suspend"));
    let (delta, servers, _, _) = runtime.block_on(read_from(&west, &platform, serial));
    println!("what changed since: {servers} servers, {} bytes, {:.2?}", delta.0, delta.1);
    // West itself has not changed since, and a change of the lists has no server.
    assert_eq!(servers, 1, "a delta is what has changed and nothing else");
    runtime.block_on(world.finish());
}

/// Registers servers by the rules themselves, while the platform rests.
fn fill(world: &World, servers: usize, chain: &str) {
    let data = world.platform_data();
    let options = Options::new(&data, data.with_extension("keyring"), "platform", &format!("{DOMAIN}/platform"));
    let store = Store::open(&options).unwrap();
    let all: Vec<usize> = (0..servers).collect();
    for batch in all.chunks(BATCH).map(<[usize]>::to_vec) {
        let chain = chain.to_owned();
        let written = store.write_blocking(move |tx| batch.iter().try_for_each(|number| register(tx, *number, &chain)));
        assert!(written.is_ok(), "servers cannot be registered");
    }
    store.close();
}

fn register(tx: &mut Tx<'_>, number: usize, chain: &str) -> Result<(), Error> {
    let home = ServerId::parse("platform").unwrap();
    let now_ms = clock::now_ms();
    let mut scene = Scene { now_ms, random: &mut clock::random, home: &home };
    let server_info = ServerInfo {
        server_id: ServerId::parse(&format!("s{number:05}")).unwrap(),
        server_name: format!("Server number {number}"),
        server_address: format!("https://s{number:05}.example.org:7443"),
        server_status: ServerStatus::Normal,
        contact_name: "Ada".to_owned(),
        contact_email: "ada@example.org".to_owned(),
        contact_mobile: "008613800000000".to_owned(),
        server_type: None,
        area: Some("CN-BJ".to_owned()),
    };
    let asked = Register { server_info, owner_id: "owner".to_owned(), csr: "-----BEGIN".to_owned() };
    let application = registry::apply_register(tx, &mut scene, asked, [7; 32], b"{}".to_vec())?;
    let issued = Issued {
        chain: chain.to_owned(),
        serial: format!("{number:040x}"),
        not_after_ms: now_ms + 7 * 86_400_000,
        key_algorithm: "ecdsa-p256".to_owned(),
        signature_algorithm: "ecdsa-p256-sha256".to_owned(),
    };
    let approve = Approve {
        id: application.id,
        by: "bench".to_owned(),
        role: Reviewer::System,
        reason: None,
        reviewers: 1,
        issued: Some(issued),
    };
    registry::approve(tx, &scene, approve, b"{}".to_vec()).map(drop)
}

/// One after the other, over one connection, as a server asks that misses one.
async fn query(west: &Peer, platform: &PeerAddress, size: &Size) -> Times {
    let mut times = Vec::with_capacity(size.queries);
    for number in 0..size.queries {
        let id = format!("s{:05}", number * 7919 % size.servers);
        let body = json!({"ownerID": "west", "nodeIDs": [id]}).to_string();
        let began = Instant::now();
        let (status, answer) = west.call(platform, Method::POST, NODES, Bytes::from(body)).await.unwrap();
        times.push(began.elapsed());
        assert!(status == 200 && answer["serverInfos"][0]["serverId"] == id.as_str(), "{answer}");
    }
    Times::of(times)
}

/// All that has changed since a serial: bytes and time, servers, answers, the serial then.
async fn read_from(west: &Peer, platform: &PeerAddress, mut since: u64) -> ((usize, Duration), usize, usize, u64) {
    let (mut bytes, mut servers, mut pages) = (0, 0, 0);
    let began = Instant::now();
    loop {
        let path = format!("{PATH}?{}", Ask { since, wait: 0, list: NEWEST }.to_query());
        let (status, _, body) = west.fetch(platform, &path, &[]).await;
        let signed: Value = serde_json::from_slice(&body).unwrap();
        assert!(status == 200 && signed["code"] == 0, "{status} {signed}");
        let statement: Value = serde_json::from_str(signed["statement"].as_str().unwrap()).unwrap();
        bytes += body.len();
        servers += statement["servers"].as_array().unwrap().len();
        pages += 1;
        since = statement["serial"].as_u64().unwrap();
        if since >= statement["latest"].as_u64().unwrap() {
            return ((bytes, began.elapsed()), servers, pages, since);
        }
    }
}

async fn is_let_in(world: &World, server: &str, peer: &Peer) -> bool {
    let message = text_message("w@west", &format!("nobody@{server}"), "m-1", "hello").to_string();
    let answer = peer.call(&world.site(server).address(), Method::POST, "/sns/chat/", message).await;
    answer.is_ok_and(|(status, _)| status == 200)
}

/// From the administrator's request until a server lets nobody of west's in any more, or does again.
async fn felt(world: &World, server: &str, peer: &Peer, wanted: bool, began: Instant) -> Duration {
    loop {
        if is_let_in(world, server, peer).await == wanted {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(300), "{server} never heard of it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn pushed(size: &Size) -> Times {
    let world = World::plan().server("north").set("platform.refresh_s", 3600).start().await;
    let west = world.enrolled_peer("west").await;
    felt(&world, "north", &west, true, Instant::now()).await;
    let mut times = Vec::new();
    for _ in 0..size.pushed {
        for (change, in_again) in [("suspend", false), ("resume", true)] {
            let began = Instant::now();
            world.change_standing("west", change).await;
            let took = felt(&world, "north", &west, in_again, began).await;
            if !in_again {
                times.push(took);
            }
        }
    }
    world.platform_admin(Role::System).get("/admin/v1/status").await.unwrap();
    world.finish().await;
    Times::of(times)
}

async fn polled(size: &Size) -> Times {
    let names: Vec<String> = (0..size.polling).map(|number| format!("n{number}")).collect();
    let plan = names.iter().fold(World::plan(), |plan, name| {
        plan.server(name).set("platform.push", false).set("platform.refresh_s", size.refresh_s)
    });
    let world = plan.start().await;
    let west = world.enrolled_peer("west").await;
    let all = async |wanted: bool, began: Instant| {
        join_all(names.iter().map(|name| felt(&world, name, &west, wanted, began))).await
    };
    all(true, Instant::now()).await;
    let mut times = Vec::new();
    for _ in 0..size.polled {
        let began = Instant::now();
        world.change_standing("west", "suspend").await;
        times.extend(all(false, began).await);
        let began = Instant::now();
        world.change_standing("west", "resume").await;
        all(true, began).await;
    }
    world.finish().await;
    Times::of(times)
}
