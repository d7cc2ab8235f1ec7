//! The authority of a running platform: taken in anew when its folder changes (a roll-over, a root that comes or goes), and
//! shown to administrators.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use isthmus_net::Ca;
use serde_json::{Value, json};

use super::start::publish;
use super::{PlatformError, State, admin_settings, open_ca, peer_settings, root_file};
use crate::reply::chain;

/// An issuer that nobody can sign anew is spoken of when less than this is left.
const ISSUER_WARN: Duration = Duration::from_secs(90 * 24 * 3600);

/// Looks at the folder; if authorities came or went, everything that hangs on them follows.
pub(super) async fn look(state: &State) {
    let looked = look_again(state);
    if matches!(looked, Ok(true))
        && let Err(error) = state.touch().await
    {
        tracing::error!(%error, "servers could not be told of the new authority");
    }
    match looked {
        Ok(true) => tracing::info!(root = state.ca.load().fingerprint(), "the certificate authority has changed"),
        Ok(false) => {}
        Err(error) => {
            tracing::error!(error = chain(&error), "the certificate authority cannot be read; the known one serves on")
        }
    }
    warn(&state.ca.load());
}

fn look_again(state: &State) -> Result<bool, PlatformError> {
    let (known, found) = (state.ca.load(), open_ca(&state.config, false)?);
    let same = known.roots_pem() == found.roots_pem() && known.issuers_pem() == found.issuers_pem();
    if same && known.root_online() == found.root_online() {
        return Ok(false);
    }
    publish(&root_file(&state.config.data_dir), &found.roots_pem())?;
    state.ca.store(Arc::new(found));
    state.revoke()?;
    settings(state)?;
    Ok(!same)
}

/// Fresh certificates of the platform's own, under whatever authority signs now.
pub(super) fn settings(state: &State) -> Result<(), PlatformError> {
    let ca = state.ca.load();
    let (api, admin) = (state.api_settings()?, admin_settings(&state.config, &ca)?);
    let peers = peer_settings(&state.config, &ca, &state.store)?;
    state.api_tls.send_replace(api);
    state.admin_tls.send_replace(admin);
    state.peer_tls.send_replace(peers);
    Ok(())
}

fn warn(ca: &Ca) {
    let left = ca.not_after().duration_since(SystemTime::now()).unwrap_or_default();
    if left < ISSUER_WARN && !ca.root_online() {
        let days = left.as_secs() / 86_400;
        tracing::warn!(
            days,
            "the issuer's certificate ends: bring the root's key back with `isthmus platform ca import`"
        );
    }
}

/// The signing authority, for administrators.
pub(super) fn shown(ca: &Ca) -> Value {
    let until = ca.not_after().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    json!({
        "fingerprint": ca.fingerprint(),
        "roots": ca.roots_pem().matches("BEGIN CERTIFICATE").count(),
        "rootOnline": ca.root_online(),
        "issuerNotAfterMs": u64::try_from(until.as_millis()).unwrap_or(u64::MAX),
    })
}
