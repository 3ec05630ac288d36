//! Why a node cannot take a pod: the first reason, in the order in which Kubernetes looks. Allocates nothing.

use super::cluster::NodeView;
use super::demand::Demand;

/// A reason, as small as it can be; `verdict` puts it into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misfit {
    /// `spec.unschedulable`: somebody cordoned it.
    Unschedulable,
    /// It has a taint that the pod does not tolerate: the one at this place in its list.
    Taint(usize),
    /// It has not said that it is ready.
    NotReady,
    /// It is not one that nodeSelector or required node affinity select.
    Affinity,
    /// Another pod holds this port of the node.
    Port(i32),
    /// It has as many pods as it takes.
    Pods,
    /// Too little CPU is left.
    Cpu,
    /// Too little memory is left.
    Memory,
    /// The pods that look alike would be spread less evenly than a constraint allows.
    Spread,
}

/// Why the node cannot take the pod; `None` if it can.
pub(super) fn misfit(node: &NodeView, demand: &Demand<'_>) -> Option<Misfit> {
    if node.is_unschedulable && !tolerates_cordon(node, demand) {
        return Some(Misfit::Unschedulable);
    }
    if let Some(taint) = demand.untolerated(node, &["NoSchedule", "NoExecute"]) {
        return Some(Misfit::Taint(taint));
    }
    if !node.is_ready && node.taints.is_empty() {
        return Some(Misfit::NotReady);
    }
    if !demand.selects(node) {
        return Some(Misfit::Affinity);
    }
    if let Some(taken) = demand.ports.iter().find(|port| node.holds_port(**port)) {
        return Some(Misfit::Port(taken.port));
    }
    lack(node, demand).or_else(|| {
        let mut required = demand.spreads.iter().filter(|spread| spread.is_required);
        required.any(|spread| !spread.allows(node)).then_some(Misfit::Spread)
    })
}

fn lack(node: &NodeView, demand: &Demand<'_>) -> Option<Misfit> {
    if node.pods() >= node.pods_max {
        return Some(Misfit::Pods);
    }
    let free = node.free();
    if demand.requests.milli_cpu > free.milli_cpu {
        return Some(Misfit::Cpu);
    }
    (demand.requests.memory_bytes > free.memory_bytes).then_some(Misfit::Memory)
}

/// The node controller says it as a taint as well; until then, and for pods that tolerate that taint, this counts.
fn tolerates_cordon(node: &NodeView, demand: &Demand<'_>) -> bool {
    let cordon = node.taints.iter().position(|taint| taint.key == "node.kubernetes.io/unschedulable");
    cordon.is_some_and(|at| {
        demand.untolerated(node, &["NoSchedule", "NoExecute"]).is_none_or(|first| first != at)
    })
}
