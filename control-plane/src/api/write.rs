//! Writing objects: a request becomes a change, and the store's answer an answer.

use std::sync::Arc;

use axum::body::Body;
use http::{Response, StatusCode};
use manifests::schema::Place as SchemaPlace;
use manifests::{Kind, Object};
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::patch::Patch;
use super::query::Form;
use super::route::Place;
use super::{Call, body, read};
use crate::change::{Change, Preconditions, Propagation};
use crate::registry::{Details, Reason, Status};
use crate::snapshot::{Key, Stored};
use crate::store::Outcome;

/// How often a patch is tried again on a newer version of its object.
pub(super) const PATCH_TRIES: usize = 8;
/// The namespace of objects that are sent to a namespaced kind without one.
const DEFAULT_NAMESPACE: &str = "default";

/// Which part of an object a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Status,
}

/// Carries a change out, or only finds out what it would do.
pub(super) async fn submit(call: &Call, change: Change) -> Result<Outcome, Status> {
    if call.query.dry_run { call.api.store.dry_run(change) } else { call.api.store.submit(change).await }
}

/// `POST` to a collection.
pub(super) async fn create(call: Call, at: Place) -> Result<Response<Body>, Status> {
    let mut object = read_object(&call, at.kind)?;
    place(&mut object, &at)?;
    let warnings = body::drop_unknown_fields(&mut object, call.query.field_validation)?;
    let outcome = submit(&call, Change::Create(object)).await?;
    written(&call, &outcome, StatusCode::CREATED, &warnings)
}

/// `PUT` of an object or its status.
pub(super) async fn replace(call: Call, key: Key, part: Part) -> Result<Response<Body>, Status> {
    let mut object = read_object(&call, key.kind)?;
    place(&mut object, &Place::one(key.clone()))?;
    let warnings = body::drop_unknown_fields(&mut object, call.query.field_validation)?;
    let outcome = submit(&call, change(part, object)).await?;
    written(&call, &outcome, StatusCode::OK, &warnings)
}

/// `PATCH` of an object or its status, in any of the patch languages.
pub(super) async fn patch(call: Call, key: Key, part: Part) -> Result<Response<Body>, Status> {
    let patch = read_patch(&call)?;
    let is_pinned = patch.pins_revision();
    for _ in 0..PATCH_TRIES {
        let current = call.api.store.snapshot().get(&key).cloned();
        let Some(current) = current else {
            match create_by_apply(&call, &key, patch.clone()).await {
                // Somebody else was first: now there is something to patch.
                Err(status) if status.reason == Reason::AlreadyExists => continue,
                answer => return answer,
            }
        };
        let mut object = patched(patch.clone(), &key, &current)?;
        let warnings = body::drop_unknown_fields(&mut object, call.query.field_validation)?;
        if !is_pinned {
            object.set(&["metadata", "resourceVersion"], current.revision().to_string());
        }
        match submit(&call, change(part, object)).await {
            Err(status) if status.reason == Reason::Conflict && !is_pinned => {}
            outcome => return written(&call, &outcome?, StatusCode::OK, &warnings),
        }
    }
    Err(Status::modified(key.kind, &key.name))
}

/// A server-side apply makes the object if it is not there; no other patch does.
async fn create_by_apply(call: &Call, key: &Key, patch: Patch) -> Result<Response<Body>, Status> {
    let Patch::Apply(configuration) = patch else { return Err(Status::not_found(key.kind, &key.name)) };
    let mut object = Object(configuration);
    place(&mut object, &Place::one(key.clone()))?;
    let warnings = body::drop_unknown_fields(&mut object, call.query.field_validation)?;
    let outcome = submit(call, Change::Create(object)).await?;
    written(call, &outcome, StatusCode::CREATED, &warnings)
}

/// The object that a patch makes of the current one; a patch cannot make it another object.
fn patched(patch: Patch, key: &Key, current: &Arc<Stored>) -> Result<Object, Status> {
    let document = current.object().clone().into_value();
    let document = patch.apply(document, Some(SchemaPlace::root(key.kind)))?;
    let object = Object::from_value(document).map_err(|error| Status::bad_request(error.to_string()))?;
    if Key::of(&object).as_ref() != Some(key) {
        let message = "a patch may not change apiVersion, kind, metadata.name or metadata.namespace";
        return Err(Status::bad_request(message));
    }
    Ok(object)
}

