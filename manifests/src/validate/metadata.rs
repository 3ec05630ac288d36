//! Names, labels, annotations, owners: the same for all kinds.

use super::view::{Root, View};
use crate::field::FieldError;
use crate::kind::Kind;
use crate::name;

/// All annotations of an object together, keys and values.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

pub(super) fn check(kind: Kind, root: Root<'_>, errors: &mut Vec<FieldError>) {
    let metadata = root.field("metadata");
    let rule = name_rule(kind);
    let (own, prefix) = (metadata.field("name"), metadata.field("generateName"));
    match (own.text_or_empty(), prefix.text_or_empty()) {
        ("", "") => errors.push(own.required("name or generateName is required")),
        ("", prefix_text) => {
            let stem = prefix_text.trim_end_matches('-');
            if let Err(detail) = rule(stem) {
                errors.push(prefix.invalid(detail));
            }
        }
        _ => own.check_text(rule, errors),
    }
    let namespace = metadata.field("namespace");
    if kind.info().namespaced {
        namespace.check_text(|text| if text.is_empty() { Ok(()) } else { name::dns_label(text) }, errors);
    } else if !namespace.text_or_empty().is_empty() {
        errors.push(namespace.forbidden(format!("a {kind} lives in no namespace")));
    }
    check_labels(&metadata.field("labels"), errors);
    check_annotations(&metadata.field("annotations"), errors);
    for owner in metadata.field("ownerReferences").items() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            owner.field(field).require_text(|_| Ok(()), errors);
        }
    }
    for finalizer in metadata.field("finalizers").items() {
        finalizer.require_text(name::qualified_name, errors);
    }
}

fn name_rule(kind: Kind) -> fn(&str) -> name::Verdict {
    match kind {
        Kind::Namespace => name::dns_label,
        Kind::Service => name::dns_label_1035,
        Kind::Node
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::ServiceAccount
        | Kind::Pod
        | Kind::Event
        | Kind::ReplicaSet
        | Kind::Deployment
        | Kind::EndpointSlice
        | Kind::Ingress
        | Kind::Lease => name::dns_subdomain,
    }
}

/// Labels, or anything that must have their form, such as a nodeSelector.
pub(super) fn check_labels(labels: &View<'_>, errors: &mut Vec<FieldError>) {
    for (key, value) in labels.entries() {
        if let Err(detail) = name::qualified_name(key) {
            errors.push(labels.invalid_key(key, detail));
        }
        value.check_text(name::label_value, errors);
    }
}

fn check_annotations(annotations: &View<'_>, errors: &mut Vec<FieldError>) {
    let mut bytes = 0;
    for (key, value) in annotations.entries() {
        bytes += key.len() + value.text_or_empty().len();
        // Kubernetes takes upper case in the prefix of annotations.
        if let Err(detail) = name::qualified_name(&key.to_ascii_lowercase()) {
            errors.push(annotations.invalid_key(key, detail));
        }
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(FieldError {
            path: annotations.path.clone(),
            reason: crate::field::Reason::TooMany,
            value: None,
            detail: format!("must have at most {ANNOTATIONS_BYTES_MAX} bytes, has {bytes}"),
        });
    }
}
