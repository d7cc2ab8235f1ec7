//! All that the console does is done by the command line too, against a server in a process of its own. Which of the server's
//! routes the commands reach is read from the server's own figures.

use std::collections::BTreeMap;

use isthmus_node::admin_token::read_plain;
use isthmus_node::server::listener_ca;
use isthmus_tests::client::password_of;
use isthmus_tests::openapi::ADMIN;
use isthmus_tests::process::Child;
use isthmus_tests::{Client, Role, World, bundle};
use serde_json::Value;

use crate::command_line::run;

/// Operations without a command, and why.
const APART: &[(&str, &str)] = &[
    ("healthz", "for whoever watches processes"),
    ("readyz", "for whoever watches processes"),
    ("metrics", "for whoever gathers figures"),
    ("audit.verify", "`isthmus audit verify` does it from the files alone, and need not believe the server"),
    ("session.begin", "a person's log-in at the console; a command has the role's token"),
    ("session", "of a person's log-in"),
    ("session.end", "of a person's log-in"),
    ("session.password", "of a person's log-in"),
    ("session.totp", "of a person's log-in"),
    ("session.totp.confirm", "of a person's log-in"),
    ("session.totp.remove", "of a person's log-in"),
];

/// Somebody at a terminal, who has the tokens of all roles.
struct Clerk<'a> {
    server: &'a Child,
    ca: String,
    url: String,
}

impl Clerk<'_> {
    /// Exit code, and the document on standard output (or what went wrong).
    async fn asks(&self, role: Role, args: &[&str], input: &'static str) -> (i32, Value) {
        let token = read_plain(&self.server.config.admin_tokens, role).unwrap();
        let whom = ["--json", "--url", &self.url, "--ca", &self.ca, "--token", &token];
        let output = run(&[args, &whom].concat(), input).await;
        let code = output.status.code().unwrap();
        let said = if code == 0 { output.stdout } else { output.stderr };
        let text = String::from_utf8_lossy(&said).into_owned();
        (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {code}: {error}: {text}")))
    }

    /// What a person is shown by a command for the system administrator.
    async fn people(&self, args: &[&str]) -> String {
        let token = read_plain(&self.server.config.admin_tokens, Role::System).unwrap();
        let output = run(&[args, &["--url", &self.url, "--ca", &self.ca, "--token", &token]].concat(), "").await;
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn does(&self, role: Role, args: &[&str]) -> Value {
        let (code, answer) = self.asks(role, args, "a new password").await;
        assert_eq!(code, 0, "{args:?}: {answer}");
        answer
    }

    async fn system(&self, args: &[&str]) -> Value {
        self.does(Role::System, &[&["admin"], args].concat()).await
    }

    async fn security(&self, args: &[&str]) -> Value {
        self.does(Role::Security, args).await
    }

    /// As often as each operation was asked for, by the server's own count.
    async fn reached(&self) -> BTreeMap<String, u64> {
        let (_, figures) = self.server.admin(Role::System).fetch(http::Method::GET, "/metrics", None).await.unwrap();
        let text = String::from_utf8(figures.to_vec()).unwrap();
        let mut reached = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("isthmus_requests_total") && line.contains("admin")) {
            let call = line.split("call=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            let many: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            *reached.entry(call.to_owned()).or_default() += many as u64;
        }
        reached
    }
}

async fn users(clerk: &Clerk<'_>) {
    let made = clerk.system(&["users", "create", "bob", "--name", "Bob"]).await;
    assert_eq!(made["userID"], "bob@north");
    let alice = async || Client::log_in(&clerk.server.api(), "alice").await;
    clerk.server.create_user("alice").await;
    let first = alice().await.unwrap();
    let devices = clerk.system(&["users", "devices", "alice"]).await;
    assert_eq!(devices["devices"][0]["deviceID"], *first.device);
    clerk.system(&["users", "logout", "alice", "--device", &first.device]).await;
    assert!(first.api.get("/client/v1/me").await.is_err());
    clerk.system(&["users", "disable", "alice"]).await;
    assert!(alice().await.is_err());
    clerk.system(&["users", "enable", "alice"]).await;

    let now = alice().await.unwrap();
    clerk.system(&["users", "warn", "alice", "--words", "no insults, please"]).await;
    let limit = ["users", "limit", "alice", "--per-minute", "1", "--for", "1h", "--words", "slowly"];
    let limited = clerk.system(&limit).await;
    assert_eq!(limited["measures"][1]["perMinute"], 1, "{limited}");
    now.send("bob@north", "one").await;
    assert_eq!(now.try_send("bob@north", "two").await.unwrap_err().code, 1301);
    clerk.system(&["users", "mute", "alice", "--until", "2030-01-01", "--words", "silence"]).await;
    assert_eq!(now.try_send("bob@north", "three").await.unwrap_err().code, 1105);
    let held = clerk.system(&["users", "measures", "alice"]).await;
    let kinds: Vec<_> = held["measures"].as_array().unwrap().iter().map(|one| one["measure"].clone()).collect();
    assert_eq!(kinds, ["warn", "limit", "mute"]);
    for measure in ["limit", "mute"] {
        clerk.system(&["users", "lift", "alice", measure]).await;
    }
    now.send("bob@north", "two").await;
    clerk.system(&["users", "suspend", "alice", "--words", "call the desk"]).await;
    assert!(alice().await.is_err());
    clerk.system(&["users", "lift", "alice", "suspend"]).await;
    alice().await.unwrap();
    clerk.system(&["users", "reset", "alice"]).await;
    assert!(alice().await.is_err(), "{} is not the password any more", password_of("alice"));
    let list = clerk.system(&["users", "list"]).await;
    assert_eq!(list["users"].as_array().unwrap().len(), 2);

    for (wrong, exit, words) in [
        (&["users", "mute", "alice", "--words", "x"][..], 2, "--for"),
        (&["users", "mute", "alice", "--words", "", "--for", "1h"], 3, "words"),
        (&["users", "mute", "alice", "--words", "x", "--for", "1h", "--until", "2030-01-01"], 2, "cannot be used with"),
        (&["users", "mute", "alice", "--words", "x", "--until", "1h"], 2, "write --for 1h"),
        (
            &["users", "suspend", "alice", "--words", "x", "--until", "2020-01-01"],
            2,
            "2020-01-01T00:00:00Z, which is past",
        ),
        (&["users", "disable", "nobody"], 3, "nobody"),
        (&["users", "lift", "alice", "mute"], 3, "not muted"),
    ] {
        let args = [&["admin"], wrong].concat();
        let token = read_plain(&clerk.server.config.admin_tokens, Role::System).unwrap();
        let output = run(&[&args[..], &["--url", &clerk.url, "--ca", &clerk.ca, "--token", &token]].concat(), "").await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(exit) && said.contains(words), "{wrong:?}: {:?} {said}", output.status);
    }
}

