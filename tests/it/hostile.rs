//! Plugins that loop, grow, trap, answer too much, call for ever (design §2): each is stopped within its limits, its failure mode
//! holds, and nobody else notices.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use isthmus_tests::{Client, Role, Site, World, bundle, chat, text_message};

/// With a time limit of 10 ms for each call; the rest is what a crowded machine takes.
const QUICK: Duration = Duration::from_secs(5);
const LIMITS: &str = "grants = [\"log\", \"lists\"]\n[plugin.limits]\ntime_ms = 10\n";
/// Lets the access hook fail open, so that it is the content hook's failure that shows.
const ACCESS_OPEN: &str = "[plugin.failure.access]\ninbound = \"open\"\noutbound = \"open\"\ninternal = \"open\"\n";

fn bundles(world: &World, plugin: &str) -> [PathBuf; 2] {
    let closed = bundle::with_hostile(world.folder(&format!("{plugin}-closed")), plugin, LIMITS);
    let open = bundle::with_hostile(world.folder(&format!("{plugin}-open")), plugin, &format!("{LIMITS}{ACCESS_OPEN}"));
    [closed, open]
}

async fn within<T>(what: &str, doing: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = doing.await;
    assert!(began.elapsed() < QUICK, "{what} took {:?}", began.elapsed());
    done
}

/// The step of the plugin in the newest record of a message has a fault.
async fn blamed(site: &Site, plugin: &str) {
    let records = site.audit("operation=message.send").await;
    let steps = records[0]["steps"].as_array().unwrap();
    let blamed = steps.iter().any(|step| step["plugin"] == plugin && step["fault"].is_string());
    assert!(blamed, "{plugin} is not blamed in {}", records[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_plugin_is_stopped_and_its_failure_mode_holds_and_no_other_server_notices() {
    let world = World::two().await;
    let (north, south) = (world.north(), world.south());
    let (alice, bob) = (north.user("alice").await, north.user("bob").await);
    let (carol, dave) = (south.user("carol").await, south.user("dave").await);
    let west = world.enrolled_peer("west").await;
    let good = north.generation().await;
    let mut held = 0;
    for plugin in ["loops", "grows", "traps", "huge-output", "calls-host"] {
        let [closed, open] = bundles(&world, plugin);
        north.activate(&closed).await;
        let inbound = |id: &str| text_message("walter@west", &alice.id, &format!("{plugin}-{id}"), "hello");
        let (out, local, inward, elsewhere) = tokio::join!(
            within(plugin, alice.try_send(&carol.id, "to south")),
            within(plugin, alice.try_send(&bob.id, "to bob")),
            within(plugin, async { chat(&west, north, &inbound("denied")).await }),
            within("south, which has another policy", dave.send(&carol.id, plugin)),
        );
        assert_eq!(out.unwrap_err().code, 1102, "{plugin}: a failed access plugin denies");
        assert_eq!(local.unwrap_err().code, 1102, "{plugin}");
        assert_eq!(inward.1, 1102, "{plugin}: {}", inward.2);
        assert_eq!(elsewhere.state, "kept");
        blamed(north, plugin).await;

        north.activate(&open).await;
        let out = within(plugin, alice.send(&carol.id, "to south")).await;
        assert_eq!(out.state, "held", "{plugin}: a failed content plugin holds");
        let message = inbound("held");
        let inward = within(plugin, chat(&west, north, &message)).await;
        assert_eq!(inward.1, 0, "{plugin}: kept, in quarantine: {}", inward.2);
        blamed(north, plugin).await;
        held += 2;
        assert_eq!(north.held().await.len(), held);

        assert!(north.rollback(good).await > good);
        let flows = within("after the rollback", alice.send(&carol.id, plugin)).await;
        assert_eq!(alice.receipt(&flows).await.0, "delivered");
    }
    assert!(alice.texts().await.is_empty() && bob.texts().await.is_empty());
    assert_eq!(carol.texts().await.len(), 10, "one from dave and one from alice for each plugin");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_loops_under_load_leaves_the_rest_of_its_own_server_awake() {
    let world = World::one().await;
    let north = world.north();
    let alice = north.user("alice").await;
    let [closed, _] = bundles(&world, "loops");
    let good = north.generation().await;
    north.activate(&closed).await;
    let busy = async {
        let sends = (0..60).map(|number| {
            let alice: Client = alice.clone();
            async move { alice.try_send("alice@north", &format!("message {number}")).await }
        });
        futures_util::future::join_all(sends).await
    };
    let awake = async {
        for _ in 0..20 {
            within("the status", north.admin(Role::System).get("/admin/v1/status")).await.unwrap();
            within("an inbox", alice.api.get("/client/v1/inbox?after=0")).await.unwrap();
        }
    };
    let (answers, ()) = tokio::join!(busy, awake);
    for answer in answers {
        let code = answer.unwrap_err().code;
        assert!(code == 1102 || code == 1302, "denied by its failure mode, or told to come back: {code}");
    }
    north.rollback(good).await;
    within("after the rollback", alice.send("alice@north", "awake")).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_does_not_come_out_of_its_init_is_never_activated() {
    let world = World::one().await;
    let north = world.north();
    let alice = north.user("alice").await;
    let before = north.generation().await;
    let limits = "grants = []\n[plugin.limits]\ninit_ms = 300\n";
    let folder = bundle::with_hostile(world.folder("init-hangs"), "init-hangs", limits);
    let error = north.try_activate(&folder).await.unwrap_err().to_string();
    assert!(error.contains("hostile.wasm: plugin `init-hangs`"), "the diagnostic says whose fault it is: {error}");
    assert!(error.contains("init_ms") && error.contains("300"), "and which limit ended it: {error}");
    assert_eq!(north.generation().await, before);
    alice.send("alice@north", "unharmed").await;
    world.finish().await;
}
