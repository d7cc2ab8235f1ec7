//! Who decided this, and why (design §2, §5): every decision is in the audit log, under the message's ID.

use isthmus_node::client::ClientError;
use isthmus_tests::{Role, Site, World, bundle, chat, text_message, until};
use serde_json::{Value, json};

async fn explain(site: &Site, id: &str) -> Value {
    site.admin(Role::Security).get(&format!("/admin/v1/policy/explain/{id}")).await.unwrap()["decisions"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verdict_is_explained_by_generation_plugin_and_reason_on_both_servers() {
    let world = World::two().await;
    let (north, south) = (world.north(), world.south());
    let (alice, carol) = (north.user("alice").await, south.user("carol").await);
    let lists = [("mask", &["secret"][..]), ("reject", &["forbidden"][..]), ("hold", &["suspicious"][..])];
    let generation = south.activate(&bundle::shipped(world.folder("strict"), &lists)).await;
    let cases = [
        ("plain", "allowed", 0, "pass"),
        ("a secret", "rewritten", 0, "rewrite"),
        ("forbidden", "rejected", 1103, "reject"),
        ("suspicious", "held", 0, "hold"),
    ];
    for (text, outcome, code, verdict) in cases {
        let sent = alice.send(&carol.id, text).await;
        alice.receipt(&sent).await;
        let inbound = explain(south, &sent.id).await;
        assert_eq!((&inbound["outcome"], &inbound["code"]), (&json!(outcome), &json!(code)), "{text}: {inbound}");
        assert_eq!((&inbound["peer"], &inbound["direction"]), (&json!("north"), &json!("inbound")), "{inbound}");
        assert_eq!(inbound["generation"], generation, "{inbound}");
        let steps = inbound["steps"].as_array().unwrap();
        let words = steps.iter().find(|step| step["plugin"] == "words").unwrap();
        assert_eq!(words["verdict"], verdict, "{inbound}");
        assert!(words["digest"].as_str().is_some_and(|digest| !digest.is_empty()), "{inbound}");
        let outbound = explain(north, &sent.id).await;
        assert_eq!(
            (&outbound["outcome"], &outbound["direction"]),
            (&json!("allowed"), &json!("outbound")),
            "{outbound}"
        );
    }
    let nobody = south.admin(Role::Audit).get("/admin/v1/policy/explain/none").await;
    assert!(matches!(nobody, Err(ClientError::Refused { code: 1004, .. })), "{nobody:?}");
    // What was said stays out of the log, unless it was refused or held: the operator's audit plugin says so.
    let said = |records: Vec<Value>| records.iter().filter(|r| r["fields"]["text"].is_string()).count();
    let all = south.audit("operation=message.send").await;
    assert_eq!(all.len(), 4);
    assert!(said(all) < 4, "the shipped bundle drops texts");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watched_folder_activates_what_is_whole_and_leaves_the_rest_alone() {
    let folder = tempfile::tempdir().unwrap();
    let watched = bundle::shipped(folder.path().join("policy"), &[]);
    let plan = World::plan().server("north").set("policy.dir", watched.display()).set("policy.watch", true);
    let world = plan.start().await;
    let north = world.north();
    let west = world.enrolled_peer("west").await;
    let alice = north.user("alice").await;
    let list = watched.join("lists/blacklist.txt");
    let open = std::fs::read_to_string(&list).unwrap();
    let say = async |id: &str| chat(&west, north, &text_message("walter@west", &alice.id, id, id)).await.1;
    assert_eq!(say("m-1").await, 0);
    std::fs::write(&list, format!("{open}west\n")).unwrap();
    until("west is shut out", async || {
        let number = north.generation().await;
        (say(&format!("m-2-{number}")).await == 1102).then_some(())
    })
    .await;
    // Half of a change: the active policy stays, and so does the server.
    let before = north.generation().await;
    std::fs::write(watched.join("policy.toml"), "name = ").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!((north.generation().await, say("m-3").await), (before, 1102));
    isthmus_node::shipped::write_bundle(&watched).unwrap();
    until("west is let in", async || (say("m-4").await == 0).then_some(())).await;
    world.finish().await;
}
