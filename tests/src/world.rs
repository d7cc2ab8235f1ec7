//! A platform and its servers, in this process.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use isthmus_net::csr::new_key_and_csr;
use isthmus_net::{Ca, Credentials, Trust};
use isthmus_node::admin_token::{Role, read_plain};
use isthmus_node::client::Api;
use isthmus_node::config::{PlatformConfig, ServerConfig, Sources};
use isthmus_node::platform::{Platform, Running};
use isthmus_node::server::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::openapi::{Ledger, PLATFORM};
use crate::peer::Peer;
use crate::process::Child;
use crate::site::Site;
use crate::{quiet, until, warm};

/// The platform's domain.
pub const DOMAIN: &str = "im.example";

/// What a world shall be like.
#[derive(Default)]
pub struct Plan {
    servers: Vec<(String, Vec<(String, String)>)>,
    platform: Vec<(String, String)>,
}

impl Plan {
    /// With this server, as configured by default for tests.
    #[must_use]
    pub fn server(mut self, id: &str) -> Plan {
        self.servers.push((id.to_owned(), Vec::new()));
        self
    }

    /// A configuration key of the server named last.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl std::fmt::Display) -> Plan {
        self.servers.last_mut().unwrap().1.push((key.to_owned(), value.to_string()));
        self
    }

    /// A configuration key of the platform.
    #[must_use]
    pub fn platform(mut self, key: &str, value: impl std::fmt::Display) -> Plan {
        self.platform.push((key.to_owned(), value.to_string()));
        self
    }

    pub async fn start(self) -> World {
        let faults = quiet::faults();
        let dir = tempfile::tempdir().unwrap();
        let platform = Platform::start(platform_config(dir.path(), &self.platform)).await.unwrap();
        let mut world = World::new(platform, dir, faults, self.platform);
        for (id, settings) in self.servers {
            let sources = world.server_sources(&id, &settings);
            let config = ServerConfig::load(&sources).unwrap_or_else(|error| panic!("{error}"));
            let site = world.enrolled(config).await;
            world.sites.push(site);
        }
        for site in &world.sites {
            world.known_everywhere(site).await;
        }
        world
    }
}

/// What runs. To be ended by [`World::finish`].
pub struct World {
    sites: Vec<Site>,
    platform: Option<Running>,
    ports: [u16; 2],
    settings: Vec<(String, String)>,
    dir: TempDir,
    faults: u64,
    ledger: Ledger,
    finished: bool,
}

impl World {
    fn new(platform: Running, dir: TempDir, faults: u64, settings: Vec<(String, String)>) -> World {
        World {
            sites: Vec::new(),
            platform: Some(platform),
            ports: [0; 2],
            settings,
            dir,
            faults,
            ledger: Ledger::default(),
            finished: false,
        }
    }

    #[must_use]
    pub fn plan() -> Plan {
        Plan::default()
    }

    /// North alone.
    pub async fn one() -> World {
        World::plan().server("north").start().await
    }

    /// North and south.
    pub async fn two() -> World {
        World::plan().server("north").server("south").start().await
    }

    pub fn site(&self, id: &str) -> &Site {
        self.sites.iter().find(|site| site.id.as_str() == id).unwrap()
    }

    pub fn site_mut(&mut self, id: &str) -> &mut Site {
        self.sites.iter_mut().find(|site| site.id.as_str() == id).unwrap()
    }

    pub fn north(&self) -> &Site {
        self.site("north")
    }

    pub fn south(&self) -> &Site {
        self.site("south")
    }

