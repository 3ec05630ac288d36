//! The cluster's memory: one writer, a revision for every change, and a disk that has it before anybody is told.
//!
//!     submit ─▶ queue ─▶ writer: registry::apply on its own state ─▶ one disk commit for the batch
//!                                                                      ├─ failed: nothing happened, all are refused
//!                                                                      └─ done:   ring, snapshot, then the answers
//!
//! Reads never wait: they take the published [`Snapshot`]. Watchers read the ring of recent events at their own pace;
//! who falls behind it is told so ([`Reason::Expired`](crate::registry::Reason::Expired)) and lists again. What a
//! change *means* is the registry's business; the pure half, [`State`], needs no disk and no thread.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::change::Change;
use crate::registry::{Reason, Settings, Status};
use crate::snapshot::Snapshot;

mod disk;
mod ring;
mod state;
mod writer;

pub use disk::StoreError;
pub use ring::{RING_EVENTS_MAX, RING_MAX_BYTES, Watch};
pub use state::{Event, EventType, OBJECT_MAX_BYTES, Outcome, State};

use ring::Ring;
use writer::{Request, Writer};

/// How many submissions may wait for the writer.
pub const QUEUE_MAX: usize = 4096;
/// How long a submission waits for room in the queue before it is refused.
pub const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// The store. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    queue: mpsc::Sender<Request>,
    published: watch::Receiver<Snapshot>,
    ring: Arc<Ring>,
    settings: Arc<Settings>,
}

impl Store {
    /// Opens the store in a folder of its own, or founds it there.
    ///
    /// Blocks while it reads everything into memory.
    ///
    /// # Errors
    ///
    /// If the folder cannot be used, is in use, or holds what is no store of ours.
    pub fn open(path: &Path, settings: Settings) -> Result<Self, StoreError> {
        let (disk, state) = disk::Disk::open(path)?;
        let settings = Arc::new(settings);
        let ring = Arc::new(Ring::new(state.snapshot().revision()));
        let (publish, published) = watch::channel(state.snapshot().clone());
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let writer = Writer::new(disk, state, Arc::clone(&ring), publish, Arc::clone(&settings));
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(requests))
            .map_err(StoreError::Thread)?;
        Ok(Self { queue, published, ring, settings })
    }

    /// Everything, as of the last commit. Costs nothing.
    pub fn snapshot(&self) -> Snapshot {
        self.published.borrow().clone()
    }

    /// A receiver that is woken at each commit, for those who look at the whole state.
    pub fn published(&self) -> watch::Receiver<Snapshot> {
        self.published.clone()
    }

    /// Makes one change. When it returns `Ok` the change is on disk and visible.
    ///
    /// # Errors
    ///
    /// The registry's refusal; 503 if the disk did not take it; 429 if too many are waiting.
    pub async fn submit(&self, change: Change) -> Result<Outcome, Status> {
        let mut outcomes = self.submit_all(vec![change]).await?;
        outcomes.pop().ok_or_else(|| Status::internal("the store gave no answer"))?
    }

    /// Makes several changes in order and in one commit. Each stands for itself: one that is refused does not keep
    /// the others from being made.
    ///
    /// # Errors
    ///
    /// If none of them was tried.
    pub async fn submit_all(&self, changes: Vec<Change>) -> Result<Vec<Result<Outcome, Status>>, Status> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Submit { changes, answer }).await?;
        answered.await.map_err(|_| stopped())
    }

    /// What a change would do, without doing it.
    ///
    /// # Errors
    ///
    /// The registry's refusal.
    pub fn dry_run(&self, change: Change) -> Result<Outcome, Status> {
        let mut state = State::from(self.snapshot());
        writer::with_context(&self.settings, |context| state.apply(change, context))
            .map(|(_, outcome)| outcome)
    }

    /// Every event after a revision, and then those to come.
    ///
    /// # Errors
    ///
    /// 410 if the events after that revision are no longer remembered.
    pub fn watch(&self, after_revision: u64) -> Result<Watch, Status> {
        Watch::new(Arc::clone(&self.ring), self.published.clone(), after_revision)
    }

    /// Finishes what was submitted before and lets go of the disk; later submissions are refused.
    pub async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.ask(Request::Close { answer }).await.is_ok() {
            // An error means that another `close` was first, which is just as good.
            let _closed = answered.await;
        }
    }

    async fn ask(&self, request: Request) -> Result<(), Status> {
        self.queue.send_timeout(request, QUEUE_WAIT).await.map_err(|error| match error {
            mpsc::error::SendTimeoutError::Timeout(_) => {
                Status::new(Reason::TooManyRequests, "too many writes are waiting for the store")
                    .retry_after(1)
            }
            mpsc::error::SendTimeoutError::Closed(_) => stopped(),
        })
    }
}

fn stopped() -> Status {
    Status::unavailable("the store has been stopped")
}

#[cfg(test)]
mod tests;
