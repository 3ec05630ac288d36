//! What is heard of each node, in memory only: heartbeats never touch the disk.

use jiff::Timestamp;
use tokio::sync::watch;

use crate::controllers::node::{NodeHealth, Signal};

/// Who was heard of, and who fell silent; it changes only when a node comes or goes, not at each heartbeat.
#[derive(Debug)]
pub(super) struct Health {
    heard: watch::Sender<NodeHealth>,
}

impl Health {
    /// Begins to listen.
    pub(super) fn listening_since(now: Timestamp) -> Self {
        let health = NodeHealth { listening_since: now, ..NodeHealth::default() };
        Self { heard: watch::channel(health).0 }
    }

    /// What is heard, as it changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<NodeHealth> {
        self.heard.subscribe()
    }

    /// The node said something, or stopped saying anything.
    pub(super) fn note(&self, node: &str, signal: Signal) {
        self.heard.send_if_modified(|health| {
            if health.signals.get(node) == Some(&signal) {
                return false;
            }
            health.signals.insert(node.into(), signal);
            true
        });
    }
}
