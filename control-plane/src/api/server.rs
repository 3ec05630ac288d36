//! The socket: TLS, HTTP, and limits on what strangers can make us hold.

use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Api;
use super::auth::Caller;

/// How many connections are served at a time; later ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 2048;
/// How long a caller may take to greet.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long a caller may take to send the head of a request.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(30);
/// How many header fields a request may have.
const HEADERS_MAX: usize = 100;
/// How many bytes the head of a request may have, and how much is buffered of an answer.
const BUFFER_MAX_BYTES: usize = 256 * 1024;
/// How many requests one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 250;
/// How long connections may take to end once we are told to stop; watches do not end by themselves.
const DRAIN_MAX: Duration = Duration::from_millis(500);
/// How long to wait when the kernel has no file descriptor left for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves the API until `shutdown` is cancelled, then ends what is open within [`DRAIN_MAX`].
pub async fn serve(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    api: Api,
    shutdown: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(tls);
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let cut = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let (stream, permit) = accepted;
        let connection = Box::pin(connection(acceptor.clone(), stream, api.clone(), shutdown.clone()));
        let cut = cut.clone();
        connections.spawn(async move {
            cut.run_until_cancelled_owned(connection).await;
            drop(permit);
        });
    }
    connections.close();
    if tokio::time::timeout(DRAIN_MAX, connections.wait()).await.is_err() {
        cut.cancel();
        connections.wait().await;
    }
}

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let permit = Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, api: Api, shutdown: CancellationToken) {
    // Without it small watch events would wait for acknowledgements; a socket that refuses it is slower, not wrong.
    let _slower = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake took too long"),
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let caller = Caller { certificate: certificate.map(|leaf| leaf.clone().into_owned()) };
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (api, caller) = (api.clone(), caller.clone());
        async move {
            Ok::<_, std::convert::Infallible>(api.answer(caller, request.map(axum::body::Body::new)).await)
        }
    });
    let builder = builder();
    let mut serving = std::pin::pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(error, "a connection ended early");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_MAX_BYTES);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
    builder
}
