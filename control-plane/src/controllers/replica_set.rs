//! The ReplicaSet controller: as many pods of its template as it asks for, no more and no fewer.
//!
//! The names of new pods follow from the snapshot's revision, so that a plan that is carried out twice creates no pod
//! twice.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use manifests::pod::{is_ready, is_terminating};
use manifests::selector::Selector;
use manifests::{Kind, Object};
use serde_json::{Value, json};

use super::pods::{PodRef, available_in, is_active, is_available, sort_by_worth};
use super::{Plan, events, owner, stable, status_update};
use crate::change::{Change, Severity};
use crate::snapshot::{Key, Snapshot, Stored};

const COMPONENT: &str = "replicaset-controller";
/// Pods that one plan creates or deletes; the rest follow when these are there.
const BURST_MAX: usize = 500;
/// Characters that tell the pods of one set apart.
const SUFFIX_LEN: usize = 5;

/// What should change so that the set at `key` has its pods.
pub fn reconcile(snapshot: &Snapshot, key: &Key, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let Some((stored, set)) = snapshot.find::<ReplicaSet>(&key.namespace, &key.name) else { return plan };
    let Some(selector) = selector(set) else {
        plan.reasons.push(format!("{key}: its selector does not read as one"));
        return plan;
    };
    let owned = claim(snapshot, stored, &selector, &mut plan);
    let active: Vec<PodRef<'_>> = owned.iter().copied().filter(|(_, pod)| is_active(pod)).collect();
    let wanted = wanted_replicas(set);
    if !stored.is_deleting() {
        if active.len() < wanted {
            create(snapshot, stored, (wanted - active.len()).min(BURST_MAX), &mut plan);
        } else {
            let surplus = (active.len() - wanted).min(BURST_MAX);
            delete(snapshot, stored, active.clone(), surplus, &mut plan);
        }
    }
    report(stored, set, &owned, now, &mut plan);
    plan
}

/// How many pods the set asks for.
pub fn wanted_replicas(set: &ReplicaSet) -> usize {
    let replicas = set.spec.replicas.unwrap_or(1);
    usize::try_from(replicas).unwrap_or_default()
}

/// The pods that the set manages, whatever their state.
pub fn owned_pods<'a>(snapshot: &'a Snapshot, set: &'a Stored) -> impl Iterator<Item = PodRef<'a>> {
    let dependents = snapshot.dependents(set.uid()).filter(|dependent| dependent.key().kind == Kind::Pod);
    let pods = dependents.filter_map(|stored| Some((stored, stored.typed::<Pod>()?)));
    pods.filter(|(_, pod)| owner::is_controlled_by(&pod.metadata, set))
}

fn selector(set: &ReplicaSet) -> Option<Selector> {
    // An empty selector would claim every pod of the namespace.
    let selector = Selector::from_label_selector(&set.spec.selector).ok()?;
    (!selector.is_everything()).then_some(selector)
}

/// Takes in matching pods that nobody manages, and lets go of managed ones that no longer match.
fn claim<'a>(
    snapshot: &'a Snapshot,
    set: &'a Stored,
    selector: &Selector,
    plan: &mut Plan,
) -> Vec<PodRef<'a>> {
    let matches = |pod: &Pod| {
        selector.matches(pod.metadata.labels.as_ref().unwrap_or(&std::collections::BTreeMap::new()))
    };
    let mut owned = Vec::new();
    for (stored, pod) in owned_pods(snapshot, set) {
        if matches(pod) || is_terminating(pod) {
            owned.push((stored, pod));
        } else if !set.is_deleting() {
            let released = owner::released(stored, |uid| uid == &**set.uid());
            plan.push_because(Change::Update(released), format!("{}: no longer selected", stored.key()));
        }
    }
    if set.is_deleting() {
        return owned;
    }
    for (stored, pod) in snapshot.all_in::<Pod>(&set.key().namespace) {
        if is_active(pod) && owner::controller(&pod.metadata).is_none() && matches(pod) {
            let adopted = owner::adopted(stored, set);
            plan.push_because(
                Change::Update(adopted),
                format!("{}: selected, and managed by nobody", stored.key()),
            );
            owned.push((stored, pod));
        }
    }
    owned
}

