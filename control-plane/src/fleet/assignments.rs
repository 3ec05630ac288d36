//! What a node is told of a pod: the pod, and the ConfigMaps and Secrets that it refers to. Pure.
//!
//! Nothing else of the cluster reaches a node this way: a stolen node's credentials read only what that node's
//! own pods may read.

use std::collections::BTreeSet;

use bytes::Bytes;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume};
use manifests::{Kind, Object};

use crate::snapshot::{Key, Snapshot, Stored};

#[cfg(test)]
mod tests;

/// The assignment of a pod, with as much of what it refers to as exists. `None` if it is no pod.
#[must_use]
pub(super) fn assignment(snapshot: &Snapshot, stored: &Stored) -> Option<proto::Assignment> {
    let pod: &Pod = stored.typed()?;
    let references = references(pod)
        .into_iter()
        .filter_map(|(kind, name)| {
            let key = Key::new(kind, stored.key().namespace.clone(), name);
            snapshot.get(&key).map(|found| json(found.object()))
        })
        .collect();
    Some(proto::Assignment { pod: json(stored.object()), references })
}

/// The ConfigMaps and Secrets of its own namespace that a pod refers to, by kind and name.
#[must_use]
pub(super) fn references(pod: &Pod) -> BTreeSet<(Kind, &str)> {
    let mut names = BTreeSet::new();
    let Some(spec) = &pod.spec else { return names };
    for container in containers(spec) {
        add_environment(&mut names, container);
    }
    for volume in spec.volumes.iter().flatten() {
        add_volume(&mut names, volume);
    }
    names
}

/// The kind, namespace, name and uid by which a node and we speak of a pod.
#[must_use]
pub(super) fn pod_ref(stored: &Stored) -> proto::PodRef {
    proto::PodRef {
        namespace: stored.key().namespace.to_string(),
        name: stored.key().name.to_string(),
        uid: stored.uid().to_string(),
    }
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

fn add_environment<'a>(names: &mut BTreeSet<(Kind, &'a str)>, container: &'a Container) {
    for source in container.env_from.iter().flatten() {
        if let Some(map) = &source.config_map_ref {
            names.insert((Kind::ConfigMap, &map.name));
        }
        if let Some(secret) = &source.secret_ref {
            names.insert((Kind::Secret, &secret.name));
        }
    }
    for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
        if let Some(map) = &source.config_map_key_ref {
            names.insert((Kind::ConfigMap, &map.name));
        }
        if let Some(secret) = &source.secret_key_ref {
            names.insert((Kind::Secret, &secret.name));
        }
    }
}

fn add_volume<'a>(names: &mut BTreeSet<(Kind, &'a str)>, volume: &'a Volume) {
    if let Some(map) = &volume.config_map {
        names.insert((Kind::ConfigMap, &map.name));
    }
    if let Some(secret) = volume.secret.as_ref().and_then(|secret| secret.secret_name.as_deref()) {
        names.insert((Kind::Secret, secret));
    }
    let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    for source in projected {
        if let Some(map) = &source.config_map {
            names.insert((Kind::ConfigMap, &map.name));
        }
        if let Some(secret) = &source.secret {
            names.insert((Kind::Secret, &secret.name));
        }
    }
}

fn json(object: &Object) -> Bytes {
    object.to_json().into()
}
