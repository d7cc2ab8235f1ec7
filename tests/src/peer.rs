//! Other servers: a raw caller with any certificate, and a whole server that answers as a script says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use isthmus_net::{
    Body, ClientAuth, ClientTls, Connection, Connections, Credentials, Limits, Listener, PeerAddress, PeerClient,
    PeerLimits, SendError, ServerTls, Transport, Trust, read_body, serve,
};
use isthmus_wire::letters;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::openapi::{Answer, Ledger, SNS};
use crate::site::Site;
use crate::world::World;

/// `{"messageInfo": …}` of a text.
#[must_use]
pub fn text_message(from: &str, to: &str, id: &str, text: &str) -> Value {
    json!({"messageInfo": {
        "sendID": from, "recvID": to, "messageType": "text", "version": "V1", "chatScene": "user", "messageID": id,
        "content": {"message": text}}})
}

/// `POST /sns/chat/` by `peer`; HTTP status, code, words. Sent again if the connection breaks under it, as servers do: a
/// swap cuts the connections of peers whom the new policy denies.
pub async fn chat(peer: &Peer, site: &Site, message: &Value) -> (u16, i64, String) {
    let mut again = 0..3;
    let (status, answer) = loop {
        match peer.call(&site.address(), Method::POST, "/sns/chat/", message.to_string()).await {
            Err(SendError::Broken { .. }) if again.next().is_some() => {}
            answer => break answer.unwrap(),
        }
    };
    (status, answer["code"].as_i64().unwrap(), answer["msg"].as_str().unwrap().to_owned())
}

/// A caller of the interconnect interface.
pub struct Peer {
    client: PeerClient,
    ledger: Ledger,
    _keep: watch::Sender<Arc<ClientTls>>,
}

impl Peer {
    #[must_use]
    pub fn new(trust: &Trust, credentials: Option<Credentials>, ledger: Ledger) -> Peer {
        let (keep, tls) = watch::channel(ClientTls::new(trust, credentials, false).unwrap());
        let limits = PeerLimits { request: Duration::from_secs(20), ..PeerLimits::default() };
        Peer { client: PeerClient::new(tls, limits), ledger, _keep: keep }
    }

    /// Any call with a JSON body.
    ///
    /// # Errors
    /// No answer.
    pub async fn call(
        &self,
        to: &PeerAddress,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<(u16, Value), SendError> {
        self.call_as(to, method, path, "application/json;charset=utf-8", body).await
    }

    /// Any call with a body of any type.
    ///
    /// # Errors
    /// No answer.
    pub async fn call_as(
        &self,
        to: &PeerAddress,
        method: Method,
        path: &str,
        media_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<(u16, Value), SendError> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_str(media_type).unwrap())]);
        let answer = self.client.send(to, method.clone(), path, body.into(), headers).await?;
        let media_type = answer.headers.get(header::CONTENT_TYPE).unwrap();
        assert_eq!(media_type, "application/json;charset=utf-8", "§7.1.1");
        self.ledger.look(&SNS, &Answer::of(&method, path, answer.status, &answer.headers, &answer.body));
        Ok((answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap()))
    }

    /// A GET whose answer may be anything: status, headers, bytes.
    pub async fn fetch(
        &self,
        to: &PeerAddress,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> (u16, HeaderMap, Bytes) {
        let pairs = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let answer = self.client.send(to, Method::GET, path, Bytes::new(), pairs.collect()).await.unwrap();
        self.ledger.look(&SNS, &Answer::of(&Method::GET, path, answer.status, &answer.headers, &answer.body));
        (answer.status.as_u16(), answer.headers, answer.body)
    }

    pub async fn ask_platform(&self, world: &World, path: &str, body: &Value) -> (u16, Value) {
        let platform = PeerAddress::platform(&world.platform().api_url()).unwrap();
        self.call(&platform, Method::POST, path, body.to_string()).await.unwrap()
    }
}

/// What a scripted server does with a message.
#[derive(Debug, Clone)]
pub enum Reply {
    /// `{code, msg}` with HTTP 200.
    Code(i64),
    /// Any status and body.
    Raw(u16, &'static str),
    /// Cuts the connection without an answer.
    Cut,
    /// Cuts the connection after it has kept the message, so that the sender cannot know.
    KeepAndCut,
}

type Script = Box<dyn FnMut(&Value) -> Reply + Send>;
type FileScript = Box<dyn FnMut(&Parts) -> Response<Body> + Send>;

/// A call other than a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub method: String,
    /// Without a trailing slash, as it was encoded.
    pub path: String,
    pub query: String,
    /// `null` if there was none.
    pub body: Value,
}

