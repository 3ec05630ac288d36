//! `topologySpreadConstraints`: pods that look alike keep their numbers even over zones, or nodes, or any other label.
//!
//! `minDomains`, `nodeAffinityPolicy` and `matchLabelKeys` are left out of account.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, TopologySpreadConstraint};
use manifests::selector::Selector;

use super::cluster::{Cluster, NodeView};

/// One constraint, and how many alike pods each domain has now.
#[derive(Debug)]
pub(super) struct Spread {
    topology_key: String,
    max_skew: u32,
    /// Otherwise only a preference.
    pub(super) is_required: bool,
    counts: BTreeMap<String, u32>,
    /// Whether the pod itself is one of those that are counted.
    own: u32,
}

impl Spread {
    /// Counts, for one pod. `None` if the constraint's selector does not read as one.
    pub(super) fn of(
        constraint: &TopologySpreadConstraint,
        namespace: &str,
        pod: &Pod,
        cluster: &Cluster,
    ) -> Option<Self> {
        let selector = Selector::from_label_selector(constraint.label_selector.as_ref()?).ok()?;
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for node in cluster.nodes() {
            let Some(domain) = node.labels.get(&constraint.topology_key) else { continue };
            let pods = node.placed.values().map(|placed| &placed.pod);
            let alike = pods.filter(|pod| &*pod.key().namespace == namespace && !pod.is_deleting());
            let count = alike.filter(|pod| selector.matches_object(pod.object())).count();
            *counts.entry(domain.clone()).or_default() += u32::try_from(count).unwrap_or(u32::MAX);
        }
        let is_own = pod.metadata.labels.as_ref().is_some_and(|labels| selector.matches(labels));
        Some(Self {
            topology_key: constraint.topology_key.clone(),
            max_skew: u32::try_from(constraint.max_skew).unwrap_or(1).max(1),
            is_required: constraint.when_unsatisfiable == "DoNotSchedule",
            counts,
            own: u32::from(is_own),
        })
    }

    /// How far the node's domain would be ahead of the emptiest one. `None` if the node is in no domain.
    pub(super) fn skew(&self, node: &NodeView) -> Option<u32> {
        let domain = node.labels.get(&self.topology_key)?;
        let here = self.counts.get(domain).copied().unwrap_or_default();
        let least = self.counts.values().min().copied().unwrap_or_default();
        Some((here + self.own).saturating_sub(least))
    }

    pub(super) fn allows(&self, node: &NodeView) -> bool {
        self.skew(node).is_some_and(|skew| skew <= self.max_skew)
    }
}
