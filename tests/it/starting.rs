//! A server that cannot start says what is wrong and what to do, and ends with an exit code that is not 0.

use std::fs;
use std::time::{Duration, SystemTime};

use isthmus_net::csr::new_key_and_csr;
use isthmus_tests::{Role, World};
use isthmus_wire::ServerId;
use serde_json::json;

const DAY: Duration = Duration::from_secs(86_400);

/// Puts a key and a certificate that is valid for 30 days from `from` where the server finds them.
fn install_certificate(world: &World, id: &str, from: SystemTime) {
    let (key, csr) = new_key_and_csr(id).unwrap();
    let issued = world.ca().issue_server(&csr, &ServerId::parse(id).unwrap(), "127.0.0.1", from, 30).unwrap();
    let folder = world.data_dir(id).join("identity");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("key.pem"), key).unwrap();
    fs::write(folder.join("certificate.pem"), issued.chain_pem).unwrap();
}

fn says(said: &(Option<i32>, String), words: &[&str]) {
    assert_ne!(said.0, Some(0), "{}", said.1);
    for word in words {
        assert!(said.1.contains(word), "{word:?} is missing in:\n{}", said.1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_outside_of_the_certificates_life_is_named_with_the_remedy() {
    let world = World::plan().start().await;
    let now = SystemTime::now();
    for (id, from) in [("early", now + DAY), ("late", now - 40 * DAY)] {
        install_certificate(&world, id, from);
        let said = world.applicant(id, &[]).await.ended().await;
        says(&said, &["certificate is valid from", "this machine's clock says", "set the clock, or renew"]);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_applicant_hears_the_reason_and_how_to_apply_anew() {
    let world = World::plan().start().await;
    let child = world.applicant("north", &[]).await;
    let admin = world.platform_admin(Role::System);
    let id = isthmus_tests::until("an application", async || {
        let waiting = admin.get("/admin/v1/applications?state=pending").await.unwrap();
        waiting["applications"][0]["applicationId"].as_str().map(str::to_owned)
    })
    .await;
    let reason = json!({"reason": "the contact does not answer"});
    admin.post(&format!("/admin/v1/applications/{id}/reject"), &reason).await.unwrap();
    says(
        &child.ended().await,
        &["rejected the application: the contact does not answer", "application.json", "apply anew"],
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_with_its_key_before_anybody_is_asked_to_approve() {
    let world = World::plan().start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = world.applicant("north", &[("listen.client".to_owned(), address.clone())]).await.ended().await;
    says(&said, &[&address, "client"]);
    let waiting = world.platform_admin(Role::System).get("/admin/v1/applications?state=pending").await.unwrap();
    assert_eq!(waiting["applications"], json!([]));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_database_and_a_missing_key_ring_are_told_apart() {
    let world = World::plan().start().await;
    for (id, file, words) in [("north", "data/store.redb", "store.redb"), ("south", "data.keyring", "data.keyring")] {
        let child = world.child(id).await;
        child.stop().await;
        let path = child.config.data_dir.parent().unwrap().join(file);
        if id == "north" {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes.truncate(middle);
            bytes[..64].fill(0xa5);
            fs::write(&path, bytes).unwrap();
        } else if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        child.start();
        says(&child.ended().await, &[words]);
    }
    world.finish().await;
}