async fn operation(clerk: &Clerk<'_>) {
    clerk.system(&["status"]).await;
    let overview = clerk.system(&["overview"]).await;
    assert_eq!(overview["serverId"], "north");
    assert_eq!(
        (&overview["ready"], &overview["users"], &overview["held"]),
        (&true.into(), &2.into(), &0.into()),
        "{overview}"
    );
    let glance = clerk.people(&["admin", "overview"]).await;
    let generation = format!("generation {} (", overview["policy"]["generation"]);
    for part in [
        "server       north, up since 20",
        "state        ready: serving",
        &generation,
        "users        2 users",
        "audit log    ",
    ] {
        assert!(glance.contains(part), "{part} is not in\n{glance}");
    }
    assert!(glance.lines().count() < 15 && !glance.contains("histogram"), "{glance}");
    let peers = clerk.system(&["peers"]).await;
    assert!(peers["peers"].is_array(), "{peers}");
    clerk.system(&["outbox"]).await;
    let all = clerk.system(&["administrators", "list"]).await;
    assert_eq!(all["administrators"].as_array().unwrap().len(), 3);
    for (role, name) in [(Role::System, "sysadmin"), (Role::Audit, "auditadmin")] {
        let again = clerk.does(role, &["admin", "administrators", "reset", name]).await;
        assert!(again["password"].as_str().is_some_and(|password| password.len() > 20), "{again}");
    }
}

async fn policy(clerk: &Clerk<'_>, world: &World) {
    let dir = bundle::shipped(world.folder("bundle"), &[("reject", &["verboten"][..])]);
    let dir = dir.to_str().unwrap();
    let uploaded = clerk.security(&["policy", "upload", dir, "--why", "a test"]).await;
    let staged = clerk.security(&["policy", "stage", dir, "--why", "a test"]).await;
    assert_eq!(uploaded["digest"], staged["digest"], "the same bundle, from here and from there");
    let staged = format!("staged:{}", staged["digest"].as_str().unwrap());
    for args in [
        &["policy", "check", dir][..],
        &["policy", "canary", &staged],
        &["policy", "diff", "active", &staged],
        &["policy", "shadow", "start", &staged],
        &["policy", "shadow", "report"],
        &["policy", "shadow", "stop"],
        &["policy", "replay", &staged, "--limit", "10"],
        &["policy", "replay", "--stop"],
        &["policy", "activate", &staged, "--why", "a test"],
        &["policy", "lists", "add", "reject", "word", "--why", "a test"],
        &["policy", "lists", "show"],
        &["policy", "lists", "show", "reject"],
        &["policy", "explain", "--from", "alice@north", "--to", "bob@north", "--text", "hello"],
        &["policy", "rollback", "--why", "a test"],
        &["policy", "show"],
        &["policy", "history"],
        &["admin", "held", "list"],
    ] {
        clerk.security(args).await;
    }
    let nothing = "00000000-0000-7000-8000-000000000000";
    for args in [
        &["admin", "held", "release", nothing][..],
        &["admin", "held", "drop", nothing, "--reason", "no"],
        &["policy", "explain", nothing],
    ] {
        let (code, said) = clerk.asks(Role::Security, args, "").await;
        assert_eq!(code, 3, "{args:?}: {said}");
    }
    let found = clerk.does(Role::Audit, &["audit", "search", "--operation", "admin.user.mute"]).await;
    assert_eq!(found["records"][0]["target"], "alice@north", "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_administrators_interface_has_a_command_or_a_reason() {
    let world = World::plan().start().await;
    let north = world.child("north").await;
    let clerk = Clerk {
        server: &north,
        ca: listener_ca(&north.config.data_dir).display().to_string(),
        url: format!("https://{}", north.config.listen.admin),
    };
    users(&clerk).await;
    operation(&clerk).await;
    policy(&clerk, &world).await;
    let reached = clerk.reached().await;
    for (_, path, operation) in ADMIN.operations() {
        let name = operation["operationId"].as_str().unwrap();
        let apart = APART.iter().any(|(other, _)| *other == name);
        assert!(apart || reached.contains_key(name), "{path}: no command asks for {name}; {reached:?}");
    }
    let known = |name: &str| ADMIN.operations().iter().any(|(_, _, operation)| operation["operationId"] == name);
    let made_up: Vec<_> = APART.iter().filter(|(name, _)| !known(name)).collect();
    assert!(made_up.is_empty(), "docs/openapi/admin.json has no {made_up:?}");
    north.stop().await;
    world.finish().await;
}
