//! Which controllers a change concerns. Pure: an event and the state after it in, works out.
//!
//! To wake one too many costs a look; to forget one would cost correctness, so where it is cheap this is generous.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use manifests::Kind;
use manifests::selector::Selector;

use super::agenda::Work;
use crate::controllers::endpoint_slice::{SERVICE_NAME, services_of};
use crate::controllers::{Controller, deployment, owner};
use crate::snapshot::{Key, Snapshot, Stored};

/// Who is to be asked after the object at `key` changed from `old` to `new`.
pub fn wakes(
    snapshot: &Snapshot,
    key: &Key,
    old: Option<&Stored>,
    new: Option<&Stored>,
    mut wake: impl FnMut(Work),
) {
    let versions: Vec<&Stored> = old.into_iter().chain(new).collect();
    let mut ask = |controller, key: &Key| wake(Work::Reconcile(controller, key.clone()));
    match key.kind {
        Kind::Pod => wake_for_pod(snapshot, key, &versions, new, &mut ask),
        Kind::ReplicaSet => wake_for_replica_set(snapshot, key, &versions, &mut ask),
        Kind::Deployment => ask(Controller::Deployment, key),
        Kind::Service => {
            ask(Controller::EndpointSlice, key);
            ask(Controller::LoadBalancer, key);
        }
        Kind::Ingress => ask(Controller::LoadBalancer, key),
        Kind::EndpointSlice => {
            for service in versions.iter().filter_map(|slice| slice.object().label(SERVICE_NAME)) {
                ask(Controller::EndpointSlice, &Key::new(Kind::Service, key.namespace.clone(), service));
            }
        }
        Kind::Node => {
            ask(Controller::NodeLifecycle, key);
            snapshot.pods_on(&key.name).for_each(|(pod, _)| ask(Controller::PodGc, pod.key()));
        }
        Kind::Namespace => ask(Controller::Namespace, key),
        Kind::Event | Kind::Lease | Kind::ConfigMap | Kind::Secret | Kind::ServiceAccount => {}
    }
    wake_for_owners(snapshot, key, &versions, new, &mut ask);
    wake_for_namespace(snapshot, key, &mut ask);
    if concerns_scheduling(key, old, new) {
        wake(Work::Schedule);
    }
}

/// All nodes, because some were heard of, or lost.
pub fn nodes_changed(snapshot: &Snapshot, mut wake: impl FnMut(Work)) {
    let nodes = snapshot.list(Kind::Node);
    nodes.for_each(|node| wake(Work::Reconcile(Controller::NodeLifecycle, node.key().clone())));
}

/// All that say where the front is, because it moved.
pub fn front_changed(snapshot: &Snapshot, mut wake: impl FnMut(Work)) {
    let balanced = snapshot.list(Kind::Service).chain(snapshot.list(Kind::Ingress));
    balanced.for_each(|object| wake(Work::Reconcile(Controller::LoadBalancer, object.key().clone())));
}

type Ask<'a> = &'a mut dyn FnMut(Controller, &Key);

fn wake_for_pod(snapshot: &Snapshot, key: &Key, versions: &[&Stored], new: Option<&Stored>, ask: Ask<'_>) {
    for set in controllers_of(versions, Kind::ReplicaSet) {
        ask(Controller::ReplicaSet, &set);
        // Deployments count pods themselves.
        if let Some(deployment) = snapshot.get(&set).and_then(|set| deployment::of_replica_set(set)) {
            ask(Controller::Deployment, &deployment);
        }
    }
    if let Some(pod) = new.filter(|pod| owner::controller(pod.meta()).is_none()) {
        let sets = snapshot.all_in::<ReplicaSet>(&key.namespace);
        let suitable = sets.filter(|(_, set)| selects(&set.spec.selector, pod));
        suitable.for_each(|(set, _)| ask(Controller::ReplicaSet, set.key()));
    }
    services_of(snapshot, versions).into_iter().for_each(|service| ask(Controller::EndpointSlice, service));
    if new.is_some_and(|pod| pod.object().str_at(&["spec", "nodeName"]).is_some()) {
        ask(Controller::PodGc, key);
    }
}

