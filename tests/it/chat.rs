//! `isthmus chat` in a real terminal (tmux), between two servers.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use isthmus_node::clock::now_ms;
use isthmus_tests::client::password_of;
use isthmus_tests::process::{MOMENT, executable};
use isthmus_tests::world::free_port;
use isthmus_tests::{Role, SOON, World, until};
use serde_json::json;
use tempfile::TempDir;

/// Without tmux the test is skipped, and says so past the harness, which keeps what passing tests print to itself. In CI, where
/// `.ci/run` has installed it, that is a failure.
fn tmux_is_there() -> bool {
    let there = Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success());
    if !there {
        let words = "SKIPPED: the terminal client's test needs tmux, which is not installed (apt-get install tmux)";
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{words}");
        let _ = writeln!(std::io::stderr(), "{words}");
    }
    there
}

/// A terminal of its own, with a program in it. Its server lies in a folder of its own, which is there until it has ended; if this
/// process is killed, it ends by itself.
struct Terminal {
    folder: TempDir,
}

const CONFIG: &str = "set -g remain-on-exit on\nset -g status off\nrun-shell -b -d 300 -C kill-server\n";

impl Terminal {
    fn start(program: &[&str]) -> Terminal {
        let terminal = Terminal { folder: tempfile::tempdir().unwrap() };
        let config = terminal.folder.path().join("tmux.conf");
        std::fs::write(&config, CONFIG).unwrap();
        let begin = ["-f", config.to_str().unwrap(), "new-session", "-d", "-x", "80", "-y", "24"];
        terminal.tmux(&[&begin, program].concat());
        terminal
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(self.socket()).args(args);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ISTHMUS_") || name == "TMUX") {
            command.env_remove(name);
        }
        let output = command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC").output();
        let output = output.unwrap_or_else(|error| panic!("tmux cannot be run: {error}"));
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Types a line, as a person does.
    fn line(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
        self.tmux(&["send-keys", "Enter"]);
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until the text stands on the screen; answers all of that.
    async fn shows(&self, text: &str) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(text) {
                return screen;
            }
            assert!(began.elapsed() < SOON, "the terminal does not show {text:?} within {SOON:?}:\n{screen}");
            tokio::time::sleep(MOMENT).await;
        }
    }

    async fn ended(&self) {
        until("the program ends", async || {
            (self.tmux(&["list-panes", "-F", "#{pane_dead}"]).trim() == "1").then_some(())
        })
        .await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let ended = Command::new("tmux").arg("-S").arg(self.socket()).arg("kill-server").output();
        assert!(std::thread::panicking() || ended.unwrap().status.success(), "the terminal goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alice_chats_with_carol_on_the_other_server_from_a_terminal() {
    if !tmux_is_there() {
        return;
    }
    let client = format!("127.0.0.1:{}", free_port());
    let mut world = World::plan().server("north").set("listen.client", &client).server("south").start().await;
    world.north().create_user("alice").await;
    let (bob, carol) = (world.north().user("bob").await, world.south().user("carol").await);
    let folder = world.folder("terminal");
    let session = folder.join("alice.session");
    let (url, ca) = (format!("https://{client}"), world.north().running().ca.display().to_string());
    let isthmus = executable().to_str().unwrap();
    let program = [isthmus, "chat", &url, "--user", "alice", "--ca", &ca, "--session", session.to_str().unwrap()];
    let alice = Terminal::start(&program);
    alice.shows("Password of alice").await;
    alice.line(&password_of("alice"));
    let screen = alice.shows("online").await;
    assert!(!screen.contains(&password_of("alice")), "{screen}");

    alice.line("/to carol@south");
    alice.line("hello, carol");
    alice.shows("you: hello, carol  [delivered]").await;
    assert_eq!(carol.texts_once(1).await, ["hello, carol"]);
    carol.send("alice@north", "你好，alice").await;
    alice.shows("carol@south: 你好，alice").await;
    bob.send("alice@north", "bob's\u{1b}[2J\u{1b}[1;1Hcleared?").await;
    alice.line("/to bob");
    alice.shows("bob: bob's\u{fffd}[2J\u{fffd}[1;1Hcleared?").await;
    alice.line("/to nobody@north");
    alice.line("anybody?");
    alice.shows("anybody?  [refused:").await;

    let bytes: Vec<u8> = (0..1_500_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(folder.join("notes.bin"), &bytes).unwrap();
    alice.line("/to carol@south");
    alice.line(&format!("/file {}", folder.join("notes.bin").display()));
    let message = carol.next_file(0).await;
    assert_eq!(message["content"]["name"], "notes.bin");
    assert!(carol.file(message["content"]["mediaID"].as_str().unwrap()).await == bytes);
    let picture = [b"\x89PNG\r\n\x1a\n".as_slice(), &bytes[..3000]].concat();
    let media = carol.upload("image", "猫.png", &picture).await.unwrap();
    carol.send_file("alice@north", "image", &media).await.unwrap();
    alice.shows("picture 猫.png (3.0 kB) /save 2").await;
    alice.line(&format!("/save 2 {}", folder.display()));
    alice.shows("saved as").await;
    assert!(std::fs::read(folder.join("猫.png")).unwrap() == picture);

    world.site_mut("north").stop().await;
    alice.shows("offline").await;
    alice.line("said meanwhile");
    alice.shows("said meanwhile  [sending]").await;
    world.site_mut("north").start().await;
    alice.shows("said meanwhile  [delivered]").await;
    let mute = json!({"measure": "mute", "words": "no insults", "untilMs": now_ms() + 3_600_000});
    world.north().admin(Role::System).post("/admin/v1/users/alice/measures", &mute).await.unwrap();
    alice.shows("you may read, but not write, until 20").await;
    alice.line("may I?");
    alice.shows("may I?  [refused: you are muted until").await;
    alice.tmux(&["resize-window", "-x", "40", "-y", "20"]);
    let narrow = alice.shows("may I?").await;
    assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
    alice.line("/quit");
    alice.ended().await;
    let kept = std::fs::read_to_string(&session).unwrap();
    assert!(!kept.contains("isa_") && !kept.contains("isr_"), "{kept}");
    assert_eq!(std::fs::metadata(&session).unwrap().permissions().mode() & 0o777, 0o600);

    carol.send("alice@north", "are you back?").await;
    let again = Terminal::start(&[isthmus, "chat", "--session", session.to_str().unwrap(), "--lang", "zh"]);
    again.shows("的密码").await;
    again.line(&password_of("alice"));
    again.shows("在线").await;
    again.line("/to carol@south");
    let screen = again.shows("are you back?").await;
    assert!(screen.contains("said meanwhile  [已送达]"), "{screen}");
    again.line("/quit");
    again.ended().await;
    let devices = world.north().log_in("alice").await.api.get("/client/v1/devices").await.unwrap();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 2, "the terminal's one log-in, and this one: {devices}");
    world.finish().await;
}
