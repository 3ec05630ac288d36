//! What controllers ask of a pod: whether it counts, since when it is ready, and which one to give up first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use manifests::pod::{Phase, is_ready, is_terminal, is_terminating, phase};

use crate::snapshot::Stored;

/// What a user may put on a pod to say which one to give up first: the lower the earlier.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// A pod and the object that it was read from.
pub type PodRef<'a> = (&'a Arc<Stored>, &'a Pod);

/// Whether the pod counts as a replica: it has not ended, and was not asked to.
pub fn is_active(pod: &Pod) -> bool {
    !is_terminal(pod) && !is_terminating(pod)
}

/// A condition of a pod.
pub fn condition<'a>(pod: &'a Pod, condition_type: &str) -> Option<&'a PodCondition> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|condition| condition.type_ == condition_type)
}

/// Since when the pod is ready, if it is.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let condition = condition(pod, "Ready").filter(|condition| condition.status == "True")?;
    Some(condition.last_transition_time.as_ref().map_or(Timestamp::MIN, |time| time.0))
}

/// How long until the pod has been ready for `min_ready_seconds`: nothing if it has, `None` if it is not ready.
pub fn available_in(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> Option<Duration> {
    let since = ready_since(pod)?;
    let ready_for = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let wanted = Duration::from_secs(u64::try_from(min_ready_seconds).unwrap_or_default());
    Some(wanted.saturating_sub(ready_for))
}

/// Whether the pod is ready, and has been for long enough.
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    available_in(pod, min_ready_seconds, now) == Some(Duration::ZERO)
}

/// The node that the pod is bound to; empty if to none.
pub fn node_name(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// Sorts pods so that the ones to give up come first: those that serve nobody, then those on crowded nodes, then the
/// youngest. `related` are all pods whose crowding counts, these among them.
///
/// Source: Kubernetes `ActivePodsWithRanks`.
pub fn sort_by_worth(pods: &mut [PodRef<'_>], related: &[PodRef<'_>]) {
    let mut crowd: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, pod) in related.iter().filter(|(_, pod)| is_active(pod)) {
        *crowd.entry(node_name(pod)).or_default() += 1;
    }
    pods.sort_by_cached_key(|(stored, pod)| {
        let node = node_name(pod);
        let ready = is_ready(pod);
        (
            !node.is_empty(),
            match phase(pod) {
                Phase::Pending => 0,
                Phase::Unknown => 1,
                Phase::Running | Phase::Succeeded | Phase::Failed => 2,
            },
            ready,
            deletion_cost(pod),
            Reverse(crowd.get(node).copied().unwrap_or_default()),
            (Reverse(ready_since(pod)), Reverse(restarts(pod)), Reverse(created(pod))),
            Arc::clone(&stored.key().name),
        )
    });
}

/// When the pod was created.
pub fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn deletion_cost(pod: &Pod) -> i32 {
    let cost = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DELETION_COST));
    cost.and_then(|cost| cost.parse().ok()).unwrap_or_default()
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).max().unwrap_or_default()
}
