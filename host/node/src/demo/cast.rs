//! The cast: a platform and two servers as child processes, started, enrolled, approved and peopled through the interfaces that
//! anybody else would use.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use super::admin::{self, Admin};
use super::bundle::{self, words};
use super::config::{self, PARTS, Part};
use super::error::DemoError;
use super::folder::{Folder, write_private};
use super::process::Process;
use super::record::{AdminTokens, DemoRecord, PlatformRecord, ServerRecord, UserRecord};
use super::say::Say;
use crate::client::Api;
use crate::platform::root_file;

/// A debug build on a busy machine takes this long to come up at worst.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(50);
/// What a child gets for its graceful end; longer than the servers' own `limits.grace_ms`.
const GRACE: Duration = Duration::from_secs(20);

/// The running demo.
#[derive(Debug)]
pub struct Cast {
    /// Where everything lies.
    pub folder: Folder,
    /// How to reach everything.
    pub record: DemoRecord,
    platform: Process,
    servers: Vec<Process>,
}

impl Cast {
    /// Brings everything up: returns once both servers are registered, approved, ready and have their users.
    ///
    /// # Errors
    /// [`DemoError`]; what was started is stopped then.
    pub async fn start(folder: Folder, say: &mut Say) -> Result<Cast, DemoError> {
        config::write(&folder)?;
        let (platform, servers) = processes(&folder);
        platform.start()?;
        let reached = platform_record(&folder, &platform).await?;
        say.progress(&format!("the platform is ready at {}", reached.url));
        for (part, process) in PARTS.iter().zip(&servers) {
            bundle::write(&folder.of(part.id).join("policy"), words(part.id))?;
            process.start()?;
        }
        let earlier = DemoRecord::read(&folder.record()).ok();
        let mut record = DemoRecord { platform: reached, servers: Vec::new() };
        for (index, (part, process)) in (0..).zip(PARTS.iter().zip(&servers)) {
            let [.., admin] = folder.ports().server(index);
            enrolled(&record.platform, process, &config::url(admin), &listener_ca(&folder, part.id), say).await?;
            bundle_roots(&folder)?;
            let server = server_record(&folder, index, *part, earlier.as_ref())?;
            people(&server, *part).await?;
            say.progress(&format!("{} is ready at {}, with its users", part.id, server.client));
            record.servers.push(server);
        }
        record.write(&folder.record())?;
        let cast = Cast { folder, record, platform, servers };
        cast.note_processes()?;
        Ok(cast)
    }

    /// The process of `platform`, `north` or `south`.
    #[must_use]
    pub fn process(&self, name: &str) -> Option<&Process> {
        self.all().find(|p| p.name() == name)
    }

    /// Starts a server again that was stopped or killed, and waits until it is ready.
    ///
    /// # Errors
    /// [`DemoError`].
    pub async fn start_again(&self, name: &str) -> Result<(), DemoError> {
        let (Some(process), Some(server)) = (self.process(name), self.record.server(name)) else { return Ok(()) };
        process.start()?;
        ready(process, &server.admin, &server.ca).await?;
        self.note_processes()
    }

    /// Stops a server gracefully. Whether it ended by itself with success.
    pub async fn stop_one(&self, name: &str) -> bool {
        match self.process(name) {
            Some(process) => process.stop(GRACE).await,
            None => true,
        }
    }

    /// Stops the servers, then the platform that they ask. The names of those that did not stop by themselves.
    pub async fn stop(&self) -> Vec<String> {
        let mut ended = join_all(self.servers.iter().map(stop)).await;
        ended.push(stop(&self.platform).await);
        let _ = std::fs::remove_file(self.folder.root().join("processes.json"));
        ended.into_iter().flatten().collect()
    }

