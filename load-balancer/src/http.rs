//! HTTP, request by request: who is asked for, who answers, and what to do when they do not.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use self::answer::Answer;
use self::exchange::{Exchange, Failed, Outcome, Try};
use self::replay::Replay;
use crate::backend::{Backend, NoEndpoint, Search};
use crate::endpoint::Endpoint;
use crate::front::{Entrance, Front};
use crate::retry::{Attempted, Failure, is_repeatable};

mod answer;
mod exchange;
mod headers;
mod path;
pub(crate) mod pool;
mod replay;
mod upgrade;

/// The first bytes of an HTTP/2 connection; no HTTP/1 method begins like this.
const HTTP2_PREFACE_START: &[u8] = b"PRI";

/// Serves one client connection until it ends.
pub(crate) async fn serve(front: Arc<Front>, entrance: Entrance, stream: TcpStream, client: SocketAddr) {
    let mut start = [0; HTTP2_PREFACE_START.len()];
    let peeked = tokio::select! {
        peeked = timeout(front.limits.head_timeout, stream.peek(&mut start)) => peeked,
        () = front.stopping.cancelled() => return,
    };
    let Ok(Ok(length)) = peeked else { return };
    let ended = if &start[..length] == HTTP2_PREFACE_START {
        serve_http2(&front, entrance, stream, client).await
    } else {
        serve_http1(&front, entrance, stream, client).await
    };
    if let Err(error) = ended {
        debug!(%client, %error, "client connection ended early");
    }
}

