//! Pods that no node will ever report on again: those of a node that no longer exists, and those that were asked to
//! go on a node that nobody has heard of for a while.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};

use super::pods::node_name;
use super::{Plan, node};
use crate::change::Change;
use crate::snapshot::{Key, Snapshot};

/// How long after its own grace a pod of an unreachable node is given up. Should the node come back, it is told to
/// end whatever is no longer assigned to it.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// What should change if the pod at `key` has no node to end it.
pub fn reconcile(snapshot: &Snapshot, key: &Key, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let Some((stored, pod)) = snapshot.find::<Pod>(&key.namespace, &key.name) else { return plan };
    let name = node_name(pod);
    if name.is_empty() {
        return plan;
    }
    let delete = || Change::delete_now(key.clone(), Arc::clone(stored.uid()));
    let Some((_, node)) = snapshot.find::<Node>("", name) else {
        plan.push_because(delete(), format!("{key}: its node {name} no longer exists"));
        return plan;
    };
    let Some(asked_until) = pod.metadata.deletion_timestamp.as_ref().filter(|_| node::is_unreachable(node))
    else {
        return plan;
    };
    let waited = Duration::try_from(now.duration_since(asked_until.0)).unwrap_or_default();
    if waited < GIVE_UP_AFTER {
        plan.requeue(GIVE_UP_AFTER.saturating_sub(waited));
    } else {
        plan.push_because(delete(), format!("{key}: its node {name} has not been heard of"));
    }
    plan
}

#[cfg(test)]
mod tests;
