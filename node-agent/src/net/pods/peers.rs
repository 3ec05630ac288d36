//! Which routes to other nodes' pods have to change. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::super::Peer;

/// Pod ranges of other nodes and the addresses that they are reached through.
pub(super) type Routed = BTreeMap<Ipv4Net, Ipv4Addr>;

/// The difference between what is routed and what should be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PeerChanges {
    pub(super) remove: Vec<Ipv4Net>,
    pub(super) set: Vec<Peer>,
}

/// What has to change so that exactly `peers` are routed. Ranges that overlap `own` are left out: the node's own
/// pods win, whoever claims them.
pub(super) fn compute_changes(routed: &Routed, peers: &[Peer], own: Ipv4Net) -> PeerChanges {
    let foreign = |peer: &&Peer| !own.contains(&peer.pod_cidr) && !peer.pod_cidr.contains(&own);
    let wanted: BTreeMap<Ipv4Net, &Peer> =
        peers.iter().filter(foreign).map(|peer| (peer.pod_cidr.trunc(), peer)).collect();
    PeerChanges {
        remove: routed.keys().filter(|range| !wanted.contains_key(range)).copied().collect(),
        set: wanted
            .iter()
            .filter(|(range, peer)| routed.get(range) != Some(&peer.address))
            .map(|(_, peer)| (*peer).clone())
            .collect(),
    }
}

#[cfg(test)]
mod tests;
