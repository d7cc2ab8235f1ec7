//! Administrators' powers are apart (三员分立): each route with each role.

use http::Method;
use isthmus_node::client::Api;
use isthmus_node::{platform, server};
use isthmus_tests::{Role, World};
use serde_json::{Value, json};

const SYSTEM: &[Role] = &[Role::System];
const SECURITY: &[Role] = &[Role::Security];
const AUDIT: &[Role] = &[Role::Audit];
const ALL: &[Role] = &Role::ALL;

struct Route(Method, &'static str, Value, &'static [Role]);

/// A role is kept out with 403, or let in to whatever the route says then; nobody else is let in at all.
async fn check(route: &Route, admin: impl Fn(Role) -> Api, strangers: &[Api]) {
    let Route(method, path, body, allowed) = route;
    let body = (*method == Method::POST).then_some(body);
    for role in Role::ALL {
        let (status, answer) = admin(role).call(method.clone(), path, body).await.unwrap();
        if allowed.contains(&role) {
            assert!(status < 400 && answer["code"] != 1101, "{method} {path} as {role:?}: {status} {answer}");
        } else {
            assert_eq!((status, &answer["code"]), (403, &json!(1101)), "{method} {path} as {role:?}: {answer}");
        }
    }
    for stranger in strangers {
        let (status, answer) = stranger.call(method.clone(), path, body).await.unwrap();
        assert_eq!((status, &answer["code"]), (401, &json!(1101)), "{method} {path}: {answer}");
    }
}

