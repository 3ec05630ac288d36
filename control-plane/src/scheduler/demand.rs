//! What one pod asks of a node, read once before all nodes are held against it.

use std::net::{IpAddr, Ipv4Addr};

use k8s_openapi::api::core::v1::{
    NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, PreferredSchedulingTerm, Toleration,
};
use manifests::pod::{Resources, requests};
use manifests::selector::{Requirement, Test};

use super::cluster::{Cluster, NodeView};
use super::spread::Spread;
use crate::controllers::{node, owner};
use crate::snapshot::Stored;

/// A pod's demands.
#[derive(Debug)]
pub(super) struct Demand<'a> {
    pub(super) requests: Resources,
    /// Whose pod it is: pods of one owner keep apart.
    pub(super) owner: Option<&'a str>,
    node_selector: Vec<(&'a str, &'a str)>,
    /// `None`: any node will do.
    required: Option<Vec<Term>>,
    preferred: Vec<(i64, Term)>,
    tolerations: &'a [Toleration],
    pub(super) ports: Vec<HostPort>,
    pub(super) spreads: Vec<Spread>,
}

impl<'a> Demand<'a> {
    /// Reads a pod's spec.
    pub(super) fn of(stored: &Stored, pod: &'a Pod, cluster: &Cluster) -> Self {
        let spec = pod.spec.as_ref();
        let affinity = spec.and_then(|spec| spec.affinity.as_ref()?.node_affinity.as_ref());
        let required = affinity
            .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref())
            .map(|selector| selector.node_selector_terms.iter().map(Term::of).collect());
        let preferred = affinity
            .and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_ref())
            .map(|terms| terms.iter().map(weighted).collect())
            .unwrap_or_default();
        let labels = spec.and_then(|spec| spec.node_selector.as_ref()).into_iter().flatten();
        Self {
            requests: spec.map(requests).unwrap_or_default(),
            owner: owner::controller(&pod.metadata).map(|owner| owner.uid.as_str()),
            node_selector: labels.map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            required,
            preferred,
            tolerations: spec.and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default(),
            ports: host_ports(pod).collect(),
            spreads: spec.map(|spec| spreads(stored, pod, spec, cluster)).unwrap_or_default(),
        }
    }

    /// Whether the node is one of those that the pod may be on, by nodeSelector and required affinity.
    pub(super) fn selects(&self, node: &NodeView) -> bool {
        let has_label =
            |(key, value): &(&str, &str)| node.labels.get(*key).is_some_and(|label| label == value);
        let is_required = |terms: &Vec<Term>| terms.iter().any(|term| term.matches(node));
        self.node_selector.iter().all(has_label) && self.required.as_ref().is_none_or(is_required)
    }

    /// The first taint with one of these effects that the pod does not tolerate.
    pub(super) fn untolerated(&self, node: &NodeView, effects: &[&str]) -> Option<usize> {
        let is_tolerated =
            |taint| self.tolerations.iter().any(|toleration| node::tolerates(toleration, taint));
        node.taints.iter().position(|taint| effects.contains(&&*taint.effect) && !is_tolerated(taint))
    }

    /// How many taints the pod would rather not have.
    pub(super) fn disliked_taints(&self, node: &NodeView) -> usize {
        let is_tolerated =
            |taint| self.tolerations.iter().any(|toleration| node::tolerates(toleration, taint));
        node.taints.iter().filter(|taint| taint.effect == "PreferNoSchedule" && !is_tolerated(taint)).count()
    }

    /// The sum of the weights of the preferences that the node meets.
    pub(super) fn preference(&self, node: &NodeView) -> i64 {
        self.preferred.iter().filter(|(_, term)| term.matches(node)).map(|(weight, _)| weight).sum()
    }
}

fn weighted(preferred: &PreferredSchedulingTerm) -> (i64, Term) {
    (preferred.weight.into(), Term::of(&preferred.preference))
}

fn spreads(stored: &Stored, pod: &Pod, spec: &PodSpec, cluster: &Cluster) -> Vec<Spread> {
    let constraints = spec.topology_spread_constraints.iter().flatten();
    constraints
        .filter_map(|constraint| Spread::of(constraint, &stored.key().namespace, pod, cluster))
        .collect()
}

/// A term of a node selector: all of it must hold.
#[derive(Debug)]
struct Term {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
    /// An empty term, or one that does not read as one, selects nothing.
    is_void: bool,
}

impl Term {
    fn of(term: &NodeSelectorTerm) -> Self {
        let read = |requirements: &Option<Vec<NodeSelectorRequirement>>| -> Option<Vec<Requirement>> {
            requirements.iter().flatten().map(requirement).collect()
        };
        match (read(&term.match_expressions), read(&term.match_fields)) {
            (Some(labels), Some(fields)) => {
                Self { is_void: labels.is_empty() && fields.is_empty(), labels, fields }
            }
            _ => Self { labels: Vec::new(), fields: Vec::new(), is_void: true },
        }
    }

    fn matches(&self, node: &NodeView) -> bool {
        let label = |key: &str| node.labels.get(key).map(String::as_str);
        let field = |key: &str| (key == "metadata.name").then_some(&*node.name);
        !self.is_void
            && self.labels.iter().all(|requirement| requirement.test.holds(label(&requirement.key)))
            && self.fields.iter().all(|requirement| requirement.test.holds(field(&requirement.key)))
    }
}

fn requirement(requirement: &NodeSelectorRequirement) -> Option<Requirement> {
    let values = requirement.values.clone().unwrap_or_default();
    let number = || values.first()?.parse().ok();
    let test = match requirement.operator.as_str() {
        "In" => Test::In(values),
        "NotIn" => Test::NotIn(values),
        "Exists" => Test::Exists,
        "DoesNotExist" => Test::Absent,
        "Gt" => Test::GreaterThan(number()?),
        "Lt" => Test::LessThan(number()?),
        _ => return None,
    };
    Some(Requirement { key: requirement.key.clone(), test })
}

/// A port of the node itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostPort {
    pub(super) port: i32,
    ip: IpAddr,
    is_udp: bool,
}

impl HostPort {
    pub(super) fn clashes_with(self, other: Self) -> bool {
        let is_same_ip = self.ip == other.ip || self.ip.is_unspecified() || other.ip.is_unspecified();
        self.port == other.port && self.is_udp == other.is_udp && is_same_ip
    }
}

/// The ports of its node that a pod asks for.
pub(super) fn host_ports(pod: &Pod) -> impl Iterator<Item = HostPort> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports.filter_map(|port| {
        let ip =
            port.host_ip.as_deref().and_then(|ip| ip.parse().ok()).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        Some(HostPort {
            port: port.host_port.filter(|port| *port > 0)?,
            ip,
            is_udp: port.protocol.as_deref() == Some("UDP"),
        })
    })
}
