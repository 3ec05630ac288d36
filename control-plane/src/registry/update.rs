//! New versions of objects: what of them a user may change, and what counts as a change.

use manifests::{Kind, Object};
use serde_json::{Value, json};

use super::{
    Context, Effect, Status, admission, check_resource_version, check_uid, create, find, key_of, pods,
    put_or_remove, services,
};
use crate::snapshot::Snapshot;

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
    pods::check_not_bound_by(old, &object)?;
    admission::validate_update(key.kind, old, &object)?;
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
    for field in super::SERVERS_METADATA {
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

#[cfg(test)]
mod tests;
