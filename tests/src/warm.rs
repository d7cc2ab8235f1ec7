//! Compiling the shipped plugins takes seconds in a debug build, and a server's compile cache answers to its own key ring only. So the
//! first server's key ring and policy folder are remembered, and the servers after it begin with copies.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use isthmus_node::config::ServerConfig;
use tokio::sync::Mutex;

struct Warm {
    keyring: Vec<u8>,
    policy: Vec<(PathBuf, Vec<u8>)>,
}

static WARM: Mutex<Option<Warm>> = Mutex::const_new(None);

/// Runs `start` with the folders prepared; the first to come compiles while the others wait.
pub(crate) async fn start<T>(config: &ServerConfig, start: impl Future<Output = T>) -> T {
    let mut warm = WARM.lock().await;
    if let Some(warm) = &*warm {
        prepare(warm, config);
    } else {
        let started = start.await;
        *warm =
            Some(Warm { keyring: fs::read(&config.keyring).unwrap(), policy: files(&config.data_dir.join("policy")) });
        return started;
    }
    drop(warm);
    start.await
}

/// The same for a server that starts elsewhere, if there is anything to copy yet.
pub(crate) async fn prepare_if_known(config: &ServerConfig) {
    if let Some(warm) = &*WARM.lock().await {
        prepare(warm, config);
    }
}

fn prepare(warm: &Warm, config: &ServerConfig) {
    if config.data_dir.exists() {
        return;
    }
    let policy = config.data_dir.join("policy");
    for (path, bytes) in &warm.policy {
        let path = policy.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let mut keyring = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&config.keyring).unwrap();
    keyring.write_all(&warm.keyring).unwrap();
}

fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    found
}
