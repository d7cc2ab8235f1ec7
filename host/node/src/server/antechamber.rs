//! The admin listener of a server that is not admitted yet: probes, and where it stands. Everything else comes with admission.

use std::sync::Arc;

use http::{Method, Request};
use hyper::body::Incoming;
use isthmus_net::{Connection, Connections, Limits, Listener, Transport, serve};
use isthmus_wire::code::Code;
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::stage::Stage;
use super::start::StartError;
use crate::admin_token::AdminTokens;
use crate::clock;
use crate::config::ServerConfig;
use crate::reply::{Problem, Reply, json as json_reply, refuse, whole};

/// Serves until it is closed or dropped.
pub(crate) struct Antechamber {
    close: oneshot::Sender<()>,
    task: JoinSet<()>,
}

impl Antechamber {
    /// # Errors
    /// [`StartError`] of the port or the tokens.
    pub(crate) async fn open(
        config: &ServerConfig,
        tls: watch::Receiver<Arc<rustls::ServerConfig>>,
        stage: Arc<Stage>,
    ) -> Result<Antechamber, StartError> {
        let listener = Listener::bind(config.listen.admin, "admin").await?;
        let tokens = Arc::new(AdminTokens::open(&config.data_dir, &config.admin_tokens)?);
        let (close, closed) = oneshot::channel::<()>();
        let service = move |request: Request<Incoming>, _: Arc<Connection>| {
            let (stage, tokens) = (stage.clone(), tokens.clone());
            async move { answer(&stage, &tokens, &request) }
        };
        let mut task = JoinSet::new();
        task.spawn(async move {
            let closed = async move {
                let _ = closed.await;
            };
            serve(listener, Transport::Tls(tls), Limits::default(), Connections::new(), service, closed).await;
        });
        Ok(Antechamber { close, task })
    }

    /// Frees the port.
    pub(crate) async fn close(mut self) {
        let _ = self.close.send(());
        while self.task.join_next().await.is_some() {}
    }
}

fn answer(stage: &Stage, tokens: &AdminTokens, request: &Request<Incoming>) -> Reply {
    let id = crate::request::id(request.headers());
    let said = stage.say(None, clock::now());
    let reply = match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => whole(200, "text/plain; charset=utf-8", "ok\n"),
        (&Method::GET, "/readyz") => {
            json_reply(503, json!({"ready": false, "why": said.words}).to_string().into_bytes())
        }
        (&Method::GET, "/admin/v1/status") if tokens.authorise(request.headers()).is_some() => {
            let body = json!({"code": 0, "msg": "success", "ready": false, "stage": said.words});
            json_reply(200, body.to_string().into_bytes())
        }
        _ => refuse(&Problem::refused(Code::OVERLOADED, said.words), &id),
    };
    crate::request::tag(reply, &id)
}
