//! The events that are still remembered, and the watchers that read them, each at its own pace.
//!
//! A watcher holds nothing but the revision that it has read to: a slow one costs no memory, and one that the ring
//! has overtaken is told to list again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::state::Event;
use crate::registry::Status;
use crate::snapshot::Snapshot;

/// How many events are remembered.
pub const RING_EVENTS_MAX: usize = 16_384;
/// How many bytes of JSON the remembered events may have.
pub const RING_MAX_BYTES: usize = 64 * 1024 * 1024;
/// How many events a watcher takes at a time.
const READ_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Ring(Mutex<Events>);

#[derive(Debug)]
struct Events {
    /// Everything after this revision is still here.
    floor: u64,
    newest: u64,
    bytes: usize,
    events: VecDeque<Arc<Event>>,
}

impl Ring {
    /// A ring that remembers what comes after `revision`.
    pub(super) fn new(revision: u64) -> Self {
        Self(Mutex::new(Events { floor: revision, newest: revision, bytes: 0, events: VecDeque::new() }))
    }

    pub(super) fn push(&self, events: impl IntoIterator<Item = Arc<Event>>) {
        let mut ring = self.lock();
        for event in events {
            ring.newest = event.revision;
            ring.bytes += event.encoded.len();
            ring.events.push_back(event);
        }
        ring.forget();
    }

    fn read(&self, after: u64) -> Result<Vec<Arc<Event>>, Status> {
        let ring = self.lock();
        if after < ring.floor || after > ring.newest {
            return Err(Status::expired(after, ring.floor));
        }
        let first = ring.events.partition_point(|event| event.revision <= after);
        Ok(ring.events.iter().skip(first).take(READ_MAX).cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Events> {
        // A panic while it was held left at worst a few events out; floor and order hold at every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events {
    fn forget(&mut self) {
        while self.events.len() > RING_EVENTS_MAX || self.bytes > RING_MAX_BYTES {
            let Some(event) = self.events.pop_front() else { return };
            self.bytes -= event.encoded.len();
            self.floor = event.revision;
        }
    }
}

/// One reader of the events.
#[derive(Debug)]
pub struct Watch {
    ring: Arc<Ring>,
    published: watch::Receiver<Snapshot>,
    read_to: u64,
    buffer: VecDeque<Arc<Event>>,
}

impl Watch {
    pub(super) fn new(
        ring: Arc<Ring>,
        mut published: watch::Receiver<Snapshot>,
        after_revision: u64,
    ) -> Result<Self, Status> {
        published.mark_unchanged();
        let buffer = ring.read(after_revision)?.into();
        Ok(Self { ring, published, read_to: after_revision, buffer })
    }

    /// The next event; waits for it. Cancelling loses nothing.
    ///
    /// # Errors
    ///
    /// 410 if this watcher was too slow and events are lost to it; 503 when the store has stopped.
    pub async fn next(&mut self) -> Result<Arc<Event>, Status> {
        loop {
            if let Some(event) = self.buffer.pop_front() {
                self.read_to = event.revision;
                return Ok(event);
            }
            self.buffer = self.ring.read(self.read_to)?.into();
            if self.buffer.is_empty() {
                self.published.changed().await.map_err(|_| super::stopped())?;
            }
        }
    }

    /// The revision up to which nothing is missing: that of the last event taken, or, with no event left to take,
    /// that of the store.
    pub fn read_to(&self) -> u64 {
        self.read_to
    }
}

#[cfg(test)]
mod tests;
