//! Uploads by clients: announced, then written in any number of requests, each from where the last one ended.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use isthmus_domain::Error;
use isthmus_domain::media::{self, Bounds, Found, Kind, Media, MediaKey, NewMedia};
use isthmus_policy::Session;
use isthmus_store::WriteError;
use isthmus_store::blob::Writer;
use isthmus_wire::MediaId;
use isthmus_wire::code::{Code, Refusal, Transport};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::{blocking, found, metadata};
use crate::clock;
use crate::reply::Problem;
use crate::server::Server;
use crate::server::accounts::internal;
use crate::server::gate::{Question, Ruling};
use crate::server::session::Caller;
use crate::server::trail::Trail;

/// The operation, as policies and audit records name it.
const UPLOAD: &str = "file.upload";
/// Bytes gathered before they go to the disk.
const STEP: usize = 256 * 1024;
/// How often a request looks whether the one before it has let go of the upload, and for how long.
const LOOKS: u32 = 50;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a client announces.
#[derive(Debug, Deserialize)]
pub(crate) struct Announced {
    name: String,
    size: u64,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    md5: Option<String>,
}

/// Where an upload stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Upload {
    #[serde(rename = "mediaID")]
    media_id: MediaId,
    /// The next byte goes here.
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// `uploading` or `ready`.
    state: &'static str,
    name: String,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    md5: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    media_type: String,
}

impl Upload {
    fn of(media: Media, offset: u64) -> Upload {
        let state = if media.blob.is_some() { "ready" } else { "uploading" };
        let Media { media_id, size, name, kind, md5, media_type, .. } = media;
        Upload { media_id, offset, size, state, name, kind, md5, media_type }
    }
}

/// How a request's body ended.
enum End {
    Whole,
    /// It broke off, stood still, or the client came again.
    Broke,
    /// It is longer than the file.
    TooMuch,
}

/// An upload under way, as long as it exists.
struct UnderWay<'a> {
    server: &'a Server,
    key: MediaKey,
    interrupted: Arc<Notify>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut uploads = self.server.files.uploads();
        if uploads.get(&self.key).is_some_and(|other| Arc::ptr_eq(other, &self.interrupted)) {
            uploads.remove(&self.key);
        }
    }
}

impl Server {
    /// Begins an upload.
    pub(crate) async fn begin_upload(self: &Arc<Self>, caller: &Caller, a: Announced) -> Result<Upload, Problem> {
        let mut question: Question = internal(UPLOAD, caller.user.as_str(), caller.user.as_str()).into();
        question.items.push(metadata(&a.name, a.size, a.md5.as_deref().unwrap_or_default(), ""));
        question.fields = vec![("name".to_owned(), a.name.clone()), ("size".to_owned(), a.size.to_string())];
        let (a, mut trail, session) = match self.gate.rule(question, a, |a, _, name| a.name = name).await? {
            Ruling::Cleared(cleared) => cleared.into_parts(),
            Ruling::Held(cleared, reason) => return Err(self.no_quarantine(cleared, reason).await),
            Ruling::Refused(refusal, trail) => return Err(self.refused(refusal, &trail).await),
        };
        let (owner, audit) = (caller.user.clone(), trail.record());
        let bounds = Bounds { file: self.max_file(), user: self.user_quota() };
        let new = NewMedia { kind: a.kind, name: a.name, size: a.size, md5: a.md5 };
        let rule = self.cleared(&session, clock::now_ms(), move |tx, scene| {
            let begun = media::begin(tx, scene, &owner, new, bounds)?;
            tx.audit(audit);
            Ok(begun)
        });
        let outcome = self.store.write(rule).await;
        drop(session);
        match outcome {
            Ok(begun) => self.upload(caller, &begun.media_id).await,
            Err(WriteError::Refused(Error::Refused(refusal))) => Err(self.failed(refusal, &mut trail).await),
            Err(error) => Err(error.into()),
        }
    }

    /// Where an upload of the caller's stands.
    pub(crate) async fn upload(&self, caller: &Caller, id: &MediaId) -> Result<Upload, Problem> {
        let (key, media) = self.store_upload(caller, id)?;
        if media.blob.is_some() {
            let size = media.size;
            return Ok(Upload::of(media, size));
        }
        let writer = self.writer_of(&key).await?;
        let offset = blocking(move || writer.pause()).await?;
        Ok(Upload::of(media, offset))
    }

