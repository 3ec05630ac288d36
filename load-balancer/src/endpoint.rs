//! One living endpoint: its load, its health, its counters, its kept connections.
//!
//! A [`Lease`] is the right to ask it once. While a lease lives the endpoint counts it as in flight, whatever
//! becomes of the task that holds it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::http::pool::IdleConnections;
use crate::pick::Load;
use crate::stats::{Counters, EndpointStats};

#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) target: String,
    pub(crate) counters: Arc<Counters>,
    pub(crate) idle: IdleConnections,
    /// It no longer exists: who waits for its answer may stop waiting.
    pub(crate) gone: CancellationToken,
    in_flight: AtomicU32,
    latency_us: AtomicU64,
    health: Mutex<Health>,
    drained: Notify,
}

impl Endpoint {
    pub(crate) fn new(address: SocketAddr, target: String, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Endpoint {
            address,
            target,
            counters,
            idle: IdleConnections::default(),
            gone: CancellationToken::new(),
            in_flight: AtomicU32::new(0),
            latency_us: AtomicU64::new(0),
            health: Mutex::default(),
            drained: Notify::new(),
        })
    }

    pub(crate) fn load(&self, tried: bool, now: Instant) -> Load {
        Load {
            in_flight: self.in_flight(),
            latency_us: self.latency_us.load(Ordering::Relaxed),
            well: self.health().is_well(now),
            tried,
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(crate) fn row(&self) -> EndpointStats {
        self.counters.row(Some(self.address), &self.target, self.in_flight())
    }

    /// Forgets what was held against it: its owner says that it is well.
    pub(crate) fn forgive(&self) {
        self.health().answered();
    }

    /// Waits until nothing is in flight.
    pub(crate) async fn wait_drained(&self) {
        loop {
            let notified = self.drained.notified();
            if self.in_flight() == 0 {
                return;
            }
            notified.await;
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to ask an endpoint once.
#[derive(Debug)]
pub(crate) struct Lease {
    endpoint: Arc<Endpoint>,
    taken_at: Instant,
}

impl Lease {
    pub(crate) fn new(endpoint: Arc<Endpoint>, now: Instant) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::AcqRel);
        Lease { endpoint, taken_at: now }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The head of an answer has come, or a connection stands.
    pub(crate) fn answered(&self, now: Instant) {
        let latency = now.saturating_duration_since(self.taken_at);
        self.endpoint.counters.latency.record(latency);
        let sample = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let before = self.endpoint.latency_us.load(Ordering::Relaxed);
        // An exponential average of the last eight or so. Two at once may lose a sample: it is a hint.
        let after = if before == 0 { sample } else { before - before / 8 + sample / 8 };
        self.endpoint.latency_us.store(after, Ordering::Relaxed);
        let mut health = self.endpoint.health();
        if !health.is_spotless() {
            health.answered();
        }
    }

    /// The endpoint could not be reached, or went away.
    pub(crate) fn unwell(&self, now: Instant) {
        self.endpoint.health().failed(now);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.endpoint.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.endpoint.drained.notify_waiters();
        }
    }
}
