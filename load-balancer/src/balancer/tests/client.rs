//! A client with one connection, and bytes for those who want them raw.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::SOON;

pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.expect("the front listens");
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(driver.with_upgrades());
        Client { sender }
    }

    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let response =
            timeout(SOON, self.sender.send_request(request)).await.expect("in time").expect("an answer");
        let (parts, body) = response.into_parts();
        let body = timeout(SOON, body.collect()).await.expect("in time").expect("a whole answer").to_bytes();
        self.sender.ready().await.ok();
        Response::from_parts(parts, body)
    }

    /// None: the connection broke.
    pub(super) async fn try_get(&mut self, path: &str) -> Option<StatusCode> {
        let sent = self.sender.send_request(request("GET", path, ""));
        timeout(SOON, sent).await.expect("in time").ok().map(|response| response.status())
    }

    pub(super) async fn get(&mut self, path: &str) -> (StatusCode, String) {
        let response = self.send(request("GET", path, "")).await;
        (response.status(), String::from_utf8_lossy(response.body()).into_owned())
    }
}

pub(super) fn request(method: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", "shop.localhost");
    request.body(Full::from(body.to_owned())).expect("a valid request")
}

pub(super) async fn get(address: SocketAddr, path: &str) -> (StatusCode, String) {
    Client::connect(address).await.get(path).await
}

/// Sends bytes, ends its side if told to, and returns all that comes back until the front closes.
pub(super) async fn raw(address: SocketAddr, bytes: &[u8], end: bool) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the front listens");
    let mut answer = Vec::new();
    let exchange = async {
        // The front may close before it has read all of what is too much.
        let _ = stream.write_all(bytes).await;
        if end {
            let _ = stream.shutdown().await;
        }
        let _ = stream.read_to_end(&mut answer).await;
    };
    timeout(SOON, exchange).await.expect("the front closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}
