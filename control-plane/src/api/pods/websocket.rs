//! A request that becomes a WebSocket: RFC 6455's handshake on top of hyper's upgrade.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header, request};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::upgrade::has_word;
use crate::registry::Status;

/// How large one message from a client may be.
const MESSAGE_MAX_BYTES: usize = 1024 * 1024;

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A client's half of the handshake, accepted.
pub(super) struct Handshake {
    accept: String,
    protocol: &'static str,
    upgrade: OnUpgrade,
}

impl Handshake {
    /// Reads the handshake, and picks the first of our protocols that the client offers too.
    pub(super) fn of(head: &mut request::Parts, protocols: &[&'static str]) -> Result<Self, Status> {
        let is_upgrade = has_word(&head.headers, &header::UPGRADE, "websocket");
        let key = head.headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_upgrade);
        let (Some(key), Some(upgrade)) = (key, head.extensions.remove::<OnUpgrade>()) else {
            let message = "unable to upgrade: this is served over WebSocket and SPDY/3.1 only";
            return Err(Status::bad_request(message));
        };
        let offers = |protocol: &&&str| has_word(&head.headers, &header::SEC_WEBSOCKET_PROTOCOL, protocol);
        let Some(protocol) = protocols.iter().find(offers) else {
            let message = format!(
                "unable to upgrade: none of the subprotocols is known, only {}",
                protocols.join(", ")
            );
            return Err(Status::bad_request(message));
        };
        Ok(Self { accept: derive_accept_key(key.as_bytes()), protocol, upgrade })
    }

    /// Answers the handshake, and hands the socket over once the client has the answer.
    pub(super) fn upgrade<F>(
        self,
        carry: impl FnOnce(Socket, &'static str) -> F + Send + 'static,
    ) -> Response<Body>
    where
        F: Future<Output = ()> + Send,
    {
        let protocol = self.protocol;
        let upgrade = self.upgrade;
        tokio::spawn(async move {
            match upgrade.await {
                Ok(upgraded) => {
                    let config = WebSocketConfig::default()
                        .max_message_size(Some(MESSAGE_MAX_BYTES))
                        .max_frame_size(Some(MESSAGE_MAX_BYTES));
                    let io = TokioIo::new(upgraded);
                    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
                    carry(socket, protocol).await;
                }
                Err(error) => tracing::debug!(%error, "a client left before its upgrade"),
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        let accept = HeaderValue::from_str(&self.accept).expect("base64 is a header value");
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        response
    }
}
