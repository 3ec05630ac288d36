//! One living endpoint: its load, its health, its counters, its kept connections.
//!
//! A [`Lease`] is the right to ask it once. While a lease lives the endpoint counts it as in flight, whatever
//! becomes of the task that holds it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::health::Health;
use crate::http::pool::IdleConnections;
use crate::latency::Latency;
use crate::pick::Load;
use crate::stats::{Counters, EndpointStats};

/// Whether it is worth waiting for an endpoint's answer, as far as its owner's tables tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// It is. Next: `Draining`, `Gone`.
    Ready,
    /// For a while: it finishes what it has, unless it is dead and nobody has said so yet. Next: `Ready`, `Gone`.
    Draining,
    /// It is not: it does not exist any more.
    Gone,
}

#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) target: String,
    pub(crate) counters: Arc<Counters>,
    pub(crate) idle: IdleConnections,
    outlook: watch::Sender<Outlook>,
    in_flight: AtomicU32,
    latency: Mutex<Latency>,
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
            outlook: watch::Sender::new(Outlook::Ready),
            in_flight: AtomicU32::new(0),
            latency: Mutex::default(),
            health: Mutex::default(),
            drained: Notify::new(),
        })
    }

    pub(crate) fn load(&self, tried: bool, now: Instant) -> Load {
        Load {
            in_flight: self.in_flight(),
            latency_us: self.latency().at(now),
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

    /// What its owner says of it now. One that is well again has nothing held against it.
    pub(crate) fn set_outlook(&self, outlook: Outlook) {
        self.outlook.send_replace(outlook);
        match outlook {
            Outlook::Ready => self.health().answered(),
            Outlook::Draining | Outlook::Gone => self.idle.clear(),
        }
    }

    /// Returns when its answer is no longer worth waiting for: it is gone, or has been draining for `patience`.
    pub(crate) async fn lost(&self, patience: Duration) {
        let mut outlook = self.outlook.subscribe();
        // The sender lives as long as `self`: waiting for it cannot fail.
        while outlook.wait_for(|outlook| *outlook != Outlook::Ready).await.is_ok() {
            let is_gone = *outlook.borrow() == Outlook::Gone;
            let news = outlook.wait_for(|outlook| *outlook != Outlook::Draining);
            if is_gone || timeout(patience, news).await.is_err() {
                return;
            }
        }
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

    fn latency(&self) -> MutexGuard<'_, Latency> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.endpoint.latency().sample(latency, now);
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
