//! Which of the nodes that can take a pod is best: each aspect gives 0 to 100, and counts by its weight.

use manifests::pod::Resources;

use super::cluster::{Cluster, NodeView};
use super::demand::Demand;

/// What a pod that asks for nothing is taken to need, so that such pods do not all go to one node.
const LEAST_REQUEST: Resources = Resources { milli_cpu: 100, memory_bytes: 200 * 1024 * 1024 };

const WEIGHT_OWNER: i64 = 3;
const WEIGHT_LEAST_ALLOCATED: i64 = 1;
const WEIGHT_BALANCED: i64 = 1;
const WEIGHT_FEWEST_PODS: i64 = 1;
const WEIGHT_PREFERENCE: i64 = 2;
const WEIGHT_TAINTS: i64 = 3;
const WEIGHT_SPREAD: i64 = 2;

/// One score for each of the nodes at these places.
pub(super) fn scores(cluster: &Cluster, demand: &Demand<'_>, feasible: &[usize]) -> Vec<i64> {
    let nodes: Vec<&NodeView> = feasible.iter().map(|index| &cluster.nodes()[*index]).collect();
    let owned = fewest(nodes.iter().map(|node| owned_pods(node, demand)));
    let pods = fewest(nodes.iter().map(|node| i64::try_from(node.pods()).unwrap_or(i64::MAX)));
    let preferences = most(nodes.iter().map(|node| demand.preference(node)));
    let taints =
        fewest(nodes.iter().map(|node| i64::try_from(demand.disliked_taints(node)).unwrap_or(i64::MAX)));
    let skews = fewest(nodes.iter().map(|node| skew(node, demand)));
    let score = |(at, node): (usize, &&NodeView)| {
        WEIGHT_OWNER * owned[at]
            + WEIGHT_FEWEST_PODS * pods[at]
            + WEIGHT_PREFERENCE * preferences[at]
            + WEIGHT_TAINTS * taints[at]
            + WEIGHT_SPREAD * skews[at]
            + WEIGHT_LEAST_ALLOCATED * least_allocated(node, demand)
            + WEIGHT_BALANCED * balanced(node, demand)
    };
    nodes.iter().enumerate().map(score).collect()
}

fn owned_pods(node: &NodeView, demand: &Demand<'_>) -> i64 {
    demand.owner.and_then(|owner| node.owners.get(owner)).copied().unwrap_or_default().into()
}

fn skew(node: &NodeView, demand: &Demand<'_>) -> i64 {
    let skews = demand.spreads.iter().map(|spread| spread.skew(node).map_or(i64::from(u32::MAX), i64::from));
    skews.sum()
}

/// 100 for the least, 0 for the most.
fn fewest(counts: impl Iterator<Item = i64> + Clone) -> Vec<i64> {
    let (least, most) = (counts.clone().min().unwrap_or_default(), counts.clone().max().unwrap_or_default());
    let range = most - least;
    counts.map(|count| if range == 0 { 100 } else { (most - count) * 100 / range }).collect()
}

/// 100 for the most, 0 for nothing.
fn most(amounts: impl Iterator<Item = i64> + Clone) -> Vec<i64> {
    let most = amounts.clone().max().unwrap_or_default().max(1);
    amounts.map(|amount| amount.max(0) * 100 / most).collect()
}

/// The share of the node that would be left, in percent, on average of CPU and memory.
fn least_allocated(node: &NodeView, demand: &Demand<'_>) -> i64 {
    let (cpu, memory) = used(node, demand);
    (100 - cpu + 100 - memory) / 2
}

/// How alike the shares of CPU and of memory in use would be.
fn balanced(node: &NodeView, demand: &Demand<'_>) -> i64 {
    let (cpu, memory) = used(node, demand);
    100 - (cpu - memory).abs()
}

/// The shares in use, in percent, with the pod on the node.
fn used(node: &NodeView, demand: &Demand<'_>) -> (i64, i64) {
    let unasked = LEAST_REQUEST.max(demand.requests);
    let wanted = Resources {
        milli_cpu: if demand.requests.milli_cpu == 0 { unasked.milli_cpu } else { demand.requests.milli_cpu },
        memory_bytes: if demand.requests.memory_bytes == 0 {
            unasked.memory_bytes
        } else {
            demand.requests.memory_bytes
        },
    };
    let used = node.requested.plus(wanted);
    (
        percent(used.milli_cpu, node.allocatable.milli_cpu),
        percent(used.memory_bytes, node.allocatable.memory_bytes),
    )
}

fn percent(part: u64, whole: u64) -> i64 {
    if whole == 0 {
        return 100;
    }
    i64::try_from(u128::from(part) * 100 / u128::from(whole)).unwrap_or(100).min(100)
}