    /// Children that ended without being asked to, each told once.
    pub fn ended(&self) -> Vec<(&Process, std::process::ExitStatus)> {
        self.all().filter_map(|p| p.ended().map(|status| (p, status))).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Process> {
        std::iter::once(&self.platform).chain(&self.servers)
    }

    /// `processes.json`, for whoever wants to measure a process or end it.
    fn note_processes(&self) -> Result<(), DemoError> {
        let ids: serde_json::Map<_, _> = self.all().map(|p| (p.name().to_owned(), json!(p.id()))).collect();
        write_private(&self.folder.root().join("processes.json"), &serde_json::Value::Object(ids).to_string())
    }
}

/// The name of a process that had to be killed.
async fn stop(process: &Process) -> Option<String> {
    (!process.stop(GRACE).await).then(|| process.name().to_owned())
}

fn processes(folder: &Folder) -> (Process, Vec<Process>) {
    let of = |name: &str, role, config: &str| {
        let home = folder.of(name);
        Process::new(name, role, home.join(config), home.join("log"))
    };
    let servers = PARTS.iter().map(|part| of(part.id, "server", "server.toml")).collect();
    (of("platform", "platform", "platform.toml"), servers)
}

async fn platform_record(folder: &Folder, process: &Process) -> Result<PlatformRecord, DemoError> {
    let data = folder.of("platform").join("data");
    let [api, admin] = folder.ports().platform();
    let ca = root_file(&data);
    ready(process, &config::url(admin), &ca).await?;
    let tokens = tokens(&data)?;
    Ok(PlatformRecord { url: config::url(api), admin_url: config::url(admin), admin_token: tokens.system, ca })
}

fn server_record(
    folder: &Folder,
    index: u16,
    part: Part,
    earlier: Option<&DemoRecord>,
) -> Result<ServerRecord, DemoError> {
    let home = folder.of(part.id);
    let [interconnect, client, admin] = folder.ports().server(index);
    let known = earlier.and_then(|r| r.server(part.id)).map(|s| s.users.clone());
    Ok(ServerRecord {
        server_id: part.id.to_owned(),
        server_name: part.name.to_owned(),
        interconnect: config::url(interconnect),
        client: config::url(client),
        admin: config::url(admin),
        admin_tokens: tokens(&home.join("data"))?,
        ca: roots(folder),
        data_dir: home.join("data"),
        policy_dir: home.join("policy"),
        users: known.unwrap_or_else(|| users(part)),
    })
}

/// What verifies a server's client and admin listeners.
fn listener_ca(folder: &Folder, id: &str) -> PathBuf {
    crate::server::listener_ca(&folder.of(id).join("data"))
}

/// One PEM bundle that verifies every address of the demo.
fn roots(folder: &Folder) -> PathBuf {
    folder.root().join("ca.pem")
}

/// Puts the roots of all that has started into the bundle.
fn bundle_roots(folder: &Folder) -> Result<(), DemoError> {
    let files = PARTS.iter().map(|part| listener_ca(folder, part.id));
    let files = std::iter::once(root_file(&folder.of("platform").join("data"))).chain(files);
    let pem: String = files.filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    let path = roots(folder);
    std::fs::write(&path, pem).map_err(DemoError::at(&path))
}

/// Users with passwords that a person can type and that nobody else on this machine knows.
fn users(part: Part) -> Vec<UserRecord> {
    let user = |(local, _): &(&str, &str)| UserRecord {
        user_id: format!("{local}@{}", part.id),
        password: format!("{local}-{}", hex::encode(crate::clock::random_bytes::<4>())),
    };
    part.users.iter().map(user).collect()
}

async fn people(server: &ServerRecord, part: Part) -> Result<(), DemoError> {
    let admin = Admin::of(server).map_err(DemoError::while_trying("reach the administration"))?;
    for ((local, name), user) in part.users.iter().zip(&server.users) {
        let created = admin.create_user(local, name, &user.password).await;
        created.map_err(DemoError::while_trying(&format!("create {}", user.user_id)))?;
    }
    Ok(())
}

fn tokens(data: &Path) -> Result<AdminTokens, DemoError> {
    let path = data.join("admin-tokens.json");
    let text = std::fs::read_to_string(&path).map_err(DemoError::at(&path))?;
    serde_json::from_str(&text).map_err(|e| DemoError::Content { path, message: e.to_string() })
}

/// Approves the server's application, unless an earlier run has, until its administration at `admin` is ready.
async fn enrolled(
    platform: &PlatformRecord,
    process: &Process,
    admin: &str,
    ca: &Path,
    say: &mut Say,
) -> Result<(), DemoError> {
    let deadline = Instant::now() + PATIENCE;
    while !is_ready(admin, ca).await {
        let approved = admin::approve_all(platform).await;
        for id in approved.map_err(DemoError::while_trying("approve the applications"))? {
            say.progress(&format!("the platform's administrator approved the application of {id}"));
        }
        still_waiting(process, deadline, "did not enroll").await?;
    }
    Ok(())
}

async fn ready(process: &Process, admin: &str, ca: &Path) -> Result<(), DemoError> {
    let deadline = Instant::now() + PATIENCE;
    while !is_ready(admin, ca).await {
        still_waiting(process, deadline, "was not ready").await?;
    }
    Ok(())
}

/// Whether `/readyz` of the administration at `admin` says so.
async fn is_ready(admin: &str, ca: &Path) -> bool {
    let Ok(api) = Api::new(admin, ca) else { return false };
    matches!(api.fetch(http::Method::GET, "/readyz", None).await, Ok((200, _)))
}

async fn still_waiting(process: &Process, deadline: Instant, what: &str) -> Result<(), DemoError> {
    if let Some(status) = process.ended() {
        return Err(process.not_ready(format!("ended before it was ready ({status})")));
    }
    if Instant::now() > deadline {
        return Err(process.not_ready(format!("{what} within {} s", PATIENCE.as_secs())));
    }
    tokio::time::sleep(LOOK).await;
    Ok(())
}
