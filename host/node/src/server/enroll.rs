//! How a server comes to its interconnect certificate (R13, R15), and back to it when it was away for longer than that lives.
//!
//! Each step is on the disk before the next: a key before its request, an application before its
//! follow-up. A server that is stopped at any point goes on where it was.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use isthmus_net::csr::{csr_for_key, new_key_and_csr};
use isthmus_net::{ClientTls, Credentials, Trust};
use isthmus_wire::call::registry::{Application, ApplicationAnswer, ApplicationState, Applied, Register, Renew};
use isthmus_wire::call::{APPLICATION, REGISTER};
use isthmus_wire::code::Code;
use isthmus_wire::{ServerInfo, ServerStatus};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub(crate) use super::identity::{IdentityFolder, Lists};
use super::link::{PlatformError, PlatformLink};
use super::stage::Stage;
use crate::config::ServerConfig;

/// Why a server cannot take part yet.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// A file of the identity folder.
    #[error("{path} cannot be {doing}")]
    File {
        /// Which.
        path: PathBuf,
        /// "read", "written", "made" or "removed".
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// `platform.ca` or `platform.url`.
    #[error("platform.{key} = {value:?}: {message}")]
    Config {
        /// `ca` or `url`.
        key: &'static str,
        /// What it is set to.
        value: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// The application was refused at once.
    #[error("the platform refuses the application: {msg} (code {code}); correct the configuration and start again")]
    Refused {
        /// R5's code.
        code: Code,
        /// The platform's words.
        msg: String,
    },
    /// An administrator has rejected it.
    #[error(
        "the platform's administrator rejected the application: {reason}; correct what is wrong, delete {path}, and start again to apply anew"
    )]
    Rejected {
        /// The administrator's reason.
        reason: String,
        /// The file that remembers the application.
        path: PathBuf,
    },
    /// The certificate is over, and the platform gives no new one.
    #[error(
        "the interconnect certificate is over, and the platform gives no new one: {msg} (code {code}); ask its operator"
    )]
    Lost {
        /// R5's code.
        code: Code,
        /// The platform's words.
        msg: String,
    },
    /// Key and certificate in the identity folder do not work.
    #[error("the interconnect certificate in {path} cannot be used: {message}")]
    Certificate {
        /// The folder.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
    /// The clock and the certificate disagree.
    #[error(
        "the interconnect certificate is valid from {from} to {to}, but this machine's clock says {now} (seconds since 1970): set the clock, or renew the certificate"
    )]
    Clock {
        /// Seconds since 1970.
        from: u64,
        /// Seconds since 1970.
        to: u64,
        /// Seconds since 1970.
        now: u64,
    },
}

/// A pending application, on the disk.
#[derive(Serialize, Deserialize)]
pub(crate) struct Pending {
    #[serde(rename = "applicationId")]
    application_id: String,
    ticket: String,
}

/// Gets the interconnect credentials: from the disk, else by applying and waiting for the decision.
///
/// # Errors
/// [`EnrollError`]; a platform that cannot be reached is waited for.
pub(crate) async fn enroll(
    config: &ServerConfig,
    folder: &IdentityFolder,
    trust: &Trust,
    stage: &Arc<Stage>,
) -> Result<Credentials, EnrollError> {
    let own = &config.server.id;
    let over = match folder.credentials(own) {
        Ok(Some(credentials)) => return Ok(credentials),
        Ok(None) => None,
        Err(error @ EnrollError::Clock { to, now, .. }) if now > to => Some(error),
        Err(error) => return Err(error),
    };
    let tls = ClientTls::new(trust, None, config.tls.allow_tls12).map_err(|error| ca_unusable(config, &error))?;
    let (_keep, tls) = watch::channel(tls);
    let link = PlatformLink::new(tls, &config.platform.url, own.clone(), stage.clone())?;
    let pending = folder.read("application.json")?.and_then(|text| serde_json::from_str(&text).ok());
    let certificate = match (over, pending) {
        (Some(error), None) => return Err(error),
        (Some(_), Some(pending)) => recover(config, folder, &link, &pending).await?,
        (None, Some(pending)) => decision(config, folder, &link, &pending, stage).await?,
        (None, None) => {
            let pending = apply(config, folder, &link).await?;
            decision(config, folder, &link, &pending, stage).await?
        }
    };
    folder.write("certificate.pem", &certificate)?;
    folder.credentials(own)?.ok_or_else(|| EnrollError::Certificate {
        path: folder.dir().to_owned(),
        message: "its key is missing; delete the folder and apply anew".to_owned(),
    })
}

/// A certificate for the key that the last one was for: proven by that key and the ticket of the application.
async fn recover(
    config: &ServerConfig,
    folder: &IdentityFolder,
    link: &PlatformLink,
    pending: &Pending,
) -> Result<String, EnrollError> {
    let ask = recovery(config, folder, pending)?;
    let renewed = patiently(config, || link.renew(&ask)).await;
    renewed.map_err(|error| {
        if let EnrollError::Refused { code, msg } = error { EnrollError::Lost { code, msg } } else { error }
    })
}

