//! What may be made and what must be restored. Pure.

use std::fmt;

use anyhow::bail;
use ipnet::Ipv4Net;
use node_agent::net::link::{Link, Route};

const SIGNATURE: &str = "minikube-ish cluster=";

/// What a bridge's alias says: whose it is, and whether the machine forwarded before it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) cluster: String,
    pub(super) forwarding: bool,
}

/// What becomes of the machine's forwarding when a cluster ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Restore {
    /// It was on before us.
    Nothing,
    /// Another cluster needs it still, and will restore it in our place.
    HandOver { index: u32, mark: Mark },
    /// Nobody of ours needs it any more.
    Off,
}

impl Mark {
    pub(super) fn parse(alias: &str) -> Option<Self> {
        let (cluster, forwarding) = alias.strip_prefix(SIGNATURE)?.split_once(" forwarding=")?;
        Some(Self { cluster: cluster.to_owned(), forwarding: forwarding == "on" })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forwarding = if self.forwarding { "on" } else { "off" };
        write!(f, "{SIGNATURE}{} forwarding={forwarding}", self.cluster)
    }
}

/// Whether the range is free on this machine; `bridge` is this cluster's own, if it is there already.
pub(super) fn check(
    range: Ipv4Net,
    routes: &[Route],
    links: &[Link],
    bridge: Option<u32>,
) -> anyhow::Result<()> {
    let overlaps = |other: &Ipv4Net| range.contains(other) || other.contains(&range);
    let foreign = |route: &&Route| {
        let ours = bridge.is_some() && route.device == bridge || route.is_ours_to_nowhere(range);
        !ours && route.destination.prefix_len() > 0 && overlaps(&route.destination)
    };
    let Some(taken) = routes.iter().find(foreign) else { return Ok(()) };
    let device = links.iter().find(|link| Some(link.index) == taken.device);
    let device = device.map_or("nowhere", |link| link.name.as_str());
    bail!(
        "--cluster-cidr {range} is in use on this machine: there is a route to {} through {device}; \
         choose a range that nothing here is routed to, e.g. --cluster-cidr 10.128.0.0/14",
        taken.destination
    )
}

/// What must be done about forwarding when the cluster of `mark` ends.
pub(super) fn compute_restore(mark: &Mark, links: &[Link]) -> Restore {
    if mark.forwarding {
        return Restore::Nothing;
    }
    let mut others = links.iter().filter_map(|link| Some((link.index, Mark::parse(&link.alias)?)));
    match others.find(|(_, other)| other.cluster != mark.cluster) {
        Some((index, other)) => Restore::HandOver { index, mark: Mark { forwarding: false, ..other } },
        None => Restore::Off,
    }
}

/// The MTU of the machine's own way out: nodes must not send what it cannot carry.
pub(super) fn outward_mtu(routes: &[Route], links: &[Link]) -> Option<u32> {
    let default = routes.iter().find(|route| route.destination.prefix_len() == 0)?;
    links.iter().find(|link| Some(link.index) == default.device).map(|link| link.mtu)
}

#[cfg(test)]
mod tests;
