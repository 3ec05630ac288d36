//! The life of nodes: which ones can be reached, what is said about the others, and what becomes of their pods.
//!
//!     Alive ──stream ends──▶ Suspected ──grace over──▶ Unreachable ──▶ pods deleted, and replaced elsewhere
//!       ▲ └──lease not renewed─────────────────────────────▲  │
//!       └──────────────────── heard of again ─────────────────┘
//!
//! Heartbeats never touch the store: `fleet` hears them and hands over what they amount to, as [`NodeHealth`].

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use manifests::Kind;
use manifests::pod::{is_ready, is_terminal, is_terminating};
use serde_json::{Value, json};

use super::conditions::{self, Condition};
use super::pods::PodRef;
use super::{Facts, Plan, events};
use crate::change::{Change, Severity};
use crate::snapshot::{Key, Snapshot, Stored};

const COMPONENT: &str = "node-controller";
/// How long after its last word a node with an open stream is taken for alive.
pub const LEASE_DURATION: Duration = Duration::from_secs(2);
/// How long a node whose stream has ended may take to come back: an agent that is started again needs less.
pub const DISCONNECTED_GRACE: Duration = Duration::from_millis(800);
/// How often a node that is silent on an open stream is looked at.
const SILENCE_INTERVAL: Duration = Duration::from_millis(250);
/// How long nodes have to call again after the control plane itself was away.
pub const RECONNECT_GRACE: Duration = Duration::from_secs(10);
/// How long pods of unreachable nodes are left alone while most nodes are unreachable.
pub const MASS_LOSS_DELAY: Duration = Duration::from_secs(60);
/// From so many nodes on, losing more than half of them is taken for a trouble of ours.
const MASS_LOSS_NODES_MIN: usize = 3;

/// Why a pod is not ready that says so no longer itself.
const NODE_NOT_READY: &str = "NodeNotReady";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// What the fleet hears, or does not hear, of the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeHealth {
    /// When it began to listen. A node that was not heard of yet has been silent since then.
    pub listening_since: Timestamp,
    /// By name.
    pub signals: BTreeMap<String, Signal>,
}

/// What was last heard of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Its stream is open, and it last said something at this time.
    Heard(Timestamp),
    /// Its stream ended at this time.
    Lost(Timestamp),
}

/// What follows from a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Its lease has so long to run.
    Alive(Duration),
    /// It has so long to come back.
    Suspected(Duration),
    /// Since when.
    Unreachable(Timestamp),
}

impl NodeHealth {
    fn has_stream(&self, node: &str) -> bool {
        matches!(self.signals.get(node), Some(Signal::Heard(_)))
    }

    fn verdict(&self, node: &str, now: Timestamp) -> Verdict {
        let (since, patience) = self.patience(node);
        let left = patience.saturating_sub(elapsed(since, now));
        match self.has_stream(node) {
            _ if left.is_zero() => Verdict::Unreachable(since),
            true => Verdict::Alive(left),
            false => Verdict::Suspected(left),
        }
    }

    /// Since when a node is silent, and for how long it may be.
    fn patience(&self, node: &str) -> (Timestamp, Duration) {
        match self.signals.get(node) {
            Some(Signal::Heard(at)) => (*at, LEASE_DURATION),
            // Streams that end just when we are back were given up while we were away.
            Some(Signal::Lost(at)) if elapsed(self.listening_since, *at) >= LEASE_DURATION => {
                (*at, DISCONNECTED_GRACE)
            }
            Some(Signal::Lost(_)) | None => (self.listening_since, RECONNECT_GRACE),
        }
    }

    /// When a node that is unreachable became so.
    fn gone_at(&self, node: &str, now: Timestamp) -> Option<Timestamp> {
        let (since, patience) = self.patience(node);
        (elapsed(since, now) >= patience).then(|| since.checked_add(patience).unwrap_or(now))
    }
}

/// What should change about the node at `key` and its pods.
pub fn reconcile(snapshot: &Snapshot, key: &Key, facts: &Facts) -> Plan {
    let mut plan = Plan::default();
    let Some((stored, node)) = snapshot.find::<Node>("", &key.name) else { return plan };
    match facts.node_health.verdict(&key.name, facts.now) {
        Verdict::Alive(left) => {
            plan.requeue(left);
            plan_marks(stored, node, None, facts.now, &mut plan);
            for pod in snapshot.pods_on(&key.name) {
                plan_ready_again(pod, facts.now, &mut plan);
            }
        }
        Verdict::Suspected(left) => {
            plan.requeue(left);
            plan.reasons.push(format!("{key}: suspected, {} ms left to come back", left.as_millis()));
        }
        Verdict::Unreachable(since) => {
            if facts.node_health.has_stream(&key.name) {
                // A word on a stream that is open is heard without anybody being told of it.
                plan.requeue(SILENCE_INTERVAL);
            }
            plan_marks(stored, node, Some(since), facts.now, &mut plan);
            plan_evictions(snapshot, stored, since, facts, &mut plan);
        }
    }
    plan
}

