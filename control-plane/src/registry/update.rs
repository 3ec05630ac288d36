//! New versions of objects: what of them a user may change, and what counts as a change.

use std::sync::Arc;

use manifests::{Kind, Object};
use serde_json::{Value, json};

use super::{
    Cause, Context, Effect, Status, admission, check_resource_version, check_uid, create, find, key_of, pods,
    put_or_remove, services,
};
use crate::snapshot::{Snapshot, Stored};

/// The metadata that only the server writes.
const OURS: [&str; 8] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
    "managedFields",
];

/// Replaces all of an object but its status.
pub(super) fn update(
    snapshot: &Snapshot,
    mut object: Object,
    context: &mut Context<'_>,
) -> Result<Effect, Status> {
    let key = key_of(&object)?;
    let stored = find(snapshot, &key)?;
    check_uid(stored, object.uid())?;
    check_resource_version(stored, &object)?;
    let old = stored.object();
    keep_what_is_ours(old, &mut object);
    admission::default(&mut object);
    if key.kind == Kind::Service {
        services::allocate(snapshot, &mut object, Some(old), context)?;
    }
    admission::validate(key.kind, &object)?;
    check_immutable(stored, &object)?;
    check_finalizers(stored, &object)?;
    if create::has_generation(key.kind) && !same_but(old, &object, &["metadata", "status"]) {
        object.set(&["metadata", "generation"], old.generation() + 1);
    }
    Ok(put_or_remove(stored, object))
}

/// Replaces the status of an object and nothing else.
pub(super) fn update_status(snapshot: &Snapshot, object: Object) -> Result<Effect, Status> {
    let key = key_of(&object)?;
    let stored = find(snapshot, &key)?;
    check_uid(stored, object.uid())?;
    check_resource_version(stored, &object)?;
    let mut new = stored.object().clone();
    match object.0.get("status") {
        Some(status) => new.set(&["status"], status.clone()),
        None => drop(new.0.remove("status")),
    }
    admission::validate(key.kind, &new)?;
    Ok(put_or_remove(stored, new))
}

/// Puts the server's own fields of the old version into the new one.
fn keep_what_is_ours(old: &Object, object: &mut Object) {
    let metadata = object.metadata_mut();
    for field in OURS {
        match old.at(&["metadata", field]) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
    if old.kind().is_some_and(|kind| kind.info().status) {
        match old.0.get("status") {
            Some(status) => object.0.insert("status".to_owned(), status.clone()),
            None => object.0.remove("status"),
        };
    }
    if old.kind() == Some(Kind::Namespace) {
        object.set(&["spec"], old.0.get("spec").cloned().unwrap_or_else(|| json!({})));
    }
}

/// Whether two versions differ in nothing but the fields named.
fn same_but(old: &Object, new: &Object, but: &[&str]) -> bool {
    let rest = |object: &Object| -> Vec<(String, Value)> {
        let fields = object.0.iter().filter(|(field, _)| !but.contains(&field.as_str()));
        fields.map(|(field, value)| (field.clone(), value.clone())).collect()
    };
    rest(old) == rest(new)
}

/// Refuses to change what cannot be changed in the life of an object.
fn check_immutable(stored: &Arc<Stored>, new: &Object) -> Result<(), Status> {
    let (key, old) = (stored.key(), stored.object());
    let mut causes = Vec::new();
    match key.kind {
        Kind::Deployment | Kind::ReplicaSet => causes.extend(immutable(old, new, &["spec", "selector"])),
        Kind::Secret | Kind::ConfigMap => causes.extend(check_frozen(old, new)),
        Kind::Pod => pods::check_update(stored, new)?,
        Kind::Service => causes.extend(services::check_update(old, new)),
        Kind::EndpointSlice => causes.extend(immutable(old, new, &["addressType"])),
        Kind::Namespace | Kind::Node | Kind::ServiceAccount | Kind::Event | Kind::Ingress | Kind::Lease => {}
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(key.kind, &key.name, causes)) }
}

/// The cause if the value at a path is not what it was.
pub(super) fn immutable(old: &Object, new: &Object, path: &[&str]) -> Option<Cause> {
    let (before, after) = (old.at(path), new.at(path));
    (before != after).then(|| {
        let value = after.cloned().unwrap_or(Value::Null);
        Cause::invalid(path.join("."), format!("Invalid value: {value}: field is immutable"))
    })
}

/// A Secret's type never changes, and with `immutable: true` neither does what it holds.
fn check_frozen(old: &Object, new: &Object) -> Vec<Cause> {
    let mut causes: Vec<Cause> = immutable(old, new, &["type"]).into_iter().collect();
    if old.at(&["immutable"]) == Some(&Value::Bool(true)) {
        let changed = ["data", "binaryData", "immutable"]
            .into_iter()
            .filter(|field| old.at(&[field]) != new.at(&[field]));
        causes.extend(changed.map(|field| Cause {
            reason: "FieldValueForbidden".into(),
            message: "Forbidden: field is immutable when `immutable` is set".into(),
            field: field.into(),
        }));
    }
    causes
}

/// What is being deleted takes no new finalizers: it would never end.
fn check_finalizers(stored: &Arc<Stored>, new: &Object) -> Result<(), Status> {
    let before = stored.object().finalizers();
    let added: Vec<&str> =
        new.finalizers().into_iter().filter(|finalizer| !before.contains(finalizer)).collect();
    if added.is_empty() || !stored.is_deleting() {
        return Ok(());
    }
    let message = format!(
        "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
    );
    let cause = Cause { reason: "FieldValueForbidden".into(), message, field: "metadata.finalizers".into() };
    Err(Status::invalid(stored.key().kind, &stored.key().name, vec![cause]))
}

#[cfg(test)]
mod tests;
