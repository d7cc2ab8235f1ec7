//! A certificate authority, servers and clients to test with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use isthmus_net::csr::new_key_and_csr;
use isthmus_net::listen::Ended;
use isthmus_net::{
    Body, Ca, ClientAuth, ClientTls, Connection, Connections, Credentials, Limits, Listener, PeerAddress, PeerAnswer,
    PeerClient, PeerLimits, SendError, ServerTls, Transport, Trust, read_body, serve,
};
use isthmus_wire::ServerId;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::ServerConfig;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub const DOMAIN: &str = "im.example";
pub const DAY: Duration = Duration::from_secs(86_400);
pub const MAX_BODY: usize = 10_000;

pub fn id(text: &str) -> ServerId {
    ServerId::parse(text).unwrap()
}

/// A platform's CA in a folder of its own.
pub struct Pki {
    pub dir: TempDir,
    pub ca: Ca,
}

impl Pki {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::open_or_create(dir.path(), DOMAIN, SystemTime::now()).unwrap();
        Self { dir, ca }
    }

    pub fn trust(&self) -> Trust {
        Trust::from_pem(self.ca.root_pem()).unwrap().with_domain(DOMAIN)
    }

    pub fn server(&self, name: &str) -> Credentials {
        self.server_at(name, SystemTime::now(), 30)
    }

    pub fn server_at(&self, name: &str, now: SystemTime, days: u32) -> Credentials {
        let (key, csr) = new_key_and_csr(name).unwrap();
        let issued = self.ca.issue_server(&csr, &id(name), "127.0.0.1", now, days).unwrap();
        Credentials::from_pem(&issued.chain_pem, &key).unwrap()
    }

    /// Signed by the true CA, but with whatever names and purposes `change` gives it.
    pub fn forged(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Credentials {
        let key = KeyPair::from_pem(&std::fs::read_to_string(self.dir.path().join("ca.key")).unwrap()).unwrap();
        let issuer = Issuer::from_ca_cert_pem(self.ca.root_pem(), key).unwrap();
        let mut params = proper(name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &issuer).unwrap();
        Credentials::from_pem(&cert.pem(), &key.serialize_pem()).unwrap()
    }
}

/// What R13 asks of the certificate of `name`.
pub fn proper(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![uri(&format!("urn:ciia:im:server:{name}")), dns(&format!("{name}.ic.{DOMAIN}"))];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + DAY).into();
    params.use_authority_key_identifier_extension = true;
    params
}

pub fn self_signed(name: &str) -> Credentials {
    let key = KeyPair::generate().unwrap();
    let cert = proper(name).self_signed(&key).unwrap();
    Credentials::from_pem(&cert.pem(), &key.serialize_pem()).unwrap()
}

pub fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

pub fn mutual(credentials: Credentials, trust: Trust) -> ServerTls {
    ServerTls { credentials, client_auth: ClientAuth::Required(trust), tls12: false }
}

/// The same settings, without HTTP/2.
pub fn http1_only(config: Arc<ServerConfig>) -> Arc<ServerConfig> {
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A running listener.
pub struct Server {
    pub url: String,
    pub addr: std::net::SocketAddr,
    pub connections: Connections,
    pub tls: watch::Sender<Arc<ServerConfig>>,
    pub calls: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Ended>,
}

impl Server {
    pub async fn start(tls: &ServerTls) -> Self {
        Self::with(tls.build().unwrap(), Limits::default()).await
    }

    pub async fn with(config: Arc<ServerConfig>, limits: Limits) -> Self {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), "test").await.unwrap();
        let (addr, connections) = (listener.addr(), Connections::new());
        let (tls, settings) = watch::channel(config);
        let (stop, stopped) = oneshot::channel::<()>();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let service = move |request, connection| {
            count.fetch_add(1, Ordering::SeqCst);
            answer(request, connection)
        };
        let registry = connections.clone();
        let running = tokio::spawn(serve(listener, Transport::Tls(settings), limits, registry, service, async {
            let _ = stopped.await;
        }));
        Self { url: format!("https://{addr}"), addr, connections, tls, calls, stop: Some(stop), running }
    }

    pub fn address(&self, name: &str) -> PeerAddress {
        PeerAddress::server(&id(name), &self.url).unwrap()
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn begin_stop(&mut self) {
        self.stop.take();
    }

    pub async fn stop(mut self) -> Ended {
        self.begin_stop();
        self.running.await.unwrap()
    }
}