async fn serve_http1(
    front: &Arc<Front>,
    entrance: Entrance,
    stream: TcpStream,
    client: SocketAddr,
) -> hyper::Result<()> {
    let service = service_fn(|request| async move {
        Ok::<_, Infallible>(Box::pin(answer(front.clone(), entrance, client, request)).await)
    });
    // Never with `pipeline_flush`: it lifts hyper's limit on what is buffered for a client that does not read.
    let mut http1 = hyper::server::conn::http1::Builder::new();
    http1.timer(TokioTimer::new()).header_read_timeout(front.limits.head_timeout);
    http1.max_header_size(front.limits.head_bytes_max);
    let connection = http1.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = &mut connection => return ended,
        () = front.stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn serve_http2(
    front: &Arc<Front>,
    entrance: Entrance,
    stream: TcpStream,
    client: SocketAddr,
) -> hyper::Result<()> {
    let shared = front.clone();
    let service = service_fn(move |request| {
        let front = shared.clone();
        async move { Ok::<_, Infallible>(Box::pin(answer(front, entrance, client, request)).await) }
    });
    let mut http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    http2.timer(TokioTimer::new()).keep_alive_interval(front.limits.head_timeout);
    http2.max_concurrent_streams(front.limits.streams_max);
    http2.max_header_list_size(u32::try_from(front.limits.head_bytes_max).unwrap_or(u32::MAX));
    let mut connection = std::pin::pin!(http2.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = &mut connection => return ended,
        () = front.stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// One request's way from a client to an endpoint.
struct Proxied {
    front: Arc<Front>,
    backend: Arc<Backend>,
    parts: Parts,
    body: Replay,
    repeatable: bool,
    /// The client's side of what the connection may become.
    upgrade: Option<OnUpgrade>,
    /// Who was asked last.
    asked: Option<Arc<Endpoint>>,
}

async fn answer(
    front: Arc<Front>,
    entrance: Entrance,
    client: SocketAddr,
    mut request: Request<Incoming>,
) -> Response<Answer> {
    let upgrade = headers::upgrade_of(request.headers()).map(|_| hyper::upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    let host = match path::check(parts.uri.path()).and_then(|()| headers::host(&parts)) {
        Ok(host) => host,
        Err(refusal) => {
            let (status, reason) = refusal.answer();
            return Answer::plain(status, reason);
        }
    };
    let Some(backend) = front.find(entrance, &host, parts.uri.path()).await else {
        let reason = format!("nothing is served at {host}{}", parts.uri.path());
        return Answer::plain(StatusCode::NOT_FOUND, &reason);
    };
    headers::forward_request(&mut parts, client.ip(), &host, rand::random());
    backend.deposit();
    let repeatable = is_repeatable(&parts.method, &parts.headers) && upgrade.is_none();
    let body = Replay::new(body, if repeatable { front.limits.replay_bytes_max } else { 0 });
    Proxied { front, backend, parts, body, repeatable, upgrade, asked: None }.run().await
}

impl Proxied {
    async fn run(mut self) -> Response<Answer> {
        let limit = self.front.limits.request_timeout;
        let answered = timeout(limit, self.ask_until_answered()).await;
        answered.unwrap_or_else(|_| {
            let reason = format!("{} has not answered within {limit:?}", self.backend.key);
            self.give_up(StatusCode::GATEWAY_TIMEOUT, &reason)
        })
    }

    async fn ask_until_answered(&mut self) -> Response<Answer> {
        let (front, backend) = (self.front.clone(), self.backend.clone());
        let mut search = Search::new(&backend, &front.hold, &front.limits);
        let mut sent = 0;
        let mut fresh = false;
        loop {
            let lease = match search.next().await {
                Ok(lease) => lease,
                Err(none) => return self.no_endpoint(none),
            };
            let endpoint = lease.endpoint().clone();
            self.asked = Some(endpoint.clone());
            let Proxied { parts, body, repeatable, .. } = &*self;
            let once = Try { parts, body, limits: &front.limits, repeatable: *repeatable, fresh };
            let failed = match once.send(lease).await {
                Ok(outcome) => return self.pass_on(outcome),
                Err(failed) => failed,
            };
            sent += u32::from(failed.failure == Failure::Vanished);
            if !self.may_repeat(&failed, sent) {
                return self.failed(&endpoint, &failed);
            }
            debug!(backend = backend.key, endpoint = %endpoint.address, reason = failed.reason, "goes elsewhere");
            endpoint.counters.retried();
            // A connection that was closed for its age says nothing of the endpoint: a new one will do.
            fresh = failed.was_kept;
            if !failed.was_kept {
                search.failed_on(endpoint.address);
            }
        }
    }

    fn may_repeat(&self, failed: &Failed, sent: u32) -> bool {
        let can_repeat = self.repeatable && self.body.is_whole() && !self.body.client_failed();
        let attempted = Attempted { can_repeat, sent, sent_max: self.front.limits.tries_max };
        self.backend.may_repeat(failed.failure, attempted)
    }

    fn pass_on(&mut self, outcome: Outcome) -> Response<Answer> {
        match outcome {
            Outcome::Answered(response) => {
                let (mut parts, body) = response.into_parts();
                headers::forward_response(&mut parts);
                Response::from_parts(parts, body)
            }
            Outcome::Switched(response, exchange) => self.switch(response, exchange),
        }
    }

    fn switch(&mut self, response: Response<Incoming>, exchange: Exchange) -> Response<Answer> {
        match self.upgrade.take() {
            Some(client) => upgrade::tunnel(&self.front, client, response, exchange),
            None => self.give_up(
                StatusCode::BAD_GATEWAY,
                &format!("{} changed the protocol without being asked", self.backend.key),
            ),
        }
    }

    fn no_endpoint(&mut self, none: NoEndpoint) -> Response<Answer> {
        let key = &self.backend.key;
        let (status, reason) = match none {
            NoEndpoint::NotReady(waited) => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("no endpoint of {key} is ready (waited {waited:?})"),
            ),
            NoEndpoint::NotReachable(waited) => (
                StatusCode::BAD_GATEWAY,
                format!("no endpoint of {key} can be reached (tried for {waited:?})"),
            ),
            NoEndpoint::TooManyHeld => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("no endpoint of {key} is ready, and too many requests wait for one"),
            ),
        };
        self.asked = None;
        self.give_up(status, &reason)
    }

    fn failed(&self, endpoint: &Endpoint, failed: &Failed) -> Response<Answer> {
        if self.body.client_failed() {
            return Answer::plain(StatusCode::BAD_REQUEST, "the request's body broke off");
        }
        let why = match (self.repeatable, self.body.is_whole()) {
            (false, _) => "it may have been carried out: without an Idempotency-Key it is not sent again",
            (true, false) => "its body is too long to be kept and sent again",
            (true, true) => "it was sent again as often as it may be",
        };
        let Failed { reason, .. } = failed;
        let key = &self.backend.key;
        let text = format!("{key}: {} went away with the request ({reason}); {why}", endpoint.address);
        self.give_up(StatusCode::BAD_GATEWAY, &text)
    }

    /// An answer of our own, counted as the failure of whom was asked last.
    fn give_up(&self, status: StatusCode, reason: &str) -> Response<Answer> {
        let counters = self.asked.as_ref().map_or(&self.backend.unserved, |endpoint| &endpoint.counters);
        counters.finished(true);
        Answer::plain(status, reason)
    }
}
