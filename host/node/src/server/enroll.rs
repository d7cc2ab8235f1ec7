//! How a server comes to its interconnect certificate (R13, R15), and how it asks the platform afterwards.
//!
//! Each step is on the disk before the next: a key before its request, an application before its
//! follow-up. A server that is stopped at any point goes on where it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method};
use isthmus_net::csr::{csr_for_key, new_key_and_csr};
use isthmus_net::{ClientTls, Credentials, PeerAddress, PeerClient, PeerLimits, SendError, Trust};
use isthmus_wire::call::registry::{
    Application, ApplicationAnswer, ApplicationState, Applied, Nodes, NodesAnswer, Register,
};
use isthmus_wire::call::user::{Found, Search};
use isthmus_wire::call::{APPLICATION, CallSpec, NODES, REGISTER, USER_SEARCH};
use isthmus_wire::code::{Answer, Code};
use isthmus_wire::json::Read;
use isthmus_wire::{ServerId, ServerInfo, ServerStatus, homes};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::config::ServerConfig;
use crate::file::{PRIVATE, write_whole};

/// Why the platform gave no useful answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlatformError {
    /// Not reached, or not the platform.
    #[error("the platform was not reached")]
    Send(#[from] SendError),
    /// It said no.
    #[error("the platform refused: {msg} (code {code})")]
    Refused {
        /// R5's code.
        code: Code,
        /// Its words.
        msg: String,
    },
    /// It said something that we do not understand.
    #[error("the platform's answer is not understood: {0}")]
    Answer(String),
}