fn recovery(config: &ServerConfig, folder: &IdentityFolder, pending: &Pending) -> Result<Renew, EnrollError> {
    let bad = |message: String| EnrollError::Certificate { path: folder.dir().to_owned(), message };
    let key = folder.read("key.pem")?.ok_or_else(|| bad("its key is missing".to_owned()))?;
    let csr = csr_for_key(&key, config.server.id.as_str()).map_err(|error| bad(error.to_string()))?;
    Ok(Renew { csr, application_id: Some(pending.application_id.clone()), ticket: Some(pending.ticket.clone()) })
}

/// What a server sends that runs on after the end of its certificate; none if it was never told a ticket.
///
/// # Errors
/// [`EnrollError`] of files.
pub(crate) fn recovery_of(config: &ServerConfig, folder: &IdentityFolder) -> Result<Option<Renew>, EnrollError> {
    let pending = folder.read("application.json")?.and_then(|text| serde_json::from_str::<Pending>(&text).ok());
    pending.map(|pending| recovery(config, folder, &pending)).transpose()
}

pub(crate) fn ca_unusable(config: &ServerConfig, error: &dyn std::error::Error) -> EnrollError {
    EnrollError::Config {
        key: "ca",
        value: config.platform.ca.display().to_string(),
        message: format!("{error}; get the root certificate (PEM) from the platform's operator"),
    }
}

async fn apply(config: &ServerConfig, folder: &IdentityFolder, link: &PlatformLink) -> Result<Pending, EnrollError> {
    let own = config.server.id.as_str();
    let unusable = |message: String| EnrollError::Certificate { path: folder.dir().to_owned(), message };
    let csr = match folder.read("key.pem")? {
        Some(key) => csr_for_key(&key, own).map_err(|e| unusable(e.to_string()))?,
        None => {
            let (key, csr) = new_key_and_csr(own).map_err(|e| unusable(e.to_string()))?;
            folder.write("key.pem", &key)?;
            csr
        }
    };
    let ask = Register { server_info: server_info(config), owner_id: config.server.owner.clone(), csr };
    let applied: Applied = patiently(config, || link.call(&REGISTER, &ask)).await?;
    let pending = Pending { application_id: applied.application_id, ticket: applied.ticket };
    folder.write("application.json", &serde_json::to_string(&pending).unwrap_or_default())?;
    tracing::info!(
        application = pending.application_id,
        "applied to the platform; waiting for its administrator's decision"
    );
    Ok(pending)
}

fn server_info(config: &ServerConfig) -> ServerInfo {
    let own = &config.server;
    ServerInfo {
        server_id: own.id.clone(),
        server_name: own.name.clone(),
        server_address: own.address.clone(),
        server_status: ServerStatus::Normal,
        contact_name: own.contact_name.clone(),
        contact_email: own.contact_email.clone(),
        contact_mobile: own.contact_mobile.clone(),
        server_type: own.product.clone(),
        area: own.area.clone(),
    }
}

/// Waits for the administrator: the certificate, or the reason why there is none.
async fn decision(
    config: &ServerConfig,
    folder: &IdentityFolder,
    link: &PlatformLink,
    pending: &Pending,
    stage: &Stage,
) -> Result<String, EnrollError> {
    stage.waiting(&pending.application_id);
    let ask = Application { application_id: pending.application_id.clone(), ticket: pending.ticket.clone() };
    loop {
        let answer: ApplicationAnswer = patiently(config, || link.call(&APPLICATION, &ask)).await?;
        match (answer.state, answer.certificate) {
            (ApplicationState::Approved, Some(certificate)) => {
                tracing::info!("the platform has approved this server");
                return Ok(certificate);
            }
            (ApplicationState::Rejected, _) => {
                let reason = answer.reason.unwrap_or_else(|| "no reason given".to_owned());
                return Err(EnrollError::Rejected { reason, path: folder.path("application.json") });
            }
            (ApplicationState::Approved | ApplicationState::Pending, _) => {}
        }
        tokio::time::sleep(Duration::from_millis(config.platform.poll_ms)).await;
    }
}

/// Repeats a call until the platform can be reached; its refusals end it.
async fn patiently<T, F>(config: &ServerConfig, mut call: impl FnMut() -> F) -> Result<T, EnrollError>
where
    F: Future<Output = Result<T, PlatformError>>,
{
    let mut told = false;
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(PlatformError::Refused { code, msg })
                if code != Code::OVERLOADED && code != Code::TOO_MANY_REQUESTS =>
            {
                return Err(EnrollError::Refused { code, msg });
            }
            Err(error) => {
                if !told {
                    tracing::warn!(
                        url = config.platform.url,
                        error = crate::reply::chain(&error),
                        "waiting for the platform"
                    );
                    told = true;
                }
                tokio::time::sleep(Duration::from_millis(config.platform.poll_ms)).await;
            }
        }
    }
}
