//! How the kit comes to its certificate: it registers at the platform like every server, and waits for the administrator (§7.5.1, R15).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use isthmus_net::csr::{csr_for_key, new_key_and_csr};
use isthmus_wire::call;
use serde_json::{Value, json};

use super::lab::SetupError;
use super::line::{Answer, Ask, BOTH, Line, Shown};
use super::trust::{self, Pair};
use crate::file::{PRIVATE, write_whole};

/// What is registered.
#[derive(Debug, Clone)]
pub struct Applicant {
    /// serverId.
    pub id: String,
    /// `https://host:port` that leads to the kit's listener.
    pub address: String,
    /// Contact and owner.
    pub owner: String,
}

/// Where key and certificate lie afterwards.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// PEM.
    pub key: PathBuf,
    /// PEM chain.
    pub certificate: PathBuf,
}

/// Seconds between two looks at a pending application.
const POLL: Duration = Duration::from_secs(2);

/// Registers in a folder (`key.pem`, `application.json`, `certificate.pem`) and waits for the decision; goes on where an earlier call
/// ended. `told` hears what is waited for.
///
/// # Errors
/// [`SetupError`].
pub async fn enroll(
    platform: &str,
    ca: &str,
    folder: &Path,
    applicant: &Applicant,
    mut told: impl FnMut(&str),
) -> Result<Enrolled, SetupError> {
    let files = Enrolled { key: folder.join("key.pem"), certificate: folder.join("certificate.pem") };
    if files.certificate.exists() {
        let there = Pair::from_files("--identity", &files.certificate, &files.key)?.server_id();
        if there.as_ref().is_some_and(|there| !there.eq_ignore_ascii_case(&applicant.id)) {
            let words = format!(
                "{} holds the identity of {}: name another folder",
                folder.display(),
                there.unwrap_or_default()
            );
            return Err(SetupError::Options(words));
        }
        told(&format!("{} is registered already", applicant.id));
        return Ok(files);
    }
    let roots = trust::roots(ca)?;
    let line = Line::new(platform, &roots, &Shown { pair: None, versions: rustls::ALL_VERSIONS, alpn: BOTH })?;
    let pending = folder.join("application.json");
    let application: Value = match std::fs::read_to_string(&pending) {
        Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
        Err(_) => apply(&line, &files, applicant, &pending).await?,
    };
    let id = application["applicationId"].as_str().unwrap_or_default();
    let of = &applicant.id;
    told(&format!("waiting for the platform's administrator: isthmus admin approve {id} (application of {of})"));
    loop {
        let answer = ask(&line, call::APPLICATION.path, &application).await?;
        match answer.field("state").as_str() {
            Some("approved") => {
                let certificate = answer.field("certificate").as_str().unwrap_or_default();
                write(&files.certificate, certificate)?;
                return Ok(files);
            }
            Some("rejected") => {
                // The next call applies anew.
                let _gone_already = std::fs::remove_file(&pending);
                let reason = answer.field("reason").as_str().unwrap_or_default();
                return Err(SetupError::Refused(format!("the platform's administrator rejected it: {reason}")));
            }
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

async fn apply(line: &Line, files: &Enrolled, applicant: &Applicant, pending: &Path) -> Result<Value, SetupError> {
    let unusable = |error: isthmus_net::csr::MakeCsrError| SetupError::Tls(crate::reply::chain(&error));
    let csr = match std::fs::read_to_string(&files.key) {
        Ok(key) => csr_for_key(&key, &applicant.id).map_err(unusable)?,
        Err(_) => {
            let (key, csr) = new_key_and_csr(&applicant.id).map_err(unusable)?;
            write(&files.key, &key)?;
            csr
        }
    };
    let answer = ask(line, call::REGISTER.path, &registration(applicant, &csr)).await?;
    let application = json!({"applicationId": answer.field("applicationId"), "ticket": answer.field("ticket")});
    write(pending, &application.to_string())?;
    Ok(application)
}

pub(super) fn registration(applicant: &Applicant, csr: &str) -> Value {
    json!({"ownerId": applicant.owner, "csr": csr, "serverInfo": {
        "serverId": applicant.id, "serverName": format!("Conformance kit {}", applicant.id),
        "serverAddress": applicant.address, "serverStatus": "0", "contactName": applicant.owner,
        "contactEmail": "conformance@localhost.example", "contactMobile": "008600000000000",
        "serverType": "isthmus conformance"}})
}

async fn ask(line: &Line, path: &str, body: &Value) -> Result<Answer, SetupError> {
    let silent = |error: super::line::NoAnswer| SetupError::Silent { url: line.url(), why: error.0 };
    let answer = line.send(&Ask::post(path, body)).await.map_err(silent)?;
    if answer.is_success() { Ok(answer) } else { Err(SetupError::Refused(super::case::said(&answer))) }
}

fn write(path: &Path, text: &str) -> Result<(), SetupError> {
    write_whole(path, text, PRIVATE).map_err(|source| SetupError::File {
        path: path.to_owned(),
        doing: "written",
        source,
    })
}

impl Applicant {
    /// With an address that leads to `listen`.
    #[must_use]
    pub fn at(id: &str, listen: SocketAddr) -> Applicant {
        Applicant { id: id.to_owned(), address: format!("https://{listen}"), owner: "conformance".to_owned() }
    }
}