type Others = Box<dyn FnMut(&Call) -> Value + Send>;

#[derive(Default)]
struct Heard {
    kept: Vec<Value>,
    calls: usize,
    others: Vec<Call>,
    batches: usize,
}

struct Mind {
    script: Mutex<Script>,
    files: Mutex<Option<FileScript>>,
    others: Mutex<Others>,
    heard: Mutex<Heard>,
    /// Letters that it offers to take at once; 0: it knows nothing of that.
    together: AtomicUsize,
}

/// A registered server of another maker, at work as its script says.
pub struct FakePeer {
    pub id: String,
    /// Calls with the server's own certificate.
    pub caller: Peer,
    /// Its key and certificate chain, PEM.
    pub identity: (String, String),
    mind: Arc<Mind>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl FakePeer {
    /// Registers, is approved, listens. `script` is asked about each message, a `messageInfo`.
    pub async fn start(world: &World, id: &str, script: impl FnMut(&Value) -> Reply + Send + 'static) -> FakePeer {
        FakePeer::start_with(world, id, None, script).await
    }

    /// The same, of a maker that knows HTTP/1.1 alone.
    pub async fn start_plain(
        world: &World,
        id: &str,
        script: impl FnMut(&Value) -> Reply + Send + 'static,
    ) -> FakePeer {
        FakePeer::serve(world, id, None, true, script).await
    }

    /// The same, but what answers at the address shows `instead` of its own certificate.
    pub async fn start_with(
        world: &World,
        id: &str,
        instead: Option<Credentials>,
        script: impl FnMut(&Value) -> Reply + Send + 'static,
    ) -> FakePeer {
        FakePeer::serve(world, id, instead, false, script).await
    }

    async fn serve(
        world: &World,
        id: &str,
        instead: Option<Credentials>,
        plain: bool,
        script: impl FnMut(&Value) -> Reply + Send + 'static,
    ) -> FakePeer {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), "fake peer").await.unwrap();
        let identity = world.enroll_pem(id, &format!("https://{}", listener.addr())).await;
        let own = Credentials::from_pem(&identity.1, &identity.0).unwrap();
        let credentials = instead.unwrap_or_else(|| own.clone());
        let tls = ServerTls { credentials, client_auth: ClientAuth::Required(world.trust()), tls12: false };
        let mut tls = tls.build().unwrap();
        if plain {
            Arc::make_mut(&mut tls).alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        let (keep, settings) = watch::channel(tls);
        let (stop, stopped) = oneshot::channel::<()>();
        let mind = Arc::new(Mind {
            script: Mutex::new(Box::new(script)),
            files: Mutex::default(),
            others: Mutex::new(Box::new(|_| json!({"code": 0, "msg": "success"}))),
            heard: Mutex::default(),
            together: AtomicUsize::new(0),
        });
        let of = mind.clone();
        let running = tokio::spawn(async move {
            let service = move |request, connection| answer(of.clone(), request, connection);
            let stopped = async {
                let _ = stopped.await;
            };
            let limits = Limits { grace: Duration::from_millis(200), ..Limits::default() };
            serve(listener, Transport::Tls(settings), limits, Connections::new(), service, stopped).await;
            drop(keep);
        });
        FakePeer { id: id.to_owned(), caller: world.peer(Some(own)), identity, mind, stop, running }
    }

    /// `local@serverId`.
    #[must_use]
    pub fn user_id(&self, local: &str) -> String {
        format!("{local}@{}", self.id)
    }

    /// What it does from now on.
    pub fn follow(&self, script: impl FnMut(&Value) -> Reply + Send + 'static) {
        *self.mind.script.lock().unwrap() = Box::new(script);
    }

    /// What it answers calls other than messages from now on: a JSON body.
    pub fn answer_calls(&self, others: impl FnMut(&Call) -> Value + Send + 'static) {
        *self.mind.others.lock().unwrap() = Box::new(others);
    }

    /// Offers to take so many letters in one request, as servers of ours do; 0: as other makers' do, no longer.
    pub fn take_together(&self, letters: usize) {
        self.mind.together.store(letters, Ordering::Relaxed);
    }

