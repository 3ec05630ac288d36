//! Owner references: who manages an object, and how it is taken in or let go.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use manifests::{Kind, Object};
use serde_json::{Value, json};

use crate::snapshot::{Key, Stored};

/// The reference of the controller that manages the object.
pub fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Whether the object at `stored` is the one that manages the object with this metadata.
pub fn is_controlled_by(meta: &ObjectMeta, stored: &Stored) -> bool {
    controller(meta).is_some_and(|owner| owner.uid == **stored.uid())
}

/// The reference by which `owner` manages another object.
pub fn reference(owner: &Stored) -> Value {
    let key = owner.key();
    json!({
        "apiVersion": key.kind.api_version(),
        "kind": key.kind.info().kind,
        "name": &*key.name,
        "uid": &**owner.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// Where the owner of an object in `namespace` lives, if it is of a kind that we serve.
pub fn key(reference: &OwnerReference, namespace: &str) -> Option<Key> {
    let kind = Kind::of(&reference.api_version, &reference.kind)?;
    let namespace = if kind.info().namespaced { namespace } else { "" };
    Some(Key::new(kind, namespace, reference.name.as_str()))
}

/// The object with `owner` as its controller.
pub fn adopted(object: &Stored, owner: &Stored) -> Object {
    let mut adopted = object.object().clone();
    let mut references = adopted.list_at(&["metadata", "ownerReferences"]).to_vec();
    references.push(reference(owner));
    adopted.set(&["metadata", "ownerReferences"], references);
    adopted
}

/// The object without the references to the owners with these uids.
pub fn released(object: &Stored, is_released: impl Fn(&str) -> bool) -> Object {
    let mut released = object.object().clone();
    let references = released.list_at(&["metadata", "ownerReferences"]).iter();
    let kept: Vec<Value> =
        references.filter(|owner| !is_released(owner["uid"].as_str().unwrap_or_default())).cloned().collect();
    released.set(&["metadata", "ownerReferences"], kept);
    released
}
