//! Namespaces: what may be made in them, and how they begin and end.

use manifests::{Kind, Object};
use serde_json::json;

use super::{Cause, Status};
use crate::change::Change;
use crate::snapshot::{Key, Snapshot};

/// The finalizer in `spec.finalizers` that holds a namespace until it is empty.
pub(super) const FINALIZER: &str = "kubernetes";
/// The namespaces that the cluster itself lives in.
const KEPT: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// The namespaces that every cluster begins with. Asking for them again is refused and does no harm.
pub fn founding() -> Vec<Change> {
    KEPT.iter().map(|name| Change::Create(Object::new(Kind::Namespace, "", name))).collect()
}

/// Refuses an object whose namespace is not there or is on its way out.
pub(super) fn check_accepts(snapshot: &Snapshot, key: &Key) -> Result<(), Status> {
    if !key.kind.info().namespaced {
        return Ok(());
    }
    let namespace = snapshot
        .get(&Key::new(Kind::Namespace, "", &*key.namespace))
        .ok_or_else(|| Status::not_found(Kind::Namespace, &key.namespace))?;
    if !namespace.is_deleting() {
        return Ok(());
    }
    let message = format!("namespace {} is being terminated", key.namespace);
    let why =
        format!("unable to create new content in namespace {} because it is being terminated", key.namespace);
    let mut status = Status::forbidden(key.kind, &key.name, &why);
    let cause = Cause { reason: "NamespaceTerminating".into(), message, field: "metadata.namespace".into() };
    status.details.get_or_insert_default().causes.push(cause);
    Err(status)
}

/// A new namespace is active, is held until it is empty, and can be selected by its name.
pub(super) fn prepare(object: &mut Object) {
    let name = object.name().to_owned();
    object.set(&["metadata", "labels", "kubernetes.io/metadata.name"], name);
    object.set(&["spec", "finalizers"], json!([FINALIZER]));
    object.set(&["status"], json!({"phase": "Active"}));
}

/// Refuses to delete what the cluster lives in.
pub(super) fn check_deletable(name: &str) -> Result<(), Status> {
    if KEPT.contains(&name) {
        return Err(Status::forbidden(Kind::Namespace, name, "this namespace may not be deleted"));
    }
    Ok(())
}
