//! The platform's registry and authority as servers live with them: changes that come at once, none that go back, certificates
//! and roots that follow one another while everything runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use isthmus_net::{Ca, PeerAddress};
use isthmus_tests::{Console, Peer, Role, World, text_message, until};
use serde_json::json;

use isthmus_tests::world::DOMAIN;

async fn status(world: &World, server: &str) -> serde_json::Value {
    world.site(server).admin(Role::System).get("/admin/v1/status").await.unwrap()
}

/// Whether a server lets this one in.
async fn is_let_in(world: &World, peer: &Peer, id: &str) -> bool {
    let message = text_message(&format!("w@{id}"), "nobody@north", "m-1", "hello").to_string();
    let answer = peer.call(&world.north().address(), Method::POST, "/sns/chat/", message).await;
    answer.is_ok_and(|(status, _)| status == 200)
}

/// Until north lets this server in, or does no more.
async fn until_let_in(world: &World, peer: &Peer, id: &str, wanted: bool) -> Duration {
    let began = Instant::now();
    until("north has heard of it", async || (is_let_in(world, peer, id).await == wanted).then_some(())).await;
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_is_known_at_once_where_the_platform_is_listened_to_and_soon_where_it_is_only_asked() {
    let world = World::plan().server("north").set("platform.refresh_s", 3600).start().await;
    let west = world.enrolled_peer("west").await;
    assert!(is_let_in(&world, &west, "west").await);
    for change in ["suspend", "resume", "suspend"] {
        world.change_standing("west", change).await;
        // The timer would take an hour.
        until_let_in(&world, &west, "west", change == "resume").await;
    }
    world.finish().await;
    let world = World::plan().server("north").set("platform.refresh_s", 1).set("platform.push", false).start().await;
    let west = world.enrolled_peer("west").await;
    assert!(is_let_in(&world, &west, "west").await);
    world.change_standing("west", "deregister").await;
    until_let_in(&world, &west, "west", false).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_renews_with_a_new_key_while_its_conversations_go_on() {
    let world = World::two().await;
    let (alice, carol) = (world.north().user("alice").await, world.south().user("carol").await);
    let before = world.north().running().certificate_serial();
    alice.send("carol@south", "one").await;
    let renewing = async {
        for _ in 0..3 {
            world.north().running().renew().await.unwrap();
            world.south().running().renew().await.unwrap();
        }
    };
    let talking = async {
        for number in 0..30 {
            alice.send("carol@south", &format!("during {number}")).await;
        }
    };
    tokio::join!(renewing, talking);
    until("carol has them all", async || (carol.texts().await.len() == 31).then_some(())).await;
    assert_ne!(world.north().running().certificate_serial(), before);
    assert!(status(&world, "north").await["stage"].as_str().unwrap().starts_with("serving; the certificate holds for"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_root_follows_another_while_servers_run_and_none_is_lost() {
    let mut world = World::two().await;
    let (alice, carol) = (world.north().user("alice").await, world.south().user("carol").await);
    let data = [world.data_dir("north"), world.data_dir("south")];
    let folder = world.ca_folder();
    let roots_file = world.platform().ca_pem().to_owned();
    let known = |id: &str| {
        let path = data[usize::from(id == "south")].join("identity/roots.json");
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        let kept: serde_json::Value = serde_json::from_str(&kept).unwrap_or_default();
        kept["roots"].as_str().unwrap_or_default().matches("BEGIN CERTIFICATE").count()
    };
    Ca::roll_over(&folder, DOMAIN, None, std::time::SystemTime::now()).unwrap();
    until("both servers trust both roots", async || (known("north") == 2 && known("south") == 2).then_some(())).await;
    let before = world.north().running().certificate_serial();
    Ca::activate(&folder).unwrap();
    until("north has renewed below the new root", async || {
        (world.north().running().certificate_serial() != before).then_some(())
    })
    .await;
    alice.send("carol@south", "between two roots").await;
    until("carol has it", async || (carol.texts().await.len() == 1).then_some(())).await;
    until("south has renewed too", async || {
        let chain = std::fs::read_to_string(world.data_dir("south").join("identity/certificate.pem")).unwrap();
        let issuer = std::fs::read_to_string(folder.join("root-2/issuer.pem")).unwrap();
        chain.contains(issuer.trim()).then_some(())
    })
    .await;
    Ca::retire(&folder).unwrap();
    until("both trust the new root alone", async || (known("north") == 1 && known("south") == 1).then_some(())).await;
    assert_eq!(std::fs::read_to_string(&roots_file).unwrap().matches("BEGIN CERTIFICATE").count(), 1);
    alice.send("carol@south", "after it").await;
    until("carol has both", async || (carol.texts().await.len() == 2).then_some(())).await;
    // A restart goes on with what was learnt; the operator's file of roots is the old one still.
    world.site_mut("south").stop().await;
    world.site_mut("south").start().await;
    alice.send("carol@south", "and later").await;
    let carol = world.south().log_in("carol").await;
    until("carol has all three", async || (carol.texts().await.len() == 3).then_some(())).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_go_on_without_the_platform_and_believe_no_older_registry_when_it_is_back() {
    let mut world = World::two().await;
    let (alice, carol) = (world.north().user("alice").await, world.south().user("carol").await);
    alice.send("carol@south", "one").await;
    until("carol has it", async || (carol.texts().await.len() == 1).then_some(())).await;
    let west = world.enrolled_peer("west").await;
    assert!(is_let_in(&world, &west, "west").await);
    let backup = world.back_up_platform().await;
    world.change_standing("west", "suspend").await;
    until_let_in(&world, &west, "west", false).await;
    world.stop_platform().await;
    world.site_mut("north").stop().await;
    world.site_mut("north").start().await;
    alice_again(&world, "two", 2, &carol).await;
    assert!(!is_let_in(&world, &west, "west").await, "what was learnt outlives a restart");
    world.restore_platform(&backup).await;
    until("north refuses the older registry", async || {
        let stage = status(&world, "north").await["stage"].as_str().unwrap().to_owned();
        stage.contains("older registry").then_some(())
    })
    .await;
    assert!(!is_let_in(&world, &west, "west").await, "a suspension is not taken back by a backup");
    world.change_standing("west", "suspend").await;
    until("a change heals it", async || {
        let stage = status(&world, "north").await["stage"].as_str().unwrap().to_owned();
        (!stage.contains("older registry")).then_some(())
    })
    .await;
    world.finish().await;
}

async fn alice_again(world: &World, text: &str, count: usize, carol: &isthmus_tests::Client) {
    let alice = world.north().log_in("alice").await;
    alice.send("carol@south", text).await;
    until("carol has it", async || (carol.texts().await.len() == count).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_off_for_longer_than_its_certificate_comes_back_with_its_ticket_and_its_key() {
    let mut world = World::two().await;
    world.site_mut("north").stop().await;
    let folder = world.data_dir("north").join("identity");
    let key = std::fs::read_to_string(folder.join("key.pem")).unwrap();
    let csr = isthmus_net::csr::csr_for_key(&key, "north").unwrap();
    let id = isthmus_wire::ServerId::parse("north").unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(20 * 86_400);
    let over = world.ca().issue_server(&csr, &id, "127.0.0.1", long_ago, 7).unwrap();
    std::fs::write(folder.join("certificate.pem"), over.chain_pem).unwrap();
    world.site_mut("north").start().await;
    assert_eq!(status(&world, "north").await["ready"], true);

    // The ticket alone is not enough: a thief of it has not the key.
    let application = std::fs::read_to_string(folder.join("application.json")).unwrap();
    let mut ask: serde_json::Value = serde_json::from_str(&application).unwrap();
    let (_, other) = isthmus_net::csr::new_key_and_csr("north").unwrap();
    ask["csr"] = json!(other);
    let (_, answer) = world.peer(None).ask_platform(&world, "/sns/managernode/renew", &ask).await;
    assert_eq!(answer["code"], 1003, "{answer}");
    ask["csr"] = json!(csr);
    ask["ticket"] = json!("isk_guess");
    let (_, answer) = world.peer(None).ask_platform(&world, "/sns/managernode/renew", &ask).await;
    assert_eq!(answer["code"], 1004, "{answer}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_told_where_the_server_stands_at_each_stage() {
    let world = World::plan().start().await;
    let child = world.applicant("north", &[("platform.refresh_s".to_owned(), "1".to_owned())]).await;
    let stage = async |words: &str| {
        until(words, async || {
            let tokens = child.config.admin_tokens.exists();
            let said = tokens.then(|| child.admin(Role::System))?.get("/admin/v1/status").await.ok()?["stage"]
                .as_str()?
                .to_owned();
            said.contains(words).then_some(())
        })
        .await;
    };
    stage("not yet approved: application").await;
    let waiting = world.platform_admin(Role::System).get("/admin/v1/applications?state=pending").await.unwrap();
    let id = waiting["applications"][0]["applicationId"].as_str().unwrap().to_owned();
    world.platform_admin(Role::System).post(&format!("/admin/v1/applications/{id}/approve"), &json!({})).await.unwrap();
    stage("serving; the certificate holds for").await;
    world.change_standing("north", "suspend").await;
    stage("the platform refuses this server: this server is suspended").await;
    assert!(!child.ready().await);
    world.change_standing("north", "resume").await;
    stage("serving; the certificate holds for").await;
    child.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_two_reviewers_a_server_comes_in_by_the_word_of_two_people_of_two_roles_and_not_before() {
    let world = World::plan().platform("registry.reviewers", 2).start().await;
    let data = world.platform_data();
    let child = world.applicant("north", &[]).await;
    let path = until("north applies", async || {
        let waiting = world.platform_admin(Role::System).get("/admin/v1/applications?state=pending").await.unwrap();
        let id = waiting["applications"][0]["applicationId"].as_str()?.to_owned();
        Some(format!("/admin/v1/applications/{id}/approve"))
    })
    .await;
    let mut audit = Console::settled(world.platform_anonymous(), &data, "auditadmin").await;
    assert_eq!(audit.post(&path, json!({"reason": "why not"})).await.0, 403);
    let mut system = Console::settled(world.platform_anonymous(), &data, "sysadmin").await;
    assert_eq!(system.post(&path, json!({"reason": "their office answers"})).await.1["state"], "pending");
    // The same role's token is the same reviewer.
    let again = world.platform_admin(Role::System).call(Method::POST, &path, Some(&json!({}))).await.unwrap();
    assert_eq!(again.1["code"], 1201, "{}", again.1);
    let servers = system.get("/admin/v1/servers").await.1;
    assert_eq!(servers["servers"], json!([]), "one alone lets nobody in");
    let mut security = Console::settled(world.platform_anonymous(), &data, "secadmin").await;
    assert_eq!(security.post(&path, json!({"reason": "so does mine"})).await.1["state"], "approved");
    until("north serves", async || child.ready().await.then_some(())).await;
    let (_, all) = system.get("/admin/v1/applications?state=approved").await;
    let words = &all["applications"][0]["approvals"];
    let words: Vec<_> = words.as_array().unwrap().iter().map(|word| (&word["by"], &word["reason"])).collect();
    let [first, second] = [json!("their office answers"), json!("so does mine")];
    assert_eq!(words, [(&json!("sysadmin"), &first), (&json!("secadmin"), &second)]);
    child.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_goes_to_no_name_that_resolves_to_a_private_address_where_it_may_not() {
    let mut world = World::plan().start().await;
    let trap = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = trap.local_addr().unwrap().port();
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = visits.clone();
    let counting = tokio::spawn(async move {
        while let Ok((visitor, _)) = trap.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(visitor);
        }
    });
    world.enroll("south", &format!("https://localhost:{port}")).await;
    let west = world.enrolled_peer("west").await;
    let search = async |world: &World| {
        let platform = PeerAddress::platform(&world.platform().api_url()).unwrap();
        let (status, _, body) = west.fetch(&platform, "/sns/find/users?query=alice&page=1&size=10", &[]).await;
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(status == 200 && answer["msg"].as_str().unwrap().contains("south"), "{status} {answer}");
    };
    search(&world).await;
    let before = visits.load(Ordering::Relaxed);
    assert!(before > 0, "where it may, it goes there");
    world.restart_platform_with("registry.allow_private_addresses", false).await;
    search(&world).await;
    assert_eq!(visits.load(Ordering::Relaxed), before, "where it may not, it does not");
    counting.abort();
    world.finish().await;
}