    /// Requests that brought many letters.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.mind.heard.lock().unwrap().batches
    }

    /// The calls other than messages that it got, in their order.
    #[must_use]
    pub fn heard(&self) -> Vec<Call> {
        self.mind.heard.lock().unwrap().others.clone()
    }

    /// How it answers whoever pulls a file, from now on.
    pub fn serve_files(&self, script: impl FnMut(&Parts) -> Response<Body> + Send + 'static) {
        *self.mind.files.lock().unwrap() = Some(Box::new(script));
    }

    /// The texts that it has kept, in the order in which it did.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.kept().iter().filter_map(|m| m["content"]["message"].as_str().map(str::to_owned)).collect()
    }

    /// The messages that it has kept, each a `messageInfo`, in the order in which it did.
    #[must_use]
    pub fn kept(&self) -> Vec<Value> {
        self.mind.heard.lock().unwrap().kept.clone()
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.mind.heard.lock().unwrap().calls
    }

    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.running.await.unwrap();
    }
}

async fn answer(mind: Arc<Mind>, request: Request<Incoming>, connection: Arc<Connection>) -> Response<Body> {
    let (head, body) = request.into_parts();
    if head.uri.path().starts_with("/sns/download/file")
        && let Some(files) = mind.files.lock().unwrap().as_mut()
    {
        return files(&head);
    }
    let Ok(body) = read_body(body, 1 << 20, Duration::from_secs(10)).await else {
        // Cut before it was all here, by the answer to another request on this connection.
        return cut(&connection).await;
    };
    let path = head.uri.path().trim_end_matches('/');
    let together = mind.together.load(Ordering::Relaxed);
    let mut response = if path == "/sns/chat" {
        let chat: Value = serde_json::from_slice(&body).unwrap_or_default();
        match mind.judge(&chat["messageInfo"]) {
            Reply::Code(code) => json_answer(200, json!({"code": code, "msg": format!("said {code}")}).to_string()),
            Reply::Raw(status, body) => json_answer(status, body.to_owned()),
            Reply::Cut | Reply::KeepAndCut => cut(&connection).await,
        }
    } else if path == letters::PATH {
        mind.heard.lock().unwrap().batches += 1;
        if together == 0 {
            return json_answer(404, json!({"code": 1004, "msg": "there is nothing at this path"}).to_string());
        }
        match mind.letters(&serde_json::from_slice(&body).unwrap_or_default(), together) {
            Some(answers) => json_answer(200, json!({"code": 0, "msg": "success", "answers": answers}).to_string()),
            None => cut(&connection).await,
        }
    } else {
        let call = Call {
            method: head.method.to_string(),
            path: path.to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let said = (mind.others.lock().unwrap())(&call);
        mind.heard.lock().unwrap().others.push(call);
        json_answer(200, said.to_string())
    };
    if together > 0 {
        let offer = letters::Offer { letters: together, bytes: 1 << 20 }.to_string();
        response.headers_mut().insert(letters::OFFER, HeaderValue::from_str(&offer).unwrap());
    }
    response
}

async fn cut(connection: &Connection) -> Response<Body> {
    connection.close();
    std::future::pending().await
}

impl Mind {
    /// Asks the script about a message and keeps it if that says so.
    fn judge(&self, message: &Value) -> Reply {
        let reply = (self.script.lock().unwrap())(message);
        let mut heard = self.heard.lock().unwrap();
        heard.calls += 1;
        let keeps = matches!(reply, Reply::Code(0) | Reply::KeepAndCut);
        // As every server it recognises what it has kept before.
        if keeps && !heard.kept.iter().any(|kept| kept["messageID"] == message["messageID"]) {
            heard.kept.push(message.clone());
        }
        reply
    }

    /// One answer a letter; none: the connection is cut in the middle. Lanes stop where a letter has no end.
    fn letters(&self, body: &Value, together: usize) -> Option<Vec<Value>> {
        let letters = body["letters"].as_array().unwrap();
        assert!(letters.len() <= together, "{} letters to a server that takes {together}", letters.len());
        let mut stopped = Vec::new();
        let answer = |status: u16, code: i64| json!({"status": status, "code": code, "msg": format!("said {code}")});
        let mut answers = Vec::new();
        for letter in letters {
            if stopped.contains(&letter["lane"]) {
                answers.push(answer(425, 1302));
                continue;
            }
            let (status, code) = match self.judge(&letter["messageInfo"]) {
                Reply::Code(1302) => (503, 1302),
                Reply::Code(code) => (200, code),
                Reply::Raw(status, _) => (if status == 200 { 500 } else { status }, 1),
                Reply::Cut | Reply::KeepAndCut => return None,
            };
            if status != 200 {
                stopped.push(letter["lane"].clone());
            }
            answers.push(answer(status, code));
        }
        Some(answers)
    }
}

/// A JSON answer.
#[must_use]
pub fn json_answer(status: u16, body: String) -> Response<Body> {
    isthmus_net::http::reply::json(StatusCode::from_u16(status).unwrap(), body)
}
