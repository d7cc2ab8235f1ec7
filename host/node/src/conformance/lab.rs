//! Everything that cases work with: the target, the peer that the kit is, its second server, its listener, the platform.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use isthmus_net::Ca;
use isthmus_net::csr::new_key_and_csr;
use isthmus_wire::ServerId;
use rustls::RootCertStore;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::case::{Need, Stop};
use super::driver::Driver;
use super::line::{BOTH, Line, Shown};
use super::stage::{People, Shows, Stage};
use super::trust::{self, Pair};

/// Why the kit could not begin: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file could not be read or written.
    #[error("{path} cannot be {doing}")]
    File {
        /// Which.
        path: PathBuf,
        /// "read" or "written".
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// Not the PEM that it should be.
    #[error("{what} has no usable {part} (PEM)")]
    Pem {
        /// Which option.
        what: &'static str,
        /// "certificate chain", "private key", "root certificate".
        part: &'static str,
    },
    /// Not a URL.
    #[error("{0:?} is no address of the form https://host[:port]")]
    Url(String),
    /// Certificates and keys that TLS refuses.
    #[error("TLS refuses these certificates: {0}")]
    Tls(String),
    /// The kit's own listener.
    #[error("cannot listen on {address}; give another --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Options that contradict each other or say too little.
    #[error("{0}")]
    Options(String),
    /// Nobody at the other end, before any case.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// Where.
        url: String,
        /// What happened.
        why: String,
    },
    /// The platform refused the kit's registration.
    #[error("the platform refuses the registration: {0}")]
    Refused(String),
}

/// What the kit is told.
pub struct Setup {
    /// The target server, `https://host[:port]`; none to test a platform alone.
    pub target: Option<String>,
    /// Two users of the target.
    pub users: Option<(String, String)>,
    /// A group of the target's that can be found by search.
    pub group: Option<String>,
    /// Root certificate(s), PEM.
    pub ca: String,
    /// The certificate of the registered server that the kit is.
    pub own: Pair,
    /// Its serverId, where the certificate does not name it as R13 says.
    pub own_id: Option<String>,
    /// Another registered server's.
    pub second: Option<Pair>,
    /// One that is over.
    pub expired: Option<Pair>,
    /// One of a server that the platform does not know.
    pub unregistered: Option<Pair>,
    /// One of a server that has deregistered.
    pub deregistered: Option<Pair>,
    /// The platform, `https://host[:port]`.
    pub platform: Option<String>,
    /// Whether the platform may be left with an application.
    pub may_apply: bool,
    /// Where the kit listens; what is registered as its `serverAddress` must lead there.
    pub listen: Option<SocketAddr>,
    /// Who makes the target's users act.
    pub driver: Option<Driver>,
    /// How long to wait for what must come.
    pub patience: Duration,
    /// How long a main server is silent before its mirrors should look whether they missed something.
    pub silence: Duration,
}

/// Ready to try cases.
pub struct Lab {
    pub(super) roots: Arc<RootCertStore>,
    pub(super) target: Option<String>,
    pub(super) users: Option<(String, String)>,
    pub(super) group: Option<String>,
    pub(super) peer_id: String,
    pub(super) stranger: Pair,
    pub(super) own_pair: Pair,
    own: Option<Line>,
    second: Option<Line>,
    pub(super) second_id: Option<String>,
    pub(super) expired: Option<Pair>,
    pub(super) unregistered: Option<Pair>,
    pub(super) deregistered: Option<Pair>,
    pub(super) platform: Option<Line>,
    may_apply: bool,
    stage: Option<Stage>,
    pub(super) driver: Option<Driver>,
    pub(super) patience: Duration,
    pub(super) silence: Duration,
    pub(super) shared_group: OnceCell<String>,
    run: String,
    count: AtomicUsize,
}

