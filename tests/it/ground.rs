//! No test: the ground on which `cargo xtask test` lets schemathesis loose. A platform, the server `north` with the users alice, bob
//! and mallory, and the registered server `west`, which takes whatever it is told.
//!
//! Says on its standard output where everything is, one `NAME=value` a line and `READY` at last, and stands until its input
//! closes. It ends as the tests' worlds do, [`World::finish`]: an audit log that is not whole, a lane that does not empty or a
//! fault in the log is a failure.

#![allow(clippy::print_stdout, reason = "it speaks to whoever started it")]

use std::io::Read;
use std::path::Path;

use http::Method;
use isthmus_tests::client::password_of;
use isthmus_tests::{Client, FakePeer, Reply, World};
use serde_json::json;

/// A group of alice's in which bob and walter of west are.
async fn group(world: &World, alice: &Client, west: &FakePeer) -> String {
    let created = alice.api.post("/client/v1/groups", &json!({"groupName": "Bridges"})).await.unwrap();
    let id = created["groupInfo"]["groupID"].as_str().unwrap().to_owned();
    let users = json!({"users": ["bob@north", "walter@west"]});
    alice.api.post(&format!("/client/v1/groups/{id}/invite"), &users).await.unwrap();
    let bob = world.north().log_in("bob").await;
    bob.api.post(&format!("/client/v1/groups/{id}/answer"), &json!({"agree": true})).await.unwrap();
    let yes = json!({"groupID": id, "userID": "walter@west", "respResult": 1}).to_string();
    let north = world.north().address();
    let (_, answer) = west.caller.call(&north, Method::POST, "/sns/invite/grouprep", yes).await.unwrap();
    assert_eq!(answer["code"], 0, "{answer}");
    id
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "stands until its input closes: for `cargo xtask openapi`"]
async fn ground() {
    // The test's own name stands on the line before.
    println!();
    let world = World::one().await;
    let north = world.north();
    for user in ["alice", "bob", "mallory"] {
        north.create_user(user).await;
        println!("PASSWORD_OF_{}={}", user.to_uppercase(), password_of(user));
    }
    let west = FakePeer::start(&world, "west", |_| Reply::Code(0)).await;
    let alice = north.log_in("alice").await;
    let media = alice.upload("file", "notes.txt", b"hello").await.unwrap();
    alice.send_file("walter@west", "file", &media).await.unwrap();
    println!("MEDIA_ID={media}");
    println!("GROUP_ID={}", group(&world, &alice, &west).await);
    let keep = |name: &str, text: &str| {
        let path = world.folder("ground").join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let say = |name: &str, path: &Path| println!("{name}={}", path.display());
    println!("CLIENT_URL={}", north.running().client);
    say("CLIENT_CA", &north.running().ca);
    println!("SERVER_URL={}", north.running().interconnect);
    println!("PLATFORM_URL={}", world.platform().api_url());
    say("INTERCONNECT_CA", world.platform().ca_pem());
    say("WEST_CERTIFICATE", &keep("west.pem", &west.identity.1));
    say("WEST_KEY", &keep("west.key", &west.identity.0));
    println!("READY");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    world.lanes_empty().await;
    west.stop().await;
    world.finish().await;
}
