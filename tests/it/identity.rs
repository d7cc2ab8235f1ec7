//! Who is believed (§6.1, R12, R13).

use http::Method;
use isthmus_net::{Credentials, SendError};
use isthmus_tests::{FakePeer, Peer, Reply, World, chat, pki, text_message, until};
use serde_json::json;

/// Sends one message with this certificate; whoever reads the answer has been let in.
async fn knock(world: &World, credentials: Option<Credentials>) -> Result<u16, SendError> {
    let peer = world.peer(credentials);
    let message = text_message("mallory@west", "alice@north", "m-knock", "let me in").to_string();
    let answer = peer.call(&world.north().address(), Method::POST, "/sns/chat/", message).await;
    answer.map(|(status, _)| status)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_valid_certificate_of_the_platform() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let folder = world.ca_folder();
    let now = std::time::SystemTime::now();
    let cases = [
        ("no certificate", None),
        ("self-signed", Some(pki::self_signed("west"))),
        ("another CA of the same name", Some(pki::issued(&pki::wrong_ca(), "west", now, 30))),
        ("expired", Some(pki::expired(&world.ca(), "west"))),
        ("not valid yet", Some(pki::not_yet_valid(&world.ca(), "west"))),
        ("two names in one", Some(pki::forged(&folder, "west", |p| pki::two_faced(p, "north")))),
        ("not made for calling", Some(pki::forged(&folder, "west", pki::for_servers_only))),
    ];
    for (what, credentials) in cases {
        let answer = knock(&world, credentials).await;
        assert!(matches!(answer, Err(SendError::Rejected { .. })), "{what}: {answer:?}");
    }
    assert!(alice.texts().await.is_empty());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_server_that_the_registry_does_not_know_is_refused_with_403() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let ghost = pki::issued(&world.ca(), "ghost", std::time::SystemTime::now(), 30);
    let message = text_message("casper@ghost", "alice@north", "m-1", "boo");
    let answer = chat(&world.peer(Some(ghost)), world.north(), &message).await;
    assert_eq!((answer.0, answer.1), (403, 1101), "{}", answer.2);
    assert!(alice.texts().await.is_empty());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_speaks_for_its_own_users_only_and_a_false_voice_is_recorded() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    world.north().create_user("bob").await;
    let west = world.enrolled_peer("west").await;
    let east = world.enrolled_peer("east").await;
    // R11: an ID without a registered server in it belongs to whom presented it first, for good.
    assert_eq!(chat(&east, world.north(), &text_message("old-id-7", "alice@north", "m-0", "first")).await.1, 0);
    let cases = [
        ("another server's user", "erin@east"),
        ("the receiver's own user", "bob@north"),
        ("the recipient herself", "alice@north"),
        ("the receiver's user in other letters", "bob@NORTH"),
        ("an ID that another server presented first", "old-id-7"),
    ];
    for (number, (what, sender)) in cases.iter().enumerate() {
        let id = format!("m-spoof-{number}");
        let answer = chat(&west, world.north(), &text_message(sender, "alice@north", &id, "trust me")).await;
        assert_eq!((answer.0, answer.1), (200, 1104), "{what}: {}", answer.2);
        assert!(answer.2.contains("sendID"), "{what}: {}", answer.2);
        let records = world.north().audit("peer=west&operation=message.send").await;
        let record = records.iter().find(|r| r["fields"]["messageID"] == id.as_str());
        let record = record.unwrap_or_else(|| panic!("{what} is not in the audit log: {records:?}"));
        assert_eq!((&record["code"], &record["outcome"]), (&1104.into(), &"failed".into()), "{what}: {record}");
        assert_eq!(record["actor"], *sender, "{what}: {record}");
    }
    let own = text_message("walter@west", "alice@north", "m-own", "it is me");
    assert_eq!(chat(&west, world.north(), &own).await.1, 0);
    assert_eq!(alice.texts().await, ["first", "it is me"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_goes_to_nobody_but_the_server_that_was_meant() {
    let world = World::plan().server("north").set("delivery.expire_s", 2).start().await;
    let alice = world.north().user("alice").await;
    // At west's registered address somebody answers with a valid certificate, but east's.
    let east = world.enroll("east", "https://127.0.0.1:9").await;
    let west = FakePeer::start_with(&world, "west", Some(east), |_| Reply::Code(0)).await;
    let sent = alice.send("walter@west", "for west alone").await;
    assert_eq!(alice.receipt(&sent).await, ("expired".to_owned(), 0));
    assert_eq!((west.calls(), west.texts().len()), (0, 0), "the message was shown to another server");
    west.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_server_is_refused_and_cut_and_welcome_again_when_it_may_return() {
    let world = World::plan().server("north").set("platform.refresh_s", 1).start().await;
    let alice = world.north().user("alice").await;
    let west = FakePeer::start(&world, "west", |_| Reply::Code(0)).await;
    // A connection may be cut while a request is on it: no answer then.
    let say = async |peer: &Peer, id: &str| {
        let message = text_message("walter@west", "alice@north", id, id).to_string();
        let answer = peer.call(&world.north().address(), Method::POST, "/sns/chat/", message).await;
        answer.map_or((0, json!(null)), |(status, answer)| (status, answer["code"].clone()))
    };
    assert_eq!(say(&west.caller, "m-1").await, (200, json!(0)));
    world.change_standing("west", "suspend").await;
    until("west is refused", async || (say(&west.caller, "m-2").await == (403, json!(1101))).then_some(())).await;
    assert_eq!(say(&west.caller, "m-refused").await, (403, json!(1101)));
    let out = alice.try_send("walter@west", "are you there?").await;
    assert_eq!(out.unwrap_err().code, 1202, "nobody writes to a suspended server");
    world.change_standing("west", "resume").await;
    until("west is welcome", async || (say(&west.caller, "m-3").await.0 == 200).then_some(())).await;
    let texts = alice.texts().await;
    assert_eq!((texts.first().unwrap().as_str(), texts.last().unwrap().as_str()), ("m-1", "m-3"));
    assert!(!texts.contains(&"m-refused".to_owned()));
    west.stop().await;
    world.finish().await;
}
