//! Users prove who they are (§6.3 a).

use std::time::Duration;

use isthmus_node::client::{Api, ClientError};
use isthmus_tests::{Client, Role, World, client};
use serde_json::{Value, json};

async fn log_in(api: &Api, user: &str, password: &str) -> Result<Value, (u16, i64, String)> {
    refusal(api.post("/client/v1/login", &json!({"userID": user, "password": password})).await)
}

fn refusal(answer: Result<Value, ClientError>) -> Result<Value, (u16, i64, String)> {
    match answer {
        Ok(value) => Ok(value),
        Err(ClientError::Refused { status, code, msg }) => Err((status, code, msg)),
        Err(error) => panic!("no answer: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_user_are_told_the_same_and_recorded() {
    let world = World::one().await;
    let north = world.north();
    north.create_user("alice").await;
    let api = north.api();
    let wrong = log_in(&api, "alice", "not her password").await.unwrap_err();
    assert_eq!((wrong.0, wrong.1), (401, 1101));
    for user in ["nobody", "alice@south", "", "al\u{1}ice", &"x".repeat(300)] {
        assert_eq!(log_in(&api, user, "not her password").await.unwrap_err(), wrong, "{user:?}");
    }
    assert_eq!(log_in(&api, "alice", "").await.unwrap_err(), wrong);
    assert_eq!(log_in(&api, "alice", &"long ".repeat(1000)).await.unwrap_err(), wrong);
    let failed = north.audit("operation=user.login&outcome=failed&user=alice@north").await;
    assert_eq!(failed.len(), 2, "the two that were hashed: {failed:?}");
    for name in ["alice", "alice@north", "alice@NORTH"] {
        let answer = log_in(&api, name, &client::password_of("alice")).await.unwrap();
        assert_eq!(answer["userID"], "alice@north");
    }
    assert_eq!(north.audit("operation=user.login&outcome=allowed").await.len(), 3);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_ten_failures_a_user_has_to_wait_and_nobody_else_has() {
    let world = World::one().await;
    let north = world.north();
    north.create_user("alice").await;
    north.create_user("bob").await;
    let api = north.api();
    for _ in 0..10 {
        assert_eq!(log_in(&api, "alice", "a guess").await.unwrap_err().0, 401);
    }
    let locked = log_in(&api, "alice", &client::password_of("alice")).await.unwrap_err();
    assert_eq!((locked.0, locked.1), (429, 1301), "the right password has to wait too");
    north.log_in("bob").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_serves_once_and_its_second_use_ends_the_log_in() {
    let world = World::one().await;
    let alice = world.north().user("alice").await;
    let other = world.north().log_in("alice").await;
    let api = world.north().api();
    let refresh = async |token: &str| refusal(api.post("/client/v1/refresh", &json!({"refreshToken": token})).await);
    let second = Client::of(&api, &refresh(&alice.refresh_token).await.unwrap());
    assert_eq!((&second.id, &second.device), (&alice.id, &alice.device), "the same log-in goes on");
    assert_ne!((&second.access_token, &second.refresh_token), (&alice.access_token, &alice.refresh_token));
    second.api.get("/client/v1/me").await.unwrap();
    let third = Client::of(&api, &refresh(&second.refresh_token).await.unwrap());
    let mut ear = third.listen(0).await;
    // Somebody has stolen a token: thief and owner cannot be told apart, so both are out.
    let reused = refresh(&alice.refresh_token).await.unwrap_err();
    assert_eq!((reused.0, reused.1), (401, 1101));
    ear.closed().await;
    assert!(third.api.get("/client/v1/me").await.is_err());
    assert!(refresh(&third.refresh_token).await.is_err());
    other.api.get("/client/v1/me").await.unwrap();
    let recorded = world.north().audit("operation=user.refresh").await;
    assert_eq!(recorded.len(), 1, "{recorded:?}");
    for token in ["", "isr_nothing", &alice.access_token] {
        assert_eq!(refresh(token).await.unwrap_err().0, 401, "{token}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_ends_with_its_time_and_a_refresh_renews_it() {
    let world = World::plan().server("north").set("client.token_ttl_s", 2).start().await;
    let alice = world.north().user("alice").await;
    alice.api.get("/client/v1/me").await.unwrap();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let over = refusal(alice.api.get("/client/v1/me").await).unwrap_err();
    assert_eq!((over.0, over.1), (401, 1101));
    let answer = world.north().api().post("/client/v1/refresh", &json!({"refreshToken": alice.refresh_token})).await;
    let alice = Client::of(&world.north().api(), &answer.unwrap());
    alice.api.get("/client/v1/me").await.unwrap();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_and_a_disabled_account_end_every_log_in() {
    let world = World::one().await;
    let north = world.north();
    let alice = north.user("alice").await;
    let desk = north.log_in("alice").await;
    let change = |old: &str, new: &str| json!({"old": old, "new": new});
    let wrong = refusal(alice.api.post("/client/v1/password", &change("a guess", "a longer password")).await);
    assert_eq!(wrong.unwrap_err().1, 1003);
    let short = refusal(alice.api.post("/client/v1/password", &change(&client::password_of("alice"), "short")).await);
    assert_eq!(short.unwrap_err().1, 1003);
    let mut ear = desk.listen(0).await;
    alice.api.post("/client/v1/password", &change(&client::password_of("alice"), "a longer password")).await.unwrap();
    ear.closed().await;
    assert!(desk.api.get("/client/v1/me").await.is_err());
    assert!(log_in(&north.api(), "alice", &client::password_of("alice")).await.is_err());
    let answer = log_in(&north.api(), "alice", "a longer password").await.unwrap();
    let alice = Client::of(&north.api(), &answer);

    let system = north.admin(Role::System);
    system.post("/admin/v1/users/alice/disable", &json!({})).await.unwrap();
    assert!(alice.api.get("/client/v1/me").await.is_err());
    assert!(log_in(&north.api(), "alice", "a longer password").await.is_err());
    system.post("/admin/v1/users/alice@north/enable", &json!({})).await.unwrap();
    log_in(&north.api(), "alice", "a longer password").await.unwrap();
    world.finish().await;
}
