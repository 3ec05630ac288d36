//! The end of a Namespace: everything in it goes first, then the namespace itself.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use manifests::Kind;
use serde_json::{Value, json};

use super::conditions::{self, Condition};
use super::{Plan, status_update};
use crate::change::Change;
use crate::snapshot::{Key, Snapshot, Stored};

/// What holds a namespace that is on its way out until it is empty.
const FINALIZER: &str = "kubernetes";
/// Objects that one plan deletes; the rest follow when these are gone.
const BURST_MAX: usize = 1_000;

/// What should change so that a namespace that was asked to go can go.
pub fn reconcile(snapshot: &Snapshot, key: &Key, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let Some((stored, _)) = snapshot.find::<Namespace>("", &key.name) else { return plan };
    if !stored.is_deleting() {
        return plan;
    }
    let content: Vec<&Arc<Stored>> = contents(snapshot, &key.name).collect();
    if content.is_empty() {
        let (key, uid) = (key.clone(), Arc::clone(stored.uid()));
        let reason = format!("{key}: empty");
        plan.push_because(Change::Finalize { key, uid, finalizer: FINALIZER.into() }, reason);
        return plan;
    }
    for object in content.iter().filter(|object| !object.is_deleting()).take(BURST_MAX) {
        plan.push(Change::delete(object.key().clone(), Arc::clone(object.uid())));
    }
    plan.reasons.push(format!("{key}: {} objects left", content.len()));
    report(stored, &content, now, &mut plan);
    plan
}

fn contents<'a>(snapshot: &'a Snapshot, namespace: &str) -> impl Iterator<Item = &'a Arc<Stored>> {
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.info().namespaced);
    let lists: Vec<_> = kinds.map(|kind| snapshot.list_namespaced(kind, namespace)).collect();
    lists.into_iter().flatten()
}

/// Says what the namespace still waits for.
fn report(namespace: &Stored, content: &[&Arc<Stored>], now: Timestamp, plan: &mut Plan) {
    let mut status =
        namespace.object().at(&["status"]).cloned().unwrap_or_else(|| json!({"phase": "Terminating"}));
    let mut conditions: Vec<Value> = status["conditions"].as_array().cloned().unwrap_or_default();
    let kinds: Vec<String> = Kind::ALL
        .iter()
        .filter_map(|kind| {
            let count = content.iter().filter(|object| object.key().kind == *kind).count();
            (count > 0).then(|| format!("{} has {count} resource instances", kind.info().plural))
        })
        .collect();
    let message = format!("Some resources are remaining: {}", kinds.join(", "));
    let condition = Condition {
        condition_type: "NamespaceContentRemaining",
        status: "True",
        reason: "SomeResourcesRemain",
        message: &message,
    };
    if conditions::set(&mut conditions, condition, now) {
        status["conditions"] = conditions.into();
        plan.push(status_update(namespace, status));
    }
}

#[cfg(test)]
mod tests;