/// Every route of a table is among those that are tried, but for what is open to everybody.
fn all_tried(routes: &[Route], table: Vec<(Method, String)>) {
    let open = ["/healthz", "/readyz", "/metrics"];
    let written = |Route(method, path, ..): &Route| {
        let path = path.split('?').next().unwrap();
        let parts: Vec<_> = path.split('/').collect();
        (method.clone(), parts)
    };
    let tried: Vec<_> = routes.iter().map(written).collect();
    for (method, path) in table {
        let wanted: Vec<_> = path.split('/').collect();
        let is = |parts: &[&str]| {
            parts.len() == wanted.len() && parts.iter().zip(&wanted).all(|(p, w)| p == w || w.starts_with('{'))
        };
        let known = tried.iter().any(|(of, parts)| *of == method && is(parts));
        let log_in = path == "/admin/v1/session" && method == Method::POST;
        assert!(known || log_in || open.contains(&path.as_str()), "{method} {path} is tried with no role");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_of_a_server_takes_the_roles_that_it_names_and_no_other() {
    let world = World::one().await;
    let north = world.north();
    let alice = north.user("alice").await;
    let bundle = json!({"dir": world.folder("empty"), "why": "a test"});
    let nobody = "00000000-0000-7000-8000-000000000000";
    let user = json!({"userID": "x", "password": "short"});
    let get = |path, roles| Route(Method::GET, path, json!(null), roles);
    let post = |path, body: &Value, roles| Route(Method::POST, path, body.clone(), roles);
    let explain = format!("/admin/v1/policy/explain/{nobody}").leak();
    let release = format!("/admin/v1/held/{nobody}/release").leak();
    let discard = format!("/admin/v1/held/{nobody}/drop").leak();
    let routes = [
        get("/admin/v1/status", ALL),
        get("/admin/v1/users", SYSTEM),
        post("/admin/v1/users", &user, SYSTEM),
        post("/admin/v1/users/nobody/disable", &json!({}), SYSTEM),
        post("/admin/v1/users/nobody/enable", &json!({}), SYSTEM),
        post("/admin/v1/users/nobody/password", &json!({"password": "long enough"}), SYSTEM),
        get("/admin/v1/users/nobody/devices", SYSTEM),
        post("/admin/v1/users/nobody/devices/end", &json!({}), SYSTEM),
        get("/admin/v1/users/nobody/measures", SYSTEM),
        post("/admin/v1/users/nobody/measures", &json!({"measure": "warn", "words": "a test"}), SYSTEM),
        post("/admin/v1/users/nobody/measures/lift", &json!({"measure": "mute"}), SYSTEM),
        get("/admin/v1/figures", ALL),
        get("/admin/v1/peers", &[Role::System, Role::Security]),
        get("/admin/v1/outbox", SYSTEM),
        get("/admin/v1/policy", ALL),
        get("/admin/v1/policy/history", ALL),
        post("/admin/v1/policy/check", &bundle, SECURITY),
        post("/admin/v1/policy/stage", &bundle, SECURITY),
        post("/admin/v1/policy/upload", &json!({"files": []}), SECURITY),
        post("/admin/v1/policy/canary", &bundle, SECURITY),
        get("/admin/v1/policy/diff?from=1&to=active", &[Role::Security, Role::Audit]),
        post("/admin/v1/policy/shadow", &bundle, SECURITY),
        get("/admin/v1/policy/shadow", &[Role::Security, Role::Audit]),
        post("/admin/v1/policy/shadow/stop", &json!({}), SECURITY),
        post("/admin/v1/policy/replay", &bundle, SECURITY),
        get("/admin/v1/policy/replay", &[Role::Security, Role::Audit]),
        post("/admin/v1/policy/replay/stop", &json!({}), SECURITY),
        post("/admin/v1/policy/explain", &json!({"nothing": true}), &[Role::Security, Role::Audit]),
        get("/admin/v1/policy/lists", SECURITY),
        get("/admin/v1/policy/lists/mask", SECURITY),
        post("/admin/v1/policy/lists/mask", &json!({"add": ["word"], "why": "a test"}), SECURITY),
        post("/admin/v1/policy/activate", &bundle, SECURITY),
        post("/admin/v1/policy/rollback", &json!({"why": "a test"}), SECURITY),
        get(explain, &[Role::Security, Role::Audit]),
        get("/admin/v1/audit", AUDIT),
        post("/admin/v1/audit/verify", &json!({}), AUDIT),
        get("/admin/v1/session", ALL),
        post("/admin/v1/session/end", &json!({}), ALL),
        post("/admin/v1/session/password", &json!({"old": "one", "new": "another of them"}), ALL),
        post("/admin/v1/session/totp", &json!({}), ALL),
        post("/admin/v1/session/totp/confirm", &json!({"code": "123456"}), ALL),
        post("/admin/v1/session/totp/remove", &json!({"password": "one"}), ALL),
        get("/admin/v1/administrators", ALL),
        post("/admin/v1/administrators/nobody/reset", &json!({}), ALL),
        get("/admin/v1/held", SECURITY),
        post(release, &json!({}), SECURITY),
        post(discard, &json!({"reason": "none"}), SECURITY),
    ];
    let anonymous = north.admin_anonymous();
    let strangers = [
        anonymous.with_token(&alice.access_token),
        anonymous.with_token("isa_guess"),
        anonymous.with_token(world.platform().admin_token()),
        anonymous,
    ];
    all_tried(&routes, server::admin_routes().unwrap());
    for route in &routes {
        check(route, |role| north.admin(role), &strangers).await;
    }
    let (status, _) = strangers[3].fetch(Method::GET, "/healthz", None).await.unwrap();
    assert_eq!(status, 200, "whether it lives is no secret");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_of_a_platform_takes_the_roles_that_it_names_and_no_other() {
    let world = World::one().await;
    let nobody = "00000000-0000-7000-8000-000000000000";
    let get = |path, roles| Route(Method::GET, path, json!(null), roles);
    let post = |path: String, body: Value, roles| Route(Method::POST, path.leak(), body, roles);
    let why = || json!({"reason": "a test"});
    let routes = [
        get("/admin/v1/status", ALL),
        get("/admin/v1/applications", ALL),
        get("/admin/v1/servers", ALL),
        get("/admin/v1/certificates", ALL),
        post(format!("/admin/v1/applications/{nobody}/approve"), why(), SYSTEM),
        post(format!("/admin/v1/applications/{nobody}/reject"), why(), SYSTEM),
        post("/admin/v1/servers/nobody/suspend".to_owned(), why(), SYSTEM),
        post("/admin/v1/servers/nobody/resume".to_owned(), why(), SYSTEM),
        post("/admin/v1/servers/nobody/deregister".to_owned(), why(), SYSTEM),
        get("/admin/v1/audit", AUDIT),
        post("/admin/v1/audit/verify".to_owned(), json!({}), AUDIT),
        get("/admin/v1/session", ALL),
        post("/admin/v1/session/end".to_owned(), json!({}), ALL),
        post("/admin/v1/session/password".to_owned(), json!({"old": "one", "new": "another of them"}), ALL),
        post("/admin/v1/session/totp".to_owned(), json!({}), ALL),
        post("/admin/v1/session/totp/confirm".to_owned(), json!({"code": "123456"}), ALL),
        post("/admin/v1/session/totp/remove".to_owned(), json!({"password": "one"}), ALL),
        get("/admin/v1/administrators", ALL),
        post("/admin/v1/administrators/nobody/reset".to_owned(), json!({}), ALL),
    ];
    all_tried(&routes, platform::admin_routes().unwrap());
    let anonymous = world.platform_anonymous();
    let foreign = anonymous.with_token(&world.north().running().admin_token(Role::System).unwrap());
    let strangers = [anonymous.with_token("isa_guess"), anonymous, foreign];
    for route in &routes {
        check(route, |role| world.platform_admin(role), &strangers).await;
    }
    world.finish().await;
}
