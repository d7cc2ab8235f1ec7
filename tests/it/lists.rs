//! Lists are changed while the server runs (design §2): atomic, audited, no new generation.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use isthmus_tests::{Reply, Role, World, bundle, chat, text_message, until};
use serde_json::{Value, json};

async fn change(site: &isthmus_tests::Site, list: &str, mut body: Value) -> Value {
    body["why"] = json!("a test");
    site.admin(Role::Security).post(&format!("/admin/v1/policy/lists/{list}"), &body).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_put_on_a_list_holds_from_the_answer_on_and_makes_no_generation() {
    let mut world = World::one().await;
    let north = world.north();
    let west = world.enrolled_peer("west").await;
    let alice = north.user("alice").await;
    let before = north.generation().await;
    let say = async |id: &str| chat(&west, north, &text_message("walter@west", &alice.id, id, "a coarse word")).await.1;
    assert_eq!(say("m-1").await, 0);
    let changed = change(north, "blacklist", json!({"add": ["west"]})).await;
    assert_eq!((&changed["revision"], &changed["added"], &changed["drained"]), (&json!(1), &json!(1), &json!(true)));
    assert_eq!(say("m-2").await, 1102);
    change(north, "blacklist", json!({"remove": ["west"]})).await;
    change(north, "reject", json!({"set": ["coarse"]})).await;
    assert_eq!(say("m-3").await, 1103);
    assert_eq!(north.generation().await, before);
    let record = &north.audit("operation=message.send&outcome=rejected").await[0];
    assert_eq!((record["generation"].as_u64(), &record["lists"]), (Some(before), &json!(3)), "{record}");
    let acts = north.audit("operation=policy.list.change").await;
    assert_eq!(acts.len(), 3);
    assert_eq!((&acts[2]["target"], &acts[2]["fields"]["added"]), (&json!("blacklist"), &json!("west")), "{}", acts[2]);
    assert_eq!(acts[2]["actor"], "admin:security");
    world.site_mut("north").stop().await;
    world.site_mut("north").start().await;
    let shown = world.north().admin(Role::Security).get("/admin/v1/policy/lists/reject").await.unwrap();
    assert_eq!((&shown["entries"], &shown["of_bundle"]), (&json!(["coarse"]), &json!(false)), "after a restart");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_in_the_outbox_leaves_only_as_the_new_list_lets_it() {
    let world = World::one().await;
    let north = world.north();
    let west = isthmus_tests::FakePeer::start(&world, "west", |_| Reply::Cut).await;
    let alice = north.user("alice").await;
    let coarse = alice.send("walter@west", "a coarse word").await;
    let fine = alice.send("wendy@west", "a fine word").await;
    change(north, "reject", json!({"add": ["coarse"]})).await;
    change(north, "mask", json!({"add": ["fine"]})).await;
    west.follow(|_| Reply::Code(0));
    assert_eq!(alice.receipt(&coarse).await, ("refused".to_owned(), 1103));
    assert_eq!(alice.receipt(&fine).await, ("delivered".to_owned(), 0));
    assert_eq!(west.texts(), ["a **** word"]);
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_security_administrator_sees_and_changes_lists_and_nobody_overwrites_what_he_has_not_seen() {
    let world = World::one().await;
    let north = world.north();
    north.activate(&bundle::shipped(world.folder("words"), &[("mask", &["secret"])])).await;
    for role in [Role::System, Role::Audit] {
        let api = north.admin(role);
        assert!(api.get("/admin/v1/policy/lists").await.is_err(), "{role:?}");
        assert!(api.post("/admin/v1/policy/lists/mask", &json!({"reset": true})).await.is_err(), "{role:?}");
    }
    let api = north.admin(Role::Security);
    let refused = async |list: &str, body: Value| {
        api.post(&format!("/admin/v1/policy/lists/{list}"), &body).await.unwrap_err().to_string()
    };
    assert!(refused("mask", json!({"add": ["x"], "revision": 7})).await.contains("revision 0, not 7"));
    assert!(refused("mask", json!({})).await.contains("`reset`"));
    assert!(refused("mask", json!({"add": ["a\nb"]})).await.contains("entry 1"));
    assert!(refused("no%20name", json!({"set": []})).await.contains("no name of a list"));
    let lists = api.get("/admin/v1/policy/lists").await.unwrap();
    let mask = lists["lists"].as_array().unwrap().iter().find(|list| list["name"] == "mask").unwrap().clone();
    assert_eq!((&mask["size"], &mask["revision"], &mask["of_bundle"]), (&json!(1), &json!(0), &json!(true)));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_its_policy_changes_comes_back_with_a_whole_one_and_with_all_that_was_answered() {
    let world = World::plan().start().await;
    let north = world.child("north").await;
    let bundles =
        [("a", "aaa"), ("b", "bbb")].map(|(name, word)| bundle::shipped(world.folder(name), &[("mask", &[word])]));
    let (generation, revision) = (AtomicU64::new(1), AtomicU64::new(0));
    for round in 0..4_u64 {
        let api = north.admin(Role::Security);
        let acting = async {
            for turn in 0.. {
                let body = json!({"dir": bundles[turn % 2], "why": "a test"});
                let Ok(activated) = api.post("/admin/v1/policy/activate", &body).await else { break };
                generation.store(activated["number"].as_u64().unwrap(), Relaxed);
                let body = json!({"set": [format!("entry-{turn}")], "why": "a test"});
                let Ok(changed) = api.post("/admin/v1/policy/lists/blacklist", &body).await else { break };
                revision.store(changed["revision"].as_u64().unwrap(), Relaxed);
            }
        };
        let kill = async {
            tokio::time::sleep(std::time::Duration::from_millis(150 + round * 237)).await;
            if round == 3 {
                // However slow the machine: something has been answered before the last kill.
                until("a change of each kind", async || (revision.load(Relaxed) > 0).then_some(())).await;
            }
            north.kill();
        };
        tokio::join!(acting, kill);
        north.restart().await;
        let shown = north.admin(Role::Security).get("/admin/v1/policy").await.unwrap();
        assert!(shown["fallen_back"].is_null(), "{shown}");
        let (generation, revision) = (generation.load(Relaxed), revision.load(Relaxed));
        assert!(shown["generation"].as_u64().unwrap() >= generation, "{generation} was answered: {shown}");
        assert!(shown["lists_revision"].as_u64().unwrap() >= revision, "{revision} was answered: {shown}");
    }
    north.stop().await;
    world.finish().await;
}
