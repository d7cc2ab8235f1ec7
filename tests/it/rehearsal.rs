//! What a candidate would do is known before it does it (design §2): stage, canary, shadow, replay, diff, what-if.

use isthmus_tests::{Role, Site, World, bundle, until};
use serde_json::{Value, json};

async fn post(site: &Site, path: &str, body: Value) -> Value {
    site.admin(Role::Security).post(&format!("/admin/v1/policy/{path}"), &body).await.unwrap()
}

async fn get(site: &Site, path: &str) -> Value {
    site.admin(Role::Security).get(&format!("/admin/v1/policy/{path}")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_goes_from_the_stage_by_canary_and_shadow_to_activation_and_back() {
    let world = World::two().await;
    let (north, south) = (world.north(), world.south());
    let (alice, carol) = (north.user("alice").await, south.user("carol").await);
    let before = south.generation().await;
    let dir = bundle::shipped(world.folder("strict"), &[("reject", &["coarse"]), ("mask", &["fine"])]);
    let quiet = "\n[[plugin]]\nname = \"quiet\"\ncomponent = \"builtin:audit-redact\"\n\
                 [[plugin.settings.events]]\noperations = [\"message.send\"]\nfields = { actor = \"mask\" }\n";
    let manifest = std::fs::read_to_string(dir.join("policy.toml")).unwrap();
    std::fs::write(dir.join("policy.toml"), manifest + quiet).unwrap();
    let cases = "[[case]]\nname = \"coarse\"\ntext = \"a coarse word\"\nexpect = { verdict = \"reject\", plugin = \"words\" }\n";
    std::fs::write(dir.join("tests.toml"), cases).unwrap();
    let staged = post(south, "stage", json!({"dir": dir, "why": "a test"})).await;
    let which = json!({"staged": staged["digest"]});
    std::fs::remove_dir_all(&dir).unwrap();
    let tried = post(south, "canary", which.clone()).await;
    assert_eq!(
        (&tried["cases"][0]["said"]["outcome"], &tried["cases"][0]["differs"]),
        (&json!("rejected"), &json!([]))
    );
    post(south, "shadow", which.clone()).await;
    for text in ["hello", "a coarse word", "a fine word"] {
        alice.send(&carol.id, text).await;
    }
    assert_eq!(carol.texts_once(3).await, ["hello", "a coarse word", "a fine word"], "a shadow changes nothing");
    let report = until("the shadow has judged", async || {
        let report = get(south, "shadow").await;
        let events = report["events"].as_u64().unwrap();
        (report["comparison"]["disagreed"] == 2 && events >= 3).then_some(report)
    })
    .await;
    let comparison = &report["comparison"];
    assert_eq!(comparison["seen"]["message.send inbound"], 3, "{report}");
    let example = &comparison["disagreements"][0]["examples"][0];
    let explained = get(south, &format!("explain/{}", example["id"].as_str().unwrap())).await;
    assert_eq!(explained["decisions"][0]["outcome"], "allowed", "an example can be explained");
    let otherwise = &report["records"][0];
    assert_eq!(
        (&otherwise["what"], &otherwise["recorded"], &otherwise["candidate"]),
        (&json!("actor"), &json!("kept"), &json!("masked"))
    );
    assert_eq!((&otherwise["count"], &otherwise["examples"][0]["actor"]), (&json!(3), &json!(alice.id)), "{report}");
    let diff = get(south, &format!("diff?from=active&to=staged:{}", staged["digest"].as_str().unwrap())).await;
    let words: Vec<_> = diff["changes"].as_array().unwrap().iter().map(|change| change["words"].clone()).collect();
    assert_eq!(words.len(), 4, "{words:?}");
    let mut activate = which;
    activate["why"] = json!("it was rehearsed");
    post(south, "activate", activate).await;
    assert!(post(south, "shadow/stop", json!({})).await["running"] == false);
    let refused = alice.send(&carol.id, "a coarse word").await;
    assert_eq!(alice.receipt(&refused).await, ("refused".to_owned(), 1103));
    south.rollback(before).await;
    alice.send(&carol.id, "a coarse word").await;
    assert_eq!(carol.texts_once(4).await.last().unwrap(), "a coarse word");
    let acts = south.audit("operation=policy.*").await;
    let acts: Vec<_> = acts.iter().rev().map(|act| act["operation"].as_str().unwrap()).collect();
    let expected = ["stage", "canary", "shadow.start", "activate", "shadow.stop", "rollback"];
    assert_eq!(acts, expected.map(|act| format!("policy.{act}")), "every step is on the record");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_decisions_are_judged_anew_by_a_candidate() {
    let world = World::one().await;
    let north = world.north();
    let (alice, bob) = (north.user("alice").await, north.user("bob").await);
    north.activate(&bundle::shipped(world.folder("now"), &[("reject", &["coarse"]), ("hold", &["odd"])])).await;
    alice.send(&bob.id, "hello").await;
    alice.send(&bob.id, "an odd word").await;
    alice.try_send(&bob.id, "a coarse word").await.unwrap_err();
    let milder = bundle::shipped(world.folder("then"), &[("mask", &["coarse"]), ("blacklist", &["bob@north"])]);
    post(north, "replay", json!({"dir": milder})).await;
    let view = until("the replay is over", async || {
        let view = get(north, "replay").await;
        (view["running"] == false).then_some(view)
    })
    .await;
    let (report, c) = (&view["report"], &view["report"]["comparison"]);
    assert_eq!(report["access_only"], 1, "the text of what was allowed is not kept: {view}");
    let ways: Vec<_> = c["disagreements"].as_array().unwrap().iter().map(|d| (&d["active"], &d["candidate"])).collect();
    assert!(ways.contains(&(&json!("rejected"), &json!("rewritten"))), "{view}");
    assert!(ways.contains(&(&json!("held"), &json!("allowed"))), "{view}");
    assert_eq!((view["failed"].is_null(), north.held().await.len(), bob.texts().await.len()), (true, 1, 1));
    let none = north.admin(Role::Security).post("/admin/v1/policy/replay", &json!({})).await.unwrap_err().to_string();
    assert!(none.contains("`staged`"), "{none}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_active_policy_would_say_is_told_and_nothing_is_done() {
    let world = World::two().await;
    let (north, south) = (world.north(), world.south());
    let (_alice, carol) = (north.user("alice").await, south.user("carol").await);
    let generation = north
        .activate(&bundle::shipped(world.folder("strict"), &[("mask", &["secret"]), ("blacklist", &["evil"])]))
        .await;
    let before = north.audit("").await.len();
    let ask = json!({"from": "alice@north", "to": carol.id, "operation": "message.send", "text": "a secret"});
    let told = post(north, "explain", ask).await;
    assert_eq!(
        (&told["hypothetical"], &told["outcome"], &told["text"]),
        (&json!(true), &json!("rewritten"), &json!("a ******"))
    );
    assert_eq!((&told["call"]["direction"], &told["call"]["peer"]["id"]), (&json!("outbound"), &json!("south")));
    assert_eq!((&told["generation"], &told["decidedBy"]), (&json!(generation), &json!("words")));
    let steps: Vec<_> = told["steps"].as_array().unwrap().iter().map(|step| step["plugin"].as_str().unwrap()).collect();
    assert_eq!(steps, ["peers", "words"]);
    assert_eq!(told["steps"][1]["component"], "builtin:content-filter");
    let denied =
        post(north, "explain", json!({"from": "mallory@evil", "to": "alice@north", "operation": "message.send"})).await;
    assert_eq!((&denied["outcome"], &denied["call"]["direction"]), (&json!("denied"), &json!("inbound")));
    assert_eq!(denied["policy"]["by"], "admin:security");
    assert_eq!(north.audit("").await.len(), before, "no decision was made");
    assert!(carol.texts().await.is_empty());
    world.finish().await;
}
