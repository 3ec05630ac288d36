//! The shell around the controllers and the scheduler: what happens in the store says whom to ask, what they answer
//! goes to the store.
//!
//!     events ─▶ wake ─▶ Agenda (who is to be asked, and when) ─▶ plans, all on one snapshot ─▶ one commit
//!                          ▲                                                                      │
//!                          └──────── again at once, later, or when something happens ◀────────────┘
//!
//! One task does it all. The store shows a commit before it answers, so the next round always sees what the last one
//! did, and no expectations need be kept. Nothing polls: without an event or a timer nobody is asked.

use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::controllers::Facts;
use crate::controllers::node::Signal;
use crate::fleet::health::{Health, Heard};
use crate::snapshot::Snapshot;
use crate::store::{Store, Watch};

mod agenda;
mod attention;
mod wake;

pub use agenda::{Agenda, Batch, Work};
pub use attention::Attention;
use attention::PULSE_INTERVAL;
pub use wake::{front_changed, nodes_changed, wakes};

/// How long after a commit that the store did not take the next one is tried.
const STORE_RETRY: std::time::Duration = std::time::Duration::from_millis(200);
/// Events that are taken in before the next decision.
const EVENTS_PER_ROUND_MAX: usize = 10_000;

/// The running controllers and scheduler.
#[derive(Debug)]
pub struct Manager {
    task: JoinHandle<()>,
}

impl Manager {
    /// Starts them; they run until `shutdown`. `front` is what the front last said of itself.
    #[must_use]
    pub fn start(
        store: Store,
        health: &Health,
        front: watch::Receiver<Value>,
        shutdown: CancellationToken,
    ) -> Self {
        let attention = Pulse(Arc::new(Mutex::new(Attention::new(clock::now()))));
        let shell = Shell { store, health: health.clone(), front, attention: attention.clone() };
        let task = tokio::spawn(async move {
            tokio::select! {
                () = shell.run() => {}
                () = attention.beat() => {}
                () = shutdown.cancelled() => {}
            }
        });
        Self { task }
    }

    /// Waits for their end.
    pub async fn join(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the controllers' task ended badly");
        }
    }
}

struct Shell {
    store: Store,
    health: Health,
    front: watch::Receiver<Value>,
    attention: Pulse,
}

/// Our attention, which is noted beside the work: a commit may take its time.
#[derive(Debug, Clone)]
struct Pulse(Arc<Mutex<Attention>>);

impl Pulse {
    async fn beat(&self) {
        loop {
            tokio::time::sleep(PULSE_INTERVAL).await;
            self.note();
        }
    }

    /// Notes the time, and says what our attention is now.
    fn note(&self) -> Attention {
        let mut attention = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        attention.note(clock::now());
        *attention
    }
}

impl Shell {
    /// Works; begins with a full pass, and begins again with one should it ever lose the thread.
    async fn run(mut self) {
        loop {
            let snapshot = self.store.snapshot();
            let mut agenda = Agenda::default();
            agenda.plan_full_pass(&snapshot, clock::now());
            let Ok(mut events) = self.store.watch(snapshot.revision()) else { continue };
            // It returns as well when the clock cannot be trusted.
            if let Err(refusal) = self.work(&mut agenda, &mut events).await {
                tracing::warn!(refusal = %refusal.message, "the controllers begin again with a full pass");
                tokio::time::sleep(STORE_RETRY).await;
            }
        }
    }

    async fn work(&mut self, agenda: &mut Agenda, events: &mut Watch) -> Result<(), crate::registry::Status> {
        let mut comings = self.health.changes();
        let mut front = self.front.clone();
        let since = self.attention.note().since();
        loop {
            if self.attention.note().since() != since {
                // Timers were set by a time that is no more.
                tracing::warn!("we were stopped, or the clock was set: nodes get time to call");
                return Ok(());
            }
            self.take_events(agenda, events)?;
            let snapshot = self.store.snapshot();
            let batch = agenda.decide(&snapshot, &self.facts(), &mut rand::rng());
            if !batch.is_empty() {
                self.commit(agenda, batch).await;
                continue;
            }
            let wait = agenda.next_due().map(|due| remaining(due, clock::now()));
            tokio::select! {
                event = events.next() => agenda.observe(&*event?, &self.store.snapshot()),
                Ok(()) = comings.changed() => nodes_changed(&self.store.snapshot(), |work| agenda.add(work)),
                Ok(()) = front.changed() => front_changed(&self.store.snapshot(), |work| agenda.add(work)),
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
    }

    /// Takes in what has happened, without waiting for more.
    fn take_events(&self, agenda: &mut Agenda, events: &mut Watch) -> Result<(), crate::registry::Status> {
        let mut snapshot: Option<Snapshot> = None;
        for _ in 0..EVENTS_PER_ROUND_MAX {
            let Some(event) = events.next().now_or_never() else { break };
            agenda.observe(&*event?, snapshot.get_or_insert_with(|| self.store.snapshot()));
        }
        Ok(())
    }

    async fn commit(&self, agenda: &mut Agenda, mut batch: Batch) {
        for reason in &batch.reasons {
            tracing::debug!("{reason}");
        }
        match self.store.submit_all(std::mem::take(&mut batch.changes)).await {
            Ok(results) => {
                let refusals = results.into_iter().map(Result::err).collect();
                agenda.settle(batch, refusals, &self.store.snapshot(), clock::now());
            }
            Err(refusal) => {
                tracing::warn!(refusal = %refusal.message, "the store did not take what the controllers decided");
                agenda.abandon(batch, &self.store.snapshot());
                tokio::time::sleep(STORE_RETRY).await;
            }
        }
    }

    fn facts(&self) -> Facts {
        let signal =
            |heard: Heard| if heard.connected { Signal::Heard(heard.at) } else { Signal::Lost(heard.at) };
        let signals = self.health.nodes().into_iter().map(|(node, heard)| (node, signal(heard)));
        Facts {
            now: clock::now(),
            node_health: Arc::new(self.attention.note().health(signals)),
            front: front_address(&self.front.borrow()),
        }
    }
}

/// The host part of where the front says that it is reached.
fn front_address(front: &Value) -> Option<Arc<str>> {
    let address = front["httpAddress"].as_str()?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    (!host.is_empty()).then(|| host.into())
}

fn remaining(due: Timestamp, now: Timestamp) -> std::time::Duration {
    std::time::Duration::try_from(due.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
