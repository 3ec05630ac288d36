//! Which pod has which address of the node's range. Pure.
//!
//! Nothing is stored: after a restart of the agent every pod that lives on says its address again (`claim`)
//! before the first new one is asked for. Addresses are handed out in the order in which they became free, so that one
//! whose pod has just gone rests as long as possible: somebody may still be talking to it.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// The addresses of one node's range.
#[derive(Debug)]
pub(super) struct Addresses {
    range: Ipv4Net,
    free: VecDeque<Ipv4Addr>,
    held: BTreeMap<String, Ipv4Addr>,
}

/// Why an address cannot be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimRefused {
    OutsideRange,
    HeldByAnother,
    OwnerHasAnother,
}

impl Addresses {
    /// All of `range` but its ends and its first address, the gateway's.
    pub(super) fn new(range: Ipv4Net) -> Self {
        Self { range, free: range.hosts().skip(1).collect(), held: BTreeMap::new() }
    }

    pub(super) fn range(&self) -> Ipv4Net {
        self.range
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn of(&self, owner: &str) -> Option<Ipv4Addr> {
        self.held.get(owner).copied()
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = (&str, Ipv4Addr)> {
        self.held.iter().map(|(owner, ip)| (owner.as_str(), *ip))
    }

    /// The address that has been free for longest; `None` when there is none. `owner` must hold none yet.
    pub(super) fn take(&mut self, owner: &str) -> Option<Ipv4Addr> {
        let ip = self.free.pop_front()?;
        self.held.insert(owner.to_owned(), ip);
        Some(ip)
    }

    /// Gives `owner` the address that it says it has.
    pub(super) fn claim(&mut self, owner: &str, ip: Ipv4Addr) -> Result<(), ClaimRefused> {
        match self.held.get(owner) {
            Some(held) if *held == ip => return Ok(()),
            Some(_) => return Err(ClaimRefused::OwnerHasAnother),
            None => {}
        }
        if let Some(position) = self.free.iter().position(|free| *free == ip) {
            self.free.remove(position);
            self.held.insert(owner.to_owned(), ip);
            return Ok(());
        }
        let taken = self.held.values().any(|held| *held == ip);
        Err(if taken { ClaimRefused::HeldByAnother } else { ClaimRefused::OutsideRange })
    }

    /// Takes the owner's address back; it will be the last to be handed out again.
    pub(super) fn release(&mut self, owner: &str) -> Option<Ipv4Addr> {
        let ip = self.held.remove(owner)?;
        self.free.push_back(ip);
        Some(ip)
    }
}

#[cfg(test)]
mod tests;
