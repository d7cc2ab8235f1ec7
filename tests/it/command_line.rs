//! The command line, by its binary: what it says and how it ends.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use isthmus_tests::process::executable;
use isthmus_tests::world::DOMAIN;
use isthmus_tests::{Role, World, until};
use serde_json::{Value, json};

/// Runs `isthmus` to its end, off the async threads.
pub(crate) async fn run(args: &[&str], input: &'static str) -> Output {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let run = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(executable());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ISTHMUS_")) {
            command.env_remove(name);
        }
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    run.await.unwrap()
}

/// Exit code, standard output, standard error.
async fn said(args: &[&str]) -> (i32, String, String) {
    let output = run(args, "").await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kit_lists_its_cases_for_people_and_programs() {
    let (code, list, _) = said(&["conformance", "--list"]).await;
    assert!(code == 0 && list.contains("tls.no-certificate") && list.contains("§6.2"), "{list}");
    let (code, some, _) = said(&["conformance", "--list", "--only", "7.7.13", "--level", "mandatory", "--json"]).await;
    let some: Value = serde_json::from_str(&some).unwrap();
    let some = some.as_array().unwrap();
    assert!(code == 0 && !some.is_empty());
    for case in some {
        assert_eq!((&case["clause"], &case["level"]), (&json!("7.7.13"), &json!("mandatory")), "{case}");
        assert!(["name", "rule", "why"].iter().all(|field| case[field].is_string()), "{case}");
    }
    for wrong in [
        &["conformance", "--list", "--only", "no.such-case"][..],
        &["conformance", "--list", "--level", "sometimes"],
        &["conformance"],
        &["conformance", "--target", "https://127.0.0.1:1", "--ca", "/no/such/file", "--identity", "/no/such/folder"],
    ] {
        let (code, out, words) = said(wrong).await;
        assert!(code == 2 && out.is_empty() && !words.is_empty(), "{wrong:?}: {code} {out} {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kit_enrols_tests_and_says_how_it_went() {
    let world = World::one().await;
    let (north, folder) = (world.north(), world.folder("kit"));
    north.create_user("alice").await;
    north.create_user("bob").await;
    let (platform, ca) = (world.platform().api_url(), world.platform().ca_pem());
    let identity = folder.join("identity");
    let enrol = [
        "conformance",
        "enroll",
        "--platform",
        &platform,
        "--ca",
        text(ca),
        "--id",
        "kit",
        "--address",
        "https://127.0.0.1:1",
        "--identity",
        text(&identity),
    ];
    // Rejected it says so, and the next call applies anew.
    let admin = world.platform_admin(Role::System);
    let decide = async |verb: &str| {
        until("the kit applies", async || {
            let waiting = admin.get("/admin/v1/applications?state=pending").await.unwrap();
            let id = waiting["applications"][0]["applicationId"].as_str()?.to_owned();
            let path = format!("/admin/v1/applications/{id}/{verb}");
            admin.post(&path, &json!({"reason": "who are you?"})).await.unwrap();
            Some(())
        })
        .await;
    };
    let ((code, _, words), ()) = tokio::join!(said(&enrol), decide("reject"));
    assert!(code == 2 && words.contains("who are you?"), "{code} {words}");
    let ((code, _, words), ()) = tokio::join!(said(&enrol), decide("approve"));
    assert!(code == 0 && identity.join("certificate.pem").exists(), "{code} {words}");
    let (code, _, words) = said(&enrol).await;
    assert!(code == 0 && words.contains("registered already"), "{code} {words}");
    let mut another = enrol;
    another[7] = "kit2";
    let (code, _, words) = said(&another).await;
    assert!(code == 2 && words.contains("kit"), "the folder is another's: {code} {words}");
    let (junit, report) = (folder.join("report.xml"), folder.join("report.json"));
    let target = &north.running().interconnect;
    let common = [
        "conformance",
        "--target",
        target,
        "--ca",
        text(ca),
        "--identity",
        text(&identity),
        "--user",
        "alice@north",
        "--other-user",
        "bob@north",
    ];
    let with = |more: &[&'static str]| {
        let mut args: Vec<String> = common.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args
    };
    let mut args = with(&["--only", "tls.secure,tls.no-certificate,tls.expired,user.details", "--json"]);
    args.extend(["--junit", text(&junit), "--report", text(&report)].map(str::to_owned));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (code, out, words) = said(&args).await;
    assert_eq!(code, 0, "{out}\n{words}");
    let (printed, written): (Value, Value) =
        (serde_json::from_str(&out).unwrap(), serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap());
    assert_eq!(printed, written);
    let state = |name: &str| {
        let cases = printed["cases"].as_array().unwrap();
        cases.iter().find(|case| case["name"] == name).map(|case| case["state"].clone()).unwrap()
    };
    assert_eq!((state("tls.secure"), state("tls.expired")), (json!("passed"), json!("skipped")));
    let junit = std::fs::read_to_string(&junit).unwrap();
    assert!(
        junit.contains("<testsuite") && junit.contains("tls.no-certificate") && junit.contains("<skipped"),
        "{junit}"
    );
    // A mandatory case that fails: there is no such user.
    let mut args = with(&["--only", "user.details"]);
    let place = args.iter().position(|arg| arg == "alice@north").unwrap();
    args[place] = "nobody@north".to_owned();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (code, out, words) = said(&args).await;
    assert!(code == 1 && out.contains("user.details") && words.contains("failed"), "{code}\n{out}\n{words}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_at_the_terminal_is_told_what_to_do() {
    let world = World::one().await;
    let north = world.north();
    let alice = north.user("alice").await;
    north.create_user("bob").await;
    let listen = format!("127.0.0.1:{}", isthmus_tests::world::free_port());
    let (key, chain) = world.enroll_pem("kit", &format!("https://{listen}")).await;
    let folder = world.folder("kit");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("key.pem"), key).unwrap();
    std::fs::write(folder.join("certificate.pem"), chain).unwrap();
    let ca = world.platform().ca_pem();
    let mut child = Command::new(executable())
        .args(["conformance", "--target", &north.running().interconnect, "--ca", text(ca), "--identity", text(&folder)])
        .args(["--listen", &listen, "--user", "alice@north", "--other-user", "bob@north", "--ask", "manual"])
        .args(["--only", "tls.out.shows-certificate", "--patience", "30"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, output) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
    let (heard, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::BufRead::lines(std::io::BufReader::new(output)).map_while(Result::ok) {
            let _ = heard.send(line);
        }
    });
    let told = tokio::time::timeout(Duration::from_secs(60), async {
        while let Some(line) = lines.recv().await {
            if let Some(words) = line.trim().strip_prefix("please: ") {
                return words.to_owned();
            }
        }
        panic!("it asks for nothing");
    });
    let told = told.await.unwrap();
    let said = told.strip_prefix("alice@north writes to ").and_then(|rest| rest.split_once(": "));
    let (to, words) = said.unwrap_or_else(|| panic!("{told}"));
    alice.send(to, words).await;
    std::io::Write::write_all(&mut input, b"\n").unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    let report = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{report}");
    world.lanes_empty().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_gives_a_user_a_phone_number_that_friends_see() {
    let world = World::one().await;
    let north = world.north();
    let (token, ca) = (north.running().admin_token(Role::System).unwrap(), north.running().ca.clone());
    let common = ["--url", north.running().admin.as_str(), "--ca", text(&ca), "--token", token.as_str()];
    let add = |more: &[&'static str]| [&["admin", "users", "add"], more, &common].concat();
    let output = run(&add(&["alice", "--name", "Alice Wu", "--phone", "+86 138-0013-8000"]), "a long password\n").await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = run(&add(&["bob", "--name", "Bob", "--phone", "a number"]), "a long password\n").await;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(3) && words.contains("phoneNumber"), "{words}");
    let users = north.admin(Role::System).get("/admin/v1/users").await.unwrap();
    assert_eq!(users["users"].as_array().unwrap().len(), 1, "{users}");
    assert_eq!(
        (&users["users"][0]["name"], &users["users"][0]["phoneNumber"]),
        (&json!("Alice Wu"), &json!("008613800138000"))
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_commands_do_to_the_platforms_authority_stands_in_its_log_with_who_did_it() {
    let mut world = World::plan().start().await;
    let (data, scratch) = (world.platform_data(), world.folder("safe"));
    let config = scratch.join("platform.toml");
    std::fs::write(&config, format!("domain = {DOMAIN:?}\ndata_dir = {:?}\n", text(&data))).unwrap();
    let ca = async |args: &[&str]| {
        let said = said(&[&["platform", "ca"], args, &["--config", text(&config)]].concat()).await;
        (said.0, said.2)
    };
    let acts = async |world: &World| -> Vec<(String, String)> {
        let audit = world.platform_admin(Role::Audit);
        let found = audit.get("/admin/v1/audit?operation=platform.*").await.unwrap();
        let of = |record: &Value| {
            let actor = record["actor"].as_str().unwrap();
            let known = if actor.starts_with("os:") { "os" } else { actor };
            (format!("{} by {known}", record["operation"].as_str().unwrap()), record["outcome"].to_string())
        };
        found["records"].as_array().unwrap().iter().map(of).collect()
    };
    let both = |operation: &str, outcome: &str| (format!("{operation} by os"), format!("{outcome:?}"));

    until("the authority is recorded as it was", async || {
        acts(&world).await.iter().any(|(act, _)| act == "platform.ca by platform").then_some(())
    })
    .await;
    let (code, words) = ca(&["export", "--out", text(&scratch.join("root.pem")), "--remove"]).await;
    assert_eq!(code, 0, "{words}");
    assert_ne!(ca(&["retire"]).await.0, 0, "there is nothing to retire");
    std::fs::write(data.join("acts").join("00000000-0000-7000-8000-000000000000"), "nobody did anything").unwrap();
    until("the running platform has taken both, and tells the forged one from ours", async || {
        let found = acts(&world).await;
        let wanted = [both("platform.ca.export", "allowed"), both("platform.ca.retire", "failed")];
        (wanted.iter().all(|act| found.contains(act))
            && found.iter().any(|(act, _)| act == "platform.act by unknown")
            && found.iter().filter(|(act, _)| act == "platform.ca by platform").count() == 2)
            .then_some(())
    })
    .await;

    world.stop_platform().await;
    let (code, words) = ca(&["import", text(&scratch.join("root.pem"))]).await;
    assert_eq!(code, 0, "{words}");
    let (code, said, _) = said(&["audit", "verify", "--config", text(&config)]).await;
    assert!(code == 0, "{said}");
    world.start_platform().await;
    let found = acts(&world).await;
    assert_eq!(found.iter().filter(|act| **act == both("platform.ca.import", "allowed")).count(), 1, "{found:?}");
    assert_eq!(found.iter().filter(|act| **act == both("platform.ca.export", "allowed")).count(), 1, "{found:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_standing_is_changed_at_the_terminal_for_a_reason_that_is_recorded() {
    let world = World::plan().start().await;
    world.enroll("west", "https://127.0.0.1:1").await;
    let platform = world.platform();
    let (url, token) = (platform.admin_url(), platform.admin_token());
    let common = ["--json", "--url", url.as_str(), "--ca", text(platform.ca_pem()), "--token", token];
    let asks = async |args: &[&str]| said(&[&["admin"], args, &common].concat()).await;
    for (verb, status) in [("suspend", "1"), ("resume", "0"), ("deregister", "2")] {
        let (code, answer, words) = asks(&[verb, "west", "--reason", "a test"]).await;
        assert_eq!(code, 0, "{verb}: {words}");
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["serverStatus"], status, "{answer}");
    }
    let (code, answer, words) = asks(&["certificates"]).await;
    assert_eq!(code, 0, "{words}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let west = answer["certificates"].as_array().unwrap().iter().find(|one| one["serverId"] == "west").unwrap();
    assert!(west["revokedMs"].is_u64(), "{answer}");
    let (code, _, words) = asks(&["suspend", "nobody", "--reason", "a test"]).await;
    assert!(code == 3 && words.contains("nobody"), "{code}: {words}");
    let audit = world.platform_admin(Role::Audit).get("/admin/v1/audit?operation=registry.suspend&user=west").await;
    assert_eq!(audit.unwrap()["records"][0]["fields"]["reason"], "a test");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reviewer_at_the_command_line_sees_old_and_new_and_says_why() {
    let world = World::plan().start().await;
    let west = world.enrolled_peer("west").await;
    let change = json!({"serverInfo": {"serverName": "The far West"}, "fields": ["serverName"]});
    let (_, applied) = west.ask_platform(&world, "/sns/managernode/update", &change).await;
    let id = applied["applicationId"].as_str().unwrap();
    let token = world.platform_admin_token(Role::System);
    let url = world.platform().admin_url();
    let admin = async |args: &[&str]| {
        let whom = ["--url", &url, "--ca", text(world.platform().ca_pem()), "--token", &token];
        let (code, out, words) = said(&[&["admin"], args, &whom].concat()).await;
        assert_eq!(code, 0, "{args:?}: {words}");
        out
    };
    let pending = admin(&["applications", "--pending"]).await;
    assert!(pending.contains("serverName: Server west -> The far West"), "{pending}");
    let one = admin(&["application", id]).await;
    let row = one.lines().find(|line| line.starts_with("serverName")).unwrap();
    assert!(row.contains("Server west") && row.contains("The far West") && one.contains("APPLIED FOR"), "{one}");
    let done = admin(&["approve", id, "--reason", "their office confirms it"]).await;
    assert!(done.contains("approved"), "{done}");
    let one = admin(&["application", id]).await;
    assert!(one.contains("their office confirms it") && one.contains("state: approved"), "{one}");
    let (code, _, words) = said(&[
        "admin",
        "application",
        "a-1",
        "--url",
        &url,
        "--ca",
        text(world.platform().ca_pem()),
        "--token",
        &token,
    ])
    .await;
    assert!(code == 2 && words.contains("there is no application a-1"), "{code} {words}");
    world.finish().await;
}