/// Whether the cluster has marked the node as one that cannot be reached.
pub fn is_unreachable(node: &Node) -> bool {
    taints(node).any(|taint| taint.key == UNREACHABLE && taint.effect == "NoExecute")
}

/// Whether a toleration tolerates a taint.
///
/// Source: Kubernetes `Toleration.ToleratesTaint`.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (key, effect) = (text(&toleration.key), text(&toleration.effect));
    let is_same_key = key.is_empty() || key == taint.key;
    let is_same_effect = effect.is_empty() || effect == taint.effect;
    let is_same_value = match toleration.operator.as_deref() {
        Some("Exists") => true,
        None | Some("" | "Equal") => !key.is_empty() && text(&toleration.value) == text(&taint.value),
        Some(_) => false,
    };
    is_same_key && is_same_effect && is_same_value
}

/// Taints and condition: where no pod should go, and why. The taints come first, since pods go by them.
fn plan_marks(stored: &Stored, node: &Node, gone_since: Option<Timestamp>, now: Timestamp, plan: &mut Plan) {
    let wanted = wanted_taints(stored, node, gone_since);
    if wanted.as_slice() != stored.object().list_at(&["spec", "taints"]) {
        let mut updated = stored.object().clone();
        updated.set(&["spec", "taints"], wanted);
        return plan.push_because(Change::Update(updated), format!("{}: its taints change", stored.key()));
    }
    let condition = ready_condition(gone_since.is_none());
    let mut status = stored.object().at(&["status"]).cloned().unwrap_or_else(|| json!({}));
    let mut conditions: Vec<Value> = status["conditions"].as_array().cloned().unwrap_or_default();
    let was = conditions::find(&conditions, "Ready").map(|ready| ready["status"] == "True");
    if !conditions::set(&mut conditions, condition, now) {
        return;
    }
    status["conditions"] = conditions.into();
    let mut updated = stored.object().clone();
    updated.set(&["status"], status);
    plan.push(Change::UpdateStatus(updated));
    if was != Some(gone_since.is_none()) {
        let (severity, reason) = match gone_since {
            None => (Severity::Normal, "NodeReady"),
            Some(_) => (Severity::Warning, "NodeNotReady"),
        };
        let message = format!("Node {} status is now: {reason}", stored.key().name);
        plan.push_because(events::intent(stored, severity, reason, message.clone(), COMPONENT), message);
    }
}

fn ready_condition(is_alive: bool) -> Condition<'static> {
    let (status, reason, message) = if is_alive {
        ("True", "KubeletReady", "the node agent is connected")
    } else {
        ("Unknown", "NodeStatusUnknown", "The node agent stopped reporting.")
    };
    Condition { condition_type: "Ready", status, reason, message }
}

/// The node's taints with ours as they should be, and everybody else's as they are.
fn wanted_taints(stored: &Stored, node: &Node, gone_since: Option<Timestamp>) -> Vec<Value> {
    let present = stored.object().list_at(&["spec", "taints"]);
    let ours = [UNREACHABLE, NOT_READY, UNSCHEDULABLE];
    let mut wanted: Vec<Value> =
        present.iter().filter(|taint| !ours.iter().any(|key| taint["key"] == *key)).cloned().collect();
    let mut want = |taint: Value| {
        let is_it = |old: &&Value| old["key"] == taint["key"] && old["effect"] == taint["effect"];
        let old = present.iter().find(is_it).cloned();
        wanted.push(old.unwrap_or(taint));
    };
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        want(json!({"key": UNSCHEDULABLE, "effect": "NoSchedule"}));
    }
    if let Some(since) = gone_since {
        let since = conditions::time(since);
        want(json!({"key": UNREACHABLE, "effect": "NoSchedule", "timeAdded": since}));
        want(json!({"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": since}));
    }
    // The order of a list that says the same is not worth a write.
    if wanted.len() == present.len() && wanted.iter().all(|taint| present.contains(taint)) {
        return present.to_vec();
    }
    wanted
}

