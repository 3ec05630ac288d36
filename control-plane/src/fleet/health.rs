//! When each node was last heard of. In memory only: heartbeats never touch the disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

/// What is known of a node's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Whether it has a stream open.
    pub connected: bool,
    /// When it last said anything; for a node without a stream, when that ended.
    pub at: Timestamp,
}

/// The memory of who was heard of when. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Health {
    nodes: Arc<Mutex<BTreeMap<String, Heard>>>,
    comings_and_goings: watch::Sender<u64>,
}

impl Default for Health {
    fn default() -> Self {
        Self { nodes: Arc::default(), comings_and_goings: watch::channel(0).0 }
    }
}

impl Health {
    /// The node said something.
    pub fn heard(&self, node: &str, at: Timestamp) {
        let before = self.insert(node, Heard { connected: true, at });
        if before.is_none_or(|before| !before.connected) {
            self.comings_and_goings.send_modify(|count| *count += 1);
        }
    }

    /// The node's stream ended.
    pub fn lost(&self, node: &str, at: Timestamp) {
        self.insert(node, Heard { connected: false, at });
        self.comings_and_goings.send_modify(|count| *count += 1);
    }

    /// All nodes that were heard of since the control plane started.
    #[must_use]
    pub fn nodes(&self) -> BTreeMap<String, Heard> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes whenever a node comes or goes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.comings_and_goings.subscribe()
    }

    fn insert(&self, node: &str, heard: Heard) -> Option<Heard> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).insert(node.to_owned(), heard)
    }
}
