//! Prints what an idle TLS client costs the server: resident memory per connection after one HTTP/1.1 request, and after
//! an upgrade as WebSockets make it. Clients run in a process of their own.
//!
//! `cargo run --release -p isthmus-net --example idle -- [CONNECTIONS]` (mind `ulimit -n`)

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use isthmus_net::http::reply;
use isthmus_net::{
    Body, Ca, ClientAuth, Connection, Connections, Credentials, Limits, Listener, ServerTls, Transport, serve,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example prints")]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, addr, count, path, root] = arguments.as_slice()
        && role == "clients"
    {
        return clients(addr, count.parse()?, path, root).await;
    }
    let count = arguments.get(1).map_or(Ok(400), |text| text.parse::<u64>())?;
    if let Some(path) = arguments.get(2) {
        println!("{path:>9}: {:>6.1} KiB a connection", measure(count, path).await?);
        return Ok(());
    }
    // Each in a process of its own: memory that one has given back would serve the other.
    for path in ["/hello", "/upgrade"] {
        let arguments = [&count.to_string(), path];
        std::process::Command::new(std::env::current_exe()?).args(arguments).status()?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "kilobytes")]
async fn measure(count: u64, path: &str) -> Result<f64, BoxError> {
    let ca = Ca::in_memory("idle.example", SystemTime::now())?;
    let own = ca.issue_listener(&["127.0.0.1".to_owned()], SystemTime::now(), 1)?;
    let credentials = Credentials::from_pem(&own.issued.chain_pem, &own.key_pem)?;
    let config = ServerTls { credentials, client_auth: ClientAuth::None, tls12: false }.build()?;
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), "idle").await?;
    let (addr, connections) = (listener.addr(), Connections::new());
    let transport = Transport::Tls(watch::channel(config).1);
    tokio::spawn(serve(listener, transport, Limits::default(), connections.clone(), answer, std::future::pending()));
    // One round first, so that the allocator's and the library's own memory is not counted.
    let mut warm = spawn(addr, count / 2, path, ca.root_pem())?;
    settled(&connections, count / 2).await?;
    warm.kill()?;
    warm.wait()?;
    settled(&connections, 0).await?;
    let mut first = spawn(addr, count / 2, path, ca.root_pem())?;
    settled(&connections, count / 2).await?;
    let before = resident()?;
    let mut second = spawn(addr, count, path, ca.root_pem())?;
    settled(&connections, count / 2 + count).await?;
    let after = resident()?;
    for child in [&mut first, &mut second] {
        child.kill()?;
        child.wait()?;
    }
    settled(&connections, 0).await?;
    Ok(after.saturating_sub(before) as f64 / count as f64)
}

fn spawn(addr: std::net::SocketAddr, count: u64, path: &str, root: &str) -> Result<std::process::Child, BoxError> {
    let arguments = ["clients", &addr.to_string(), &count.to_string(), path, root];
    Ok(std::process::Command::new(std::env::current_exe()?).args(arguments).spawn()?)
}

async fn settled(connections: &Connections, count: u64) -> Result<(), BoxError> {
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if connections.len() as u64 == count && connections.snapshot().iter().all(|one| one.requests() == 0) {
            tokio::time::sleep(Duration::from_millis(1000)).await;
            return Ok(());
        }
    }
    Err(format!("{} connections, not {count}", connections.len()).into())
}

/// Kilobytes.
fn resident() -> Result<u64, BoxError> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

async fn answer(mut request: Request<Incoming>, _: Arc<Connection>) -> Response<Body> {
    if request.uri().path() != "/upgrade" {
        return reply::json(StatusCode::OK, "{}");
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            let mut io = hyper_util::rt::TokioIo::new(upgraded);
            let _ = io.read(&mut [0; 16]).await;
        }
    });
    let mut response = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    response.headers_mut().insert("upgrade", http::HeaderValue::from_static("idle"));
    response.headers_mut().insert("connection", http::HeaderValue::from_static("upgrade"));
    response
}

async fn clients(addr: &str, count: u64, path: &str, root: &str) -> Result<(), BoxError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut open = Vec::new();
    for _ in 0..count {
        let stream = TcpStream::connect(addr).await?;
        let mut stream = connector.connect("127.0.0.1".try_into()?, stream).await?;
        let wish = if path == "/upgrade" { "connection: upgrade\r\nupgrade: idle\r\n" } else { "" };
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{wish}\r\n");
        stream.write_all(head.as_bytes()).await?;
        let _ = stream.read(&mut [0; 512]).await?;
        open.push(stream);
    }
    std::future::pending::<()>().await;
    drop(open);
    Ok(())
}