/// Gives the pods of a node that is gone to others, each when its patience is over.
fn plan_evictions(snapshot: &Snapshot, node: &Stored, since: Timestamp, facts: &Facts, plan: &mut Plan) {
    let gone = Gone::of(snapshot, facts);
    if gone.nodes.len() == gone.all {
        // Where nobody could take them, pods are safest where they are: they may well run on.
        return plan.requeue(LEASE_DURATION);
    }
    let delay = gone.delay(facts.now);
    if !delay.is_zero() {
        plan_slowed(node, &gone, plan);
    }
    for (stored, pod) in snapshot.pods_on(&node.key().name).filter(|(_, pod)| !is_terminal(pod)) {
        if delay.is_zero() {
            plan_unready((stored, pod), facts.now, plan);
        } else {
            plan.requeue(delay);
        }
        let Some(patience) = patience(pod).filter(|_| !is_terminating(pod)) else { continue };
        let left = patience.saturating_sub(elapsed(since, facts.now)).max(delay);
        if left.is_zero() {
            let reason = format!("{}: its node {} is unreachable", stored.key(), node.key().name);
            plan.push_because(Change::delete(stored.key().clone(), stored.uid().clone()), reason);
            let message =
                format!("Marking for deletion Pod {}/{}", stored.key().namespace, stored.key().name);
            plan.push(events::intent(stored, Severity::Normal, "TaintManagerEviction", message, COMPONENT));
        } else {
            plan.requeue(left);
        }
    }
}

fn plan_slowed(node: &Stored, gone: &Gone, plan: &mut Plan) {
    let message = format!(
        "{} of {} nodes are unreachable, which is more likely our network than theirs: \
         their pods are left alone for {} s",
        gone.nodes.len(),
        gone.all,
        MASS_LOSS_DELAY.as_secs()
    );
    let event = events::intent(node, Severity::Warning, "EvictionsSlowed", message.clone(), COMPONENT);
    plan.push_because(event, message);
}

/// How long a pod stays on a node that is gone: not at all unless it says so; `None` for ever.
fn patience(pod: &Pod) -> Option<Duration> {
    let tolerations = pod.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten());
    let taint = Taint { key: UNREACHABLE.into(), effect: "NoExecute".into(), ..Taint::default() };
    let tolerating: Vec<&Toleration> =
        tolerations.filter(|toleration| tolerates(toleration, &taint)).collect();
    if tolerating.is_empty() {
        return Some(Duration::ZERO);
    }
    // The shortest limit counts; one without a limit only if there is no other.
    let seconds = tolerating.iter().filter_map(|toleration| toleration.toleration_seconds).min()?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

/// Nobody answers for a pod whose node is gone, whatever it said last.
fn plan_unready((stored, pod): PodRef<'_>, now: Timestamp, plan: &mut Plan) {
    if is_ready(pod) {
        let message = "the pod's node is unreachable";
        let condition =
            Condition { condition_type: "Ready", status: "False", reason: NODE_NOT_READY, message };
        plan.push(with_condition(stored, condition, now));
    }
}

/// Takes back what was said of a pod for its node's sake. Had the node said anything since, its word would stand there.
fn plan_ready_again((stored, pod): PodRef<'_>, now: Timestamp, plan: &mut Plan) {
    let ready = conditions::find(stored.object().list_at(&["status", "conditions"]), "Ready");
    if !is_terminal(pod) && ready.is_some_and(|ready| ready["reason"] == NODE_NOT_READY) {
        let message = "the pod's node is back";
        let condition = Condition { condition_type: "Ready", status: "True", reason: "NodeReady", message };
        plan.push(with_condition(stored, condition, now));
    }
}

/// The pod with one condition set. It keeps its version: a fresher word of its node is not to be written over.
fn with_condition(stored: &Stored, condition: Condition<'_>, now: Timestamp) -> Change {
    let mut updated = stored.object().clone();
    let mut conditions = updated.list_at(&["status", "conditions"]).to_vec();
    conditions::set(&mut conditions, condition, now);
    updated.set(&["status", "conditions"], conditions);
    Change::UpdateStatus(updated)
}

/// Which nodes are unreachable, of how many.
struct Gone {
    /// When each became so, the first one first.
    nodes: Vec<Timestamp>,
    all: usize,
}

impl Gone {
    fn of(snapshot: &Snapshot, facts: &Facts) -> Self {
        let gone_at = |node: &Stored| facts.node_health.gone_at(&node.key().name, facts.now);
        let mut nodes: Vec<Timestamp> = snapshot.list(Kind::Node).filter_map(|node| gone_at(node)).collect();
        nodes.sort_unstable();
        Self { nodes, all: snapshot.list(Kind::Node).count() }
    }

    /// How long their pods are still to be left alone: counted from when more than half of enough nodes were gone.
    fn delay(&self, now: Timestamp) -> Duration {
        let onset = self.nodes.get(self.all / 2).filter(|_| self.all >= MASS_LOSS_NODES_MIN);
        onset.map_or(Duration::ZERO, |onset| MASS_LOSS_DELAY.saturating_sub(elapsed(*onset, now)))
    }
}

fn taints(node: &Node) -> impl Iterator<Item = &Taint> {
    node.spec.iter().flat_map(|spec| spec.taints.iter().flatten())
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
