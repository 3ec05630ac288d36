//! Where pods go: filter the nodes that can take a pod, score those, take the best.
//!
//! Owns the decision alone. It works on a [`Cluster`], its own compact view of nodes and of what is placed on them;
//! each pod that it places is assumed to be there for the next one, so that a batch on one snapshot never promises
//! the same room twice. The registry checks the room again when the binding is made.
//!
//! - `cluster`: nodes, and what is left of them.
//! - `demand`: what one pod asks for, read once.
//! - `filter`: why a node cannot take a pod, with numbers.
//! - `score`: which of those that can is best.
//! - `verdict`: what becomes of a decision: a binding, or words for the user.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use rand::{Rng, RngExt};

use crate::snapshot::{Key, Snapshot, Stored};

mod cluster;
mod demand;
mod filter;
mod score;
mod spread;
mod verdict;

pub use cluster::{Cluster, NodeView};
pub use filter::Misfit;
pub use verdict::{Unschedulable, plan};

use demand::Demand;

/// Nodes that can take a pod, after which no more are looked for: the best of so many is good enough.
pub const FEASIBLE_MAX: usize = 100;
/// The scheduler that a pod asks for if it asks for none.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// What was decided about one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It goes to a node.
    Bind {
        /// The pod.
        pod: Key,
        /// Its uid.
        uid: Arc<str>,
        /// The node.
        node: Arc<str>,
    },
    /// No node can take it now.
    Unschedulable(Unschedulable),
}

/// The pods that wait for a node, the most urgent first.
pub fn pending(snapshot: &Snapshot) -> Vec<(&Arc<Stored>, &Pod)> {
    let mut pods: Vec<_> = snapshot.pods_on("").filter(|(_, pod)| is_ours(pod)).collect();
    pods.sort_by_cached_key(|(stored, pod)| {
        let priority = pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or_default();
        (std::cmp::Reverse(priority), stored.object().creation_timestamp(), stored.key().clone())
    });
    pods
}

fn is_ours(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let is_gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
    let is_named =
        spec.scheduler_name.as_deref().is_none_or(|name| name == DEFAULT_SCHEDULER || name.is_empty());
    crate::controllers::pods::is_active(pod) && is_named && !is_gated
}

/// Decides about each pod in turn, and keeps the room of those that it places.
pub fn schedule(cluster: &mut Cluster, pods: &[(&Arc<Stored>, &Pod)], rng: &mut impl Rng) -> Vec<Decision> {
    let mut decisions = Vec::with_capacity(pods.len());
    for (stored, pod) in pods {
        let demand = Demand::of(stored, pod, cluster);
        decisions.push(match select(cluster, &demand, rng) {
            Some(index) => {
                let node = Arc::clone(&cluster.nodes()[index].name);
                cluster.assume(index, stored, pod);
                Decision::Bind { pod: stored.key().clone(), uid: Arc::clone(stored.uid()), node }
            }
            None => Decision::Unschedulable(Unschedulable::of(stored, &demand, cluster)),
        });
    }
    decisions
}

/// The best of the nodes that can take the pod; chance decides between equals.
fn select(cluster: &Cluster, demand: &Demand<'_>, rng: &mut impl Rng) -> Option<usize> {
    let nodes = cluster.nodes();
    if nodes.is_empty() {
        return None;
    }
    // Everyone gets a turn to be looked at first.
    let start = rng.random_range(0..nodes.len());
    let order = (start..nodes.len()).chain(0..start);
    let feasible: Vec<usize> =
        order.filter(|index| filter::misfit(&nodes[*index], demand).is_none()).take(FEASIBLE_MAX).collect();
    let scores = score::scores(cluster, demand, &feasible);
    let best = *scores.iter().max()?;
    let winners: Vec<usize> = feasible
        .into_iter()
        .zip(scores)
        .filter(|(_, score)| *score == best)
        .map(|(index, _)| index)
        .collect();
    winners.get(rng.random_range(0..winners.len())).copied()
}

#[cfg(test)]
mod tests;
