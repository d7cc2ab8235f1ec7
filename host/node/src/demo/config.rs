//! The configuration files that the demo writes: what differs from the defaults, and nothing else.

use std::path::Path;

use super::error::DemoError;
use super::folder::{Folder, Ports};
use crate::platform::root_file;

/// One of the demo's two servers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// serverId.
    pub(super) id: &'static str,
    /// serverName.
    pub(super) name: &'static str,
    /// `area` of its registration.
    pub(super) area: &'static str,
    /// Local parts of its users' IDs, and their names.
    pub(super) users: [(&'static str, &'static str); 2],
}

/// The demo's servers, in the order of their ports.
pub(super) const PARTS: [Part; 2] = [
    Part { id: "north", name: "North", area: "CN-BJ", users: [("alice", "Alice"), ("bob", "Bob")] },
    Part { id: "south", name: "South", area: "CN-GD", users: [("carol", "Carol"), ("dave", "Dave")] },
];

/// `https://127.0.0.1:port`.
#[must_use]
pub(super) fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// Writes `platform/platform.toml`, `north/server.toml` and `south/server.toml`.
///
/// # Errors
/// [`DemoError::File`].
pub(super) fn write(folder: &Folder) -> Result<(), DemoError> {
    put(&folder.of("platform"), "platform.toml", &platform(folder.ports()))?;
    for (index, part) in (0..).zip(PARTS) {
        put(&folder.of(part.id), "server.toml", &server(folder.ports(), index, part))?;
    }
    Ok(())
}

fn put(folder: &Path, name: &str, text: &str) -> Result<(), DemoError> {
    std::fs::create_dir_all(folder).map_err(DemoError::at(folder))?;
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(DemoError::at(&path))
}

fn platform(ports: Ports) -> String {
    let [api, admin] = ports.platform();
    format!(
        r#"# Written by `isthmus demo`. Every other key has its default: see config/platform.toml.
domain = "demo.isthmus.example"
data_dir = "data"
hosts = ["127.0.0.1", "localhost"]

[listen]
api = "127.0.0.1:{api}"
admin = "127.0.0.1:{admin}"

[registry]
# Both servers of a demo live on this machine.
allow_private_addresses = true
"#
    )
}

fn server(ports: Ports, index: u16, part: Part) -> String {
    let [platform, _] = ports.platform();
    let [interconnect, client, admin] = ports.server(index);
    let Part { id, name, area, .. } = part;
    format!(
        r#"# Written by `isthmus demo`. Every other key has its default: see config/server.toml.
data_dir = "data"

[server]
id = "{id}"
name = "{name}"
address = "https://127.0.0.1:{interconnect}"
area = "{area}"
owner = "demo"
contact_name = "{name} Operator"
contact_email = "operator@{id}.example"
contact_mobile = "008613800000{index}"

[listen]
interconnect = "127.0.0.1:{interconnect}"
client = "127.0.0.1:{client}"
admin = "127.0.0.1:{admin}"

[platform]
url = "https://127.0.0.1:{platform}"
ca = "{ca}"
# A demo approves its own applications at once.
poll_ms = 200

[delivery]
# A server of the demo that was away is back within seconds; so is its backlog.
backoff_max_ms = 1000

[policy]
dir = "policy"
watch = true
# What this demo writes is signed by nobody.
allow_unsigned = true
# The story lets a plugin loop, and shows what that does until somebody rolls back.
breaker_faults = 0
"#,
        index = index + 1,
        ca = root_file(Path::new("../platform/data")).display(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use crate::config::{PlatformConfig, ServerConfig, Sources};
    use crate::demo::folder::Earlier;

    #[test]
    fn every_file_the_demo_writes_is_accepted_by_the_process_that_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), Earlier::Reuse, None, 7700).unwrap();
        write(&folder).unwrap();
        let sources = |path| Sources { file: Some(path), ..Sources::default() };
        let platform = PlatformConfig::load(&sources(folder.of("platform").join("platform.toml"))).unwrap();
        assert_eq!(platform.listen.admin.port(), 7701);
        for (part, port) in PARTS.iter().zip([7710, 7720]) {
            let path = folder.of(part.id).join("server.toml");
            let server = ServerConfig::load(&sources(path)).unwrap();
            assert_eq!(server.server.id.as_str(), part.id);
            assert_eq!(server.listen.interconnect.port(), port);
            assert!(!server.keyring.starts_with(&server.data_dir), "keys lie outside the data");
            assert_eq!(server.policy.dir.unwrap(), folder.of(part.id).join("policy"));
        }
    }
}
