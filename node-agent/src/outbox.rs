//! What the node has to tell the control plane, kept small however slow the link is.
//!
//! Statuses are kept per pod, the newest only; events are a bounded queue whose oldest are dropped. The
//! outbox does not know whether anyone is connected: `link` drains it with `next` and, on a new stream,
//! says everything again with `rewind`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use proto::node_report::Report;
use proto::{Event, PodGone, PodRef, PodStatus, ServicesApplied};
use tokio::sync::Notify;

/// How many events may wait; beyond it the oldest are dropped: they are for users' eyes, not for decisions.
pub const EVENTS_MAX: usize = 1024;

/// Reports that wait for the link.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    statuses: BTreeMap<String, PodStatus>,
    unsent: BTreeSet<String>,
    gone: VecDeque<PodRef>,
    events: VecDeque<Event>,
    services_applied: Option<u64>,
}

impl Outbox {
    /// Replaces what is known of the pod.
    pub fn status(&self, pod: PodRef, status: Bytes) {
        let mut waiting = self.lock();
        waiting.unsent.insert(pod.uid.clone());
        waiting.statuses.insert(pod.uid.clone(), PodStatus { pod: Some(pod), status });
        drop(waiting);
        self.added.notify_one();
    }

    /// The pod ended and nothing of it is left; its status is not said any more.
    pub fn gone(&self, pod: PodRef) {
        let mut waiting = self.lock();
        waiting.unsent.remove(&pod.uid);
        waiting.statuses.remove(&pod.uid);
        waiting.gone.retain(|earlier| earlier.uid != pod.uid);
        waiting.gone.push_back(pod);
        drop(waiting);
        self.added.notify_one();
    }

    /// Something that a user would ask about.
    pub fn event(&self, event: Event) {
        let mut waiting = self.lock();
        if waiting.events.len() == EVENTS_MAX {
            waiting.events.pop_front();
        }
        waiting.events.push_back(event);
        drop(waiting);
        self.added.notify_one();
    }

    /// The services' table of this generation is in the kernel.
    pub fn services_applied(&self, generation: u64) {
        self.lock().services_applied = Some(generation);
        self.added.notify_one();
    }

    /// A new stream: every pod's status is to be said again.
    pub fn rewind(&self) {
        let mut waiting = self.lock();
        waiting.unsent = waiting.statuses.keys().cloned().collect();
        drop(waiting);
        self.added.notify_one();
    }

    /// The next report; waits until there is one. For one reader at a time. Cancel safe.
    pub async fn next(&self) -> Report {
        loop {
            if let Some(report) = self.lock().take() {
                return report;
            }
            self.added.notified().await;
        }
    }

    // A panic elsewhere leaves plain data that is still whole.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// What others wait for comes first; events come last.
    fn take(&mut self) -> Option<Report> {
        if let Some(generation) = self.services_applied.take() {
            return Some(Report::ServicesApplied(ServicesApplied { generation }));
        }
        if let Some(pod) = self.gone.pop_front() {
            return Some(Report::PodGone(PodGone { pod: Some(pod) }));
        }
        while let Some(uid) = self.unsent.pop_first() {
            if let Some(status) = self.statuses.get(&uid) {
                return Some(Report::PodStatus(status.clone()));
            }
        }
        self.events.pop_front().map(Report::Event)
    }
}

#[cfg(test)]
mod tests;
