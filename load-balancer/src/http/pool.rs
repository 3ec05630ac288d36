//! Connections to one endpoint that wait for their next request.
//!
//! Our own rather than a client library's: who balances must know which endpoint a connection leads to, and
//! whether a request was sent on it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;

use super::replay::RequestBody;

/// One connection. Whoever holds it may send one request at a time.
pub(crate) type Connection = SendRequest<RequestBody>;

/// Most recently used last.
#[derive(Debug, Default)]
pub(crate) struct IdleConnections {
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl IdleConnections {
    /// The most recently used one that is open, unless it has been idle longer than `age_max`.
    pub(crate) fn take(&self, age_max: Duration, now: Instant) -> Option<Connection> {
        let mut idle = self.idle();
        // One whose answer has just been read may still be on its way to being ready; the one below it is.
        let index = idle.iter().rposition(|one| one.connection.is_ready())?;
        if now.saturating_duration_since(idle[index].since) > age_max {
            return None;
        }
        Some(idle.remove(index).connection)
    }

    /// Keeps a connection whose answer has been read to its end, and lets go of old and closed ones.
    pub(crate) fn put(&self, connection: Connection, idle_max: usize, age_max: Duration, now: Instant) {
        if connection.is_closed() {
            return;
        }
        let mut idle = self.idle();
        let is_old = |one: &Idle| now.saturating_duration_since(one.since) > age_max;
        let stale = idle.iter().take_while(|one| is_old(one) || one.connection.is_closed()).count();
        idle.drain(..stale);
        if idle.len() < idle_max {
            idle.push(Idle { connection, since: now });
        }
    }

    pub(crate) fn clear(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