fn wake_for_replica_set(snapshot: &Snapshot, key: &Key, versions: &[&Stored], ask: Ask<'_>) {
    ask(Controller::ReplicaSet, key);
    let mut deployments = controllers_of(versions, Kind::Deployment);
    if deployments.is_empty() {
        let all = snapshot.all_in::<Deployment>(&key.namespace);
        let suitable = all.filter(|(_, it)| versions.iter().any(|set| selects(&it.spec.selector, set)));
        deployments.extend(suitable.map(|(stored, _)| stored.key().clone()));
    }
    deployments.iter().for_each(|deployment| ask(Controller::Deployment, deployment));
}

/// Owners that wait for their dependents, dependents whose owner went, and whoever may have neither.
fn wake_for_owners(snapshot: &Snapshot, key: &Key, versions: &[&Stored], new: Option<&Stored>, ask: Ask<'_>) {
    let owners = versions.iter().flat_map(|version| {
        let references = version.meta().owner_references.iter().flatten();
        references.filter_map(|reference| owner::key(reference, &key.namespace))
    });
    let waiting = owners.filter(|owner| snapshot.get(owner).is_none_or(|owner| owner.is_deleting()));
    for owner in waiting.collect::<BTreeSet<Key>>() {
        ask(Controller::Garbage, &owner);
        ask(Controller::Garbage, key);
    }
    let is_same = |version: &&Stored| new.is_none_or(|new| new.uid() != version.uid());
    let gone = versions.iter().copied().filter(is_same);
    let dependents = gone.flat_map(|version| snapshot.dependents(version.uid()));
    dependents.for_each(|dependent| ask(Controller::Garbage, dependent.key()));
    if new.is_some_and(|new| new.is_deleting() || new.meta().owner_references.is_some()) {
        ask(Controller::Garbage, key);
    }
}

fn wake_for_namespace(snapshot: &Snapshot, key: &Key, ask: Ask<'_>) {
    let namespace = Key::new(Kind::Namespace, "", Arc::clone(&key.namespace));
    if snapshot.get(&namespace).is_some_and(|namespace| namespace.is_deleting()) {
        ask(Controller::Namespace, &namespace);
    }
}

/// Whether a pod waits for a node, or room may have come free for one that does.
fn concerns_scheduling(key: &Key, old: Option<&Stored>, new: Option<&Stored>) -> bool {
    match key.kind {
        Kind::Node => true,
        Kind::Pod => {
            let node = |pod: &Stored| {
                pod.object().str_at(&["spec", "nodeName"]).is_some_and(|node| !node.is_empty())
            };
            let has_ended = |pod: &Stored| {
                matches!(pod.object().str_at(&["status", "phase"]), Some("Succeeded" | "Failed"))
            };
            new.is_none_or(|new| !node(new) || (has_ended(new) && !old.is_some_and(has_ended)))
        }
        Kind::Namespace
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::ServiceAccount
        | Kind::Service
        | Kind::Event
        | Kind::ReplicaSet
        | Kind::Deployment
        | Kind::EndpointSlice
        | Kind::Ingress
        | Kind::Lease => false,
    }
}

fn controllers_of(versions: &[&Stored], kind: Kind) -> BTreeSet<Key> {
    let owners = versions.iter().filter_map(|version| {
        let reference = owner::controller(version.meta())?;
        owner::key(reference, &version.key().namespace)
    });
    owners.filter(|owner| owner.kind == kind).collect()
}

fn selects(selector: &LabelSelector, object: &Stored) -> bool {
    Selector::from_label_selector(selector)
        .is_ok_and(|it| !it.is_everything() && it.matches_object(object.object()))
}
