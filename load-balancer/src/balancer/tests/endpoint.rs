//! An endpoint whose process can be killed: dropping it closes its sockets, as the kernel would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use super::until;

/// What it does with a request.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Manner {
    /// Answers with the request, its own address first.
    Echo,
    /// Reads the request and closes the connection.
    Vanish,
    /// Says half of an answer of known length, and closes the connection.
    HalfAnswer,
    /// Says half of an answer of known length, and falls silent.
    HalfAnswerThenSilence,
    /// Answers, promises to keep the connection, and closes it.
    CloseAfterAnswer,
    /// Answers when it gets a permit.
    Wait,
}

pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<AtomicUsize>,
    pub(super) permits: Arc<Semaphore>,
    process: AbortHandle,
}

impl Endpoint {
    pub(super) async fn start(manner: Manner) -> Endpoint {
        Self::start_at(([127, 0, 0, 1], 0).into(), manner).await
    }

    /// Where another one was killed: its socket is closed when the runtime next looks at it.
    pub(super) async fn start_at(address: SocketAddr, manner: Manner) -> Endpoint {
        let mut listener = crate::listener::bind(address);
        until("the address is free", || {
            listener.is_ok() || {
                listener = crate::listener::bind(address);
                false
            }
        })
        .await;
        let listener = listener.expect("bound");
        let address = listener.local_addr().expect("it listens");
        let (seen, permits) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let process = tokio::spawn(run(listener, manner, seen.clone(), permits.clone())).abort_handle();
        Endpoint { address, seen, permits, process }
    }

    pub(super) fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.process.abort();
    }
}

async fn run(listener: TcpListener, manner: Manner, seen: Arc<AtomicUsize>, permits: Arc<Semaphore>) {
    // Its connections end with it.
    let mut connections = JoinSet::new();
    let own = listener.local_addr().expect("it listens");
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, manner, own, seen.clone(), permits.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(
    stream: TcpStream,
    manner: Manner,
    own: SocketAddr,
    seen: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
) {
    let answer = |request| answer(request, manner, own, seen.clone(), permits.clone());
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    match manner {
        Manner::Echo | Manner::Wait | Manner::Vanish => drop(connection.await),
        Manner::HalfAnswer | Manner::HalfAnswerThenSilence | Manner::CloseAfterAnswer => {
            close_after_one(connection.into_parts().io, manner, seen).await
        }
    }
}

async fn close_after_one(stream: TokioIo<TcpStream>, manner: Manner, seen: Arc<AtomicUsize>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = stream.into_inner();
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    seen.fetch_add(1, Ordering::SeqCst);
    let answer = match manner {
        Manner::HalfAnswer | Manner::HalfAnswerThenSilence => {
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"
        }
        Manner::Echo | Manner::Vanish | Manner::CloseAfterAnswer | Manner::Wait => {
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nall"
        }
    };
    let _ = stream.write_all(answer.as_bytes()).await;
    if manner == Manner::HalfAnswerThenSilence {
        // Until the other side closes.
        let _ = stream.read_u8().await;
    }
}

async fn answer(
    request: Request<Incoming>,
    manner: Manner,
    own: SocketAddr,
    seen: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    seen.fetch_add(1, Ordering::SeqCst);
    match manner {
        Manner::Vanish => return Err(std::io::Error::other("gone")),
        Manner::Wait => permits.acquire().await.expect("never closed").forget(),
        Manner::Echo | Manner::HalfAnswer | Manner::HalfAnswerThenSilence | Manner::CloseAfterAnswer => {}
    }
    let mut text = format!("{own}\n{} {}\n", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\n", value.to_str().unwrap_or("?")));
    }
    text.push_str(&format!("\n{}", String::from_utf8_lossy(&body)));
    Ok(Response::new(Full::from(text)))
}
