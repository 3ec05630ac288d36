//! Whether we were there to hear: a control plane that was stopped for a while, or whose clock was set, knows nothing
//! of what nodes said meanwhile, and must not judge them by what they said before.
//!
//! Owns the decision alone; whoever runs it notes the time often enough.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::controllers::node::{LEASE_DURATION, NodeHealth, Signal};

/// How often the time is to be noted.
pub(super) const PULSE_INTERVAL: Duration = Duration::from_millis(250);
/// Since when we have been there without a gap.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    since: Timestamp,
    seen: Timestamp,
}

impl Attention {
    /// We are there from now on.
    pub fn new(now: Timestamp) -> Self {
        Self { since: now, seen: now }
    }

    /// Since when we have been there.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Notes the time. Half a lease without a pulse, or as big a step back, means that we were not there.
    pub fn note(&mut self, now: Timestamp) {
        if now.duration_since(self.seen).unsigned_abs() > LEASE_DURATION / 2 {
            self.since = now;
        }
        self.seen = now;
    }

    /// What signals amount to: none is older than our attention, and none is of a time that a clock has taken back.
    pub fn health(&self, signals: impl IntoIterator<Item = (String, Signal)>) -> NodeHealth {
        let known = |at: Timestamp| if at > self.seen { self.since } else { at.max(self.since) };
        let signals: BTreeMap<String, Signal> = signals
            .into_iter()
            .map(|(node, signal)| match signal {
                Signal::Heard(at) => (node, Signal::Heard(known(at))),
                Signal::Lost(at) => (node, Signal::Lost(known(at))),
            })
            .collect();
        NodeHealth { listening_since: self.since, signals }
    }
}

#[cfg(test)]
mod tests;
