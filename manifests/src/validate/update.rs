//! What must not change once an object is there.

use serde_json::Value;

use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::object::Object;

/// What a new version of an object may not say, given the version that is there. Both have their defaults.
/// The new version by itself is [`super::check`]'s to judge.
pub fn check_update(old: &Object, new: &Object) -> Vec<FieldError> {
    let Some(kind) = new.kind() else { return Vec::new() };
    let mut errors = Vec::new();
    let mut keep = |path: &[&str]| keep(old, new, path, &mut errors);
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        keep(&["metadata", field]);
    }
    match kind {
        Kind::Deployment | Kind::ReplicaSet => keep(&["spec", "selector"]),
        Kind::Secret => keep(&["type"]),
        Kind::EndpointSlice => keep(&["addressType"]),
        Kind::Pod => check_pod(old, new, &mut errors),
        Kind::Service => check_service(old, new, &mut errors),
        Kind::Namespace | Kind::Node | Kind::ConfigMap | Kind::ServiceAccount => {}
        Kind::Event | Kind::Ingress | Kind::Lease => {}
    }
    if matches!(kind, Kind::ConfigMap | Kind::Secret) {
        check_immutable_data(old, new, &mut errors);
    }
    if old.is_terminating() {
        check_no_new_finalizers(old, new, &mut errors);
    }
    errors
}

/// A field that had a value must keep it.
fn keep(old: &Object, new: &Object, path: &[&str], errors: &mut Vec<FieldError>) {
    let Some(before) = old.at(path).filter(|value| !value.is_null()) else { return };
    let after = new.at(path).unwrap_or(&Value::Null);
    if before != after {
        errors.push(FieldError::invalid(FieldPath::new(&path.join(".")), after, "field is immutable"));
    }
}

/// Of a pod's spec only images, deadlines, tolerations and where it is bound to may change.
fn check_pod(old: &Object, new: &Object, errors: &mut Vec<FieldError>) {
    const DETAIL: &str = "pod updates may not change fields other than `spec.containers[*].image`, \
        `spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.terminationGracePeriodSeconds` and \
        `spec.tolerations`";
    let frozen = |object: &Object| {
        let mut spec = object.at(&["spec"]).cloned().unwrap_or_default();
        for list in ["containers", "initContainers"] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
            containers.filter_map(Value::as_object_mut).for_each(|container| {
                container.remove("image");
            });
        }
        if let Some(spec) = spec.as_object_mut() {
            let free = [
                "activeDeadlineSeconds",
                "terminationGracePeriodSeconds",
                "tolerations",
                "ephemeralContainers",
            ];
            for field in free {
                spec.remove(field);
            }
            // Binding is a change of its own; once bound, the node stays.
            spec.remove("nodeName");
        }
        spec
    };
    if frozen(old) != frozen(new) {
        errors.push(FieldError::forbidden(FieldPath::new("spec"), DETAIL));
    }
    keep(old, new, &["spec", "nodeName"], errors);
}

/// A service keeps its address while its type has one.
fn check_service(old: &Object, new: &Object, errors: &mut Vec<FieldError>) {
    let named = |object: &Object| object.str_at(&["spec", "type"]) == Some("ExternalName");
    let address = old.str_at(&["spec", "clusterIP"]).unwrap_or_default();
    if !named(old) && !named(new) && !address.is_empty() {
        keep(old, new, &["spec", "clusterIP"], errors);
    }
}

fn check_immutable_data(old: &Object, new: &Object, errors: &mut Vec<FieldError>) {
    if old.at(&["immutable"]) != Some(&Value::Bool(true)) {
        return;
    }
    for field in ["immutable", "data", "binaryData"] {
        if old.at(&[field]) != new.at(&[field]) {
            let detail = "field is immutable when `immutable` is set";
            errors.push(FieldError::forbidden(FieldPath::new(field), detail));
        }
    }
}

fn check_no_new_finalizers(old: &Object, new: &Object, errors: &mut Vec<FieldError>) {
    let before = old.finalizers();
    if new.finalizers().iter().any(|finalizer| !before.contains(finalizer)) {
        let detail = "no new finalizers can be added if the object is being deleted";
        errors.push(FieldError::forbidden(FieldPath::new("metadata.finalizers"), detail));
    }
}
