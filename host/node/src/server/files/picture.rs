//! Portraits of other servers' users (§7.2.2): fetched when one of our users wants to see one, and kept as long as it is the portrait.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use isthmus_domain::media::{self, Media, MediaKey, sight};
use isthmus_domain::speaker::{self, Home};
use isthmus_domain::{Error, Scene};
use isthmus_store::blob::Writer;
use isthmus_wire::call::FILE_DOWNLOAD;
use isthmus_wire::call::message::Download;
use isthmus_wire::code::Code;
use isthmus_wire::{MediaId, ServerId, UserId};

use super::fetch::End;
use super::{blocking, found};
use crate::clock;
use crate::reply::Problem;
use crate::server::Server;
use crate::server::gate;
use crate::server::session::Caller;

/// Bytes of the largest portrait that is fetched.
const MAX: u64 = 8 << 20;
/// How long a user waits for one.
const WITHIN: Duration = Duration::from_secs(20);

impl Server {
    /// The portrait `id` of another server's user: of nobody's else, whatever that server would let us have.
    pub(crate) async fn foreign_portrait(
        self: &Arc<Self>,
        caller: &Caller,
        id: &MediaId,
        of: &UserId,
    ) -> Result<Media, Problem> {
        let nothing = || Problem::refused(Code::NOT_FOUND, "mediaID: names no file that you may see");
        let late = |_| Problem::refused(Code::PEER_UNREACHABLE, "the portrait did not come in time; retry");
        let mut home = self.store.read(|view| speaker::home_of(view, &self.id, of))?;
        if let Home::Ask(named) = &home {
            self.addresses.settle(named).await;
            home = self.store.read(|view| speaker::home_of(view, &self.id, of))?;
        }
        let Home::Server(peer) = home else { return Err(nothing()) };
        let fetch = async {
            let _turn = self.files.pictures.acquire().await.map_err(Problem::fault)?;
            if self.details_at(&peer, of, &caller.user).await?.portrait.as_ref() != Some(id) {
                return Err(nothing());
            }
            let key = self.store.read(|view| Ok(media::key_of(view, Some(&peer), id)))?;
            match self.store.read(|view| media::get(view, &key))? {
                Some(media) if media.blob.is_some() => self.keep_portrait(peer, id, of, None).await,
                Some(_) => Err(Problem::refused(Code::OVERLOADED, "the file is on its way; retry")),
                None => self.fetch_portrait(key, peer, id, of).await,
            }
        };
        tokio::time::timeout(WITHIN, Box::pin(fetch)).await.map_err(late)?
    }

    async fn fetch_portrait(
        self: &Arc<Self>,
        key: MediaKey,
        peer: ServerId,
        id: &MediaId,
        of: &UserId,
    ) -> Result<Media, Problem> {
        let (blobs, draft) = (self.store.blobs().clone(), key.draft());
        let busy = || Problem::refused(Code::OVERLOADED, "the portrait is on its way; retry");
        let writer = blocking(move || blobs.write(draft)).await?.ok_or_else(busy)?;
        // What a broken attempt left has no worth here.
        let writer = self.begin_anew(&key, writer).await?;
        let address = self.address_of(&peer).await?;
        let path = format!("{}?{}", FILE_DOWNLOAD.path, Download { media_id: id.clone() }.to_query());
        let asked = self.peers.open(&address, Method::GET, &path, Bytes::new(), HeaderMap::new()).await;
        let unreachable = |error: &dyn std::fmt::Display| {
            tracing::info!(%peer, %error, "a portrait could not be fetched");
            Problem::refused(Code::PEER_UNREACHABLE, "the portrait could not be fetched; try again later")
        };
        let response = asked.map_err(|error| unreachable(&error))?;
        if response.status() != StatusCode::OK {
            return Err(unreachable(&response.status()));
        }
        let (writer, end) = self.take_body(writer, response.into_body(), 0, MAX).await?;
        match end {
            End::Whole => self.take_portrait(writer, peer, id, of).await,
            End::TooMuch => {
                Err(Problem::refused(Code::INVALID_FIELD, format!("the portrait has more than {MAX} bytes")))
            }
            End::Broke(why) => Err(unreachable(&why)),
        }
    }

    async fn take_portrait(
        self: &Arc<Self>,
        writer: Writer,
        peer: ServerId,
        id: &MediaId,
        of: &UserId,
    ) -> Result<Media, Problem> {
        let sums = writer.sums();
        let found = found(self.store.blobs().id_of(&sums.blake3), &sums);
        if !found.media_type.starts_with("image/") {
            blocking(move || writer.discard()).await?;
            return Err(Problem::refused(Code::TYPE_NOT_ALLOWED, "the portrait is no picture"));
        }
        let _placing = self.files.placing.read().await;
        let blob = blocking(move || writer.finish()).await?;
        let kept = self.keep_portrait(peer, id, of, Some(found)).await;
        if kept.is_err() {
            self.files.leave_loose(blob);
        }
        kept
    }

    /// Judged as every file that comes in, and in its place from then on.
    async fn keep_portrait(
        self: &Arc<Self>,
        peer: ServerId,
        id: &MediaId,
        of: &UserId,
        found: Option<media::Found>,
    ) -> Result<Media, Problem> {
        let facts = Some(self.peer_facts(&peer));
        let call = gate::call(isthmus_policy::Direction::Inbound, "file.receive", facts, of.as_str(), "");
        let mut question = gate::Question::from(call);
        question.fields.push(("mediaID".to_owned(), id.to_string()));
        if let Some(found) = &found {
            question.items = self.items(&sight::portrait(&peer, id, of, found, 0)).await?;
        }
        let cleared = self.clear(question, (), |(), _, _| ()).await?;
        let ((), trail, session) = cleared.into_parts();
        let (id, of, audit) = (id.clone(), of.clone(), trail.record());
        let rule = move |tx: &mut isthmus_store::Tx<'_>, scene: &mut Scene<'_>| {
            let media = sight::learn_portrait(tx, scene, &peer, &id, &of, found.as_ref())?;
            tx.audit(audit);
            Ok::<_, Error>(media)
        };
        let kept = self.store.write(self.cleared(&session, clock::now_ms(), rule)).await;
        drop(session);
        Ok(kept?)
    }
}
