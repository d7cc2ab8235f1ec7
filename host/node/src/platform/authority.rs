//! The authority of a running platform: taken in anew when its folder changes (a roll-over, a root that comes or goes), and
//! shown to administrators.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use isthmus_domain::table::META;
use isthmus_domain::{AuditRecord, TimeId};
use isthmus_net::Ca;
use isthmus_store::Reader as _;
use serde_json::{Value, json};

use super::ending::millis;
use super::start::publish;
use super::{
    PlatformError, State, admin_settings, api_settings, first_end, open_ca, peer_settings, revoked, root_file,
};
use crate::clock;
use crate::reply::{Problem, chain};

/// The authority that was recorded last.
const SEEN: &[u8] = b"authority seen";

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
    if let Err(error) = notice(state).await {
        tracing::error!(error = chain(&error), "a change of the certificate authority could not be recorded");
    }
}

/// Records the authority as it is, if it is another than the one recorded last: whoever has changed it, and by whatever means.
async fn notice(state: &State) -> Result<(), Problem> {
    let ca = state.ca.load_full();
    let seen = format!("{}\n{}\n{}", ca.roots_pem(), ca.issuers_pem(), ca.root_online());
    let seen = *blake3::hash(seen.as_bytes()).as_bytes();
    let known = state.store.read(|view| view.get(META, SEEN))?;
    if known.is_some_and(|known| *known == seen) {
        return Ok(());
    }
    let now_ms = clock::now_ms();
    let id = TimeId::mint(now_ms, &mut clock::random);
    let record =
        AuditRecord::new(id, now_ms, "platform.ca", "internal").actor("platform").target(ca.domain().to_owned());
    let record = record
        .field("fingerprint", ca.fingerprint())
        .field("roots", ca.roots_pem().matches("BEGIN CERTIFICATE").count().to_string())
        .field("rootOnline", ca.root_online().to_string())
        .to_json();
    let written = state.store.write(move |tx| {
        tx.put(META, SEEN, &seen);
        tx.audit(record);
        Ok::<_, isthmus_store::StoreError>(())
    });
    Ok(written.await?)
}

fn look_again(state: &State) -> Result<bool, PlatformError> {
    let (known, found) = (state.ca.load(), open_ca(&state.config, false)?);
    let same = known.roots_pem() == found.roots_pem() && known.issuers_pem() == found.issuers_pem();
    if same && known.root_online() == found.root_online() {
        return Ok(false);
    }
    publish(&root_file(&state.config.data_dir), &found.roots_pem())?;
    state.ca.store(Arc::new(found));
    settings(state)?;
    Ok(!same)
}

/// Fresh lists of what is revoked and certificates of the platform's own, under whatever authority signs now.
pub(super) fn settings(state: &State) -> Result<(), PlatformError> {
    let (ca, lost) = (state.ca.load(), revoked(&state.store)?);
    state.revoke(&lost)?;
    let (api, admin) = (api_settings(&state.config, &ca, &lost)?, admin_settings(&state.config, &ca)?);
    let peers = peer_settings(&state.config, &ca, &lost)?;
    state.tls_end.store(first_end([api.not_after, admin.not_after, peers.not_after]), Ordering::Relaxed);
    state.api_tls.send_replace(api.settings);
    state.admin_tls.send_replace(admin.settings);
    state.peer_tls.send_replace(peers.settings);
    Ok(())
}

/// The signing authority, for administrators.
pub(super) fn shown(ca: &Ca) -> Value {
    json!({
        "fingerprint": ca.fingerprint(),
        "roots": ca.roots_pem().matches("BEGIN CERTIFICATE").count(),
        "rootOnline": ca.root_online(),
        "issuerNotAfterMs": millis(ca.not_after()),
    })
}