    /// Gives an upload up.
    pub(crate) async fn drop_upload(&self, caller: &Caller, id: &MediaId) -> Result<(), Problem> {
        let (key, media) = self.store_upload(caller, id)?;
        if media.blob.is_some() {
            return Err(Problem::refused(
                Code::WRONG_STATE,
                "the upload is finished; it goes when nothing refers to it",
            ));
        }
        let writer = self.writer_of(&key).await?;
        self.abandon(key, writer).await
    }

    /// Takes bytes from `offset` on. With the last of them the file is checked and ready.
    pub(crate) async fn write_upload(
        self: &Arc<Self>,
        caller: &Caller,
        id: &MediaId,
        offset: u64,
        body: Incoming,
    ) -> Result<Upload, Problem> {
        let (key, media) = self.store_upload(caller, id)?;
        if media.blob.is_some() {
            return Err(Problem::refused(Code::WRONG_STATE, "the upload is finished"));
        }
        let _turn = self.transfer().await?;
        let interrupted = Arc::new(Notify::new());
        let writer = self.writer_of(&key).await?;
        self.files.uploads().insert(key, interrupted.clone());
        let _under_way = UnderWay { server: self, key, interrupted: interrupted.clone() };
        let at = writer.offset();
        if at != offset {
            blocking(move || writer.pause()).await?;
            let words = format_args!("is {offset}, but the upload goes on from {at}");
            return Err(Refusal::field(Code::INVALID_FIELD, "offset", words).into());
        }
        let (writer, end) = self.take(writer, body, media.size, &interrupted).await?;
        match end {
            End::Whole if writer.offset() == media.size => self.finish_upload(caller, key, media, writer).await,
            End::Whole => {
                let offset = blocking(move || writer.pause()).await?;
                self.goes_on(key, &media).await?;
                Ok(Upload::of(media, offset))
            }
            End::Broke => {
                let offset = blocking(move || writer.pause()).await?;
                let words = format!("the body broke off; go on from offset {offset}");
                Err(Problem::Transport(Transport::Malformed, words))
            }
            End::TooMuch => {
                let offset = blocking(move || writer.pause()).await?;
                let words =
                    format!("the body is longer than the {} bytes announced; it stands at {offset}", media.size);
                Err(Problem::Transport(Transport::TooLarge, words))
            }
        }
    }

    /// An upload may take longer than an abandoned one is kept.
    async fn goes_on(&self, key: MediaKey, media: &Media) -> Result<(), Problem> {
        let (now, home) = (clock::now_ms(), self.id.clone());
        if now.saturating_sub(media.touched_ms) > self.config.media.unused_s * 1000 / 4 {
            let rule =
                move |tx: &mut isthmus_store::Tx<'_>| Server::scene(&home, now, |scene| media::touch(tx, scene, &key));
            self.store.write(rule).await?;
        }
        Ok(())
    }

    fn store_upload(&self, caller: &Caller, id: &MediaId) -> Result<(MediaKey, Media), Problem> {
        Ok(media::uploading(&self.store.view()?, &caller.user, id)?)
    }

