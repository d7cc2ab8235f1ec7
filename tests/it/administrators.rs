//! The people of the three roles log in (§5.2): accounts of their own, beside the roles' tokens for scripts.

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use isthmus_node::client::Api;
use isthmus_node::{clock, totp};
use isthmus_tests::{Role, Site, World};
use serde_json::{Value, json};

const OWN: &str = "a password of my own";

/// A browser with the console open.
struct Console {
    api: Api,
    cookie: Option<String>,
}

impl Console {
    fn of(site: &Site) -> Console {
        Console { api: site.admin_anonymous(), cookie: None }
    }

    async fn send(&mut self, method: Method, path: &str, body: &Value, with: &[(&'static str, &str)]) -> (u16, Value) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        if let Some(cookie) = &self.cookie {
            headers.insert(header::COOKIE, cookie.parse().unwrap());
        }
        for (name, value) in with {
            headers.insert(*name, value.parse().unwrap());
        }
        let bytes = if method == Method::GET { Bytes::new() } else { Bytes::from(body.to_string()) };
        let answer = self.api.exchange(method, path, headers, bytes).await.unwrap();
        if let Some(set) = answer.headers().get(header::SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    async fn post(&mut self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, &body, &[("x-isthmus-console", "act")]).await
    }

    async fn get(&mut self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, &json!(null), &[("x-isthmus-console", "act")]).await
    }

    async fn log_in(&mut self, name: &str, password: &str) -> (u16, Value) {
        self.post("/admin/v1/session", json!({"name": name, "password": password})).await
    }

    /// With a password of one's own.
    async fn settled(site: &Site, name: &str) -> Console {
        let mut console = Console::of(site);
        let first = first_password(site, name);
        assert_eq!(console.log_in(name, &first).await.0, 200);
        let changed = console.post("/admin/v1/session/password", json!({"old": first, "new": OWN})).await;
        assert_eq!(changed.1["code"], 0, "{changed:?}");
        console
    }
}

fn first_passwords(site: &Site) -> Option<Value> {
    let text = std::fs::read_to_string(site.config.data_dir.join("admin-passwords.json")).ok()?;
    serde_json::from_str(&text).ok()
}

fn first_password(site: &Site, name: &str) -> String {
    first_passwords(site).unwrap()[name].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_password_opens_nothing_but_the_choice_of_another_and_serves_once() {
    let world = World::one().await;
    let north = world.north();
    let first = first_password(north, "sysadmin");
    let mut console = Console::of(north);
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
    assert_eq!(Console::of(north).log_in("sysadmin", &first).await.0, 401);
    assert_eq!(first_passwords(north).unwrap().as_object().unwrap().len(), 2, "the others' are still in the file");
    for name in ["secadmin", "auditadmin"] {
        Console::settled(north, name).await;
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
    let mut console = Console::settled(north, "sysadmin").await;
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
    let mut console = Console::settled(world.north(), "sysadmin").await;
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
    let mut console = Console::settled(north, "auditadmin").await;
    let wrong = Console::of(north).log_in("auditadmin", "a guess").await;
    assert_eq!((wrong.0, &wrong.1["code"]), (401, &json!(1101)));
    assert_eq!(Console::of(north).log_in("my password, by mistake", "a guess").await, wrong);
    for _ in 0..4 {
        assert_eq!(Console::of(north).log_in("auditadmin", "a guess").await.0, 401);
    }
    let (status, answer) = Console::of(north).log_in("auditadmin", OWN).await;
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
    let mut console = Console::settled(north, "secadmin").await;
    let (_, offered) = console.post("/admin/v1/session/totp", json!({})).await;
    let secret = unletter(offered["secret"].as_str().unwrap());
    assert!(offered["uri"].as_str().unwrap().starts_with("otpauth://totp/Isthmus%20north:secadmin?secret="));
    let code = |back: u64| totp::code(&secret, totp::step_of(clock::now_ms()) - back);
    let (_, answer) = console.post("/admin/v1/session/totp/confirm", json!({"code": "000000x"})).await;
    assert_eq!(answer["code"], 1003, "{answer}");
    let confirmed = console.post("/admin/v1/session/totp/confirm", json!({"code": code(1)})).await;
    assert_eq!(confirmed.1["code"], 0, "{confirmed:?}");

    let mut other = Console::of(north);
    let (status, answer) = other.log_in("secadmin", OWN).await;
    assert_eq!((status, &answer["codeNeeded"], other.cookie.is_none()), (200, &json!(true), true));
    let with = |code: String| json!({"name": "secadmin", "password": OWN, "code": code});
    assert_eq!(other.post("/admin/v1/session", with("12345".into())).await.0, 401);
    let now = code(0);
    assert_eq!(other.post("/admin/v1/session", with(now.clone())).await.0, 200);
    assert_eq!(Console::of(north).post("/admin/v1/session", with(now)).await.0, 401, "used");

    let (_, answer) = other.post("/admin/v1/session/totp/remove", json!({"password": "not mine"})).await;
    assert_eq!(answer["code"], 1003);
    let (_, answer) = other.post("/admin/v1/session/totp/remove", json!({"password": OWN})).await;
    assert_eq!(answer["code"], 0, "{answer}");
    assert_eq!(Console::of(north).log_in("secadmin", OWN).await.1["administrator"]["name"], "secadmin");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_a_roles_token_gives_its_account_a_new_password_and_no_others() {
    let world = World::one().await;
    let north = world.north();
    let mut console = Console::settled(north, "auditadmin").await;
    let reset = "/admin/v1/administrators/auditadmin/reset";
    let (_, refused) = north.admin(Role::System).call(Method::POST, reset, Some(&json!({}))).await.unwrap();
    assert_eq!(refused["code"], 1105, "{refused}");
    let answer = north.admin(Role::Audit).post(reset, &json!({})).await.unwrap();
    assert_eq!(console.get("/admin/v1/session").await.0, 401, "its sessions end");
    assert_eq!(Console::of(north).log_in("auditadmin", OWN).await.0, 401);
    let (status, new) = Console::of(north).log_in("auditadmin", answer["password"].as_str().unwrap()).await;
    assert_eq!((status, &new["administrator"]["isNew"]), (200, &json!(true)));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_outlive_a_restart_and_sessions_do_not() {
    let mut world = World::one().await;
    let console = Console::settled(world.north(), "sysadmin").await;
    let north = world.site_mut("north");
    north.stop().await;
    north.start().await;
    let mut after = Console { cookie: console.cookie, ..Console::of(north) };
    assert_eq!(after.get("/admin/v1/session").await.0, 401);
    assert_eq!(after.log_in("sysadmin", OWN).await.0, 200);
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
