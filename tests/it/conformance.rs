//! The conformance kit against our own server: every case that it has, in one run (chapters 5 to 7).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use isthmus_node::conformance::{self, CaseResult, Driver, IsthmusUsers, Lab, Pair, Report, Selection, Setup, State};
use isthmus_tests::world::free_port;
use isthmus_tests::{FakePeer, Reply, World, pki};

/// Cases whose calls this server does not carry out yet. To shrink to nothing.
const NOT_YET: &[&str] = &[];

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

fn pair(credentials: &(String, String)) -> Pair {
    Pair::from_pem("a test's", &credentials.1, &credentials.0).unwrap()
}

/// The kit at north, and the second server that some cases need.
async fn lab(world: &World) -> (Lab, FakePeer) {
    let north = world.north();
    let (alice, bob) = (north.user("alice").await.id, north.user("bob").await.id);
    let listen = listen();
    let own = world.enroll_pem("kit", &format!("https://{listen}")).await;
    let second = FakePeer::start(world, "second", |_| Reply::Code(0)).await;
    let gone = world.enroll_pem("gone", "https://127.0.0.1:1").await;
    world.change_standing("gone", "deregister").await;
    let users = [("alice", &alice), ("bob", &bob)];
    let users = users.map(|(local, id)| (id.clone(), isthmus_tests::client::password_of(local)));
    let driver = IsthmusUsers::log_in(&north.running().client, &north.running().ca, &users).await.unwrap();
    let setup = Setup {
        target: Some(north.running().interconnect.clone()),
        users: Some((alice, bob)),
        group: None,
        ca: std::fs::read_to_string(world.platform().ca_pem()).unwrap(),
        own: pair(&own),
        own_id: None,
        second: Some(pair(&second.identity)),
        expired: Some(pair(&pki::issued_pem(
            &world.ca(),
            "kit",
            SystemTime::now() - Duration::from_secs(3 * 86_400),
            2,
        ))),
        unregistered: Some(pair(&pki::issued_pem(&world.ca(), "ghost", SystemTime::now(), 30))),
        deregistered: Some(pair(&gone)),
        platform: Some(world.platform().api_url()),
        may_apply: true,
        listen: Some(listen),
        driver: Some(Driver::Isthmus(driver)),
        patience: Duration::from_secs(20),
        silence: Duration::from_secs(3),
    };
    (Lab::open(setup).await.unwrap(), second)
}

fn failures(report: &Report) -> Vec<&CaseResult> {
    let as_known = |case: &&CaseResult| NOT_YET.contains(&case.name.as_str()) == (case.state == State::Passed);
    report.cases.iter().filter(as_known).collect()
}

/// `ISTHMUS_CASES=message,7.6` tries some cases alone.
#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_the_kit_holds_for_our_own_server_and_platform() {
    // A mirror that is to notice a gap within the test's time.
    let world = World::plan().server("north").set("delivery.compare_s", 2).start().await;
    let (lab, second) = lab(&world).await;
    let only = std::env::var("ISTHMUS_CASES").unwrap_or_default();
    let only: Vec<String> = only.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let report = conformance::run(&lab, &Selection { only, levels: Vec::new() }, |_| ()).await;
    let wrong: Vec<String> =
        failures(&report).iter().map(|case| format!("{} {:?}", case.line(), case.complaints)).collect();
    assert!(wrong.is_empty(), "not as listed:\n{}", wrong.join("\n"));
    // What still goes to the kit's servers is let through before they end.
    world.lanes_empty().await;
    drop(lab);
    second.stop().await;
    world.finish().await;
}

#[test]
fn the_list_of_what_is_not_there_yet_names_cases_that_there_are() {
    let all: BTreeSet<String> = conformance::all().iter().map(|case| case.name.to_string()).collect();
    for name in NOT_YET {
        assert!(all.contains(*name), "{name}");
    }
}
