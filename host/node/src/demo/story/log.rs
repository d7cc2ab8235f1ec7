//! Last act: everything is stopped, and the audit logs are verified from their files alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Differs, Told, Trying, differs, server, told};
use crate::demo::cast::Cast;
use crate::demo::folder::copy_folder;
use crate::demo::record::ServerRecord;
use crate::demo::say::Say;

pub(super) async fn tell(cast: &Cast, say: &mut Say) {
    say.step("both servers and the platform are stopped", "each ends by itself within its grace period");
    let killed = cast.stop().await;
    told(
        say,
        &if killed.is_empty() { Ok("all three ended".to_owned()) } else { differs(format!("killed: {killed:?}")) },
    );
    say.step(
        "`isthmus audit verify` reads the logs of north and south, offline",
        "both are whole: every record, every tile, every signed checkpoint",
    );
    told(say, &whole(cast));
    say.step(
        "one byte in a copy of south's log is changed, and the copy is verified",
        "the change is found, and the place is named",
    );
    told(say, &tampered(cast));
}

fn whole(cast: &Cast) -> Told {
    let mut words = Vec::new();
    for index in [0, 1] {
        let server = server(cast, index);
        let (ok, text) = verify(&audit(server), server)?;
        if !ok {
            return differs(format!("{}: {text}", server.server_id));
        }
        words.push(format!("{}: {text}", server.server_id));
    }
    Ok(words.join("; "))
}

fn tampered(cast: &Cast) -> Told {
    let copy = cast.folder.root().join("tampered");
    if copy.exists() {
        std::fs::remove_dir_all(&copy).trying("remove an earlier copy")?;
    }
    let south = server(cast, 1);
    copy_folder(&audit(south), &copy).trying("copy the log")?;
    let Some(file) = largest(&copy).trying("read the copy")? else { return differs("the log has no files") };
    let mut bytes = std::fs::read(&file).trying("read a file of the copy")?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).trying("write a file of the copy")?;
    let changed = file.strip_prefix(&copy).unwrap_or(&file).display().to_string();
    match verify(&copy, south)? {
        (true, text) => differs(format!("byte {middle} of {changed} was changed, and the verdict was: {text}")),
        (false, text) => Ok(format!("byte {middle} of {changed} was changed: {text}")),
    }
}

fn audit(server: &ServerRecord) -> PathBuf {
    server.data_dir.join("audit")
}

/// Runs `isthmus audit verify` with the server's key ring: whether it found the log whole, and its words.
fn verify(folder: &Path, server: &ServerRecord) -> Result<(bool, String), Differs> {
    let executable = std::env::current_exe().trying("find the executable")?;
    let mut command = Command::new(executable);
    command.args(["--json", "audit", "verify", "--dir"]).arg(folder);
    command.arg("--keyring").arg(server.data_dir.with_extension("keyring")).env_remove("ISTHMUS_CONFIG");
    let output = command.output().trying("run audit verify")?;
    let Ok(report) = serde_json::from_slice::<Value>(&output.stdout) else {
        return differs(format!("audit verify failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    };
    Ok((output.status.success(), words(&report, folder)))
}

/// The report in a few words: how much is whole, or the first problem.
fn words(report: &Value, folder: &Path) -> String {
    let problems = report["problems"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(first) = problems.first() else {
        return format!("{} records whole", report["size"]);
    };
    let file = first["file"].as_str().unwrap_or_default();
    let place = Path::new(file).strip_prefix(folder).unwrap_or(Path::new(file)).display().to_string();
    let what = first["what"].as_str().unwrap_or_default();
    match problems.len() {
        1 => format!("1 problem: {place}: {what}"),
        n => format!("{n} problems, the first: {place}: {what}"),
    }
}

/// The largest file below a folder: records, not a checkpoint.
fn largest(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    let mut found: Option<(u64, PathBuf)> = None;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.metadata()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if found.as_ref().is_none_or(|(size, _)| kind.len() > *size) {
                found = Some((kind.len(), entry.path()));
            }
        }
    }
    Ok(found.map(|(_, path)| path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn a_verdict_names_what_is_whole_or_the_first_place_that_is_not() {
        let folder = Path::new("/copy");
        assert_eq!(words(&serde_json::json!({"size": 12, "problems": []}), folder), "12 records whole");
        let broken = serde_json::json!({"problems": [
            {"file": "/copy/tile/0/000", "index": 3, "what": "its hash differs"}, {"file": "/copy/checkpoint", "what": "?"}
        ]});
        assert_eq!(words(&broken, folder), "2 problems, the first: tile/0/000: its hash differs");
    }

    #[test]
    fn the_largest_file_is_found_below_folders() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(largest(dir.path()).unwrap(), None);
        std::fs::create_dir_all(dir.path().join("tile/0")).unwrap();
        std::fs::write(dir.path().join("checkpoint"), "short").unwrap();
        std::fs::write(dir.path().join("tile/0/000"), "much longer than that").unwrap();
        assert_eq!(largest(dir.path()).unwrap(), Some(dir.path().join("tile/0/000")));
    }
}
