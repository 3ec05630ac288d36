//! What becomes of decisions: bindings, and for the others words that say what would help.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Taint;
use manifests::pod::Resources;
use manifests::quantity::{format_bytes, format_milli_cpu};
use serde_json::Value;

use super::cluster::{Cluster, NodeView};
use super::demand::Demand;
use super::filter::{Misfit, misfit};
use super::{DEFAULT_SCHEDULER, Decision};
use crate::change::{Change, Severity};
use crate::controllers::conditions::{self, Condition};
use crate::controllers::{Plan, events};
use crate::snapshot::{Key, Snapshot, Stored};

/// Why no node can take a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unschedulable {
    /// The pod.
    pub pod: Key,
    /// What the pod asks for.
    pub needs: Resources,
    /// Each node, its first reason in words, and the reason itself.
    pub nodes: Vec<(Arc<str>, Misfit)>,
    summary: String,
}

impl Unschedulable {
    pub(super) fn of(stored: &Stored, demand: &Demand<'_>, cluster: &Cluster) -> Self {
        let misfits: Vec<(&NodeView, Misfit)> =
            cluster.nodes().iter().filter_map(|node| Some((node, misfit(node, demand)?))).collect();
        Self {
            pod: stored.key().clone(),
            needs: demand.requests,
            summary: summary(demand.requests, &misfits),
            nodes: misfits.into_iter().map(|(node, misfit)| (Arc::clone(&node.name), misfit)).collect(),
        }
    }
}

impl fmt::Display for Unschedulable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)
    }
}

/// `0/3 nodes are available: 2 Insufficient cpu (needs 500m, at most 120m free), 1 node(s) were unschedulable.`
fn summary(needs: Resources, misfits: &[(&NodeView, Misfit)]) -> String {
    if misfits.is_empty() {
        return "0/0 nodes are available: no node has joined the cluster.".to_owned();
    }
    let mut groups: BTreeMap<String, (usize, Resources)> = BTreeMap::new();
    for (node, misfit) in misfits {
        let (count, free) = groups.entry(words(node, *misfit)).or_default();
        *count += 1;
        *free = free.max(node.free());
    }
    let mut groups: Vec<(String, (usize, Resources))> = groups.into_iter().collect();
    groups.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let parts: Vec<String> = groups
        .into_iter()
        .map(|(words, (count, free))| match words.as_str() {
            CPU => {
                let (needs, free) = (format_milli_cpu(needs.milli_cpu), format_milli_cpu(free.milli_cpu));
                format!("{count} {CPU} (needs {needs}, {free} free)")
            }
            MEMORY => {
                let (needs, free) = (format_bytes(needs.memory_bytes), format_bytes(free.memory_bytes));
                format!("{count} {MEMORY} (needs {needs}, {free} free)")
            }
            _ => format!("{count} {words}"),
        })
        .collect();
    format!("0/{} nodes are available: {}.", misfits.len(), parts.join(", "))
}

const CPU: &str = "Insufficient cpu";
const MEMORY: &str = "Insufficient memory";

fn words(node: &NodeView, misfit: Misfit) -> String {
    match misfit {
        Misfit::Unschedulable => "node(s) were unschedulable".into(),
        Misfit::Taint(at) => {
            let (key, value) = node.taints.get(at).map(taint_words).unwrap_or_default();
            format!("node(s) had untolerated taint {{{key}: {value}}}")
        }
        Misfit::NotReady => "node(s) were not ready".into(),
        Misfit::Affinity => "node(s) didn't match Pod's node affinity/selector".into(),
        Misfit::Port(port) => format!("node(s) didn't have free ports (host port {port} is taken)"),
        Misfit::Pods => format!("Too many pods (takes {})", node.pods_max),
        Misfit::Cpu => CPU.into(),
        Misfit::Memory => MEMORY.into(),
        Misfit::Spread => "node(s) didn't match pod topology spread constraints".into(),
    }
}

fn taint_words(taint: &Taint) -> (&str, &str) {
    (&taint.key, taint.value.as_deref().unwrap_or_default())
}

/// The changes that carry out decisions. A pod that still finds no node for the same reasons is left as it is.
pub fn plan(snapshot: &Snapshot, decisions: &[Decision], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    for decision in decisions {
        match decision {
            Decision::Bind { pod, uid, node } => {
                let (pod, uid, node) = (pod.clone(), Arc::clone(uid), Arc::clone(node));
                let message = format!("Successfully assigned {}/{} to {node}", pod.namespace, pod.name);
                let scheduled = snapshot.get(&pod).map(|stored| {
                    events::intent(stored, Severity::Normal, "Scheduled", message, DEFAULT_SCHEDULER)
                });
                plan.push(Change::Bind { pod, uid, node });
                plan.changes.extend(scheduled);
            }
            Decision::Unschedulable(why) => plan_wait(snapshot, why, now, &mut plan),
        }
    }
    plan
}

fn plan_wait(snapshot: &Snapshot, why: &Unschedulable, now: Timestamp, plan: &mut Plan) {
    let Some(stored) = snapshot.get(&why.pod) else { return };
    let message = why.to_string();
    let mut conditions: Vec<Value> = stored.object().list_at(&["status", "conditions"]).to_vec();
    let condition = Condition {
        condition_type: "PodScheduled",
        status: "False",
        reason: "Unschedulable",
        message: &message,
    };
    if !conditions::set(&mut conditions, condition, now) {
        return;
    }
    let mut updated = stored.object().clone();
    updated.set(&["status", "conditions"], conditions);
    plan.push_because(Change::UpdateStatus(updated), format!("{}: {message}", why.pod));
    plan.push(events::intent(stored, Severity::Warning, "FailedScheduling", message, DEFAULT_SCHEDULER));
}
