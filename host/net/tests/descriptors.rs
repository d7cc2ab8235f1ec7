//! A process without free descriptors: the accept loop waits for better times. Alone in its binary, because it takes
//! the descriptors of the whole process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use isthmus_net::http::reply;
use isthmus_net::{Body, Connection, Connections, Limits, Listener, Transport, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn answer(_: Request<Incoming>, _: Arc<Connection>) -> Response<Body> {
    reply::empty(StatusCode::NO_CONTENT)
}

/// Every descriptor that the process may still have.
fn take_all() -> Vec<File> {
    // So that there are few of them, where the machine allows thousands.
    let pid = std::process::id().to_string();
    let _ = std::process::Command::new("prlimit").args(["--pid", &pid, "--nofile=256:"]).status();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
        assert!(taken.len() < 100_000, "no limit of descriptors");
    }
    taken
}

#[tokio::test]
async fn the_accept_loop_outlives_a_lack_of_descriptors() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), "test").await.unwrap();
    let (addr, connections) = (listener.addr(), Connections::new());
    let serving =
        serve(listener, Transport::Plain, Limits::default(), connections.clone(), answer, std::future::pending());
    tokio::spawn(serving);
    tokio::task::yield_now().await;

    let mut taken = take_all();
    taken.pop();
    // The last descriptor is the client's: none is left for the server's end.
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(connections.is_empty());

    drop(taken);
    let mut text = String::new();
    let read = client.read_to_string(&mut text);
    tokio::time::timeout(Duration::from_secs(3), read).await.unwrap().unwrap();
    assert!(text.starts_with("HTTP/1.1 204"), "{text}");
}