fn create(snapshot: &Snapshot, set: &Stored, count: usize, plan: &mut Plan) {
    let template = set.object().at(&["spec", "template"]).cloned().unwrap_or_default();
    let mut names = (0_u64..).map(|ordinal| pod_name(set, snapshot.revision(), ordinal));
    for _ in 0..count {
        let is_free = |name: &String| {
            snapshot.get(&Key::new(Kind::Pod, set.key().namespace.as_ref(), name.as_str())).is_none()
        };
        let name = names.find(is_free).expect("the names do not end");
        plan.push(Change::Create(pod_from(set, &template, &name)));
        let message = format!("Created pod: {name}");
        plan.push(events::intent(set, Severity::Normal, "SuccessfulCreate", message, COMPONENT));
    }
    if count > 0 {
        plan.reasons.push(format!("{}: {count} pods too few", set.key()));
    }
}

fn pod_name(set: &Stored, revision: u64, ordinal: u64) -> String {
    let hash = stable::hash([set.uid().as_bytes(), &revision.to_le_bytes(), &ordinal.to_le_bytes()]);
    stable::name(&set.key().name, &stable::suffix(hash, SUFFIX_LEN))
}

fn pod_from(set: &Stored, template: &Value, name: &str) -> Object {
    let mut pod = Object::new(Kind::Pod, &set.key().namespace, name);
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(field).filter(|value| !value.is_null()) {
            pod.set(&["metadata", field], value.clone());
        }
    }
    // Users read from it whose pod this is, as they do in Kubernetes.
    pod.set(&["metadata", "generateName"], format!("{}-", set.key().name));
    pod.set(&["metadata", "ownerReferences"], json!([owner::reference(set)]));
    pod.set(&["spec"], template["spec"].clone());
    pod
}

fn delete(snapshot: &Snapshot, set: &Stored, mut active: Vec<PodRef<'_>>, count: usize, plan: &mut Plan) {
    if count == 0 {
        return;
    }
    let related = related_pods(snapshot, set);
    sort_by_worth(&mut active, &related);
    plan.reasons.push(format!("{}: {count} pods too many", set.key()));
    for (stored, _) in active.into_iter().take(count) {
        plan.push(Change::delete(stored.key().clone(), stored.uid().clone()));
        let message = format!("Deleted pod: {}", stored.key().name);
        plan.push(events::intent(set, Severity::Normal, "SuccessfulDelete", message, COMPONENT));
    }
}

/// All pods of the application: those of every set that has the same controller as this one.
fn related_pods<'a>(snapshot: &'a Snapshot, set: &'a Stored) -> Vec<PodRef<'a>> {
    let Some(deployment) = owner::controller(set.meta()) else { return owned_pods(snapshot, set).collect() };
    let sets = snapshot.dependents(&deployment.uid).filter(|sibling| sibling.key().kind == Kind::ReplicaSet);
    sets.flat_map(|sibling| owned_pods(snapshot, sibling)).collect()
}

fn report(stored: &Stored, set: &ReplicaSet, owned: &[PodRef<'_>], now: Timestamp, plan: &mut Plan) {
    let min_ready = set.spec.min_ready_seconds.unwrap_or_default();
    let labels = template_labels(set);
    let active = || owned.iter().filter(|(_, pod)| is_active(pod)).map(|(_, pod)| *pod);
    let fully_labeled =
        active().filter(|pod| labels.matches(pod.metadata.labels.as_ref().unwrap_or(&Default::default())));
    let status = json!({
        "replicas": active().count(),
        "fullyLabeledReplicas": fully_labeled.count(),
        "readyReplicas": active().filter(|pod| is_ready(pod)).count(),
        "availableReplicas": active().filter(|pod| is_available(pod, min_ready, now)).count(),
        "terminatingReplicas": owned.iter().filter(|(_, pod)| is_terminating(pod)).count(),
        "observedGeneration": stored.object().generation(),
    });
    if stored.object().at(&["status"]) != Some(&status) {
        plan.push(status_update(stored, status));
    }
    let waits = active().filter_map(|pod| available_in(pod, min_ready, now)).filter(|wait| !wait.is_zero());
    if let Some(wait) = waits.min() {
        plan.requeue(wait);
    }
}

fn template_labels(set: &ReplicaSet) -> Selector {
    let template =
        set.spec.template.as_ref().and_then(|template| template.metadata.as_ref()?.labels.as_ref());
    Selector::from_labels(template.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str())))
}

#[cfg(test)]
mod tests;
