//! From nothing to a live, signed plugin: docs/plugins.md as it stands, and every kind of new plugin.

use std::path::{Path, PathBuf};
use std::process::Command;

use isthmus_tests::{World, process};

/// A shell in which `isthmus` is the one under test.
struct Desk {
    folder: PathBuf,
    path: String,
}

impl Desk {
    fn new(folder: PathBuf) -> Desk {
        let programs = folder.join("bin");
        std::fs::create_dir_all(&programs).unwrap();
        std::os::unix::fs::symlink(process::executable(), programs.join("isthmus")).unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        Desk { folder, path }
    }

    /// Runs a script: whether it succeeded, and all that it said.
    fn try_run(&self, script: &str) -> (bool, String) {
        let mut shell = Command::new("sh");
        shell.args(["-euc", script]).current_dir(&self.folder).env("PATH", &self.path);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ISTHMUS_")) {
            shell.env_remove(name);
        }
        // Once for all plugins of these tests: what they are built on is built once.
        shell.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-plugins"));
        shell.env("ISTHMUS_TOOLS", Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools"));
        let output = shell.output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.success(), text)
    }

    fn run(&self, script: &str) -> String {
        let (done, text) = tokio::task::block_in_place(|| self.try_run(script));
        assert!(done, "$ {script}\n{text}");
        text
    }
}

/// The shell blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page)).unwrap();
    let begins = page.split("```sh\n").skip(1);
    begins.map(|rest| rest.split_once("```").unwrap().0.to_owned()).collect()
}

/// The word after another.
fn after<'a>(text: &'a str, word: &str) -> &'a str {
    text.split_once(word).unwrap().1.split_whitespace().next().unwrap()
}

