//! Files on their way: up in steps that go on after a break, down in ranges into a file that is finished at its end alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use md5::{Digest, Md5};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::app::FileBody;
use super::clean;
use super::exchange::{Progress, Why};
use super::net::{Backoff, Shared, final_word, place, progress};
use super::perform::encoded;
use crate::client::{ClientError, Upload};

/// Bytes of one request.
const STEP: usize = 512 * 1024;

/// Why a file is not moved.
enum Stop {
    Client(ClientError),
    File(PathBuf, io::Error),
    Other(String),
}

impl Stop {
    fn words(&self) -> String {
        match self {
            Stop::Client(error) => {
                let Why { code, msg } = Why::of(error);
                code.map_or(msg.clone(), |code| format!("{msg} ({code})"))
            }
            Stop::File(path, error) => format!("{}: {error}", path.display()),
            Stop::Other(words) => words.clone(),
        }
    }
}

/// `~/` is the home folder.
pub(super) fn expanded(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        (Ok(_) | Err(_), _) => path.to_owned(),
    }
}

/// Uploads a file; its end is told as [`Progress::Uploaded`].
pub(super) async fn upload(shared: Arc<Shared>, number: u64, path: PathBuf, stop: Arc<Notify>) {
    let Some(_place) = place(&shared).await else { return };
    let (mut media, path) = (None, expanded(&path));
    let told = tokio::select! {
        result = upload_whole(&shared, number, &path, &mut media) => match result {
            Ok(media) => Progress::Uploaded(media),
            Err(stop) => Progress::Failed(stop.words()),
        },
        () = stop.notified() => Progress::Canceled,
    };
    if let (Progress::Canceled, Some(media)) = (&told, media) {
        // The server forgets it by itself otherwise, later.
        let _ = shared.api().0.call(Method::DELETE, &format!("/client/v1/media/{}", encoded(&media)), None).await;
    }
    progress(&shared, number, told).await;
}

async fn upload_whole(shared: &Shared, number: u64, path: &Path, media: &mut Option<String>) -> Result<String, Stop> {
    let fail = |error| Stop::File(path.to_owned(), error);
    let mut file = File::open(path).map_err(fail)?;
    let data = file.metadata().map_err(fail)?;
    if !data.is_file() {
        return Err(fail(io::ErrorKind::IsADirectory.into()));
    }
    let name = clean::file_name(&path.file_name().unwrap_or_default().to_string_lossy());
    let (kind, md5) = look(path).await.map_err(fail)?;
    progress(shared, number, Progress::Began { name: name.clone(), size: data.len(), kind: kind.to_owned() }).await;
    let upload = Upload { kind, name: &name, size: data.len(), md5: Some(&md5) };
    let mut tries = Patience::new(shared, number);
    let id = loop {
        let (api, token) = shared.api();
        match api.begin_upload(&upload).await {
            Ok(id) => break id,
            Err(error) => tries.bear(token, error).await?,
        }
    };
    *media = Some(id.clone());
    let mut offset = 0;
    loop {
        let bytes = read_at(&mut file, offset).map_err(fail)?;
        let (api, token) = shared.api();
        let end = offset + bytes.len() as u64;
        match api.write_upload(&id, offset, bytes).await {
            Ok(_) => (offset, tries) = (end, Patience::new(shared, number)),
            Err(error) => {
                tries.bear(token, error).await?;
                offset = reached(shared, &id, offset).await?;
            }
        }
        progress(shared, number, Progress::At(offset)).await;
        if offset >= data.len() {
            return Ok(id);
        }
    }
}

/// How far an upload is; where that cannot be learned now, as far as it was.
async fn reached(shared: &Shared, id: &str, before: u64) -> Result<u64, Stop> {
    match shared.api().0.get(&format!("/client/v1/media/{}/status", encoded(id))).await {
        Ok(status) => Ok(status["offset"].as_u64().unwrap_or(before)),
        Err(error) if final_word(&error) => Err(Stop::Client(error)),
        Err(_) => Ok(before),
    }
}

/// Reads a file once, beside the tasks: what it is by its content (R9), and its MD5.
async fn look(path: &Path) -> io::Result<(&'static str, String)> {
    let mut file = File::open(path)?;
    let reading = tokio::task::spawn_blocking(move || {
        let (mut md5, mut buffer, mut kind) = (Md5::new(), vec![0; STEP], None);
        loop {
            let many = file.read(&mut buffer)?;
            kind.get_or_insert_with(|| kind_of(&buffer[..many]));
            if many == 0 {
                return Ok((kind.unwrap_or("file"), hex::encode(md5.finalize())));
            }
            md5.update(&buffer[..many]);
        }
    });
    reading.await.map_err(io::Error::other)?
}

fn kind_of(beginning: &[u8]) -> &'static str {
    let image = [b"\x89PNG\r\n\x1a\n".as_slice(), b"\xff\xd8\xff", b"GIF87a", b"GIF89a"];
    if image.iter().any(|magic| beginning.starts_with(magic)) { "image" } else { "file" }
}

fn read_at(file: &mut File, offset: u64) -> io::Result<Bytes> {
    file.seek(io::SeekFrom::Start(offset))?;
    let mut bytes = Vec::with_capacity(STEP);
    file.take(STEP as u64).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// Another try after a break, later and later; what the server refuses stays refused.
struct Patience<'a> {
    shared: &'a Shared,
    number: u64,
    backoff: Backoff,
}

impl Patience<'_> {
    fn new(shared: &Shared, number: u64) -> Patience<'_> {
        Patience { shared, number, backoff: Backoff::new() }
    }

    async fn bear(&mut self, token: u64, error: ClientError) -> Result<(), Stop> {
        if self.shared.renewed(token, &error).await {
            return Ok(());
        }
        if final_word(&error) {
            return Err(Stop::Client(error));
        }
        progress(self.shared, self.number, Progress::Broke(Why::of(&error).msg)).await;
        sleep(self.backoff.next()).await;
        Ok(())
    }
}

