//! Files (§7.4.5), and our report that one could not be had.

use std::sync::Arc;

use isthmus_domain::Error;
use isthmus_domain::media;
use isthmus_domain::media::sight;
use isthmus_store::WriteError;
use isthmus_wire::call::message::{Download, FileReport};
use isthmus_wire::code::Code;

use super::{Asked, success};
use crate::clock;
use crate::reply::{Problem, Reply};
use crate::server::files;
use crate::server::gate::Ruling;

/// `GET /sns/download/file`: the bytes, for a server that was sent them.
pub(super) async fn download(ask: Asked) -> Result<Reply, Problem> {
    let Download { media_id } = ask.read().await?;
    let server = ask.server.clone();
    let mut question = ask.question("", "");
    question.fields.push(("mediaID".to_owned(), media_id.to_string()));
    let (mut trail, session) = match server.gate.rule(question, (), |(), _, _| ()).await? {
        Ruling::Cleared(cleared) | Ruling::Held(cleared, _) => {
            let ((), trail, session) = cleared.into_parts();
            (trail, session)
        }
        Ruling::Refused(refusal, trail) => return Err(server.refused(refusal, &trail).await),
    };
    let found = server.store.view().map_err(Error::from).and_then(|view| sight::pullable(&view, &ask.peer, &media_id));
    let (_, media) = match found {
        Ok(found) => found,
        Err(Error::Refused(refusal)) => return Err(server.failed(refusal, &mut trail).await),
        Err(fault) => return Err(fault.into()),
    };
    server.note(&trail).await;
    drop(session);
    let gone = || Problem::refused(Code::NOT_FOUND, "the file is gone");
    let turn = server.transfer().await?;
    let blob = server.blob_of(&media).await?.ok_or_else(gone)?;
    files::answer(&ask.head, &media, blob, turn)
}

/// `POST /isthmus/v1/file/report`: the peer could not have a file of ours, or does not show it.
pub(super) async fn report(ask: Asked) -> Result<Reply, Problem> {
    let mut report: FileReport = ask.read().await?;
    let server = Arc::clone(&ask.server);
    report.msg = server.admit_words(&ask.peer, ask.spec.name, report.msg).await?;
    let mut question = ask.question(report.user_id.as_str(), "");
    question.fields.push(("messageID".to_owned(), report.message_id.to_string()));
    question.fields.push(("code".to_owned(), report.code.to_string()));
    let (mut trail, session) = match server.gate.rule(question, (), |(), _, _| ()).await? {
        Ruling::Cleared(cleared) | Ruling::Held(cleared, _) => {
            let ((), trail, session) = cleared.into_parts();
            (trail, session)
        }
        Ruling::Refused(refusal, trail) => return Err(server.refused(refusal, &trail).await),
    };
    let (peer, audit, after, generation) = (ask.peer.clone(), trail.record(), server.clone(), session.epoch());
    let rule =
        server.cleared(&session, clock::now_ms(), move |tx, scene| media::reported(tx, scene, &peer, &report, audit));
    let outcome = server.store.submit(rule, move |done| after.after(done, generation)).await?.done().await;
    drop(session);
    match outcome {
        Ok(_) => Ok(success()),
        Err(WriteError::Refused(Error::Refused(refusal))) => Err(server.failed(refusal, &mut trail).await),
        Err(error) => Err(error.into()),
    }
}