/// `DELETE` of one object.
pub(super) async fn delete(mut call: Call, key: Key) -> Result<Response<Body>, Status> {
    let options = read_delete_options(&mut call)?;
    let outcome = submit(&call, options.change(key.clone())).await?;
    match outcome {
        Outcome::Removed(stored) => Ok(Answer::json(&gone(&key, &stored))),
        Outcome::Created(stored) | Outcome::Updated(stored) | Outcome::Unchanged(stored) => {
            Ok(Answer::encoded(StatusCode::OK, stored.object().to_json()))
        }
    }
}

/// `DELETE` of everything that a query selects.
pub(super) async fn delete_collection(mut call: Call, at: Place) -> Result<Response<Body>, Status> {
    call.query.check_fields(at.kind)?;
    let options = read_delete_options(&mut call)?;
    let snapshot = call.api.store.snapshot();
    let selected: Vec<Arc<Stored>> = read::select(&snapshot, &at, &call.query).cloned().collect();
    for stored in selected {
        match submit(&call, options.change_of(&stored)).await {
            Err(status) if status.reason == Reason::NotFound => {}
            // Another one of the same name by now, which nobody selected.
            Err(status) if status.reason == Reason::Conflict && !options.is_conditional() => {}
            Err(status) => return Err(status),
            Ok(_) => {}
        }
    }
    Ok(Answer::json(
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 200}),
    ))
}

/// `POST` of a Binding.
pub(super) async fn bind(call: Call, pod: Key) -> Result<Response<Body>, Status> {
    let media = body::media_type(&call.head.headers);
    let binding = body::object(&media, &call.body)?;
    let Some(node) = binding.str_at(&["target", "name"]).filter(|node| !node.is_empty()) else {
        return Err(Status::bad_request("a Binding needs target.name"));
    };
    let change = Change::Bind { pod, uid: binding.uid().into(), node: node.into() };
    submit(&call, change).await?;
    let answer =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(Answer::with_code(StatusCode::CREATED, &answer))
}

fn change(part: Part, object: Object) -> Change {
    match part {
        Part::Whole => Change::Update(object),
        Part::Status => Change::UpdateStatus(object),
    }
}

/// The answer to a write: the object, in the form that the caller wants.
fn written(
    call: &Call,
    outcome: &Outcome,
    code: StatusCode,
    warnings: &[String],
) -> Result<Response<Body>, Status> {
    let form = call.accept.form().unwrap_or(Form::Json);
    let stored = outcome.stored();
    let mut response = read::one(call, form, stored, code);
    answer::warn(&mut response, warnings);
    answer::warn(&mut response, &body::not_acted_on(stored.object()));
    Ok(response)
}

fn read_object(call: &Call, kind: Kind) -> Result<Object, Status> {
    let media = body::media_type(&call.head.headers);
    let mut object = body::object(&media, &call.body)?;
    if object.kind_name().is_empty() {
        object.set(&["kind"], kind.info().kind);
    }
    if object.api_version().is_empty() {
        object.set(&["apiVersion"], kind.api_version());
    }
    if object.kind() != Some(kind) {
        let message = format!(
            "the API version and kind in the data ({}, {}) do not match the expected ({}, {})",
            object.api_version(),
            object.kind_name(),
            kind.api_version(),
            kind.info().kind
        );
        return Err(Status::bad_request(message));
    }
    Ok(object)
}

/// Puts an object where its URL says, unless it says otherwise itself.
fn place(object: &mut Object, at: &Place) -> Result<(), Status> {
    if at.kind.info().namespaced {
        let namespace = at.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        match object.namespace() {
            Some(own) if at.namespace.is_some() && own != namespace => {
                let message = format!(
                    "the namespace of the provided object ({own}) does not match the namespace sent on the request ({namespace})"
                );
                return Err(Status::bad_request(message));
            }
            Some(_) => {}
            None => object.set(&["metadata", "namespace"], namespace),
        }
    } else {
        object.remove(&["metadata", "namespace"]);
    }
    match at.name.as_deref() {
        Some(name) if object.name().is_empty() => object.set(&["metadata", "name"], name),
        Some(name) if object.name() != name => {
            let message = format!(
                "the name of the object ({}) does not match the name on the URL ({name})",
                object.name()
            );
            return Err(Status::bad_request(message));
        }
        _ => {}
    }
    Ok(())
}

