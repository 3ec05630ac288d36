//! One try: one request to one endpoint, on a kept connection or a new one.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::{Answer, Streamed};
use super::pool::Connection;
use super::replay::{Replay, RequestBody};
use crate::clock;
use crate::endpoint::{Endpoint, Lease};
use crate::limits::Limits;
use crate::retry::Failure;

/// A try that came to nothing.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    /// On a connection that had been idle: it may have been closed for its age, and says nothing of the endpoint.
    pub(crate) was_kept: bool,
    pub(crate) reason: String,
}

/// A request's claim on an endpoint and a connection, from the head of the answer to its end.
#[derive(Debug)]
pub(crate) struct Exchange {
    lease: Lease,
    connection: Option<Connection>,
    limits: Arc<Limits>,
    failed: bool,
}

impl Exchange {
    /// The answer has ended, or broken off; a connection that can be used again is kept.
    pub(crate) fn end(self, broken_off: bool) {
        let Exchange { lease, connection, limits, failed } = self;
        let endpoint = lease.endpoint();
        endpoint.counters.finished(failed || broken_off);
        if let Some(connection) = connection.filter(|_| !broken_off) {
            endpoint.idle.put(connection, limits.idle_connections_max, limits.idle_timeout, clock::now());
        }
    }

    /// A tunnel has ended, and its connection with it.
    pub(crate) fn end_of_connection(self) {
        self.lease.endpoint().counters.finished(false);
    }
}

/// What a try came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// An answer.
    Answered(Response<Answer>),
    /// The connection is now what the client asked it to become.
    Switched(Response<Incoming>, Exchange),
}

/// How one try is made.
#[derive(Debug)]
pub(crate) struct Try<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) body: &'a Replay,
    pub(crate) limits: &'a Arc<Limits>,
    /// Sending it twice does no harm.
    pub(crate) repeatable: bool,
    /// Only a new connection will do.
    pub(crate) fresh: bool,
}

impl Try<'_> {
    /// Sends the request and waits for the head of the answer, or for all of a short one.
    pub(crate) async fn send(&self, lease: Lease) -> Result<Outcome, Failed> {
        let endpoint = lease.endpoint().clone();
        let kept = self.kept_connection(&endpoint);
        let was_kept = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect(&lease).await?,
        };
        let response = match self.exchange(&mut connection, &endpoint).await {
            Ok(response) => response,
            Err(failed) => return Err(self.blame(&lease, Failed { was_kept, ..failed })),
        };
        lease.answered(clock::now());
        let failed = response.status().is_server_error();
        let exchange = Exchange { lease, connection: Some(connection), limits: self.limits.clone(), failed };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Outcome::Switched(response, exchange));
        }
        self.answer(response, exchange).await.map(Outcome::Answered)
    }

    fn kept_connection(&self, endpoint: &Endpoint) -> Option<Connection> {
        let age_max = if self.repeatable { self.limits.idle_timeout } else { self.limits.fresh_timeout };
        endpoint.idle.take(age_max, clock::now()).filter(|_| !self.fresh)
    }

    async fn connect(&self, lease: &Lease) -> Result<Connection, Failed> {
        connect(lease.endpoint(), self.limits).await.map_err(|error| {
            lease.unwell(clock::now());
            let reason = format!("cannot connect: {error}");
            Failed { failure: Failure::NotSent, was_kept: false, reason }
        })
    }

    async fn exchange(
        &self,
        connection: &mut Connection,
        endpoint: &Endpoint,
    ) -> Result<Response<Incoming>, Failed> {
        let sent = connection.try_send_request(self.request());
        let answered = tokio::select! {
            biased;
            answered = sent => answered,
            () = endpoint.lost(self.limits.drain_patience), if self.repeatable => {
                return Err(vanished("it has left".to_owned()));
            }
        };
        answered.map_err(|mut error| {
            let failure = if error.take_message().is_some() { Failure::NotSent } else { Failure::Vanished };
            Failed { failure, was_kept: false, reason: with_sources(error.error()) }
        })
    }

    fn request(&self) -> Request<RequestBody> {
        let mut request = Request::new(self.body.body());
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = self.parts.uri.clone();
        *request.headers_mut() = self.parts.headers.clone();
        request
    }

    fn blame(&self, lease: &Lease, failed: Failed) -> Failed {
        // A client that broke off its own body is not the endpoint's fault.
        if failed.failure == Failure::Vanished && !failed.was_kept && !self.body.client_failed() {
            lease.unwell(clock::now());
        }
        failed
    }

    async fn answer(
        &self,
        response: Response<Incoming>,
        exchange: Exchange,
    ) -> Result<Response<Answer>, Failed> {
        let (parts, incoming) = response.into_parts();
        if incoming.is_end_stream() {
            exchange.end(false);
            return Ok(Response::from_parts(parts, Answer::empty()));
        }
        let length = incoming.size_hint().exact();
        let is_short = length.is_some_and(|length| length <= self.limits.answer_bytes_whole);
        if !(self.repeatable && is_short && self.parts.method != Method::HEAD) {
            let streamed = Answer::Streamed(Box::new(Streamed { incoming, exchange }));
            return Ok(Response::from_parts(parts, streamed));
        }
        let body = self.read_unless_lost(incoming, exchange.lease.endpoint()).await?;
        exchange.end(false);
        Ok(Response::from_parts(parts, Answer::Whole(Some(body))))
    }

    /// A body of which the client has seen nothing yet: it can still come from elsewhere.
    async fn read_unless_lost(&self, incoming: Incoming, endpoint: &Endpoint) -> Result<Bytes, Failed> {
        tokio::select! {
            biased;
            whole = read_whole(incoming) => whole.map_err(|error| vanished(with_sources(&error))),
            () = endpoint.lost(self.limits.drain_patience) => {
                Err(vanished("it has left in the middle of its answer".to_owned()))
            }
        }
    }
}

fn vanished(reason: String) -> Failed {
    Failed { failure: Failure::Vanished, was_kept: false, reason }
}

async fn connect(endpoint: &Endpoint, limits: &Limits) -> Result<Connection, io::Error> {
    let stream = timeout(limits.connect_timeout, TcpStream::connect(endpoint.address)).await??;
    stream.set_nodelay(true)?;
    let (connection, driver) = http1::Builder::new()
        .max_header_size(limits.head_bytes_max)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // It ends when the endpoint closes it or nobody holds the sender any more.
    tokio::spawn(driver.with_upgrades());
    Ok(connection)
}

/// A body whose length is known to be short.
async fn read_whole(mut incoming: Incoming) -> Result<Bytes, hyper::Error> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
