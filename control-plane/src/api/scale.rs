//! `/scale`: the number of replicas of any kind that has one, under one name for all.

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
use crate::snapshot::Key;

/// Answers `GET`, `PUT` and `PATCH` of a scale.
pub(super) async fn answer(call: Call, key: Key) -> Result<Response<Body>, Status> {
    match call.head.method {
        Method::GET | Method::HEAD => Ok(Answer::json(&scale(current(&call, &key)?.object()))),
        Method::PUT => {
            let media = body::media_type(&call.head.headers);
            let wanted = body::value(&media, &call.body)?;
            set(&call, &key, &wanted).await
        }
        Method::PATCH => {
            let patch = write::read_patch(&call)?;
            for _ in 0..write::PATCH_TRIES {
                let stored = current(&call, &key)?;
                let before = scale(stored.object());
                let is_pinned = patch.pins_revision();
                let wanted = patch.clone().apply(before, None)?;
                match set(&call, &key, &wanted).await {
                    Err(status) if status.reason == Reason::Conflict && !is_pinned => {}
                    answer => return answer,
                }
            }
            Err(Status::modified(key.kind, &key.name))
        }
        _ => Err(call.method_not_allowed()),
    }
}

fn current(call: &Call, key: &Key) -> Result<std::sync::Arc<crate::snapshot::Stored>, Status> {
    let snapshot = call.api.store.snapshot();
    snapshot.get(key).cloned().ok_or_else(|| Status::not_found(key.kind, &key.name))
}

async fn set(call: &Call, key: &Key, wanted: &Value) -> Result<Response<Body>, Status> {
    let replicas = match &wanted["spec"]["replicas"] {
        Value::Null => 0,
        value => value.as_i64().filter(|n| (0..=i64::from(i32::MAX)).contains(n)).ok_or_else(|| {
            let message = format!("Invalid value: {value}: must be a whole number of at least 0");
            Status::invalid(key.kind, &key.name, vec![Cause::invalid("spec.replicas", message)])
        })?,
    };
    let mut object = current(call, key)?.object().clone();
    if let Some(version) =
        wanted["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty())
    {
        object.set(&["metadata", "resourceVersion"], version);
    }
    object.set(&["spec", "replicas"], replicas);
    let outcome = write::submit(call, Change::Update(object)).await?;
    Ok(Answer::json(&scale(outcome.stored().object())))
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
