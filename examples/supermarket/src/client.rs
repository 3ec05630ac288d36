//! A small HTTP client for JSON: one base address, pooled connections, a deadline for each attempt.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_millis(500);
/// Idle connections are dropped before the usual servers drop them.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Largest body of an answer.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// An address that is none.
    #[error("{url:?} is no http:// address")]
    Address {
        /// As given.
        url: String,
    },
    /// The connection could not be made or broke.
    #[error("no connection to {url}")]
    Connection {
        /// Whom we asked.
        url: String,
        /// Why not.
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    /// The answer broke off or is too large.
    #[error("{url} did not finish its answer")]
    Body {
        /// Whom we asked.
        url: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing came in time.
    #[error("no answer from {url} within {} ms", within.as_millis())]
    Timeout {
        /// Whom we asked.
        url: String,
        /// How long we waited.
        within: Duration,
    },
}

/// Status and body.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Of the answer.
    pub status: StatusCode,
    /// All of it.
    pub body: Bytes,
}

/// What to ask.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    path: String,
    headers: Vec<(&'static str, HeaderValue)>,
    body: Bytes,
}

impl Call {
    /// Asks for `path`, which begins with a slash.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: Bytes::new() }
    }

    /// Sends `body` to `path`.
    pub fn post(path: impl Into<String>, body: &impl serde::Serialize) -> Self {
        let body = Bytes::from(serde_json::to_vec(body).expect("our own types are JSON"));
        let json = HeaderValue::from_static("application/json");
        let headers = vec![(header::CONTENT_TYPE.as_str(), json)];
        Self { method: Method::POST, path: path.into(), headers, body }
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// Speaks to one base address. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct JsonClient {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    host: Option<HeaderValue>,
}

impl JsonClient {
    /// `base` is like `http://inventory:8080`; `host` is what is said in place of the address's own host.
    pub fn new(base: &str, host: Option<&str>) -> Result<Self, CallError> {
        let bad = || CallError::Address { url: base.to_owned() };
        let uri: Uri = base.parse().map_err(|_| bad())?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err(bad());
        }
        let host = host.map(HeaderValue::from_str).transpose().map_err(|_| bad())?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_MAX));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            // Whoever wants another attempt makes it, and counts it.
            .retry_canceled_requests(false)
            .build(connector);
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), host })
    }

    /// One attempt. An attempt that runs out of time takes its connection with it.
    pub async fn call(&self, call: &Call, within: Duration) -> Result<Reply, CallError> {
        let url = format!("{}{}", self.base, call.path);
        match tokio::time::timeout(within, self.attempt(call, &url)).await {
            Ok(reply) => reply,
            Err(_) => Err(CallError::Timeout { url, within }),
        }
    }

    async fn attempt(&self, call: &Call, url: &str) -> Result<Reply, CallError> {
        let mut request = Request::builder().method(&call.method).uri(url);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if let Some(host) = &self.host {
            request = request.header(header::HOST, host);
        }
        let request = request
            .body(Full::new(call.body.clone()))
            .map_err(|_| CallError::Address { url: url.to_owned() })?;
        let response = self
            .client
            .request(request)
            .await
            .map_err(|source| CallError::Connection { url: url.to_owned(), source })?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|source| CallError::Body { url: url.to_owned(), source })?.to_bytes();
        Ok(Reply { status, body })
    }
}