    /// The upload's writer. A request that still has it is told to let go: its client has come again.
    async fn writer_of(&self, key: &MediaKey) -> Result<Writer, Problem> {
        for _ in 0..LOOKS {
            let (blobs, draft) = (self.store.blobs().clone(), key.draft());
            if let Some(writer) = blocking(move || blobs.write(draft)).await? {
                return Ok(writer);
            }
            if let Some(other) = self.files.uploads().get(key) {
                other.notify_one();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(Problem::refused(Code::OVERLOADED, "another request writes this upload; retry"))
    }

    /// Writes a body's bytes until it ends or the file is full.
    async fn take(
        &self,
        mut writer: Writer,
        mut body: Incoming,
        size: u64,
        interrupted: &Notify,
    ) -> Result<(Writer, End), Problem> {
        let idle = Duration::from_millis(self.config.media.idle_ms);
        let mut room = size - writer.offset().min(size);
        let mut gathered = Vec::with_capacity(STEP);
        let end = loop {
            let frame = tokio::select! {
                frame = tokio::time::timeout(idle, body.frame()) => frame,
                () = interrupted.notified() => break End::Broke,
            };
            let data = match frame {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(None) => break End::Whole,
                Ok(Some(Err(_))) | Err(_) => break End::Broke,
            };
            if data.len() as u64 > room {
                break End::TooMuch;
            }
            room -= data.len() as u64;
            gathered.extend_from_slice(&data);
            if gathered.len() >= STEP {
                (writer, gathered) = blocking(move || write(writer, gathered)).await?;
            }
        };
        (writer, _) = blocking(move || write(writer, gathered)).await?;
        Ok((writer, end))
    }

    async fn finish_upload(
        self: &Arc<Self>,
        caller: &Caller,
        key: MediaKey,
        media: Media,
        writer: Writer,
    ) -> Result<Upload, Problem> {
        let sums = writer.sums();
        let found = found(self.store.blobs().id_of(&sums.blake3), &sums);
        if let Err(error) = media::acceptable(&media, &found) {
            // Nothing that could still come would make it right.
            self.abandon(key, writer).await?;
            return match error {
                Error::Refused(refusal) => Err(self.failed(refusal, &mut self.upload_trail(caller, &media)).await),
                Error::Fault(fault) => Err(fault.into()),
            };
        }
        let _placing = self.files.placing.read().await;
        let blob = blocking(move || writer.finish()).await?;
        let outcome = self.make_ready(caller, key, &media, found).await;
        if outcome.is_err() {
            self.files.leave_loose(blob);
        }
        let media = outcome?;
        let size = media.size;
        Ok(Upload::of(media, size))
    }

    /// A portrait or icon is judged here, because no message will carry it; other files are judged with each message.
    async fn make_ready(
        self: &Arc<Self>,
        caller: &Caller,
        key: MediaKey,
        media: &Media,
        found: Found,
    ) -> Result<Media, Problem> {
        let (mut trail, session) = match media.kind {
            Kind::Image | Kind::Voice | Kind::File => (self.upload_trail(caller, media), None),
            Kind::Portrait | Kind::Icon => match self.judge_picture(caller, media, &found).await {
                Ok((trail, session)) => (trail, Some(session)),
                Err(problem) => {
                    self.store.write(move |tx| media::abandon(tx, &key)).await?;
                    return Err(problem);
                }
            },
        };
        trail.add("md5", &found.md5);
        let audit = trail.record();
        let home = self.id.clone();
        let outcome = self.store.write(move |tx| {
            Server::scene(&home, clock::now_ms(), |scene| {
                let media = media::complete(tx, scene, &key, &found)?;
                tx.audit(audit);
                Ok::<_, Error>(media)
            })
        });
        let outcome = outcome.await;
        drop(session);
        match outcome {
            Ok(media) => Ok(media),
            Err(WriteError::Refused(Error::Refused(refusal))) => Err(self.failed(refusal, &mut trail).await),
            Err(error) => Err(error.into()),
        }
    }

    async fn judge_picture(&self, caller: &Caller, media: &Media, found: &Found) -> Result<(Trail, Session), Problem> {
        let ready = Media { blob: Some(found.blob), media_type: found.media_type.to_owned(), ..media.clone() };
        let mut question: Question = internal(UPLOAD, caller.user.as_str(), caller.user.as_str()).into();
        question.items = self.items(&ready).await?;
        question.fields = vec![("mediaID".to_owned(), media.media_id.to_string())];
        match self.gate.rule(question, (), |(), _, _| ()).await? {
            Ruling::Cleared(cleared) => {
                let ((), trail, session) = cleared.into_parts();
                Ok((trail, session))
            }
            Ruling::Held(cleared, reason) => Err(self.no_quarantine(cleared, reason).await),
            Ruling::Refused(refusal, trail) => Err(self.refused(refusal, &trail).await),
        }
    }

    fn upload_trail(&self, caller: &Caller, media: &Media) -> Trail {
        let fields = vec![
            ("mediaID".to_owned(), media.media_id.to_string()),
            ("name".to_owned(), media.name.clone()),
            ("size".to_owned(), media.size.to_string()),
        ];
        let call = internal(UPLOAD, caller.user.as_str(), caller.user.as_str());
        let event = isthmus_policy::Event { call, outcome: "allowed".into(), code: 0, fields };
        Trail::of_event(&self.policy.begin(), event)
    }

    async fn abandon(&self, key: MediaKey, writer: Writer) -> Result<(), Problem> {
        blocking(move || writer.discard()).await?;
        Ok(self.store.write(move |tx| media::abandon(tx, &key)).await?)
    }
}

/// Writes what was gathered and gives the buffer back.
pub(super) fn write(mut writer: Writer, mut gathered: Vec<u8>) -> Result<(Writer, Vec<u8>), isthmus_store::StoreError> {
    writer.write(&gathered)?;
    gathered.clear();
    Ok((writer, gathered))
}
