//! A node says hello: what its Node object becomes. Pure.
//!
//! The node owns its capacity, addresses, system info and the labels that describe it; the cluster owns the pod
//! range, taints, `unschedulable` and whatever labels users added.

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::{Node, NodeSpec};
use manifests::Object;

use crate::change::Change;
use crate::snapshot::Snapshot;

#[cfg(test)]
mod tests;

/// The size of a node's pod range.
const POD_RANGE_PREFIX: u8 = 24;

/// Why a hello is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum RegistrationError {
    /// The Node of the hello is no v1.Node.
    #[error("the hello carries no v1.Node")]
    NotANode,
    /// The Node is another one than the certificate's.
    #[error("the certificate is of node {certificate}, the hello of node {hello}")]
    OtherNode {
        /// Who it is.
        certificate: String,
        /// Who it says that it is.
        hello: String,
    },
    /// Every pod range is taken.
    #[error("no pod range is left in {cluster_pod_cidr}: every /24 of it belongs to a node")]
    NoRange {
        /// The cluster's range.
        cluster_pod_cidr: Ipv4Net,
    },
    /// Another Node says that it is reached there.
    #[error(
        "{address} is the address of another node than {node}; if that is gone for good, delete its Node"
    )]
    AddressTaken {
        /// The address.
        address: String,
        /// Who claims it.
        node: String,
    },
    /// The range that the node asks for is another node's, or outside of the cluster's.
    #[error("the pod range {asked} cannot be given to node {node}")]
    RangeTaken {
        /// What it asked for.
        asked: String,
        /// Who asked.
        node: String,
    },
}

/// What the store is to do so that the node is known, and the pod range that the node has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Registration {
    /// To be submitted in this order.
    pub(super) changes: Vec<Change>,
    /// The node's pod range.
    pub(super) pod_cidr: String,
}

/// Takes the hello of the node named `name`.
///
/// # Errors
/// When the hello is not this node's, or there is no pod range for it.
pub(super) fn register(
    snapshot: &Snapshot,
    name: &str,
    hello: &[u8],
    cluster_pod_cidr: Ipv4Net,
) -> Result<Registration, RegistrationError> {
    let hello: Node = serde_json::from_slice(hello).map_err(|_| RegistrationError::NotANode)?;
    let said = hello.metadata.name.clone().unwrap_or_default();
    if said != name {
        return Err(RegistrationError::OtherNode { certificate: name.to_owned(), hello: said });
    }
    check_addresses(snapshot, name, &hello)?;
    let known = snapshot.find::<Node>("", name);
    let pod_cidr = pod_range(snapshot, name, &hello, cluster_pod_cidr)?;
    let mut node = hello;
    let spec = known.and_then(|(_, node)| node.spec.clone()).unwrap_or_default();
    node.spec =
        Some(NodeSpec { pod_cidr: Some(pod_cidr.clone()), pod_cidrs: Some(vec![pod_cidr.clone()]), ..spec });
    if let Some((_, known)) = known {
        keep_what_is_the_clusters(&mut node, known);
    }
    let object = Object::from_typed(&node);
    let mut status = object.clone();
    // The first change makes a new version; the status goes onto that.
    status.metadata_mut().remove("resourceVersion");
    let first = if known.is_some() { Change::Update(object) } else { Change::Create(object) };
    Ok(Registration { changes: vec![first, Change::UpdateStatus(status)], pod_cidr })
}

/// The version too: whoever changed the Node in between is not overwritten.
fn keep_what_is_the_clusters(node: &mut Node, known: &Node) {
    let said = std::mem::replace(&mut node.metadata, known.metadata.clone());
    node.metadata.labels.get_or_insert_default().extend(said.labels.unwrap_or_default());
    // Conditions are the node lifecycle controller's.
    if let (Some(status), Some(known)) = (&mut node.status, &known.status) {
        status.conditions.clone_from(&known.conditions);
    }
}

/// The range that the node has, else the one that it asks for, else the first that is free.
fn pod_range(
    snapshot: &Snapshot,
    name: &str,
    hello: &Node,
    cluster_pod_cidr: Ipv4Net,
) -> Result<String, RegistrationError> {
    if let Some((_, node)) = snapshot.find::<Node>("", name)
        && let Some(kept) = range(node)
    {
        return Ok(kept.to_owned());
    }
    let others: Vec<Ipv4Net> = others(snapshot, name).filter_map(|node| range(node)?.parse().ok()).collect();
    let is_free = |net: &Ipv4Net| !others.iter().any(|other| other.contains(net) || net.contains(other));
    if let Some(asked) = range(hello) {
        let net = asked.parse::<Ipv4Net>().ok();
        let taken = || RegistrationError::RangeTaken { asked: asked.to_owned(), node: name.to_owned() };
        let net = net.filter(|net| net.trunc() == *net && cluster_pod_cidr.contains(net) && is_free(net));
        return net.map(|net| net.to_string()).ok_or_else(taken);
    }
    let prefix = POD_RANGE_PREFIX.max(cluster_pod_cidr.prefix_len());
    let mut ranges = cluster_pod_cidr.subnets(prefix).into_iter().flatten();
    let free = ranges.find(is_free).map(|range| range.to_string());
    free.ok_or(RegistrationError::NoRange { cluster_pod_cidr })
}

fn range(node: &Node) -> Option<&str> {
    node.spec.as_ref()?.pod_cidr.as_deref()
}

fn others<'a>(snapshot: &'a Snapshot, name: &'a str) -> impl Iterator<Item = &'a Node> {
    snapshot.all::<Node>().filter(move |(stored, _)| *stored.key().name != *name).map(|(_, node)| node)
}

/// The addresses at which a node is reached.
pub(super) fn internal_addresses(node: &Node) -> impl Iterator<Item = &str> {
    let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    addresses.filter(|address| address.type_ == "InternalIP").map(|address| address.address.as_str())
}

/// Traffic to another node's pods must not be drawn away by claiming its address.
fn check_addresses(snapshot: &Snapshot, name: &str, hello: &Node) -> Result<(), RegistrationError> {
    for address in internal_addresses(hello) {
        if others(snapshot, name).any(|other| internal_addresses(other).any(|taken| taken == address)) {
            return Err(RegistrationError::AddressTaken {
                address: address.to_owned(),
                node: name.to_owned(),
            });
        }
    }
    Ok(())
}
