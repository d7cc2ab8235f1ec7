//! Collection of files that nobody needs, and the clean-up at the start.

use isthmus_domain::media::sweep::Swept;
use isthmus_domain::media::{self, MediaKey};
use isthmus_store::StoreError;
use isthmus_store::blob::BlobId;

use super::blocking;
use crate::clock;
use crate::reply::{Problem, chain};
use crate::server::Server;

/// Media looked at in one step, and blobs.
const STEP: usize = 500;

impl Server {
    /// One step of the sweep; where the next goes on.
    pub(crate) async fn sweep_files(&self, from: Option<MediaKey>) -> Option<MediaKey> {
        match self.try_sweep(from).await {
            Ok(next) => next,
            Err(problem) => {
                tracing::error!(%problem, "files could not be collected");
                None
            }
        }
    }

    async fn try_sweep(&self, from: Option<MediaKey>) -> Result<Option<MediaKey>, Problem> {
        let _alone = self.files.placing.write().await;
        let before = clock::now_ms().saturating_sub(self.config.media.unused_s * 1000);
        let rule = move |tx: &mut isthmus_store::Tx<'_>| media::sweep::sweep(tx, before, from, STEP);
        let Swept { next, drafts, blobs } = self.store.write(rule).await?;
        let store = self.store.blobs().clone();
        let removed = blobs.len() + drafts.len();
        blocking(move || {
            drafts.iter().try_for_each(|draft| store.discard(draft).map(|_| ()))?;
            blobs.iter().try_for_each(|blob| store.delete(blob).map(|_| ()))
        })
        .await?;
        if removed > 0 {
            tracing::info!(removed, "files that nobody needs were removed");
        }
        self.remove_unused(self.files.take_loose()).await?;
        Ok(next)
    }

    /// Deletes those blobs that no medium refers to. The caller is alone.
    async fn remove_unused(&self, blobs: Vec<BlobId>) -> Result<usize, StoreError> {
        let (store, blobs_on_disk) = (self.store.clone(), self.store.blobs().clone());
        blocking(move || {
            let view = store.view()?;
            let mut removed = 0;
            for blob in blobs {
                if !media::is_used(&view, &blob)? && blobs_on_disk.delete(&blob)? {
                    removed += 1;
                }
            }
            Ok(removed)
        })
        .await
    }

    /// Removes what a crash left: drafts of uploads that are no more, blobs whose medium was never committed.
    pub(crate) async fn tidy_files(&self) {
        if let Err(error) = self.try_tidy().await {
            tracing::error!(error = chain(&error), "the folder of files could not be tidied");
        }
    }

    async fn try_tidy(&self) -> Result<(), StoreError> {
        let (store, blobs) = (self.store.clone(), self.store.blobs().clone());
        let (drafts, all) = blocking(move || {
            let view = store.view()?;
            // A draft whose medium cannot be read is kept: it may be wanted.
            let wanted = |draft: &_| {
                media::get(&view, &MediaKey::of_draft(draft)).map_or(true, |m| m.is_some_and(|m| m.blob.is_none()))
            };
            Ok((blobs.clean(wanted)?, blobs.list()?))
        })
        .await?;
        let mut removed = 0;
        for step in all.chunks(STEP) {
            let _alone = self.files.placing.write().await;
            removed += self.remove_unused(step.to_vec()).await?;
        }
        if drafts + removed > 0 {
            tracing::info!(drafts, blobs = removed, "files that an earlier run left behind were removed");
        }
        Ok(())
    }
}
