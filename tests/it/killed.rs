//! Kill -9 in swaps that nobody asked for: the breaker's, and those of the watched folder. After every start a good generation
//! judges, the history tells what happened, and each swap has its one audit record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use isthmus_node::client::ClientError;
use isthmus_tests::process::Child;
use isthmus_tests::{Client, Role, World, bundle, until, world};
use serde_json::{Value, json};

/// When a server is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// As soon as its policy folder holds this file.
    Written(&'static str),
    /// As soon as the pointer to the active generation is another.
    Swapped,
    /// After so many milliseconds.
    After(u64),
}

/// Kills `child` at this moment of what becomes of its generation `number`.
async fn kill(child: &Child, moment: Moment, number: u64) {
    let folder = child.config.data_dir.join("policy");
    let pointer = || std::fs::read_to_string(folder.join("active")).unwrap();
    let before = pointer();
    let began = std::time::Instant::now();
    let come = || match moment {
        Moment::Written(kind) => folder.join(format!("generations/{number}.{kind}")).exists(),
        Moment::Swapped => pointer() != before,
        Moment::After(wait) => began.elapsed() > Duration::from_millis(wait),
    };
    while !come() {
        assert!(began.elapsed() < isthmus_tests::SOON, "it never came to {moment:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    child.kill();
}

async fn get(child: &Child, role: Role, path: &str) -> Value {
    child.admin(role).get(path).await.unwrap()
}

/// The generations, the oldest first; whole, the last of them active, each swap on the record once.
async fn history(child: &Child) -> Vec<Value> {
    let shown = get(child, Role::Security, "/admin/v1/policy").await;
    assert!(shown["fallen_back"].is_null(), "{shown}");
    let told = get(child, Role::Audit, "/admin/v1/policy/history").await;
    let history = told["history"].as_array().unwrap().clone();
    let numbers: Vec<_> = history.iter().map(|entry| entry["number"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{told}");
    let active: Vec<_> = history.iter().filter(|entry| entry["state"] == "active").map(|e| &e["number"]).collect();
    assert_eq!(active, [&shown["generation"]], "{told}");
    assert_eq!(shown["generation"].as_u64(), numbers.last().copied(), "{told}");
    history
}

/// Each generation but the first start's was recorded once, under its operation. The server has stopped.
fn recorded_once(child: &Child, history: &[Value]) {
    let folder = child.config.data_dir.join("audit");
    world::audit_is_whole(child.config.server.id.as_str(), &folder, &child.config.keyring);
    let mut recorded = BTreeMap::<u64, Vec<String>>::new();
    for record in isthmus_store::audit::records(&folder, &child.config.keyring, 0..u64::MAX, false).unwrap() {
        let record: Value = serde_json::from_slice(&record.unwrap().record.unwrap()).unwrap();
        let operation = record["operation"].as_str().unwrap();
        let number = record["fields"]["generation"].as_str().and_then(|number| number.parse().ok());
        if let (true, Some(number)) = (operation.starts_with("policy.") && record["outcome"] == "allowed", number) {
            recorded.entry(number).or_default().push(operation.to_owned());
        }
    }
    for entry in &history[1..] {
        let operation = if entry["by"] == "breaker" { "policy.breaker" } else { "policy.activate" };
        let found = recorded.remove(&entry["number"].as_u64().unwrap());
        assert_eq!(found.as_deref(), Some(&[operation.to_owned()][..]), "{entry}");
    }
    assert!(recorded.is_empty(), "recorded, and not in the history: {recorded:?}");
}

async fn user(child: &Child, local: &str) -> Client {
    child.create_user(local).await;
    Client::log_in(&child.api(), local).await.unwrap()
}

/// Writes to oneself: whether the server took it; none where it did not answer.
async fn write(alice: &Client) -> Option<bool> {
    let body = json!({"clientID": isthmus_tests::client::fresh_id(), "recvID": alice.id, "text": "hello"});
    match alice.api.post("/client/v1/messages", &body).await {
        Ok(_) => Some(true),
        Err(ClientError::Refused { .. }) => Some(false),
        Err(_) => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_its_breaker_takes_a_generation_back_comes_up_with_the_good_one_or_takes_it_back_then() {
    let world = World::plan().start().await;
    let north = world.child_with("north", &[("policy.breaker_faults".into(), "5".into())]).await;
    let alice = user(&north, "alice").await;
    let bad = bundle::with_hostile(world.folder("bad"), "traps", "grants = [\"log\"]\n");
    let moments = [Moment::Written("trip"), Moment::Swapped, Moment::After(150), Moment::After(400)];
    for moment in moments {
        let body = json!({"dir": bad, "why": "a test"});
        let activated = north.admin(Role::Security).post("/admin/v1/policy/activate", &body).await.unwrap();
        let number = activated["number"].as_u64().unwrap();
        let writing = async { while write(&alice).await.is_some() {} };
        tokio::join!(writing, kill(&north, moment, number));
        let noted = north.config.data_dir.join(format!("policy/generations/{number}.trip")).exists();
        north.restart().await;
        if noted {
            assert!(history(&north).await.len() as u64 > number, "{moment:?}: what has failed does not judge again");
        }
        until("the good generation is back, and takes messages", async || write(&alice).await.unwrap().then_some(()))
            .await;
        let history = history(&north).await;
        let [.., first, failed, back] = &history[..] else { panic!("{history:?}") };
        assert_eq!((&failed["number"], &failed["state"]), (&json!(number), &json!("tripped")), "{moment:?}: {failed}");
        assert_eq!((&back["by"], &back["digest"]), (&json!("breaker"), &first["digest"]), "{moment:?}: {back}");
    }
    let history = history(&north).await;
    assert_eq!(history.len(), 1 + 2 * moments.len());
    north.stop().await;
    recorded_once(&north, &history);
    world.finish().await;
}

async fn judges(child: &Child, bundle: &str) {
    until(&format!("{bundle} judges"), async || {
        let shown = get(child, Role::Security, "/admin/v1/policy").await;
        (shown["name"] == bundle).then_some(())
    })
    .await;
}

/// A bundle that is quickly prepared, whole in its folder at once.
fn drop_into(folder: &Path, name: &str) {
    let text = format!(
        "name = \"{name}\"\n[defaults]\naccess = \"allow\"\n[[plugin]]\nname = \"peers\"\n\
         component = \"builtin:access-list\"\ngrants = [\"lists\", \"directory\"]\n"
    );
    let written: PathBuf = folder.with_extension("new");
    std::fs::write(&written, text).unwrap();
    std::fs::rename(written, folder.join("policy.toml")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_it_takes_a_bundle_from_the_watched_folder_comes_up_whole_and_takes_it() {
    let world = World::plan().start().await;
    let folder = world.folder("watched");
    drop_into(&folder, "first");
    let settings = [("policy.dir", folder.display().to_string()), ("policy.watch", "true".to_owned())];
    let north = world.child_with("north", &settings.map(|(key, value)| (key.to_owned(), value))).await;
    let alice = user(&north, "alice").await;
    judges(&north, "first").await;
    let begun = history(&north).await.len();
    let moments =
        [Moment::Written("json"), Moment::Swapped, Moment::After(350), Moment::After(700), Moment::After(900)];
    let mut before = "first".to_owned();
    for (round, moment) in moments.into_iter().enumerate() {
        let next = history(&north).await.len() as u64 + 1;
        let name = format!("bundle-{round}");
        drop_into(&folder, &name);
        kill(&north, moment, next).await;
        north.restart().await;
        let whole = history(&north).await;
        let came_up_with = whole.last().unwrap()["name"].as_str().unwrap();
        assert!([before.as_str(), &name].contains(&came_up_with), "{moment:?}: {whole:?}");
        assert_eq!(write(&alice).await, Some(true), "{moment:?}");
        judges(&north, &name).await;
        assert_eq!(write(&alice).await, Some(true), "{moment:?}");
        before = name;
    }
    let history = history(&north).await;
    let names: Vec<_> = history.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    let expected: Vec<_> = (0..moments.len()).map(|round| format!("bundle-{round}")).collect();
    assert_eq!(names[begun..], expected, "each bundle once, in order");
    assert!(history[1..].iter().all(|entry| entry["by"] == "folder"), "{history:?}");
    north.stop().await;
    recorded_once(&north, &history);
    let log = north.log();
    assert!(!log.contains("ERROR"), "a fault was logged:\n{log}");
    world.finish().await;
}
