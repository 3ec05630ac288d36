//! `/scale`: the number of replicas of any kind that has one, under one name for all.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Response};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use manifests::Object;
use manifests::selector::Selector;
use serde_json::{Value, json};

use super::answer::Answer;
use super::{Call, body, write};
use crate::change::Change;
use crate::registry::{Cause, Reason, Status};
use crate::snapshot::{Key, Stored};

/// Answers `GET`, `PUT` and `PATCH` of a scale.
pub(super) async fn answer(call: Call, key: Key) -> Result<Response<Body>, Status> {
    match call.head.method {
        Method::GET | Method::HEAD => Ok(Answer::json(&scale(current(&call, &key)?.object()))),
        Method::PUT => {
            let wanted = body::value(&body::media_type(&call.head.headers), &call.body)?;
            let is_pinned =
                wanted["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty());
            set(&call, &key, is_pinned, |_| Ok(wanted.clone())).await
        }
        Method::PATCH => {
            let patch = write::read_patch(&call)?;
            set(&call, &key, patch.pins_revision(), |current| patch.clone().apply(current, None)).await
        }
        _ => Err(call.method_not_allowed()),
    }
}

fn current(call: &Call, key: &Key) -> Result<Arc<Stored>, Status> {
    let snapshot = call.api.store.snapshot();
    snapshot.get(key).cloned().ok_or_else(|| Status::not_found(key.kind, &key.name))
}

/// Sets what `wanted` makes of the current scale; tried again when the object changes in between, unless the caller
/// means one version of it.
async fn set(
    call: &Call,
    key: &Key,
    is_pinned: bool,
    wanted: impl Fn(Value) -> Result<Value, Status>,
) -> Result<Response<Body>, Status> {
    for _ in 0..write::PATCH_TRIES {
        let stored = current(call, key)?;
        let wanted = wanted(scale(stored.object()))?;
        let mut object = stored.object().clone();
        if is_pinned {
            object.set(&["metadata", "resourceVersion"], wanted["metadata"]["resourceVersion"].clone());
        }
        object.set(&["spec", "replicas"], replicas(key, &wanted)?);
        match write::submit(call, Change::Update(object)).await {
            Err(status) if status.reason == Reason::Conflict && !is_pinned => {}
            outcome => return Ok(Answer::json(&scale(outcome?.stored().object()))),
        }
    }
    Err(Status::modified(key.kind, &key.name))
}

fn replicas(key: &Key, scale: &Value) -> Result<i64, Status> {
    let value = &scale["spec"]["replicas"];
    if value.is_null() {
        return Ok(0);
    }
    value.as_i64().filter(|count| (0..=i64::from(i32::MAX)).contains(count)).ok_or_else(|| {
        let message = format!("Invalid value: {value}: must be a whole number of at least 0");
        Status::invalid(key.kind, &key.name, vec![Cause::invalid("spec.replicas", message)])
    })
}

/// An object's scale.
fn scale(object: &Object) -> Value {
    let mut metadata = serde_json::Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.at(&["metadata", field]) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": object.i64_at(&["spec", "replicas"]).unwrap_or(0)},
        "status": {
            "replicas": object.i64_at(&["status", "replicas"]).unwrap_or(0),
            "selector": selector(object).unwrap_or_default(),
        },
    })
}

fn selector(object: &Object) -> Option<String> {
    let selector: LabelSelector = serde_json::from_value(object.at(&["spec", "selector"])?.clone()).ok()?;
    Some(Selector::from_label_selector(&selector).ok()?.to_string())
}
