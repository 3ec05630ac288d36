//! Requests that become something else: which protocol a client wants, and the answer that agrees to it.

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::codec::Framed;

use super::spdy::Codec;
use super::spdy_exec::Connection;
use super::websocket;
use crate::registry::Status;

const SPDY: &str = "SPDY/3.1";
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// A client's wish, granted.
pub(super) enum Handshake {
    WebSocket(websocket::Handshake),
    Spdy(SpdyHandshake),
}

pub(super) struct SpdyHandshake {
    protocol: &'static str,
    upgrade: OnUpgrade,
}

impl Handshake {
    /// Reads what a client wants; each wire has its own names for the protocols that run over it.
    pub(super) fn of(
        head: &mut request::Parts,
        websocket: &[&'static str],
        spdy: &'static str,
    ) -> Result<Self, Status> {
        if !has_word(&head.headers, &header::UPGRADE, SPDY) {
            return websocket::Handshake::of(head, websocket).map(Self::WebSocket);
        }
        if !has_word(&head.headers, &STREAM_PROTOCOL, spdy) {
            return Err(Status::bad_request(format!("unable to upgrade: only {spdy} is known")));
        }
        let upgrade = head.extensions.remove::<OnUpgrade>();
        let upgrade =
            upgrade.ok_or_else(|| Status::bad_request("unable to upgrade: not an HTTP/1.1 connection"))?;
        Ok(Self::Spdy(SpdyHandshake { protocol: spdy, upgrade }))
    }
}

impl SpdyHandshake {
    /// Answers the handshake, and hands the connection over once the client has the answer.
    pub(super) fn upgrade<F>(self, carry: impl FnOnce(Connection) -> F + Send + 'static) -> Response<Body>
    where
        F: Future<Output = ()> + Send,
    {
        let upgrade = self.upgrade;
        tokio::spawn(async move {
            match upgrade.await {
                Ok(upgraded) => carry(Framed::new(TokioIo::new(upgraded), Codec::default())).await,
                Err(error) => tracing::debug!(%error, "a client left before its upgrade"),
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static(SPDY));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(self.protocol));
        response
    }
}

/// Whether a header's comma-separated list has a word.
pub(super) fn has_word(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
}
