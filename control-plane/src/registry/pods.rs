//! Pods: how they begin, what of them may change, how they get their node, and how long they have to end.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use manifests::pod::{Resources, is_terminal, requests};
use manifests::{Kind, Object};
use serde_json::{Value, json};

use super::{Cause, Effect, Status, check_uid, find, rfc3339};
use crate::snapshot::{Key, Snapshot, Stored};

/// How long a pod has to end if nobody says otherwise.
const GRACE_SECONDS: i64 = 30;
/// How many pods a node takes if it does not say; Kubernetes' own default.
const PODS_PER_NODE: u64 = 110;

/// A new pod waits to be scheduled.
pub(super) fn prepare(object: &mut Object) {
    let class = qos_class(object);
    object.set(&["status"], json!({"phase": "Pending", "qosClass": class}));
}

/// Kubernetes' class of a pod by what its containers ask for:
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>.
fn qos_class(object: &Object) -> &'static str {
    let lists = [object.list_at(&["spec", "containers"]), object.list_at(&["spec", "initContainers"])];
    let containers: Vec<&Value> = lists.into_iter().flatten().collect();
    let amount = |container: &Value, what: &str, name: &str| {
        container.pointer(&format!("/resources/{what}/{name}")).map(ToString::to_string)
    };
    let names = ["cpu", "memory"];
    let asks = |c: &&Value| {
        names.iter().any(|n| amount(c, "requests", n).or_else(|| amount(c, "limits", n)).is_some())
    };
    let is_guaranteed = |c: &&Value| {
        names.iter().all(|name| {
            let limit = amount(c, "limits", name);
            limit.is_some() && amount(c, "requests", name).is_none_or(|request| Some(request) == limit)
        })
    };
    if !containers.iter().any(asks) {
        "BestEffort"
    } else if containers.iter().all(is_guaranteed) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// How long a pod that is asked to go may take: no time at all if nothing of it runs.
pub(super) fn grace_seconds(object: &Object, asked: Option<i64>) -> i64 {
    let is_bound = object.str_at(&["spec", "nodeName"]).is_some_and(|node| !node.is_empty());
    let has_ended = matches!(object.str_at(&["status", "phase"]), Some("Succeeded" | "Failed"));
    if !is_bound || has_ended {
        return 0;
    }
    let own = || object.i64_at(&["spec", "terminationGracePeriodSeconds"]);
    match asked.or_else(own).unwrap_or(GRACE_SECONDS) {
        // Below zero means "as soon as the node can", which still waits for the node.
        negative if negative < 0 => 1,
        seconds => seconds,
    }
}

/// Puts a pod on a node, if both still are what the scheduler saw.
pub(super) fn bind(
    snapshot: &Snapshot,
    key: &Key,
    uid: &str,
    node: &str,
    now: Timestamp,
) -> Result<Effect, Status> {
    let stored = find(snapshot, key)?;
    check_uid(stored, uid)?;
    let conflict = |why: String| Err(Status::conflict(Kind::Pod, &key.name, &why));
    if stored.is_deleting() {
        return conflict(format!("pod {} is being deleted, cannot be assigned to a host", key.name));
    }
    let mut object = stored.object().clone();
    if let Some(bound) = object.str_at(&["spec", "nodeName"]).filter(|node| !node.is_empty()) {
        return conflict(format!("pod {} is already assigned to node \"{bound}\"", key.name));
    }
    if let Some(why) = lacks_room(snapshot, stored, node)? {
        return conflict(why);
    }
    object.set(&["spec", "nodeName"], node);
    set_scheduled(&mut object, now);
    Ok(Effect::Put(object))
}

/// Why a node cannot take a pod now, with numbers; `None` if it can.
fn lacks_room(snapshot: &Snapshot, pod: &Arc<Stored>, node: &str) -> Result<Option<String>, Status> {
    let Some((_, target)) = snapshot.find::<Node>("", node) else {
        return Err(Status::not_found(Kind::Node, node));
    };
    let allocatable = target.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let slots = allocatable.and_then(|all| all.get("pods")?.0.parse().ok()).unwrap_or(PODS_PER_NODE);
    let (mut used, mut count) = (Resources::default(), 0_u64);
    for (_, other) in snapshot.pods_on(node).filter(|(_, other)| !is_terminal(other)) {
        used = used.plus(other.spec.as_ref().map(requests).unwrap_or_default());
        count += 1;
    }
    if count >= slots {
        return Ok(Some(format!("node {node} has all of its {slots} pods")));
    }
    let room = Resources::of(allocatable).minus(used);
    let wanted = pod.typed::<Pod>().and_then(|pod| pod.spec.as_ref()).map(requests).unwrap_or_default();
    if wanted.fits(room) {
        return Ok(None);
    }
    Ok(Some(format!(
        "node {node} has room for {}m cpu and {} bytes of memory, the pod asks for {}m and {}",
        room.milli_cpu, room.memory_bytes, wanted.milli_cpu, wanted.memory_bytes
    )))
}

fn set_scheduled(object: &mut Object, now: Timestamp) {
    let mut conditions: Vec<Value> = object.list_at(&["status", "conditions"]).to_vec();
    conditions.retain(|condition| condition["type"] != "PodScheduled");
    conditions.push(json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(now)}));
    object.set(&["status", "conditions"], conditions);
}

/// Refuses to give a pod its node by anything but a binding, which looks for room first.
pub(super) fn check_not_bound_by(old: &Object, new: &Object) -> Result<(), Status> {
    let node = |object: &Object| object.str_at(&["spec", "nodeName"]).unwrap_or_default().to_owned();
    if old.kind() != Some(Kind::Pod) || !node(old).is_empty() || node(new).is_empty() {
        return Ok(());
    }
    let message = "Forbidden: a pod gets its node by a binding".to_owned();
    let cause = Cause { reason: "FieldValueForbidden".into(), message, field: "spec.nodeName".into() };
    Err(Status::invalid(Kind::Pod, old.name(), vec![cause]))
}

#[cfg(test)]
mod tests;
