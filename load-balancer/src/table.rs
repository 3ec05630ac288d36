//! What the owner says: whole tables of routes and endpoints. Plain data.

use std::net::SocketAddr;

/// Everything the front is to serve. Each table replaces the one before; applying one twice changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The owner's number for this table.
    pub generation: u64,
    /// What the shared HTTP listener serves, by host and path.
    pub http: Vec<HttpRoute>,
    /// One listener each.
    pub ports: Vec<PortRoute>,
    /// What routes refer to by key. A route to a key that is not here has no endpoint yet.
    pub backends: Vec<BackendSpec>,
}

/// Requests for this host and path go to this backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRoute {
    /// Empty: any host. `*.example.com`: one label more.
    pub host: String,
    /// A path, matched by whole segments, or exactly.
    pub path: String,
    /// Only this very path.
    pub exact: bool,
    /// The key of a backend.
    pub backend: String,
}

/// Connections to this address go to this backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRoute {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The key of a backend.
    pub backend: String,
    /// What is balanced.
    pub protocol: Protocol,
}

/// What is balanced: each request, or each connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 and HTTP/2 in the clear, by request.
    Http,
    /// Bytes, by connection.
    Tcp,
}

/// A name, and who answers for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendSpec {
    /// Unique in its table; shown in errors and counters.
    pub key: String,
    /// Who answers.
    pub endpoints: Vec<EndpointSpec>,
}

/// One address that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Unique in its backend.
    pub address: SocketAddr,
    /// May get something new. One that may not still finishes what it has.
    pub ready: bool,
    /// The owner's name for it, for counters.
    pub target: String,
}