/// Reads a patch of the language that its media type names.
pub(super) fn read_patch(call: &Call) -> Result<Patch, Status> {
    let media = body::media_type(&call.head.headers);
    let map = |value: Value| {
        if let Value::Object(map) = value {
            return Ok(map);
        }
        Err(Status::bad_request("the patch is no JSON object"))
    };
    match media.as_str() {
        "application/strategic-merge-patch+json" => Ok(Patch::Strategic(map(body::json(&call.body)?)?)),
        "application/merge-patch+json" => Ok(Patch::Merge(Value::Object(map(body::json(&call.body)?)?))),
        "application/json-patch+json" => {
            let operations = serde_json::from_slice(&call.body);
            operations
                .map(Patch::Json)
                .map_err(|error| Status::bad_request(format!("the JSON patch cannot be read: {error}")))
        }
        "application/apply-patch+yaml" => {
            if call.query.get("fieldManager").is_none_or(str::is_empty) {
                return Err(Status::bad_request("fieldManager is required for apply patch"));
            }
            let configuration = map(body::yaml(&call.body)?)?;
            if configuration.get("metadata").is_some_and(|metadata| {
                metadata["managedFields"].as_array().is_some_and(|all| !all.is_empty())
            }) {
                return Err(Status::bad_request("metadata.managedFields must be nil"));
            }
            Ok(Patch::Apply(configuration))
        }
        other => {
            let message = format!(
                "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml, application/strategic-merge-patch+json; got {other}"
            );
            Err(Status::new(Reason::UnsupportedMediaType, message))
        }
    }
}

/// `DeleteOptions`, from the body or the query; the body wins.
struct DeleteOptions {
    grace_period_seconds: Option<i64>,
    preconditions: Preconditions,
    propagation: Propagation,
}

impl DeleteOptions {
    fn is_conditional(&self) -> bool {
        self.preconditions != Preconditions::default()
    }

    /// The deletion of the very object that was selected, unless the caller names another.
    fn change_of(&self, stored: &Stored) -> Change {
        let mut change = self.change(stored.key().clone());
        if let Change::Delete { preconditions, .. } = &mut change {
            preconditions.uid.get_or_insert_with(|| Arc::clone(stored.uid()));
        }
        change
    }

    fn change(&self, key: Key) -> Change {
        Change::Delete {
            key,
            preconditions: self.preconditions.clone(),
            grace_period_seconds: self.grace_period_seconds,
            propagation: self.propagation,
        }
    }
}

fn read_delete_options(call: &mut Call) -> Result<DeleteOptions, Status> {
    let media = body::media_type(&call.head.headers);
    let options = if call.body.is_empty() { Value::Null } else { body::value(&media, &call.body)? };
    if options["dryRun"].as_array().is_some_and(|all| !all.is_empty()) {
        call.query.dry_run = true;
    }
    let not_whole = || Status::bad_request("gracePeriodSeconds must be a whole number");
    let grace = match options.get("gracePeriodSeconds").filter(|value| !value.is_null()) {
        None => call.query.number("gracePeriodSeconds")?,
        Some(value) => Some(value.as_i64().ok_or_else(not_whole)?),
    };
    let policy = options["propagationPolicy"].as_str().or(call.query.get("propagationPolicy"));
    let orphans =
        options["orphanDependents"].as_bool().unwrap_or_else(|| call.query.flag("orphanDependents"));
    let propagation = match policy {
        Some("Orphan") => Propagation::Orphan,
        Some("Foreground") => Propagation::Foreground,
        Some("Background") => Propagation::Background,
        None if orphans => Propagation::Orphan,
        None => Propagation::Background,
        Some(other) => return Err(Status::bad_request(format!("unknown propagationPolicy \"{other}\""))),
    };
    let wanted = &options["preconditions"];
    let resource_version = match wanted["resourceVersion"].as_str() {
        Some(text) => Some(
            text.parse().map_err(|_| Status::bad_request("preconditions.resourceVersion is no number"))?,
        ),
        None => None,
    };
    let preconditions = Preconditions { uid: wanted["uid"].as_str().map(Into::into), resource_version };
    Ok(DeleteOptions { grace_period_seconds: grace, preconditions, propagation })
}

/// The answer that an object is gone; `kubectl delete --wait` compares the uid.
fn gone(key: &Key, stored: &Stored) -> Value {
    let details = Details { uid: stored.uid().to_string(), ..Details::of(key.kind, &key.name) };
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details.to_json()})
}

#[cfg(test)]
mod tests;
