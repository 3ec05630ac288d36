//! Every limit of the front, with its name and its default.

use std::time::Duration;

/// What the front never exceeds.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Client connections at once, over all listeners; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// A client's whole request head, in bytes; 431 beyond it.
    pub head_bytes_max: usize,
    /// How long a client may take for a request head, and stay idle between two requests.
    pub head_timeout: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// To reach an endpoint.
    pub connect_timeout: Duration,
    /// From the end of a request's head to the head of its answer, all tries and waits together; 504 beyond it.
    pub request_timeout: Duration,
    /// How long a request waits for an endpoint that is ready; 503 beyond it.
    pub hold_timeout: Duration,
    /// Requests waiting for an endpoint at once; further ones get 503 at once.
    pub held_max: usize,
    /// How long a repeatable request waits for the answer of an endpoint that has begun to drain: it may have
    /// died without a word.
    pub drain_patience: Duration,
    /// Tries of one request that reached an endpoint and got nothing back.
    pub tries_max: u32,
    /// Of a request's body, kept to send it again; a longer one is sent once.
    pub replay_bytes_max: usize,
    /// A repeatable request's answer up to this length is read whole before the client sees a byte of it, so
    /// that an endpoint that vanishes in the middle costs nobody anything.
    pub answer_bytes_whole: u64,
    /// Idle connections kept to one endpoint.
    pub idle_connections_max: usize,
    /// How long a connection to an endpoint is kept idle.
    pub idle_timeout: Duration,
    /// A request that must not be sent twice only takes a connection that was in use this recently: an older
    /// one may be closed by its endpoint at the moment it is taken.
    pub fresh_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 10_000,
            head_bytes_max: 64 * 1024,
            head_timeout: Duration::from_secs(30),
            streams_max: 128,
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(60),
            hold_timeout: Duration::from_secs(5),
            held_max: 1024,
            drain_patience: Duration::from_secs(2),
            tries_max: 5,
            replay_bytes_max: 64 * 1024,
            answer_bytes_whole: 64 * 1024,
            idle_connections_max: 256,
            idle_timeout: Duration::from_secs(30),
            fresh_timeout: Duration::from_secs(1),
        }
    }
}