    /// A folder for whatever a test needs.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.dir.path().join("scratch").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    pub fn platform(&self) -> &Running {
        self.platform.as_ref().unwrap()
    }

    pub fn platform_admin(&self, role: Role) -> Api {
        self.platform_anonymous().with_token(&self.platform_admin_token(role))
    }

    pub fn platform_admin_token(&self, role: Role) -> String {
        read_plain(&self.platform_data().join("admin-tokens.json"), role).unwrap()
    }

    /// The platform's admin interface, nobody logged in.
    pub fn platform_anonymous(&self) -> Api {
        let api = Api::new(&self.platform().admin_url(), self.platform().ca_pem()).unwrap();
        api.watched(self.ledger.watcher(&PLATFORM))
    }

    /// Where the platform keeps its data.
    pub fn platform_data(&self) -> PathBuf {
        self.dir.path().join("platform/data")
    }

    /// What every participant believes.
    pub fn trust(&self) -> Trust {
        let roots = std::fs::read_to_string(self.platform().ca_pem()).unwrap();
        Trust::from_pem(&roots).unwrap().with_domain(DOMAIN)
    }

    /// The platform's own authority, for certificates that it would never issue.
    pub fn ca(&self) -> Ca {
        Ca::open_platform(&self.ca_folder(), DOMAIN, None, SystemTime::now()).unwrap()
    }

    pub fn ca_folder(&self) -> PathBuf {
        self.dir.path().join("platform/data.ca")
    }

    /// Stops the platform; its data stay.
    pub async fn stop_platform(&mut self) {
        let platform = self.platform.take().unwrap();
        self.ports = [platform.api().port(), platform.admin().port()];
        platform.stop().await;
    }

    /// Starts it again, on the ports that it had.
    pub async fn start_platform(&mut self) {
        let mut config = platform_config(self.dir.path(), &self.settings);
        config.listen.api.set_port(self.ports[0]);
        config.listen.admin.set_port(self.ports[1]);
        self.platform = Some(Platform::start(config).await.unwrap());
    }

    /// Starts it anew with another value of a configuration key.
    pub async fn restart_platform_with(&mut self, key: &str, value: impl std::fmt::Display) {
        self.stop_platform().await;
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_string()));
        self.start_platform().await;
    }

    /// A copy of all that the platform has, made while it rests.
    pub async fn back_up_platform(&mut self) -> PathBuf {
        self.stop_platform().await;
        let backup = self.folder("backup");
        copy(&self.dir.path().join("platform"), &backup);
        self.start_platform().await;
        backup
    }

    /// Sets a stopped platform back to such a copy, and starts it.
    pub async fn restore_platform(&mut self, backup: &Path) {
        let folder = self.dir.path().join("platform");
        std::fs::remove_dir_all(&folder).unwrap();
        copy(backup, &folder);
        self.start_platform().await;
    }

    /// A caller with these credentials.
    pub fn peer(&self, credentials: Option<Credentials>) -> Peer {
        Peer::new(&self.trust(), credentials, self.ledger.clone())
    }

    /// Registers a server at the platform, has it approved, and answers its certificate.
    pub async fn enroll(&self, id: &str, url: &str) -> Credentials {
        let (key, chain) = self.enroll_pem(id, url).await;
        Credentials::from_pem(&chain, &key).unwrap()
    }

    /// The same; key and chain as PEM.
    pub async fn enroll_pem(&self, id: &str, url: &str) -> (String, String) {
        let (key, applied) = self.apply(id, url).await;
        let anonymous = self.peer(None);
        let path = format!("/admin/v1/applications/{}/approve", applied["applicationId"].as_str().unwrap());
        self.platform_admin(Role::System).post(&path, &json!({})).await.unwrap();
        let (_, answer) = anonymous.ask_platform(self, "/sns/managernode/application", &applied).await;
        (key, answer["certificate"].as_str().unwrap().to_owned())
    }

    /// Applies for a server's registration; its key, and the answer.
    pub async fn apply(&self, id: &str, url: &str) -> (String, Value) {
        let (key, csr) = new_key_and_csr(id).unwrap();
        let asked = registration(id, url, &csr);
        let (_, applied) = self.peer(None).ask_platform(self, "/sns/managernode/register", &asked).await;
        assert_eq!(applied["code"], 0, "{applied}");
        (key, applied)
    }

    /// A caller that is a registered server, at an address where nobody answers.
    pub async fn enrolled_peer(&self, id: &str) -> Peer {
        let url = format!("https://127.0.0.1:{}", free_port());
        self.peer(Some(self.enroll(id, &url).await))
    }

    /// Suspends, resumes or deregisters a server at the platform.
    pub async fn change_standing(&self, id: &str, change: &str) {
        let path = format!("/admin/v1/servers/{id}/{change}");
        self.platform_admin(Role::System).post(&path, &json!({"reason": "a test"})).await.unwrap();
    }

    /// A server as a child process, on ports that it keeps, about which nobody has decided yet. It is no part of
    /// [`World::finish`].
    pub async fn applicant(&self, id: &str, settings: &[(String, String)]) -> Child {
        let keep = |name: &str| (name.to_owned(), format!("127.0.0.1:{}", free_port()));
        let settings = [&[keep("listen.client"), keep("listen.admin")], settings].concat();
        Child::spawn(self.server_sources(id, &settings), self.ledger.clone()).await
    }

    /// Where a server of this name keeps its data.
    pub fn data_dir(&self, id: &str) -> PathBuf {
        self.dir.path().join(id).join("data")
    }

    /// As [`World::applicant`], approved and ready.
    pub async fn child(&self, id: &str) -> Child {
        self.child_with(id, &[]).await
    }

    /// As [`World::child`], with these configuration keys.
    pub async fn child_with(&self, id: &str, settings: &[(String, String)]) -> Child {
        let child = self.applicant(id, settings).await;
        let what = format!("{id} is ready");
        let ready = until(&what, async || child.ready().await.then_some(()));
        tokio::select! {
            () = ready => {}
            () = self.approve() => unreachable!("approves for ever"),
        }
        child
    }

    fn server_sources(&self, id: &str, settings: &[(String, String)]) -> Sources {
        let address = format!("127.0.0.1:{}", free_port());
        let base = Sources::default()
            .set("data_dir", self.data_dir(id).display())
            .set("server.id", id)
            .set("server.address", format!("https://{address}"))
            .set("server.area", "CN-BJ")
            .set("server.contact_name", "Ada")
            .set("server.contact_email", "ada@example.org")
            .set("server.contact_mobile", "008613800000000")
            .set("listen.interconnect", address)
            .set("listen.client", "127.0.0.1:0")
            .set("listen.admin", "127.0.0.1:0")
            .set("platform.url", self.platform().api_url())
            .set("platform.ca", self.platform().ca_pem().display())
            .set("platform.poll_ms", 50)
            .set("delivery.backoff_min_ms", 20)
            .set("delivery.backoff_max_ms", 200)
            .set("limits.grace_ms", 2000)
            .set("policy.allow_unsigned", true);
        let asked = |key: &str| settings.iter().any(|(asked, _)| asked == key);
        let kept = base.flags.into_iter().filter(|(key, _)| !asked(key));
        Sources { flags: kept.chain(settings.iter().cloned()).collect(), ..Sources::default() }
    }

    /// Starts a server, and approves its application as the platform's administrator would.
    async fn enrolled(&self, config: ServerConfig) -> Site {
        let start = Box::pin(Server::start(config.clone()));
        let approving = self.approve();
        let running = tokio::select! {
            running = warm::start(&config, start) => running.unwrap(),
            () = approving => unreachable!("approves for ever"),
        };
        Site::new(config, running, self.ledger.clone())
    }

    async fn approve(&self) {
        let admin = self.platform_admin(Role::System);
        loop {
            let waiting = admin.get("/admin/v1/applications?state=pending").await.unwrap();
            for application in waiting["applications"].as_array().unwrap() {
                let path = format!("/admin/v1/applications/{}/approve", application["applicationId"].as_str().unwrap());
                admin.post(&path, &json!({})).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// A server that started earlier learns of a later one when it first needs it, or on its timer: nothing to wait for, but the
    /// later one must answer.
    async fn known_everywhere(&self, site: &Site) {
        site.admin_anonymous().fetch(http::Method::GET, "/readyz", None).await.unwrap();
    }

    /// Waits until no server has anything left to send.
    pub async fn lanes_empty(&self) {
        for site in self.sites.iter().filter(|site| site.is_running()) {
            until(&format!("{}'s lanes are empty", site.id), async || (site.running().lanes() == 0).then_some(()))
                .await;
        }
    }

    /// The end: lanes empty, everything stops, audit logs whole, no fault logged, no answer that `docs/openapi` does not describe.
    pub async fn finish(mut self) {
        self.lanes_empty().await;
        self.finished = true;
        for site in &mut self.sites {
            site.stop().await;
        }
        self.platform.take().unwrap().stop().await;
        for site in &self.sites {
            audit_is_whole(site.id.as_str(), &site.audit_folder(), &site.config.keyring);
        }
        let platform = self.dir.path().join("platform");
        audit_is_whole("platform", &platform.join("data/audit"), &platform.join("data.keyring"));
        let faults = quiet::faults() - self.faults;
        assert_eq!(faults, 0, "faults were logged (by this test, or by one beside it in the same process)");
        let undescribed = self.ledger.objections();
        assert!(undescribed.is_empty(), "answers that no document describes:\n{}", undescribed.join("\n"));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        assert!(self.finished || std::thread::panicking(), "a world ends with World::finish");
    }
}

/// Recomputes the log's tree and opens every record.
pub fn audit_is_whole(whose: &str, folder: &Path, keyring: &Path) {
    let report = isthmus_store::audit::verify(folder, Some(keyring)).unwrap();
    assert!(report.is_whole(), "{whose}'s audit log: {:?}", report.problems);
    assert_eq!(report.records, report.size, "{whose}'s audit log lacks records");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// A port that nobody had a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn platform_config(dir: &Path, settings: &[(String, String)]) -> PlatformConfig {
    let sources = Sources::default()
        .set("domain", DOMAIN)
        .set("data_dir", dir.join("platform/data").display())
        .set("listen.api", "127.0.0.1:0")
        .set("listen.admin", "127.0.0.1:0")
        .set("registry.allow_private_addresses", true);
    let asked = |key: &str| settings.iter().any(|(asked, _)| asked == key);
    let kept = sources.flags.into_iter().filter(|(key, _)| !asked(key));
    let sources = Sources { flags: kept.chain(settings.iter().cloned()).collect(), ..Sources::default() };
    PlatformConfig::load(&sources).unwrap()
}

fn registration(id: &str, url: &str, csr: &str) -> Value {
    json!({"ownerId": "owner", "csr": csr, "serverInfo": {
        "serverId": id, "serverName": format!("Server {id}"), "serverAddress": url, "serverStatus": "0",
        "contactName": "Ada", "contactEmail": "ada@example.org", "contactMobile": "008613800000000", "area": "CN-BJ"}})
}