/// Says who asked, on which connection, how, and how much; `/slow?ms` does so later; `/big` says a lot.
async fn answer(request: Request<Incoming>, connection: Arc<Connection>) -> Response<Body> {
    let version = request.version();
    match request.uri().path() {
        "/slow" => {
            let wait = request.uri().query().unwrap().parse().unwrap();
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        "/big" => return Response::new(Body::from(vec![b'x'; 100_000])),
        "/upgrade" => return upgrade(request),
        _ => {}
    }
    match read_body(request.into_body(), MAX_BODY, Duration::from_millis(300)).await {
        Ok(body) => {
            let text = format!("{}|{}|{version:?}|{}", connection.identity, connection.id, body.len());
            isthmus_net::http::reply::json(StatusCode::OK, text)
        }
        Err(error) => isthmus_net::http::reply::json(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
    }
}

/// Another protocol: every byte comes back.
fn upgrade(mut request: Request<Incoming>) -> Response<Body> {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let io = hyper_util::rt::TokioIo::new(upgraded.await.unwrap());
        let (mut read, mut write) = tokio::io::split(io);
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert("upgrade", "echo".parse().unwrap());
    response.headers_mut().insert("connection", "upgrade".parse().unwrap());
    response
}

pub struct Client {
    pub peer: PeerClient,
    pub tls: watch::Sender<Arc<ClientTls>>,
}

impl Client {
    pub fn new(trust: &Trust, credentials: Option<Credentials>) -> Self {
        Self::with(trust, credentials, PeerLimits::default())
    }

    pub fn with(trust: &Trust, credentials: Option<Credentials>, limits: PeerLimits) -> Self {
        let (tls, settings) = watch::channel(ClientTls::new(trust, credentials, false).unwrap());
        Self { peer: PeerClient::new(settings, limits), tls }
    }

    pub async fn post(&self, to: &PeerAddress, path: &str, body: impl Into<Bytes>) -> Result<PeerAnswer, SendError> {
        self.peer.send(to, Method::POST, path, body.into(), HeaderMap::new()).await
    }

    pub async fn hello(&self, to: &PeerAddress) -> Result<Seen, SendError> {
        self.post(to, "/hello", "hello").await.map(Seen::of)
    }
}

/// What the server said of a call.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub identity: String,
    pub connection: u64,
    pub version: String,
    pub bytes: usize,
}

impl Seen {
    pub fn of(answer: PeerAnswer) -> Self {
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        let mut parts = text.split('|');
        let mut next = || parts.next().unwrap().to_owned();
        Self { identity: next(), connection: next().parse().unwrap(), version: next(), bytes: next().parse().unwrap() }
    }
}

/// A TLS stream made by rustls itself with the commonest of settings, names verified in the common way.
pub async fn common_tls(
    server: &Server,
    pki: &Pki,
    credentials: Option<(String, String)>,
    alpn: &[&str],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let config = common_config(pki, credentials, alpn, &[&rustls::version::TLS13, &rustls::version::TLS12]);
    let stream = TcpStream::connect(server.addr).await?;
    let name = "127.0.0.1".try_into().unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

pub fn common_config(
    pki: &Pki,
    credentials: Option<(String, String)>,
    alpn: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ClientConfig {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pki.ca.root_pem().as_bytes()).unwrap()).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match credentials {
        Some((chain, key)) => {
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// Chain and key of a fresh certificate for `name`.
pub fn pems(pki: &Pki, name: &str) -> (String, String) {
    let (key, csr) = new_key_and_csr(name).unwrap();
    let issued = pki.ca.issue_server(&csr, &id(name), "127.0.0.1", SystemTime::now(), 30).unwrap();
    (issued.chain_pem, key)
}

/// Waits for something that happens soon.
pub async fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..300 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within three seconds: {what}");
}