/// Fetches a file; its end is told as [`Progress::Saved`].
pub(super) async fn save(
    shared: Arc<Shared>,
    number: u64,
    from: String,
    file: FileBody,
    to: Option<PathBuf>,
    stop: Arc<Notify>,
) {
    let Some(_place) = place(&shared).await else { return };
    let told = tokio::select! {
        result = save_whole(&shared, number, &from, &file, to.as_deref()) => match result {
            Ok(path) => Progress::Saved(path),
            Err(stop) => Progress::Failed(stop.words()),
        },
        () = stop.notified() => Progress::Canceled,
    };
    progress(&shared, number, told).await;
}

async fn save_whole(
    shared: &Shared,
    number: u64,
    from: &str,
    file: &FileBody,
    to: Option<&Path>,
) -> Result<PathBuf, Stop> {
    let target = target(to, &file.name);
    let part = part_of(&target, &file.media);
    let fail = |error| Stop::File(part.clone(), error);
    let mut out = OpenOptions::new().create(true).append(true).open(&part).map_err(fail)?;
    let mut offset = out.metadata().map_err(fail)?.len();
    let id = format!("{}?from={}", encoded(&file.media), encoded(from));
    let mut tries = Patience::new(shared, number);
    while offset < file.size {
        progress(shared, number, Progress::At(offset)).await;
        let (api, token) = shared.api();
        match api.download(&id, offset, STEP as u64).await {
            Ok(bytes) if bytes.is_empty() => {
                return Err(Stop::Other("the file is shorter than its message says".into()));
            }
            Ok(bytes) => {
                out.write_all(&bytes).map_err(fail)?;
                offset += bytes.len() as u64;
                tries = Patience::new(shared, number);
            }
            Err(error) => tries.bear(token, error).await?,
        }
    }
    out.sync_all().map_err(fail)?;
    finish(&part, &target, file).await
}

/// Checks what was fetched, and gives it its name, which no other file has.
async fn finish(part: &Path, target: &Path, file: &FileBody) -> Result<PathBuf, Stop> {
    let fail = |error| Stop::File(part.to_owned(), error);
    let (_, md5) = look(part).await.map_err(fail)?;
    let size = part.metadata().map_err(fail)?.len();
    if size != file.size || file.md5.as_ref().is_some_and(|known| *known != md5) {
        fs::remove_file(part).map_err(fail)?;
        return Err(Stop::Other("what was fetched is not the file of the message; /save fetches it anew".into()));
    }
    let stem = target.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let end = target.extension().map(|end| format!(".{}", end.to_string_lossy())).unwrap_or_default();
    let others = (2..1000).map(|n| target.with_file_name(format!("{stem} ({n}){end}")));
    for path in std::iter::once(target.to_owned()).chain(others) {
        // A link, unlike a renaming, takes nothing else's place.
        match fs::hard_link(part, &path) {
            Ok(()) => {
                fs::remove_file(part).map_err(fail)?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Stop::File(path, error)),
        }
    }
    Err(Stop::File(target.to_owned(), io::ErrorKind::AlreadyExists.into()))
}

/// Where a file goes: the path asked for; a name of the message's in the folder asked for, in `~/Downloads`, or here.
fn target(to: Option<&Path>, name: &str) -> PathBuf {
    let name = clean::file_name(name);
    let downloads = || Some(expanded(Path::new("~/Downloads"))).filter(|folder| folder.is_dir()).unwrap_or_default();
    match to.map(expanded) {
        Some(path) if path.is_dir() => path.join(name),
        Some(path) => path,
        None => downloads().join(name),
    }
}

/// What is fetched already lies beside, under a name of this file alone, so that a later try goes on with it.
fn part_of(target: &Path, media: &str) -> PathBuf {
    let tag = blake3::hash(media.as_bytes()).to_hex();
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    target.with_file_name(format!(".{name}.{}.part", &tag[..12]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    fn body(bytes: &[u8]) -> FileBody {
        let md5 = Some(hex::encode(Md5::digest(bytes)));
        FileBody {
            kind: "file".into(),
            name: "../a.txt".into(),
            media: "m".into(),
            size: bytes.len() as u64,
            md5,
            duration: None,
            number: 1,
        }
    }

    #[tokio::test]
    async fn what_is_fetched_takes_no_other_files_place_and_a_wrong_one_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = body(b"right");
        let target = target(Some(dir.path()), &file.name);
        assert_eq!(target, dir.path().join("_a.txt"), "no path out of the folder");
        let part = part_of(&target, &file.media);
        std::fs::write(&target, "before").unwrap();
        std::fs::write(&part, "right").unwrap();
        let saved = finish(&part, &target, &file).await.map_err(|stop| stop.words()).unwrap();
        assert_eq!(saved, dir.path().join("_a (2).txt"));
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "before");
        assert_eq!(std::fs::read_to_string(&saved).unwrap(), "right");
        assert!(!part.exists());
        std::fs::write(&part, "wrong").unwrap();
        assert!(finish(&part, &target, &file).await.is_err());
        assert!(!part.exists(), "the next try begins anew");
    }

    #[test]
    fn pictures_are_known_by_their_content() {
        assert_eq!(kind_of(b"\x89PNG\r\n\x1a\n.."), "image");
        assert_eq!(kind_of(b"\xff\xd8\xff\xe0"), "image");
        assert_eq!(kind_of(b"plain"), "file");
        assert_eq!(kind_of(b""), "file");
    }
}
