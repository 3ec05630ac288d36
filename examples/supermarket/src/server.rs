//! A small HTTP/1.1 server that ends well: nothing that was accepted goes without an answer.
//!
//! ```text
//! accepting --shutdown--> draining (what waits in the backlog is served once; idle connections close)
//!           --all answered, or DRAIN_MAX--> ended
//! ```

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::purchase::Refusal;

/// Connections at once; more wait in the backlog.
const CONNECTIONS_MAX: usize = 1024;
/// Largest body of a request.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest wait for the head of a request on an open connection's first bytes.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(30);
/// Longest wait for answers once asked to end; shorter than any sensible termination grace.
const DRAIN_MAX: Duration = Duration::from_secs(8);

/// An answer.
pub type Answer = Response<Full<Bytes>>;

/// Answers requests until `shutdown`, then ends as described above.
pub async fn serve<H, F>(listener: TcpListener, handler: H, shutdown: impl Future<Output = ()>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let (stop, stopped) = watch::channel(false);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let permit = tokio::select! {
            biased;
            () = &mut shutdown => break,
            permit = Arc::clone(&room).acquire_owned() => permit.expect("the semaphore is never closed"),
        };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let connection = converse(stream, handler.clone(), true, stopped.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                // Out of descriptors, or a client that left while it waited: others may have more luck.
                Err(error) => tracing::warn!(%error, "cannot accept a connection"),
            },
        }
        while connections.try_join_next().is_some() {}
    }
    // Whoever the kernel has accepted for us believes to be connected.
    while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
        connections.spawn(converse(stream, handler.clone(), false, stopped.clone()));
    }
    drop(listener);
    stop.send_replace(true);
    let drained = tokio::time::timeout(DRAIN_MAX, async { while connections.join_next().await.is_some() {} });
    match drained.await {
        Ok(()) => tracing::info!("every request is answered"),
        Err(_) => tracing::warn!(open = connections.len(), "ending with requests unanswered"),
    }
}

/// One connection. One that is not kept alive serves one request and is not hurried by the end of the server.
async fn converse<H, F>(stream: TcpStream, handler: H, keep_alive: bool, mut stopped: watch::Receiver<bool>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT_MAX)
        .keep_alive(keep_alive)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let draining = async { drop(stopped.wait_for(|stopped| *stopped).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = draining, if keep_alive => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// An answer with a JSON body.
pub fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let bytes = serde_json::to_vec(body).expect("our own types are JSON");
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(bytes)))
        .expect("a status and a constant header make a response")
}

/// Why there is no success. Becomes an answer.
#[derive(Debug)]
pub struct Refused {
    status: StatusCode,
    error: String,
}

/// A request is not granted.
pub fn refuse(status: StatusCode, error: impl Into<String>) -> Refused {
    Refused { status, error: error.into() }
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        let mut answer = json(refused.status, &Refusal { error: refused.error });
        if refused.status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
        }
        answer
    }
}

/// The body of a request, or why it cannot be read.
pub async fn read_json<T: DeserializeOwned>(body: Incoming) -> Result<T, Refused> {
    let collected = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let bytes = collected
        .map_err(|error| refuse(StatusCode::PAYLOAD_TOO_LARGE, format!("cannot read the body: {error}")))?
        .to_bytes();
    serde_json::from_slice(&bytes)
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, format!("the body cannot be understood: {error}")))
}
