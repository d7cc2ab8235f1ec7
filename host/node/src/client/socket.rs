//! The push socket, seen from the client.

use futures_util::{SinkExt, StreamExt};
use http::header;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

use super::ClientError;

/// An open push socket.
pub struct Socket {
    stream: WebSocketStream<TlsStream<TcpStream>>,
}

/// What the server sends: an inbox event with its cursor, or the answer to a `send`.
pub type Incoming = Value;

fn broken(error: tungstenite::Error) -> ClientError {
    ClientError::Socket(Box::new(error))
}

impl Socket {
    pub(super) async fn open(
        stream: TlsStream<TcpStream>,
        url: &str,
        token: Option<&str>,
    ) -> Result<Socket, ClientError> {
        let mut request = url.into_client_request().map_err(broken)?;
        if let Some(token) = token {
            let value = header::HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|e| ClientError::Answer(e.to_string()))?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let config = WebSocketConfig::default().read_buffer_size(8 * 1024).write_buffer_size(4 * 1024);
        let (stream, _) =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await.map_err(broken)?;
        Ok(Socket { stream })
    }

    /// The next object from the server; `None` when it closed the socket.
    ///
    /// # Errors
    /// [`ClientError::Socket`] when the connection broke; [`ClientError::Answer`] for what is no JSON.
    pub async fn next(&mut self) -> Result<Option<Incoming>, ClientError> {
        while let Some(message) = self.stream.next().await {
            match message.map_err(broken)? {
                Message::Text(text) => {
                    return serde_json::from_str(&text).map(Some).map_err(|e| ClientError::Answer(e.to_string()));
                }
                Message::Close(_) => return Ok(None),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        Ok(None)
    }

    /// Sends a text message; its answer comes as `{"type": "sent" | "refused", "clientID": …}`.
    ///
    /// # Errors
    /// [`ClientError::Socket`].
    pub async fn send(&mut self, client_id: &str, recv_id: &str, text: &str) -> Result<(), ClientError> {
        self.write(&json!({"type": "send", "clientID": client_id, "recvID": recv_id, "text": text})).await
    }

    /// Says that everything up to `cursor` is kept on the device.
    ///
    /// # Errors
    /// [`ClientError::Socket`].
    pub async fn acknowledge(&mut self, cursor: u64) -> Result<(), ClientError> {
        self.write(&json!({"type": "ack", "cursor": cursor})).await
    }

    /// Sends any object.
    ///
    /// # Errors
    /// [`ClientError::Socket`].
    pub async fn write(&mut self, value: &Value) -> Result<(), ClientError> {
        self.stream.send(Message::text(value.to_string())).await.map_err(broken)
    }

    /// Splits for use from two tasks: what is written, and what arrives.
    #[must_use]
    pub fn into_inner(self) -> WebSocketStream<TlsStream<TcpStream>> {
        self.stream
    }
}
