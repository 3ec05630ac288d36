//! What a new table changes in a backend. Pure.
//!
//! ```text
//!            Add                Drain                Remove, once nobody uses it
//!   (none) ───────▶ Ready ◀──────────────▶ Draining ───────▶ (none)
//!     │                       Revive          ▲
//!     └──────────────── Add ──────────────────┘
//! ```

use std::collections::BTreeMap;
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

/// All changes, removals first. Of an address named twice, the one that is ready counts: the other's owner has
/// left it behind.
pub(crate) fn plan_changes(current: &BTreeMap<SocketAddr, Standing>, wanted: &[EndpointSpec]) -> Vec<Change> {
    let mut named: BTreeMap<SocketAddr, &EndpointSpec> = BTreeMap::new();
    for spec in wanted {
        let known = named.entry(spec.address).or_insert(spec);
        if spec.ready && !known.ready {
            *known = spec;
        }
    }
    let gone = current.keys().filter(|address| !named.contains_key(address));
    let mut changes: Vec<Change> = gone.map(|address| Change::Remove(*address)).collect();
    for (address, spec) in named {
        match (current.get(&address), spec.ready) {
            (None, _) => changes.push(Change::Add(spec.clone())),
            (Some(Standing::Ready), false) => changes.push(Change::Drain(address)),
            (Some(Standing::Draining), true) => changes.push(Change::Revive(address)),
            (Some(Standing::Ready), true) | (Some(Standing::Draining), false) => {}
        }
    }
    changes
}