impl Lab {
    /// Reads certificates, opens the listener, and knocks at the target.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn open(setup: Setup) -> Result<Lab, SetupError> {
        let roots = trust::roots(&setup.ca)?;
        let named = setup.own_id.clone().or_else(|| setup.own.server_id());
        let peer_id = named.ok_or_else(|| {
            SetupError::Options("--cert names no server as R13 says: give its serverId with --peer-id".to_owned())
        })?;
        let line =
            |url: &Option<String>, pair: &Pair| url.as_ref().map(|url| plain_line(url, &roots, pair)).transpose();
        let own = line(&setup.target, &setup.own)?;
        let second = setup.second.as_ref().map(|pair| line(&setup.target, pair)).transpose()?.flatten();
        let platform = line(&setup.platform, &setup.own)?;
        if own.is_none() && platform.is_none() {
            return Err(SetupError::Options("nothing to test: give --target, --platform or both".to_owned()));
        }
        let stranger = stranger(&setup.own, &peer_id)?;
        let stage = match setup.listen {
            Some(listen) => Some(stage(listen, &roots, &setup, &stranger).await?),
            None => None,
        };
        for line in own.iter().chain(&platform) {
            let silent = |error: super::line::NoAnswer| SetupError::Silent { url: line.url(), why: error.0 };
            line.meet().await.map_err(silent)?;
        }
        let bytes: [u8; 4] = crate::clock::random_bytes();
        Ok(Lab {
            target: setup.target,
            users: setup.users,
            group: setup.group,
            own,
            second,
            second_id: setup.second.as_ref().and_then(Pair::server_id),
            stranger,
            own_pair: setup.own,
            expired: setup.expired,
            unregistered: setup.unregistered,
            deregistered: setup.deregistered,
            platform,
            may_apply: setup.may_apply,
            stage,
            driver: setup.driver,
            patience: setup.patience,
            silence: setup.silence,
            shared_group: OnceCell::new(),
            run: hex::encode(bytes),
            count: AtomicUsize::new(0),
            roots,
            peer_id,
        })
    }

    /// Whether a need is met.
    pub(super) fn has(&self, need: Need) -> bool {
        match need {
            Need::Users => self.own.is_some() && self.users.is_some(),
            Need::Acts => self.driver.is_some(),
            Need::Listener => self.stage.is_some(),
            Need::Second => self.second.is_some() && self.second_id.is_some(),
            Need::Expired => self.expired.is_some(),
            Need::Unregistered => self.unregistered.is_some(),
            Need::Deregistered => self.deregistered.is_some(),
            Need::Platform => self.platform.is_some(),
            Need::MayApply => self.may_apply,
        }
    }

    /// The line to the target as the peer that we are.
    pub(super) fn own(&self) -> Result<&Line, Stop> {
        self.own.as_ref().ok_or_else(|| lacks(Need::Users))
    }

    /// The line to the target as the second server.
    pub(super) fn second(&self) -> Result<&Line, Stop> {
        self.second.as_ref().ok_or_else(|| lacks(Need::Second))
    }

    pub(super) fn platform(&self) -> Result<&Line, Stop> {
        self.platform.as_ref().ok_or_else(|| lacks(Need::Platform))
    }

    pub(super) fn stage(&self) -> Result<&Stage, Stop> {
        self.stage.as_ref().ok_or_else(|| lacks(Need::Listener))
    }

    pub(super) fn calm(&self) {
        if let Some(stage) = &self.stage {
            stage.calm();
        }
    }

    /// A line to the target that presents itself in its own way.
    pub(super) fn line(&self, shown: &Shown<'_>) -> Result<Line, Stop> {
        let target = self.target.as_ref().ok_or_else(|| lacks(Need::Users))?;
        Line::new(target, &self.roots, shown).map_err(|error| Stop::Skip(error.to_string()))
    }

    pub(super) fn user(&self) -> &str {
        self.users.as_ref().map_or("", |(user, _)| user)
    }

    pub(super) fn other(&self) -> &str {
        self.users.as_ref().map_or("", |(_, other)| other)
    }

    /// The target's serverId, as its users' IDs say.
    pub(super) fn target_id(&self) -> &str {
        self.user().rsplit_once('@').map_or("", |(_, home)| home)
    }

    /// A number that no other call of this run gets.
    fn next(&self) -> usize {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// An ID that was never used before, in this run or another.
    pub(super) fn fresh(&self, stem: &str) -> String {
        format!("{stem}-{}-{}", self.run, self.next())
    }

    /// A new user of the peer's, whom the polite listener knows.
    pub(super) fn own_user(&self, stem: &str) -> Value {
        let info =
            json!({"userID": format!("{}@{}", self.fresh(stem), self.peer_id), "name": format!("{stem} of the kit")});
        if let Some(stage) = &self.stage {
            stage.people().users.insert(text(&info, "userID"), info.clone());
        }
        info
    }

    /// The same with its ID alone.
    pub(super) fn own_user_id(&self, stem: &str) -> String {
        text(&self.own_user(stem), "userID")
    }
}

/// A text of an object, or nothing.
pub(super) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn lacks(need: Need) -> Stop {
    Stop::Skip(format!("needs {}", need.flag()))
}

fn plain_line(url: &str, roots: &Arc<RootCertStore>, pair: &Pair) -> Result<Line, SetupError> {
    Line::new(url, roots, &Shown { pair: Some(pair), versions: rustls::ALL_VERSIONS, alpn: BOTH })
}

async fn stage(
    listen: SocketAddr,
    roots: &Arc<RootCertStore>,
    setup: &Setup,
    stranger: &Pair,
) -> Result<Stage, SetupError> {
    let mut pairs = vec![(Shows::Own, &setup.own), (Shows::Stranger, stranger)];
    pairs.extend(setup.second.as_ref().map(|pair| (Shows::Second, pair)));
    Stage::open(listen, roots, &pairs, People::default()).await
}

/// A certificate that says of its holder all that R13 demands, signed by an authority of nobody's.
fn stranger(own: &Pair, id: &str) -> Result<Pair, SetupError> {
    let domain = own.domain().unwrap_or_else(|| "stranger.example".to_owned());
    let server = ServerId::parse(id).map_err(|error| wrong(&error))?;
    let now = SystemTime::now();
    let ca = Ca::in_memory(&domain, now).map_err(|error| wrong(&error))?;
    let (key, csr) = new_key_and_csr(id).map_err(|error| wrong(&error))?;
    let issued = ca.issue_server(&csr, &server, "127.0.0.1", now, 30).map_err(|error| wrong(&error))?;
    Pair::from_pem("a stranger's certificate", &issued.chain_pem, &key)
}

fn wrong(error: &(dyn std::error::Error + 'static)) -> SetupError {
    SetupError::Tls(crate::reply::chain(error))
}
