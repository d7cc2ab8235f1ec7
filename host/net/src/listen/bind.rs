//! Binding a port, and accepting from it whatever happens.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// After an accept failed for want of descriptors or memory: long enough for others to give some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long, and for how many bytes, a refused peer is listened to, so that it can read why.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;
/// The kernel asks a silent peer after this, so that a client which vanished does not hold its socket for hours.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Why a port could not be had, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process has it.
    #[error(
        "{name} cannot listen on {addr}: another program uses port {port}; stop it (`ss -ltnp 'sport = :{port}'` \
         names it) or set another port for {name}",
        port = addr.port()
    )]
    InUse {
        /// Which listener.
        name: String,
        /// Where.
        addr: SocketAddr,
    },
    /// A port below 1024 without the right to it.
    #[error(
        "{name} cannot listen on {addr}: port {port} needs a privilege; set a port from 1024 on for {name}, or grant \
         the program CAP_NET_BIND_SERVICE",
        port = addr.port()
    )]
    Forbidden {
        /// Which listener.
        name: String,
        /// Where.
        addr: SocketAddr,
    },
    /// No interface has the address.
    #[error("{name} cannot listen on {addr}: this machine has no address {ip}; set one that it has, or 0.0.0.0", ip = addr.ip())]
    NoSuchAddress {
        /// Which listener.
        name: String,
        /// Where.
        addr: SocketAddr,
    },
    /// Anything else.
    #[error("{name} cannot listen on {addr}")]
    Other {
        /// Which listener.
        name: String,
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    addr: SocketAddr,
    name: String,
}

impl Listener {
    /// Binds `addr` (port 0: any free one, see [`Listener::addr`]). `name` is how errors and logs call the listener.
    pub async fn bind(addr: SocketAddr, name: &str) -> Result<Self, BindError> {
        let fail = |source| bind_error(name, addr, source);
        let socket = TcpListener::bind(addr).await.map_err(fail)?;
        let addr = socket.local_addr().map_err(fail)?;
        Ok(Self { socket, addr, name: name.to_owned() })
    }

    /// Where it listens, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next connection. Errors are the affair of this loop alone: none of them ends a listener.
    pub(super) async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(listener = %self.name, %error, "cannot accept; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether only the connection that would have been accepted is lost.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted].contains(&error.kind())
}

fn bind_error(name: &str, addr: SocketAddr, source: io::Error) -> BindError {
    let name = name.to_owned();
    if source.kind() == io::ErrorKind::AddrInUse {
        BindError::InUse { name, addr }
    } else if source.kind() == io::ErrorKind::PermissionDenied {
        BindError::Forbidden { name, addr }
    } else if source.kind() == io::ErrorKind::AddrNotAvailable {
        BindError::NoSuchAddress { name, addr }
    } else {
        BindError::Other { name, addr, source }
    }
}

/// Small answers leave at once, and the dead are noticed. A socket that refuses is closed already: the read says so.
pub(crate) fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
}

/// After a refused handshake: closing with unread bytes makes the kernel reset the connection, and the peer loses the
/// alert that tells it what was wrong.
pub(super) async fn linger(mut stream: TcpStream) {
    let drained = async {
        let _ = stream.shutdown().await;
        let (mut scrap, mut total) = ([0; 1024], 0);
        while let Ok(read @ 1..) = stream.read(&mut scrap).await {
            total += read;
            if total > LINGER_BYTES {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, drained).await;
}
