//! The clock behind the plugins' time limits dies in a real server: nothing is judged without it, everybody can see it, and it comes
//! back by itself.

use isthmus_tests::frozen::Frozen;
use isthmus_tests::process::Child;
use isthmus_tests::{Client, FakePeer, Reply, Role, World, until};
use serde_json::json;

/// The thread that ticks, and the one that watches it.
const TICKER: &str = "isthmus-epoch";
const WATCHDOG: &str = "isthmus-epoch-w";

/// One plugin: where it fails, nobody writes inside, and what goes out goes out.
const BUNDLE: &str = "name = \"modes\"\n[defaults]\naccess = \"allow\"\n[[plugin]]\nname = \"peers\"\n\
    component = \"builtin:access-list\"\ngrants = [\"lists\", \"directory\"]\n\
    [plugin.failure]\ninternal = \"closed\"\noutbound = \"open\"\n";

async fn user(child: &Child, local: &str) -> Client {
    child.create_user(local).await;
    Client::log_in(&child.api(), local).await.unwrap()
}

async fn activate(child: &Child, dir: &std::path::Path) {
    std::fs::write(dir.join("policy.toml"), BUNDLE).unwrap();
    let body = json!({"dir": dir, "why": "a test"});
    child.admin(Role::Security).post("/admin/v1/policy/activate", &body).await.unwrap();
}

#[allow(clippy::print_stdout, reason = "cargo shows it to whoever asks")]
fn say(words: &str) {
    println!("{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_clock_is_dead_says_503_lets_through_what_fails_open_alone_and_recovers_by_itself() {
    let world = World::plan().start().await;
    let north = world.child("north").await;
    let west = FakePeer::start(&world, "west", |_| Reply::Code(0)).await;
    activate(&north, &world.folder("modes")).await;
    let (alice, bob) = (user(&north, "alice").await, user(&north, "bob").await);
    alice.send(&bob.id, "before").await;
    alice.send("walter@west", "before").await;

    let frozen = tokio::task::block_in_place(|| Frozen::threads(north.pid(), &[TICKER, WATCHDOG]));
    if let Some(mut frozen) = frozen {
        let dead =
            until("the server is not ready", async || north.readiness().await.filter(|(status, _)| *status != 200));
        let (status, body) = dead.await;
        assert_eq!((status, &body["ready"]), (503, &json!(false)), "{body}");
        assert!(body["why"].as_str().unwrap().contains("the clock of the plugins' time limits has stopped"), "{body}");
        assert!(north.metrics().await.contains("isthmus_policy_clock_ticking 0"));
        assert_eq!(alice.try_send(&bob.id, "meanwhile").await.unwrap_err().code, 1102);
        alice.send("walter@west", "meanwhile").await;
        until("what fails open has arrived", async || (west.texts().len() == 2).then_some(())).await;

        frozen.thaw(WATCHDOG);
        until("the clock ticks again", async || north.ready().await.then_some(())).await;
        alice.send(&bob.id, "after").await;
        assert_eq!(bob.texts().await, ["before", "after"]);
        let metrics = north.metrics().await;
        assert!(metrics.contains("isthmus_policy_clock_ticking 1"), "{metrics}");
        assert!(!metrics.contains("isthmus_policy_clock_restarts_total 0"), "{metrics}");
        assert!(metrics.contains(r#"isthmus_policy_faults_total{plugin="peers",fault="clock"}"#), "{metrics}");
        assert!(north.log().contains("the clock of the policy time limits had stopped; started anew"));
    } else {
        say("not tried: this machine lets nobody stop another's thread");
    }
    north.stop().await;
    west.stop().await;
    world.finish().await;
}
