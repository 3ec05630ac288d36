//! The end of objects.
//!
//!     there ──▶ going (deletionTimestamp; held by finalizers, by its node, or by a namespace's contents) ──▶ gone
//!       └──────────────────────────────── nothing holds it ──────────────────────────────────────────────▶ gone

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use manifests::{Kind, Object};
use serde_json::{Value, json};

use super::{Effect, Status, check_uid, create, find, namespaces, pods, put_or_remove, rfc3339};
use crate::change::{Preconditions, Propagation};
use crate::snapshot::{Key, Snapshot, Stored};

/// How somebody wants an object to go.
pub(super) struct Asked {
    pub(super) preconditions: Preconditions,
    pub(super) grace_period_seconds: Option<i64>,
    pub(super) propagation: Propagation,
}

/// Asks an object to go; it goes at once if nothing holds it.
pub(super) fn delete(
    snapshot: &Snapshot,
    key: &Key,
    asked: &Asked,
    now: Timestamp,
) -> Result<Effect, Status> {
    let stored = find(snapshot, key)?;
    check_preconditions(stored, &asked.preconditions)?;
    if key.kind == Kind::Namespace {
        namespaces::check_deletable(&key.name)?;
    }
    let mut object = stored.object().clone();
    let is_pod = key.kind == Kind::Pod;
    let grace_seconds = if is_pod { pods::grace_seconds(&object, asked.grace_period_seconds) } else { 0 };
    if object.is_terminating() {
        shorten_grace(&mut object, grace_seconds, now);
    } else {
        set_propagation(&mut object, asked.propagation);
        begin(&mut object, grace_seconds, now);
    }
    Ok(put_or_remove(stored, object))
}

/// Takes a finalizer off; with the last one the object goes.
pub(super) fn finalize(snapshot: &Snapshot, key: &Key, uid: &str, finalizer: &str) -> Result<Effect, Status> {
    let stored = find(snapshot, key)?;
    check_uid(stored, uid)?;
    let mut object = stored.object().clone();
    let in_spec = key.kind == Kind::Namespace && finalizer == namespaces::FINALIZER;
    let path: &[&str] = if in_spec { &["spec", "finalizers"] } else { &["metadata", "finalizers"] };
    let left: Vec<Value> =
        object.list_at(path).iter().filter(|one| one.as_str() != Some(finalizer)).cloned().collect();
    if left.is_empty() {
        object.remove(path);
    } else {
        object.set(path, left);
    }
    Ok(put_or_remove(stored, object))
}

fn check_preconditions(stored: &Arc<Stored>, wanted: &Preconditions) -> Result<(), Status> {
    if let Some(uid) = &wanted.uid {
        check_uid(stored, uid)?;
    }
    match wanted.resource_version {
        Some(revision) if revision != stored.revision() => {
            let key = stored.key();
            let why = format!(
                "Precondition failed: ResourceVersion in precondition: {revision}, ResourceVersion in object meta: {}",
                stored.revision()
            );
            Err(Status::conflict(key.kind, &key.name, &why))
        }
        _ => Ok(()),
    }
}

/// Marks an object as going: from now on it only waits for what holds it.
fn begin(object: &mut Object, grace_seconds: i64, now: Timestamp) {
    let kind = object.kind();
    object.set(&["metadata", "deletionTimestamp"], rfc3339(after(now, grace_seconds)));
    object.set(&["metadata", "deletionGracePeriodSeconds"], grace_seconds);
    if kind.is_some_and(create::has_generation) {
        object.set(&["metadata", "generation"], object.generation() + 1);
    }
    if kind == Some(Kind::Namespace) {
        object.set(&["status", "phase"], "Terminating");
    }
}

/// A second deletion may hurry the first, never slow it down.
fn shorten_grace(object: &mut Object, grace_seconds: i64, now: Timestamp) {
    let left = object.i64_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0);
    if grace_seconds < left {
        object.set(&["metadata", "deletionTimestamp"], rfc3339(after(now, grace_seconds)));
        object.set(&["metadata", "deletionGracePeriodSeconds"], grace_seconds);
    }
}

/// The finalizers that make the garbage collector do what the propagation says, and no others of its own.
fn set_propagation(object: &mut Object, propagation: Propagation) {
    let collectors = [Propagation::Foreground, Propagation::Orphan].map(Propagation::finalizer);
    let mut finalizers: Vec<Value> = object.list_at(&["metadata", "finalizers"]).to_vec();
    finalizers.retain(|one| !collectors.contains(&one.as_str()));
    finalizers.extend(propagation.finalizer().map(|finalizer| json!(finalizer)));
    if finalizers.is_empty() {
        object.remove(&["metadata", "finalizers"]);
    } else {
        object.set(&["metadata", "finalizers"], finalizers);
    }
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
