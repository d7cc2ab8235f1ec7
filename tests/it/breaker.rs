//! A plugin that keeps failing is taken back with its generation, and everybody hears of it.

use isthmus_tests::{World, bundle, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_keeps_failing_is_taken_back_on_the_record() {
    let plan = World::plan().server("north").set("policy.breaker_faults", 5);
    let world = plan.start().await;
    let north = world.north();
    let (alice, bob) = (north.user("alice").await, north.user("bob").await);
    let good = north.generation().await;
    let bad = north.activate(&bundle::with_hostile(world.folder("bad"), "traps", "grants = [\"log\"]\n")).await;
    let mut refused = 0;
    until("the good generation is back", async || {
        refused += usize::from(alice.try_send(&bob.id, "hello").await.is_err());
        (north.generation().await > bad).then_some(())
    })
    .await;
    assert!(refused > 0, "it failed closed before");
    alice.send(&bob.id, "all is well").await;
    assert_eq!(bob.texts().await.last().map(String::as_str), Some("all is well"));
    let record = &north.audit("operation=policy.breaker").await[0];
    assert_eq!(
        (record["actor"].as_str(), record["target"].as_str()),
        (Some("breaker"), Some(bad.to_string().as_str()))
    );
    assert_eq!(record["fields"]["plugin"], "traps", "{record}");
    let (_, metrics) = north.admin_anonymous().fetch(http::Method::GET, "/metrics", None).await.unwrap();
    let metrics = String::from_utf8_lossy(&metrics).into_owned();
    assert!(metrics.contains("isthmus_policy_breaker_trips_total{plugin=\"traps\"} 1"), "{metrics}");
    let history = north.admin(isthmus_tests::Role::Audit).get("/admin/v1/policy/history").await.unwrap();
    let states: Vec<_> = history["history"].as_array().unwrap().iter().map(|h| h["state"].as_str().unwrap()).collect();
    assert_eq!(states[usize::try_from(bad).unwrap() - 1], "tripped", "{history}");
    assert!(history["history"].as_array().unwrap().last().unwrap()["restores"] == good);
    world.finish().await;
}
