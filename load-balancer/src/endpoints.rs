//! What a new table changes in a backend. Pure.
//!
//! ```text
//!            Add                Drain                Remove, once nobody uses it
//!   (none) ───────▶ Ready ◀──────────────▶ Draining ───────▶ (none)
//!     │                       Revive          ▲
//!     └──────────────── Add ──────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::table::EndpointSpec;

#[cfg(test)]
mod tests;

/// Whether an endpoint gets anything new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It does. Next: `Draining`, or gone.
    Ready,
    /// It finishes what it has. Next: `Ready`, or gone.
    Draining,
}

/// One step from the set that is to the set that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A new endpoint.
    Add(EndpointSpec),
    /// It may get something new again.
    Revive(SocketAddr),
    /// Nothing new for it.
    Drain(SocketAddr),
    /// It no longer exists: nothing new, and what waits for its answer need not wait.
    Remove(SocketAddr),
}

/// All changes, removals first. Of an address named twice, the first counts.
pub(crate) fn plan_changes(current: &BTreeMap<SocketAddr, Standing>, wanted: &[EndpointSpec]) -> Vec<Change> {
    let named: BTreeSet<SocketAddr> = wanted.iter().map(|spec| spec.address).collect();
    let gone = current.keys().filter(|address| !named.contains(address));
    let mut changes: Vec<Change> = gone.map(|address| Change::Remove(*address)).collect();
    let mut seen = BTreeSet::new();
    for spec in wanted.iter().filter(|spec| seen.insert(spec.address)) {
        match (current.get(&spec.address), spec.ready) {
            (None, _) => changes.push(Change::Add(spec.clone())),
            (Some(Standing::Ready), false) => changes.push(Change::Drain(spec.address)),
            (Some(Standing::Draining), true) => changes.push(Change::Revive(spec.address)),
            (Some(Standing::Ready), true) | (Some(Standing::Draining), false) => {}
        }
    }
    changes
}