/// A server that trusts this key alone, and the configuration by which commands find it.
async fn server(desk: &Desk, key: &str) -> World {
    let plan = World::plan().server("north").set("policy.allow_unsigned", false).set("policy.trusted_keys", key);
    let world = plan.start().await;
    let config = &world.north().config;
    let admin = world.north().running().admin.strip_prefix("https://").unwrap().to_owned();
    let file = format!(
        "data_dir = {:?}\nkeyring = {:?}\n[server]\nid = \"north\"\naddress = \"https://127.0.0.1:1\"\narea = \"CN-BJ\"\n\
         contact_name = \"Ada\"\ncontact_email = \"ada@example.org\"\ncontact_mobile = \"008613800000000\"\n\
         [listen]\nadmin = \"{admin}\"\n[platform]\nurl = \"https://127.0.0.1:1\"\nca = {:?}\n\
         [policy]\ntrusted_keys = [\"{key}\"]\n",
        config.data_dir,
        config.keyring,
        world.platform().ca_pem(),
    );
    std::fs::write(desk.folder.join("server.toml"), file).unwrap();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_on_plugins_leads_from_nothing_to_a_live_signed_one() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::new(folder.path().to_owned());
    let (mut world, mut key) = (None, String::new());
    let mut refused = 0;
    for block in blocks("docs/plugins.md") {
        if block.contains("server.toml") && world.is_none() {
            world = Some(server(&desk, &key).await);
        }
        let said = desk.run(&block);
        if block.contains("keygen") {
            key = after(&said, "public key ").to_owned();
        }
        let (Some(world), true) = (&world, block.contains("policy activate")) else { continue };
        let alice = world.north().user("alice").await;
        world.north().create_user("bob").await;
        let bob = world.north().user_id("bob");
        alice.send(&bob, "see https://example.org/a").await;
        let told = alice.try_send(&bob, "see https://evil.example/a").await.unwrap_err();
        assert!(format!("{told:?}").contains("links are not allowed here"), "{told:?}");
        refused += 1;
    }
    assert_eq!(refused, 1, "the page activates the plugin");
    let world = world.unwrap();
    // One byte changed after the signature, and it counts for nothing.
    desk.run("echo '# later' >> no-links/bundle/policy.toml");
    for command in ["plugin verify", "policy activate --why x"] {
        let (done, text) = desk.try_run(&format!("isthmus {command} no-links/bundle --config server.toml"));
        assert!(!done && text.contains("changed after it"), "{command}: {text}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_of_every_kind_builds_and_holds_its_tests_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::new(folder.path().to_owned());
    for kind in ["access", "audit"] {
        desk.run(&format!("isthmus plugin new my-{kind} --kind {kind}"));
        let said = desk.run(&format!("isthmus plugin test my-{kind}"));
        assert!(said.contains(", 0 failed") && said.contains("WebAssembly toolchain:"), "{said}");
        let (done, said) = desk.try_run(&format!("isthmus plugin new my-{kind} --kind {kind}"));
        assert!(!done && said.contains("is there already"), "{said}");
    }
    // What does not hold fails the command, and is shown.
    desk.run("sed -i 's/expect = \"abstain\"/expect = \"deny\"/' my-access/tests/cases.toml");
    let component = "--component my-access/bundle/my-access.wasm";
    let (done, said) = desk.try_run(&format!("isthmus plugin test my-access {component}"));
    assert!(!done && said.contains("- expected  \"deny\"") && said.contains("+ got       \"abstain\""), "{said}");
    let (done, said) = desk.try_run(&format!("isthmus --json plugin test my-access {component}"));
    assert!(!done && said.contains("\"failed\": 2"), "{said}");
    let (done, said) =
        desk.try_run(&format!("isthmus plugin bench my-access {component} --seconds 0.05 --max-p99-us 0.001"));
    assert!(!done && said.contains("99th percentile"), "{said}");
}

/// Content plugins in each language are built by the page, and one of another kind is among the examples.
fn in_language(lang: &str, kinds: &[&str], source: &str, toolchain: &str) {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::new(folder.path().to_owned());
    for kind in kinds {
        desk.try_run(&format!("isthmus plugin new my-{kind} --kind {kind} --lang {lang}"));
        let (done, said) = desk.try_run(&format!("isthmus plugin build my-{kind}"));
        assert!(done && said.contains(toolchain), "{said}");
        let (done, said) =
            desk.try_run(&format!("isthmus plugin test my-{kind} --component my-{kind}/bundle/my-{kind}.wasm"));
        assert!(done && said.contains(", 0 failed"), "{said}");
    }
    let (done, said) = desk.try_run(&format!("echo '(((' >> my-audit/{source}; isthmus plugin build my-audit"));
    assert!(!done, "{said}");
    assert!(desk.try_run("test -s my-audit/bundle/my-audit.wasm && ls my-audit/bundle").1.lines().count() == 2);
}

#[test]
fn a_new_plugin_in_javascript_builds_and_holds_its_tests_at_once() {
    in_language("js", &["access", "audit"], "plugin.js", "built by componentize-qjs");
}

#[test]
fn a_new_plugin_in_python_builds_and_holds_its_tests_at_once() {
    in_language("python", &["audit"], "plugin.py", "built by componentize-py");
}

#[test]
fn a_new_plugin_in_c_builds_and_holds_its_tests_at_once() {
    in_language("c", &["access", "audit"], "plugin.c", "built by ziglang");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_can_need_the_signatures_of_several_keys() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::new(folder.path().to_owned());
    desk.run("mkdir bundle; printf 'name = \"x\"\\n[defaults]\\naccess = \"allow\"\\n' > bundle/policy.toml");
    let trust: Vec<String> = ["one", "two", "three"]
        .iter()
        .map(|name| {
            format!("--trust {}", after(&desk.run(&format!("isthmus plugin keygen {name}.key")), "public key "))
        })
        .collect();
    for (wrong, words) in [
        ("plugin inspect bundle", "name its component"),
        ("plugin sign . --key one.key", "holds no policy.toml"),
        ("plugin verify bundle", "--trust KEY, as `keygen` printed it, or --config"),
        ("plugin verify bundle --needed 4 --trust 00", "64 hex digits"),
        ("plugin test .", "name a plugin's folder"),
    ] {
        let (done, said) = desk.try_run(&format!("isthmus {wrong}"));
        assert!(!done && said.contains(words), "{wrong}: {said}");
    }
    let verify = format!("isthmus plugin verify bundle --needed 2 {}", trust.join(" "));
    let (done, said) = desk.try_run(&verify);
    assert!(!done && said.contains("signed by no trusted key (needed: 2, trusted keys: 3)"), "{said}");
    desk.run("isthmus plugin sign bundle --key one.key");
    desk.run("isthmus plugin sign bundle --key one.key");
    assert!(!desk.try_run(&verify).0, "one key is one key, however often it signs");
    desk.run("isthmus plugin sign bundle --key three.key");
    desk.run(&verify);
    let (done, said) = desk.try_run("isthmus plugin keygen one.key");
    assert!(!done && said.contains("is there already"), "a key is never overwritten: {said}");
    let mode = desk.run("stat -c %a one.key");
    assert_eq!(mode.trim(), "600");
    // After a change those who signed before have to sign anew: their signatures go, and it is said.
    desk.run("echo '# later' >> bundle/policy.toml");
    assert!(desk.run("isthmus plugin sign bundle --key two.key").contains("were dropped"));
    assert!(!desk.try_run(&verify).0);
}