/// Why a server cannot take part yet.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// A file of the identity folder.
    #[error("{path} cannot be {doing}")]
    File {
        /// Which.
        path: PathBuf,
        /// "read" or "written".
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

/// The way to the platform, before and after the certificate.
pub(crate) struct PlatformLink {
    client: PeerClient,
    address: PeerAddress,
    own: ServerId,
}

impl PlatformLink {
    pub(crate) fn new(
        tls: watch::Receiver<Arc<ClientTls>>,
        url: &str,
        own: ServerId,
    ) -> Result<PlatformLink, EnrollError> {
        let address = PeerAddress::platform(url).map_err(|error| EnrollError::Config {
            key: "url",
            value: url.to_owned(),
            message: error.to_string(),
        })?;
        Ok(PlatformLink { client: PeerClient::new(tls, PeerLimits::default()), address, own })
    }

    /// §7.5.4: one server, or all.
    pub(crate) async fn nodes(&self, one: Option<&ServerId>) -> Result<Vec<ServerInfo>, PlatformError> {
        let ask = Nodes {
            node_ids: one.map(|id| vec![id.clone()]),
            owner_id: self.own.clone(),
            server_name: None,
            domain: None,
        };
        match self.call::<_, NodesAnswer>(&NODES, &ask).await {
            Ok(answer) => Ok(answer.server_infos),
            Err(PlatformError::Refused { code: Code::NotFound, .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// R17: users of all servers, who presented those whose IDs do not say it, and in the platform's words who did not answer, if somebody did not.
    pub(crate) async fn search(&self, search: &Search) -> Result<(Found, Presented, Option<String>), PlatformError> {
        let path = format!("{}?{}", USER_SEARCH.path, search.to_query());
        let answer = self.client.send(&self.address, Method::GET, &path, Bytes::new(), HeaderMap::new()).await?;
        let presented = answer.headers.get(homes::HEADER).and_then(|value| value.to_str().ok());
        let presented = presented.map(homes::read).unwrap_or_default().into_iter().collect();
        let answer = Answer::<Found>::read(&answer.body)
            .map_err(|error| PlatformError::Answer(format!("HTTP {}: {error}", answer.status)))?;
        match answer.body {
            Some(found) => Ok((found, presented, Some(answer.msg).filter(|msg| msg != "success"))),
            None => Err(PlatformError::Refused { code: answer.code, msg: answer.msg }),
        }
    }

    async fn call<Q: Serialize, A: Read>(&self, spec: &CallSpec, ask: &Q) -> Result<A, PlatformError> {
        let body = Bytes::from(isthmus_wire::json::write(ask));
        let answer = self.client.send(&self.address, Method::POST, spec.path, body, HeaderMap::new()).await?;
        let answer = Answer::<A>::read(&answer.body)
            .map_err(|error| PlatformError::Answer(format!("HTTP {}: {error}", answer.status)))?;
        match answer.body {
            Some(body) if answer.code == Code::SUCCESS => Ok(body),
            _ => Err(PlatformError::Refused { code: answer.code, msg: answer.msg }),
        }
    }
}

/// By place in an answer: who presented the user there.
pub(crate) type Presented = std::collections::HashMap<usize, ServerId>;

/// A pending application, on the disk.
#[derive(Serialize, Deserialize)]
struct Pending {
    #[serde(rename = "applicationId")]
    application_id: String,
    ticket: String,
}

/// `data_dir/identity`: key, application, certificate.
pub(crate) struct IdentityFolder {
    dir: PathBuf,
}

impl IdentityFolder {
    pub(crate) fn open(data_dir: &Path) -> Result<IdentityFolder, EnrollError> {
        let dir = data_dir.join("identity");
        fs::create_dir_all(&dir).map_err(|source| EnrollError::File { path: dir.clone(), doing: "made", source })?;
        Ok(IdentityFolder { dir })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn read(&self, name: &str) -> Result<Option<String>, EnrollError> {
        match fs::read_to_string(self.path(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(EnrollError::File { path: self.path(name), doing: "read", source }),
        }
    }

    /// Whole or not at all, for the owner's eyes only.
    fn write(&self, name: &str, text: &str) -> Result<(), EnrollError> {
        let path = self.path(name);
        write_whole(&path, text, PRIVATE).map_err(|source| EnrollError::File { path, doing: "written", source })
    }

    /// The credentials, once there is a certificate; checked against the clock and the ID.
    pub(crate) fn credentials(&self, own: &ServerId) -> Result<Option<Credentials>, EnrollError> {
        let (Some(chain), Some(key)) = (self.read("certificate.pem")?, self.read("key.pem")?) else { return Ok(None) };
        let bad = |message: String| EnrollError::Certificate { path: self.dir.clone(), message };
        let credentials = Credentials::from_pem(&chain, &key).map_err(|e| bad(e.to_string()))?;
        let facts = credentials.facts().map_err(|e| bad(e.to_string()))?;
        if facts.identity.server() != Some(own) {
            return Err(bad(format!(
                "it belongs to {}, the configuration says server.id = {own:?}; give each server its own data folder",
                facts.identity
            )));
        }
        let now = SystemTime::now();
        if now < facts.not_before || now > facts.not_after {
            let (from, to, now) = (seconds(facts.not_before), seconds(facts.not_after), seconds(now));
            return Err(EnrollError::Clock { from, to, now });
        }
        Ok(Some(credentials))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Gets the interconnect credentials: from the disk, else by applying and waiting for the decision.
///
/// # Errors
/// [`EnrollError`]; a platform that cannot be reached is waited for.
pub(crate) async fn enroll(
    config: &ServerConfig,
    folder: &IdentityFolder,
    trust: &Trust,
) -> Result<Credentials, EnrollError> {
    let own = &config.server.id;
    if let Some(credentials) = folder.credentials(own)? {
        return Ok(credentials);
    }
    let tls = ClientTls::new(trust, None, config.tls.allow_tls12).map_err(|error| ca_unusable(config, &error))?;
    let (_keep, tls) = watch::channel(tls);
    let link = PlatformLink::new(tls, &config.platform.url, own.clone())?;
    let pending = match folder.read("application.json")?.and_then(|text| serde_json::from_str(&text).ok()) {
        Some(pending) => pending,
        None => apply(config, folder, &link).await?,
    };
    let certificate = decision(config, folder, &link, &pending).await?;
    folder.write("certificate.pem", &certificate)?;
    folder.credentials(own)?.ok_or_else(|| EnrollError::Certificate {
        path: folder.dir.clone(),
        message: "its key is missing; delete the folder and apply anew".to_owned(),
    })
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
    let unusable = |message: String| EnrollError::Certificate { path: folder.dir.clone(), message };
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
) -> Result<String, EnrollError> {
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
