//! Whom a command asks: an admin listener, by address or by the configuration of the process behind it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::error::CliError;
use crate::admin_token::{Role, read_plain};
use crate::client::Api;
use crate::config::{PlatformConfig, ServerConfig, Sources};
use crate::platform;

/// Address, CA and token, or the configuration that tells all three.
#[derive(Debug, Clone, Args)]
pub(super) struct Target {
    /// Configuration file of the process to ask: tells address, CA and token, where those are not given.
    #[arg(long, env = "ISTHMUS_CONFIG", value_name = "FILE", help_heading = "Whom to ask")]
    config: Option<PathBuf>,
    /// Its admin listener, as https://127.0.0.1:9443.
    #[arg(long, env = "ISTHMUS_URL", help_heading = "Whom to ask")]
    url: Option<String>,
    /// PEM file that verifies it.
    #[arg(long, env = "ISTHMUS_CA", value_name = "FILE", help_heading = "Whom to ask")]
    ca: Option<PathBuf>,
    /// Administrator's token; better in the environment, where other users of the machine do not see it.
    #[arg(long, env = "ISTHMUS_TOKEN", hide_env_values = true, help_heading = "Whom to ask")]
    token: Option<String>,
}

/// The settled configuration of either role.
pub(super) enum Either {
    Platform(Box<PlatformConfig>),
    Server(Box<ServerConfig>),
}

impl Either {
    /// Reads the file as what it is: only a platform has a domain.
    pub(super) fn load(file: &Path) -> Result<Either, CliError> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let sources = Sources { file: Some(file.to_owned()), ..Sources::default() };
        if toml::from_str::<toml::Table>(&text).is_ok_and(|table| table.contains_key("domain")) {
            return Ok(Either::Platform(Box::new(PlatformConfig::load(&sources)?)));
        }
        Ok(Either::Server(Box::new(ServerConfig::load(&sources)?)))
    }

    pub(super) fn data_dir(&self) -> &Path {
        match self {
            Either::Platform(config) => &config.data_dir,
            Either::Server(config) => &config.data_dir,
        }
    }

    pub(super) fn keyring(&self) -> &Path {
        match self {
            Either::Platform(config) => &config.keyring,
            Either::Server(config) => &config.keyring,
        }
    }

    pub(super) fn admin_tokens(&self) -> &Path {
        match self {
            Either::Platform(config) => &config.admin_tokens,
            Either::Server(config) => &config.admin_tokens,
        }
    }

    fn url(&self) -> String {
        let mut address = match self {
            Either::Platform(config) => config.listen.admin,
            Either::Server(config) => config.listen.admin,
        };
        reachable(&mut address);
        format!("https://{address}")
    }

    fn ca(&self) -> PathBuf {
        match self {
            Either::Platform(config) => platform::root_file(&config.data_dir),
            Either::Server(config) => config.data_dir.join("listener-ca").join("ca.pem"),
        }
    }
}

/// Nobody connects to "all addresses": a process that listens there is also on loopback.
fn reachable(address: &mut SocketAddr) {
    if address.ip().is_unspecified() {
        let loopback =
            if address.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
        address.set_ip(loopback);
    }
}

impl Target {
    /// The interface, with the token of `role`.
    fn api(&self, role: Role) -> Result<Api, CliError> {
        let known = self.config.as_deref().map(Either::load).transpose()?;
        let missing = |what: &str, flag: &str| {
            CliError::Usage(format!(
                "{what} is not known: give {flag}, or --config with the file of the process to ask"
            ))
        };
        let url = self.url.clone().or_else(|| known.as_ref().map(Either::url));
        let ca = self.ca.clone().or_else(|| known.as_ref().map(Either::ca));
        let token = match (&self.token, &known) {
            (Some(token), _) => token.clone(),
            (None, Some(known)) => read_plain(known.admin_tokens(), role)?,
            (None, None) => return Err(missing("the administrator's token", "--token or ISTHMUS_TOKEN")),
        };
        let url = url.ok_or_else(|| missing("the address", "--url"))?;
        let ca = ca.ok_or_else(|| missing("the CA that verifies it", "--ca"))?;
        Ok(Api::new(&url, &ca)?.with_token(&token))
    }

    /// The configuration, where one was named.
    pub(super) fn config(&self) -> Result<Either, CliError> {
        let file = self.config.as_deref().ok_or_else(|| {
            CliError::Usage(
                "this command works on files: give --config with the file of the process they belong to".into(),
            )
        })?;
        Either::load(file)
    }

    /// `GET path` as `role`.
    pub(super) fn get(&self, role: Role, path: &str) -> Result<Value, CliError> {
        let api = self.api(role)?;
        block_on(async { Ok(api.get(path).await?) })
    }

    /// `POST path` as `role`.
    pub(super) fn post(&self, role: Role, path: &str, body: &Value) -> Result<Value, CliError> {
        let api = self.api(role)?;
        block_on(async { Ok(api.post(path, body).await?) })
    }
}

/// Runs work of many tasks on all cores.
pub(super) fn block_on_many<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| CliError::chain(&error))?.block_on(work)
}

/// Runs one exchange on this thread.
fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| CliError::chain(&error))?.block_on(work)
}
