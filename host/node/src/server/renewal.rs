//! The interconnect certificate is renewed by itself, with a new key, when half of its life is gone or another root signs (R15).

use isthmus_net::ClientTls;
use isthmus_net::Trust;
use isthmus_net::csr::new_key_and_csr;
use isthmus_wire::call::registry::Renew;
use tokio::sync::watch;

use super::Server;
use super::channel::{NewsError, is_due, left};
use super::enroll::{EnrollError, recovery_of};
use super::link::{PlatformError, PlatformLink};
use crate::clock;
use crate::reply::chain;

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
enum RenewalError {
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error(transparent)]
    News(#[from] NewsError),
    #[error(transparent)]
    Folder(#[from] EnrollError),
    #[error("no key can be made")]
    Key(#[from] isthmus_net::csr::MakeCsrError),
    #[error("the settings for a call without certificate are refused")]
    Tls(#[from] isthmus_net::TlsError),
    #[error("the certificate is over, and without the ticket of the application nothing proves who we are")]
    NoTicket,
}

impl Server {
    /// Looks whether it is time, and renews.
    pub(crate) async fn renew_if_due(&self) {
        let Some(facts) = self.channel.facts() else { return };
        if is_due(&facts, clock::now()) || !self.channel.is_under_signing_root() {
            let _ = self.renew().await;
        }
    }

    /// Renews now. What goes wrong is told to the log and to the stage, and in words to the caller.
    pub(crate) async fn renew(&self) -> Result<(), String> {
        let done = self.try_renew().await.map_err(|error| chain(&error));
        self.stage.renewal(done.as_ref().err().cloned());
        match &done {
            Ok(()) => {
                let serial = self.channel.facts().map(|facts| facts.serial).unwrap_or_default();
                tracing::info!(serial, "the interconnect certificate was renewed, with a new key");
            }
            Err(error) => tracing::warn!(error, "the interconnect certificate was not renewed; tried again in a while"),
        }
        done
    }

    async fn try_renew(&self) -> Result<(), RenewalError> {
        let over = self.channel.facts().is_none_or(|facts| left(&facts, clock::now()).is_zero());
        if over {
            return self.recover().await;
        }
        let (key, csr) = new_key_and_csr(self.id.as_str())?;
        let ask = Renew { csr, application_id: None, ticket: None };
        let chain = self.addresses.platform().renew(&ask).await?;
        Ok(self.channel.renewed(&key, &chain)?)
    }

    /// The certificate is over, so that it opens no connection any more: the ticket and the old key prove who we are.
    async fn recover(&self) -> Result<(), RenewalError> {
        let folder = self.channel.folder();
        let ask = recovery_of(&self.config, folder)?.ok_or(RenewalError::NoTicket)?;
        let trust = Trust::from_pem(&self.channel.roots())?.with_domain(self.channel.domain());
        let (_keep, tls) = watch::channel(ClientTls::new(&trust, None, self.config.tls.allow_tls12)?);
        let link = PlatformLink::new(tls, &self.config.platform.url, self.id.clone(), self.stage.clone())?;
        let chain = link.renew(&ask).await?;
        let key = folder.read("key.pem")?.unwrap_or_default();
        Ok(self.channel.renewed(&key, &chain)?)
    }

    /// Tells the log where we stand, whenever that changes.
    pub(crate) fn tell_stage(&self) {
        let Some(said) = self.stage.news(self.channel.facts().as_ref(), clock::now()) else { return };
        if said.ready {
            tracing::info!(stage = said.words, "where this server stands");
        } else {
            tracing::warn!(stage = said.words, "where this server stands");
        }
    }
}
