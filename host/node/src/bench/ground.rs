//! Where a run takes place: the servers of a running demo, or servers of its own; and the users that write and read.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::error::BenchError;
use super::figures::Idle;
use super::procstat::{Usage, usage};
use crate::client::{Api, Socket};
use crate::demo::{Admin, Cast, DemoRecord, Earlier, Folder, Say, ServerRecord, bundle};

/// Entries that a bench of its own puts into the lists of both servers, as a site would have them.
const LIST_ENTRIES: usize = 1000;
/// Log-ins at a time; a password costs a server 25 ms of a core.
const AT_ONCE: usize = 8;
/// Until memory figures have come to rest.
const SETTLE: Duration = Duration::from_secs(1);

/// The servers under load.
pub struct Ground {
    record: DemoRecord,
    processes: BTreeMap<String, u32>,
    own: Option<Cast>,
}

/// One who writes on north and one who reads on south.
#[derive(Clone)]
pub struct Couple {
    /// North's client API with the writer's token.
    pub writer: Api,
    /// South's client API with the reader's token.
    pub reader: Api,
    /// The reader's userID.
    pub reader_id: String,
}

impl Ground {
    /// The running demo whose `demo.json` this is.
    ///
    /// # Errors
    /// [`BenchError::Ground`], [`BenchError::Processes`].
    pub fn of_demo(path: &Path) -> Result<Ground, BenchError> {
        let record = DemoRecord::read(path)?;
        let ids = path.with_file_name("processes.json");
        let text = std::fs::read_to_string(&ids).map_err(|_| BenchError::Processes(ids.clone()))?;
        let processes = serde_json::from_str(&text).map_err(|_| BenchError::Processes(ids))?;
        Ok(Ground { record, processes, own: None })
    }

    /// A platform and two servers of its own in `folder`, with the shipped policies and full lists.
    ///
    /// # Errors
    /// [`BenchError::Ground`].
    pub async fn of_its_own(folder: &Path, port_base: u16, say: &mut Say) -> Result<Ground, BenchError> {
        let folder = Folder::open(folder, Earlier::Clear, Some(port_base), port_base)?;
        for id in ["north", "south"] {
            let policy = folder.of(id).join("policy");
            bundle::write(&policy, bundle::words(id))?;
            bundle::add(&policy, "blacklist", &entries("server"))?;
            bundle::add(&policy, "reject", &entries("unwanted word "))?;
        }
        let cast = Cast::start(folder, say).await?;
        let ids = ["north", "south", "platform"];
        let processes = ids.iter().filter_map(|id| Some(((*id).to_owned(), cast.process(id)?.id()?))).collect();
        Ok(Ground { record: cast.record.clone(), processes, own: Some(cast) })
    }

    /// `count` writers on north and readers on south, created where they do not exist, logged in.
    ///
    /// # Errors
    /// [`BenchError::Call`], [`BenchError::Option`] for a record without north and south.
    pub async fn couples(&self, count: usize) -> Result<Vec<Couple>, BenchError> {
        let side = |id: &str| {
            self.record.server(id).ok_or_else(|| BenchError::Option(format!("the demo's record has no server {id}")))
        };
        let (writers, readers) = tokio::try_join!(users(side("north")?, count), users(side("south")?, count))?;
        let couple = |((_, writer), (reader_id, reader))| Couple { writer, reader, reader_id };
        Ok(writers.into_iter().zip(readers).map(couple).collect())
    }

    /// CPU and memory of each process so far, the driver's (this one's) too.
    #[must_use]
    pub fn usage(&self) -> BTreeMap<String, Usage> {
        let driver = ("driver".to_owned(), std::process::id());
        let all = self.processes.iter().map(|(name, pid)| (name.clone(), *pid)).chain([driver]);
        all.filter_map(|(name, pid)| Some((name, usage(pid).ok()?))).collect()
    }

    /// Stops what it started.
    pub async fn leave(self) {
        if let Some(cast) = self.own {
            cast.stop().await;
        }
    }
}

fn entries(stem: &str) -> Vec<String> {
    (0..LIST_ENTRIES).map(|n| format!("{stem}{n:04}x")).collect()
}

/// `bench-0` … on one server: userID and API of each.
async fn users(server: &ServerRecord, count: usize) -> Result<Vec<(String, Api)>, BenchError> {
    let admin = Admin::of(server).map_err(BenchError::call("reach the administration"))?;
    let api = Api::new(&server.client, &server.ca).map_err(BenchError::call("reach the client interface"))?;
    let (admin, api) = (&admin, &api);
    let one = |n: usize| async move {
        let (local, password) = (format!("bench-{n}"), password(server, n));
        admin.create_user(&local, &local, &password).await.map_err(BenchError::call("create a user"))?;
        let id = format!("{local}@{}", server.server_id);
        let body = json!({"userID": id, "password": password, "deviceName": "isthmus bench"});
        let answer = api.post("/client/v1/login", &body).await.map_err(BenchError::call("log in"))?;
        let token = answer["accessToken"].as_str().unwrap_or_default();
        Ok((id, api.apart().with_token(token)))
    };
    stream::iter((0..count).map(one)).buffered(AT_ONCE).try_collect().await
}

/// Known to whoever has the demo's record, and to nobody else on this machine; the same in the next run.
fn password(server: &ServerRecord, n: usize) -> String {
    let seed = format!("isthmus bench {n} {}", server.admin_tokens.system);
    blake3::hash(seed.as_bytes()).to_hex()[..24].to_owned()
}

/// Opens `count` sockets that do nothing, and says what each of the second half costs south: the first half uses up
/// what the allocator and the runtime had in store, which is no connection's cost.
///
/// # Errors
/// [`BenchError::Call`].
pub(super) async fn idle(ground: &Ground, couple: &Couple, count: usize) -> Result<Idle, BenchError> {
    let rss = || ground.usage().get("south").map_or(0, |usage| usage.rss_kib);
    let measured = count.div_ceil(2);
    let first = open_idle(couple, count - measured).await?;
    let before = rss();
    let second = open_idle(couple, measured).await?;
    let grown = rss().saturating_sub(before);
    drop((first, second));
    Ok(Idle { connections: count, kib_per_connection: grown as f64 / measured.max(1) as f64 })
}

async fn open_idle(couple: &Couple, count: usize) -> Result<Vec<Socket>, BenchError> {
    let sockets = stream::iter((0..count).map(|_| couple.reader.socket("/client/v1/socket")))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
        .map_err(BenchError::call("open an idle connection"))?;
    tokio::time::sleep(SETTLE).await;
    Ok(sockets)
}
