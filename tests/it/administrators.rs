//! The people of the three roles log in (§5.2): accounts of their own, beside the roles' tokens for scripts.

use http::Method;
use isthmus_node::{clock, totp};
use isthmus_tests::console::{self, OWN};
use isthmus_tests::world::DOMAIN;
use isthmus_tests::{Console, Role, Site, World};
use serde_json::{Value, json};

fn first_passwords(site: &Site) -> Option<Value> {
    console::first_passwords(&site.config.data_dir)
}

fn first_password(site: &Site, name: &str) -> String {
    console::first_password(&site.config.data_dir, name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_password_opens_nothing_but_the_choice_of_another_and_serves_once() {
    let world = World::one().await;
    let north = world.north();
    let first = first_password(north, "sysadmin");
    let mut console = Console::of(north.admin_anonymous());
    let (status, answer) = console.log_in("sysadmin", &first).await;
    assert_eq!(
        (status, &answer["administrator"]["isNew"], &answer["administrator"]["role"]),
        (200, &json!(true), &json!("system"))
    );
    let (status, answer) = console.get("/admin/v1/users").await;
    assert_eq!((status, &answer["code"]), (403, &json!(1101)), "{answer}");
    for (new, words) in [("short", "12"), ("sysadmin sysadmin", "name"), (first.as_str(), "present")] {
        let (_, answer) = console.post("/admin/v1/session/password", json!({"old": first, "new": new})).await;
        assert!(answer["code"] == 1003 && answer["msg"].as_str().unwrap().contains(words), "{new}: {answer}");
    }
    let (_, answer) = console.post("/admin/v1/session/password", json!({"old": first, "new": OWN})).await;
    assert_eq!(answer["code"], 0, "{answer}");
    assert_eq!(console.get("/admin/v1/users").await.0, 200);
    assert_eq!(Console::of(north.admin_anonymous()).log_in("sysadmin", &first).await.0, 401);
    assert_eq!(first_passwords(north).unwrap().as_object().unwrap().len(), 2, "the others' are still in the file");
    for name in ["secadmin", "auditadmin"] {
        Console::settled(north.admin_anonymous(), &north.config.data_dir, name).await;
    }
    assert_eq!(first_passwords(north), None, "nothing is left to be read");
    let acts = north.audit("user=admin:sysadmin").await;
    let acts: Vec<_> =
        acts.iter().rev().map(|r| (r["operation"].as_str().unwrap(), r["outcome"].as_str().unwrap())).collect();
    assert_eq!(acts, [("admin.login", "allowed"), ("admin.password", "allowed"), ("admin.login", "failed")]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_what_its_role_may_in_its_owners_name_and_ends_at_once_when_it_is_told_to() {
    let world = World::one().await;
    let north = world.north();
    let mut console = Console::settled(north.admin_anonymous(), &north.config.data_dir, "sysadmin").await;
    let (_, me) = console.get("/admin/v1/session").await;
    assert_eq!((&me["role"], &me["actor"]), (&json!("system"), &json!("admin:sysadmin")));
    assert!(me["leftMs"].as_u64().unwrap() > 800_000, "{me}");
    let user = json!({"userID": "ann", "name": "Ann", "password": "long enough"});
    assert_eq!(console.post("/admin/v1/users", user).await.1["code"], 0);
    assert_eq!(north.audit("operation=admin.user.create").await[0]["actor"], "admin:sysadmin");
    assert_eq!(console.get("/admin/v1/audit").await.0, 403, "another administrator's act");
    let cookie = console.cookie.clone();
    assert_eq!(console.post("/admin/v1/session/end", json!({})).await.1["code"], 0);
    assert_eq!(console.cookie, None);
    console.cookie = cookie;
    assert_eq!(console.get("/admin/v1/users").await.0, 401);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_another_site_makes_a_browser_send_opens_nothing() {
    let world = World::one().await;
    let mut console =
        Console::settled(world.north().admin_anonymous(), &world.north().config.data_dir, "sysadmin").await;
    let tries: [&[(&str, &str)]; 3] =
        [&[], &[("x-isthmus-console", "act"), ("sec-fetch-site", "cross-site")], &[("x-isthmus-console", "act")]];
    for (with, status) in tries.into_iter().zip([401, 401, 200]) {
        assert_eq!(console.send(Method::GET, "/admin/v1/users", &json!(null), with).await.0, status, "{with:?}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_an_administrators_password_is_told_nothing_recorded_and_stopped() {
    let world = World::one().await;
    let north = world.north();
    let mut console = Console::settled(north.admin_anonymous(), &north.config.data_dir, "auditadmin").await;
    let wrong = Console::of(north.admin_anonymous()).log_in("auditadmin", "a guess").await;
    assert_eq!((wrong.0, &wrong.1["code"]), (401, &json!(1101)));
    assert_eq!(Console::of(north.admin_anonymous()).log_in("my password, by mistake", "a guess").await, wrong);
    for _ in 0..4 {
        assert_eq!(Console::of(north.admin_anonymous()).log_in("auditadmin", "a guess").await.0, 401);
    }
    let (status, answer) = Console::of(north.admin_anonymous()).log_in("auditadmin", OWN).await;
    assert_eq!((status, &answer["code"]), (429, &json!(1301)), "the right one does not help then");
    assert_eq!(console.get("/admin/v1/session").await.0, 200, "who is in stays in");
    let failed = north.audit("operation=admin.login&outcome=failed").await;
    assert_eq!(failed.len(), 6);
    let names: std::collections::BTreeSet<_> = failed.iter().map(|record| record["actor"].as_str().unwrap()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["admin:auditadmin", "admin:unknown"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_and_none_of_its_codes_serves_twice() {
    let world = World::one().await;
    let north = world.north();
    let mut console = Console::settled(north.admin_anonymous(), &north.config.data_dir, "secadmin").await;
    let (_, offered) = console.post("/admin/v1/session/totp", json!({})).await;
    let secret = unletter(offered["secret"].as_str().unwrap());
    assert!(offered["uri"].as_str().unwrap().starts_with("otpauth://totp/Isthmus%20north:secadmin?secret="));
    let code = |back: u64| totp::code(&secret, totp::step_of(clock::now_ms()) - back);
    let (_, answer) = console.post("/admin/v1/session/totp/confirm", json!({"code": "000000x"})).await;
    assert_eq!(answer["code"], 1003, "{answer}");
    let confirmed = console.post("/admin/v1/session/totp/confirm", json!({"code": code(1)})).await;
    assert_eq!(confirmed.1["code"], 0, "{confirmed:?}");

    let mut other = Console::of(north.admin_anonymous());
    let (status, answer) = other.log_in("secadmin", OWN).await;
    assert_eq!((status, &answer["codeNeeded"], other.cookie.is_none()), (200, &json!(true), true));
    let with = |code: String| json!({"name": "secadmin", "password": OWN, "code": code});
    assert_eq!(other.post("/admin/v1/session", with("12345".into())).await.0, 401);
    let now = code(0);
    assert_eq!(other.post("/admin/v1/session", with(now.clone())).await.0, 200);
    assert_eq!(Console::of(north.admin_anonymous()).post("/admin/v1/session", with(now)).await.0, 401, "used");

    let (_, answer) = other.post("/admin/v1/session/totp/remove", json!({"password": "not mine"})).await;
    assert_eq!(answer["code"], 1003);
    let (_, answer) = other.post("/admin/v1/session/totp/remove", json!({"password": OWN})).await;
    assert_eq!(answer["code"], 0, "{answer}");
    assert_eq!(
        Console::of(north.admin_anonymous()).log_in("secadmin", OWN).await.1["administrator"]["name"],
        "secadmin"
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_a_roles_token_gives_its_account_a_new_password_and_no_others() {
    let world = World::one().await;
    let north = world.north();
    let mut console = Console::settled(north.admin_anonymous(), &north.config.data_dir, "auditadmin").await;
    let reset = "/admin/v1/administrators/auditadmin/reset";
    let (_, refused) = north.admin(Role::System).call(Method::POST, reset, Some(&json!({}))).await.unwrap();
    assert_eq!(refused["code"], 1105, "{refused}");
    let answer = north.admin(Role::Audit).post(reset, &json!({})).await.unwrap();
    assert_eq!(console.get("/admin/v1/session").await.0, 401, "its sessions end");
    assert_eq!(Console::of(north.admin_anonymous()).log_in("auditadmin", OWN).await.0, 401);
    let (status, new) =
        Console::of(north.admin_anonymous()).log_in("auditadmin", answer["password"].as_str().unwrap()).await;
    assert_eq!((status, &new["administrator"]["isNew"]), (200, &json!(true)));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_outlive_a_restart_and_sessions_do_not() {
    let mut world = World::one().await;
    let console = Console::settled(world.north().admin_anonymous(), &world.north().config.data_dir, "sysadmin").await;
    let north = world.site_mut("north");
    north.stop().await;
    north.start().await;
    let mut after = Console { cookie: console.cookie, ..Console::of(north.admin_anonymous()) };
    assert_eq!(after.get("/admin/v1/session").await.0, 401);
    assert_eq!(after.log_in("sysadmin", OWN).await.0, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_people_log_in_as_a_servers_do_and_decide_in_their_own_names() {
    let world = World::one().await;
    let data = world.platform_data();
    let console = async |name: &str| Console::settled(world.platform_anonymous(), &data, name).await;
    let mut fresh = Console::of(world.platform_anonymous());
    let (_, entered) = fresh.log_in("auditadmin", &console::first_password(&data, "auditadmin")).await;
    assert_eq!(entered["administrator"]["isNew"], true, "{entered}");
    assert_eq!(fresh.get("/admin/v1/audit").await.0, 403, "a password of one's own comes first");
    let (mut system, mut security) = (console("sysadmin").await, console("secadmin").await);
    let mut audit = console("auditadmin").await;
    assert_eq!(console::first_passwords(&data), None, "nothing is left to be read");
    let (_, me) = system.get("/admin/v1/session").await;
    assert_eq!((&me["domain"], &me["actor"]), (&json!(DOMAIN), &json!("admin:sysadmin")), "{me}");

    world.enrolled_peer("west").await;
    let suspend = "/admin/v1/servers/west/suspend";
    assert_eq!(security.post(suspend, json!({"reason": "spam"})).await.0, 403);
    assert_eq!(system.post(suspend, json!({"reason": "spam"})).await.1["serverStatus"], "1");
    let (_, found) = audit.get("/admin/v1/audit?operation=registry.suspend").await;
    assert_eq!(found["records"][0]["actor"], "admin:sysadmin", "{found}");
    let (_, acts) = audit.get("/admin/v1/audit?user=admin:sysadmin").await;
    let acts: Vec<_> = acts["records"].as_array().unwrap().iter().map(|r| r["operation"].as_str().unwrap()).collect();
    assert_eq!(acts, ["registry.suspend", "admin.password", "admin.login"]);
    let (_, verified) = audit.post("/admin/v1/audit/verify", json!({})).await;
    assert_eq!((&verified["whole"], &verified["problems"]), (&json!(true), &json!([])), "{verified}");

    for _ in 0..5 {
        assert_eq!(Console::of(world.platform_anonymous()).log_in("sysadmin", "a guess").await.0, 401);
    }
    assert_eq!(Console::of(world.platform_anonymous()).log_in("sysadmin", OWN).await.0, 429, "guessing is stopped");
    system.post("/admin/v1/session/end", json!({})).await;
    assert_eq!(system.get("/admin/v1/servers").await.0, 401);
    let reset = "/admin/v1/administrators/sysadmin/reset";
    let answer = world.platform_admin(Role::System).post(reset, &json!({})).await.unwrap();
    let (status, _) =
        Console::of(world.platform_anonymous()).log_in("sysadmin", answer["password"].as_str().unwrap()).await;
    assert_eq!(status, 200, "the token lets its account's owner in again");
    world.finish().await;
}

/// Base32, read back.
fn unletter(letters: &str) -> totp::Shared {
    let bits: String = letters
        .bytes()
        .map(|b| if b.is_ascii_uppercase() { b - b'A' } else { b - b'2' + 26 })
        .map(|value| format!("{value:05b}"))
        .collect();
    let bytes: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|b| u8::from_str_radix(std::str::from_utf8(b).unwrap(), 2).unwrap())
        .collect();
    bytes.try_into().unwrap()
}
