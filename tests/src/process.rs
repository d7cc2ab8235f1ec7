//! A server as a child process, to be killed.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use isthmus_node::admin_token::{Role, read_plain};
use isthmus_node::client::Api;
use isthmus_node::config::{ServerConfig, Sources};
use isthmus_node::server::listener_ca;
use serde_json::{Value, json};

use crate::client::password_of;
use crate::openapi::{ADMIN, CLIENT, Ledger};
use crate::{until, warm};

/// A role's process, which may be down.
pub struct Child {
    pub config: ServerConfig,
    flags: Vec<(String, String)>,
    log: PathBuf,
    ledger: Ledger,
    process: Mutex<Option<std::process::Child>>,
}

impl Child {
    /// Starts `isthmus server`; it is not ready yet.
    pub(crate) async fn spawn(sources: Sources, ledger: Ledger) -> Child {
        let config = ServerConfig::load(&sources).unwrap_or_else(|error| panic!("{error}"));
        warm::prepare_if_known(&config).await;
        let folder = config.data_dir.parent().unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let log = folder.join("log");
        let child = Child { config, flags: sources.flags, log, ledger, process: Mutex::default() };
        child.start();
        child
    }

    /// Starts it; it is not ready yet.
    pub fn start(&self) {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(executable());
        command.arg("server").arg("--until-stdin-closes");
        for (key, value) in &self.flags {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ISTHMUS_")) {
            command.env_remove(name);
        }
        // It ends with this process whatever happens: its input closes then.
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let before = self.process.lock().unwrap().replace(command.spawn().unwrap());
        assert!(before.is_none(), "{} runs already", self.config.server.id);
    }

    /// Waits until it has ended by itself: its exit code and what it said.
    pub async fn ended(&self) -> (Option<i32>, String) {
        let ended = until("an end by itself", async || {
            self.process.lock().unwrap().as_mut().and_then(|child| child.try_wait().unwrap())
        });
        (ended.await.code(), self.log())
    }

    /// Whether it has come up.
    pub async fn ready(&self) -> bool {
        let ended = self.process.lock().unwrap().as_mut().is_some_and(|child| child.try_wait().unwrap().is_some());
        assert!(!ended, "{} ended by itself:\n{}", self.config.server.id, self.log());
        listener_ca(&self.config.data_dir).exists() && self.readiness().await.is_some_and(|(status, _)| status == 200)
    }

    /// What `/readyz` says, if anybody answers.
    pub async fn readiness(&self) -> Option<(u16, Value)> {
        let answer = self.admin_anonymous().fetch(http::Method::GET, "/readyz", None).await;
        answer.ok().map(|(status, body)| (status, serde_json::from_slice(&body).unwrap()))
    }

    /// What `/metrics` says.
    pub async fn metrics(&self) -> String {
        let answer = self.admin_anonymous().fetch(http::Method::GET, "/metrics", None).await;
        String::from_utf8_lossy(&answer.unwrap().1).into_owned()
    }

    /// The process's ID.
    pub fn pid(&self) -> u32 {
        self.process.lock().unwrap().as_ref().unwrap().id()
    }

    /// SIGKILL at once.
    pub fn kill(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again after [`Child::kill`]; answers once it serves.
    pub async fn restart(&self) {
        self.start();
        until(&format!("{} serves again", self.config.server.id), async || self.ready().await.then_some(())).await;
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(&self) {
        let mut child = self.process.lock().unwrap().take().unwrap();
        drop(child.stdin.take());
        let status = until("a graceful end", async || child.try_wait().unwrap()).await;
        assert!(status.success(), "{status}\n{}", self.log());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its client interface, nobody logged in.
    pub fn api(&self) -> Api {
        let base = format!("https://{}", self.config.listen.client);
        let api = Api::new(&base, &listener_ca(&self.config.data_dir)).unwrap();
        api.watched(self.ledger.watcher(&CLIENT))
    }

    fn admin_anonymous(&self) -> Api {
        let base = format!("https://{}", self.config.listen.admin);
        let api = Api::new(&base, &listener_ca(&self.config.data_dir)).unwrap();
        api.watched(self.ledger.watcher(&ADMIN))
    }

    pub fn admin(&self, role: Role) -> Api {
        self.admin_anonymous().with_token(&read_plain(&self.config.admin_tokens, role).unwrap())
    }

    pub async fn create_user(&self, local: &str) {
        let body = json!({"userID": local, "name": local, "password": password_of(local)});
        self.admin(Role::System).post("/admin/v1/users", &body).await.unwrap();
    }

    /// Lanes with letters in them.
    pub async fn lanes(&self) -> usize {
        let outbox = self.admin(Role::System).get("/admin/v1/outbox").await.unwrap();
        outbox["lanes"].as_array().unwrap().len()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `isthmus` as built beside this test, and built now if it is not as new as its sources (cargo looks).
pub fn executable() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let own = std::env::current_exe().unwrap();
        // target/PROFILE/deps/it-…
        let profile = own.parent().and_then(Path::parent).unwrap();
        let isthmus = profile.join("isthmus");
        if let Some(cargo) = std::env::var_os("CARGO") {
            let mut build = Command::new(cargo);
            build.args(["build", "--quiet", "--package", "isthmus-node", "--bin", "isthmus"]);
            build.current_dir(env!("CARGO_MANIFEST_DIR")).arg("--target-dir").arg(profile.parent().unwrap());
            if profile.ends_with("release") {
                build.arg("--release");
            }
            assert!(build.status().unwrap().success(), "isthmus does not build");
        }
        assert!(isthmus.exists(), "{} is missing: run `cargo build -p isthmus-node`", isthmus.display());
        isthmus
    })
}

/// Between two looks at something that is not there yet.
pub const MOMENT: Duration = Duration::from_millis(20);
