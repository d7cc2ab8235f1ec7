//! One large file from a user on north to a user on south: how fast, and how much memory the servers take for it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use super::error::BenchError;
use super::ground::{Couple, Ground};
use crate::client::Upload;
use crate::demo::Say;

/// Bytes of one request, both ways.
const STEP: usize = 8 << 20;
/// Between two looks at the reader's inbox.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long the file may be on its way between the servers.
const WITHIN: Duration = Duration::from_secs(1800);

/// What the journey of a file came to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileFigures {
    /// Its size.
    pub mib: u64,
    /// From the writer to north, sealed and synced.
    pub upload_mib_per_second: f64,
    /// From the message to its being shown on south: north reads, south pulls, checks and keeps.
    pub pull_mib_per_second: f64,
    /// From south to the reader.
    pub download_mib_per_second: f64,
    /// The most that each process had resident in its life, in MiB.
    pub peak_mib: BTreeMap<String, f64>,
    /// What each had before the file came, in MiB.
    pub before_mib: BTreeMap<String, f64>,
    /// Whether the reader got what the writer sent.
    pub same: bool,
}

impl FileFigures {
    /// For people.
    pub(super) fn row(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "\na file of {} MiB: up {:.0} MiB/s, between the servers {:.0} MiB/s, down {:.0} MiB/s{}",
            self.mib,
            self.upload_mib_per_second,
            self.pull_mib_per_second,
            self.download_mib_per_second,
            if self.same { "" } else { "; it ARRIVED CHANGED" }
        );
        for name in ["north", "south"] {
            let of = |usage: &BTreeMap<String, f64>| usage.get(name).copied().unwrap_or_default();
            let _ = writeln!(
                out,
                "{name}: {:.0} MiB resident at most, {:.0} before",
                of(&self.peak_mib),
                of(&self.before_mib)
            );
        }
    }
}

/// Bytes that do not compress and differ from place to place, without holding them.
struct Content {
    stream: blake3::OutputReader,
    sum: blake3::Hasher,
    left: u64,
}

impl Content {
    fn next(&mut self, most: usize) -> Bytes {
        let size = usize::try_from(self.left).unwrap_or(usize::MAX).min(most);
        let mut bytes = vec![0; size];
        self.stream.fill(&mut bytes);
        self.sum.update(&bytes);
        self.left -= size as u64;
        bytes.into()
    }
}

/// Sends one file and takes the times.
pub(super) async fn drive(
    mib: u64,
    couple: &Couple,
    ground: &Ground,
    say: &mut Say,
) -> Result<FileFigures, BenchError> {
    let resident = |peak: bool| -> BTreeMap<String, f64> {
        let of = |u: super::Usage| if peak { u.peak_kib } else { u.rss_kib };
        ground.usage().into_iter().map(|(name, usage)| (name, of(usage) as f64 / 1024.0)).collect()
    };
    let before_mib = resident(false);
    let size = mib << 20;
    say.progress(&format!("a file of {mib} MiB: uploading"));
    let mut content = Content { stream: blake3::Hasher::new().finalize_xof(), sum: blake3::Hasher::new(), left: size };
    let began = Instant::now();
    let upload = Upload { kind: "file", name: "bench.bin", size, md5: None };
    let sent = couple.writer.upload(&upload, STEP, |_, most| content.next(most)).await;
    let id = sent.map_err(BenchError::call("upload the file"))?;
    let uploaded = began.elapsed();
    say.progress("on its way between the servers");
    let began = Instant::now();
    send(couple, &id).await?;
    let pulled = began.elapsed();
    say.progress("downloading");
    let began = Instant::now();
    let got = download(couple, &id).await?;
    let downloaded = began.elapsed();
    let rate = |took: Duration| mib as f64 / took.as_secs_f64().max(1e-9);
    Ok(FileFigures {
        mib,
        upload_mib_per_second: rate(uploaded),
        pull_mib_per_second: rate(pulled),
        download_mib_per_second: rate(downloaded),
        peak_mib: resident(true),
        before_mib,
        same: got == content.sum.finalize(),
    })
}

/// Sends the message, and waits until the reader is shown it.
async fn send(couple: &Couple, id: &str) -> Result<(), BenchError> {
    let body = json!({"clientID": id, "recvID": couple.reader_id, "type": "file", "mediaID": id});
    couple.writer.post("/client/v1/messages", &body).await.map_err(BenchError::call("send the file"))?;
    let (began, mut after) = (Instant::now(), 0);
    while began.elapsed() < WITHIN {
        let page = couple.reader.get(&format!("/client/v1/inbox?after={after}&limit=500")).await;
        let page = page.map_err(BenchError::call("read the inbox"))?;
        let events = page["events"].as_array().map_or(&[][..], Vec::as_slice);
        if events.iter().any(|event| event["message"]["content"]["mediaID"] == id) {
            return Ok(());
        }
        if let Some(failed) = events.iter().find(|event| event["kind"] == "file.failed" && event["mediaID"] == id) {
            return Err(BenchError::Driver(format!("the file did not arrive: {failed}")));
        }
        after = page["next"].as_u64().unwrap_or(after);
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(BenchError::Driver(format!("the file did not arrive within {WITHIN:?}")))
}

async fn download(couple: &Couple, id: &str) -> Result<blake3::Hash, BenchError> {
    let (mut sum, mut at) = (blake3::Hasher::new(), 0);
    loop {
        let part = couple.reader.download(id, at, STEP as u64).await;
        let part = part.map_err(BenchError::call("download the file"))?;
        if part.is_empty() {
            return Ok(sum.finalize());
        }
        sum.update(&part);
        at += part.len() as u64;
    }
}
