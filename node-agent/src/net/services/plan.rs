//! What has to change in the kernel's service tables. Pure: old and new in, a list of changes out.
//!
//! A *frontend* is what a client dials: a service address or a port of the node. Each has a chain of its own, which
//! holds the choice among its *backends* (or the refusal, if there are none), and an element in a map that leads to
//! that chain. So a change of endpoints rewrites one chain, and a new service adds one chain and one element,
//! however many services there are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;

/// A transport protocol that services can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

/// What a client dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Frontend {
    Cluster { ip: Ipv4Addr, protocol: Protocol, port: u16 },
    Node { protocol: Protocol, port: u16 },
}

/// Where new connections go; sorted, each once.
pub(super) type Backends = Vec<SocketAddrV4>;

/// A frontend as it is, or is to be, in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// `namespace/name` of the service, for the one who reads `nft list ruleset`.
    pub(super) service: String,
    pub(super) backends: Backends,
}

/// All frontends that are in the kernel.
pub(super) type Installed = BTreeMap<Frontend, Rule>;

/// One change; a list of them is one transaction, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Remove(Frontend),
    Add(Frontend, Rule),
    SetBackends(Frontend, Rule),
    RemoveHairpin(Ipv4Addr),
    AddHairpin(Ipv4Addr),
}

impl Protocol {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "TCP" | "" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            _ => None,
        }
    }

    /// As in the IP header.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl Frontend {
    pub(super) fn protocol(self) -> Protocol {
        match self {
            Self::Cluster { protocol, .. } | Self::Node { protocol, .. } => protocol,
        }
    }

    pub(super) fn chain(self) -> String {
        match self {
            Self::Cluster { ip, protocol, port } => format!("service-{ip}-{}-{port}", protocol.name()),
            Self::Node { protocol, port } => format!("node-port-{}-{port}", protocol.name()),
        }
    }
}

/// The frontends of one service. Endpoints in `down` are known here to be gone, whatever the table says.
pub(super) fn compute_frontends(service: &proto::Service, down: &BTreeSet<Ipv4Addr>) -> Installed {
    let name = format!("{}/{}", service.namespace, service.name);
    let cluster_ip: Option<Ipv4Addr> = service.cluster_ip.parse().ok();
    let mut frontends = Installed::new();
    for port in &service.ports {
        let Some(protocol) = Protocol::parse(&port.protocol) else { continue };
        let rule = Rule { service: name.clone(), backends: compute_backends(port, down) };
        let cluster = cluster_ip.zip(number(port.port));
        let node = number(port.node_port);
        frontends.extend(cluster.map(|(ip, port)| (Frontend::Cluster { ip, protocol, port }, rule.clone())));
        frontends.extend(node.map(|port| (Frontend::Node { protocol, port }, rule)));
    }
    frontends
}

/// The changes that lead from `installed` to `wanted`, for the services `touched`. A frontend that a service
/// outside `touched` has stays with it: the control plane gives out each address and port once, so that
/// is a passing state, and the later change decides.
pub(super) fn compute_changes(
    installed: &Installed,
    wanted: &Installed,
    touched: &BTreeSet<String>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (frontend, rule) in installed {
        if touched.contains(&rule.service) && !wanted.contains_key(frontend) {
            changes.push(Change::Remove(*frontend));
        }
    }
    for (frontend, rule) in wanted {
        match installed.get(frontend) {
            None => changes.push(Change::Add(*frontend, rule.clone())),
            Some(old) if old == rule || !touched.contains(&old.service) => {}
            Some(_) => changes.push(Change::SetBackends(*frontend, rule.clone())),
        }
    }
    changes
}

/// The pods of this node that may meet themselves through a service: what they send must come back through the
/// node, so that the translation can be undone.
pub(super) fn compute_hairpins(installed: &Installed, own: Ipv4Net) -> BTreeSet<Ipv4Addr> {
    let backends = installed.values().flat_map(|rule| &rule.backends);
    backends.map(|backend| *backend.ip()).filter(|ip| own.contains(ip)).collect()
}

/// The changes between two sets of hairpins.
pub(super) fn compute_hairpin_changes(old: &BTreeSet<Ipv4Addr>, new: &BTreeSet<Ipv4Addr>) -> Vec<Change> {
    let removed = old.difference(new).copied().map(Change::RemoveHairpin);
    removed.chain(new.difference(old).copied().map(Change::AddHairpin)).collect()
}

/// The UDP backends that lose a frontend. The kernel would go on sending to them what belongs to a flow that it
/// has translated before, for as long as the client keeps talking; TCP notices by itself.
pub(super) fn compute_vanished_udp(installed: &Installed, changes: &[Change]) -> BTreeSet<SocketAddrV4> {
    let mut vanished = BTreeSet::new();
    for change in changes {
        let (frontend, kept): (_, &[SocketAddrV4]) = match change {
            Change::Remove(frontend) => (frontend, &[]),
            Change::SetBackends(frontend, rule) => (frontend, &rule.backends),
            Change::Add(..) | Change::RemoveHairpin(_) | Change::AddHairpin(_) => continue,
        };
        let before = installed.get(frontend).filter(|_| frontend.protocol() == Protocol::Udp);
        let backends = before.into_iter().flat_map(|rule| &rule.backends);
        vanished.extend(backends.filter(|backend| !kept.contains(backend)));
    }
    vanished
}

/// What is in the kernel once the changes are made.
pub(super) fn apply_changes(installed: &mut Installed, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Remove(frontend) => drop(installed.remove(frontend)),
            Change::Add(frontend, rule) | Change::SetBackends(frontend, rule) => {
                installed.insert(*frontend, rule.clone());
            }
            Change::RemoveHairpin(_) | Change::AddHairpin(_) => {}
        }
    }
}

fn compute_backends(port: &proto::ServicePort, down: &BTreeSet<Ipv4Addr>) -> Backends {
    let ready = port.endpoints.iter().filter(|endpoint| endpoint.ready && !endpoint.terminating);
    let mut backends: Backends = ready
        .filter_map(|endpoint| Some(SocketAddrV4::new(endpoint.ip.parse().ok()?, number(endpoint.port)?)))
        .filter(|backend| !down.contains(backend.ip()))
        .collect();
    backends.sort_unstable();
    backends.dedup();
    backends
}

/// A port from the wire, where 0 means none.
fn number(port: u32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests;
