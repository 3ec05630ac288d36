//! Reading objects, in the form that the caller wants: whole, as metadata, or as a table.

use std::sync::Arc;

use axum::body::Body;
use http::{Response, StatusCode};
use manifests::{Kind, Object};
use serde_json::{Value, json};

use super::Call;
use super::answer::Answer;
use super::query::{Form, Query};
use super::route::Place;
use super::table::Table;
use crate::registry::Status;
use crate::snapshot::{Key, Snapshot, Stored};

/// `GET` of one object.
pub(super) fn get(call: &Call, key: &Key) -> Result<Response<Body>, Status> {
    let form = call.accept.form()?;
    let snapshot = call.api.store.snapshot();
    let stored = snapshot.get(key).ok_or_else(|| Status::not_found(key.kind, &key.name))?;
    Ok(one(call, form, stored, StatusCode::OK))
}

/// One object in a form.
pub(super) fn one(call: &Call, form: Form, stored: &Arc<Stored>, code: StatusCode) -> Response<Body> {
    match form {
        Form::Json => Answer::encoded(code, stored.object().to_json()),
        Form::PartialMetadata => Answer::with_code(code, &partial(stored.object())),
        Form::Table => {
            let mut table = Table::new(stored.key().kind, call.query.include_object, crate::clock::now());
            table.push(stored.object());
            Answer::with_code(code, &table.finish(stored.revision(), true))
        }
    }
}

/// `GET` of many objects: a whole snapshot's worth, whatever `limit` says.
pub(super) fn list(call: &Call, at: &Place) -> Result<Response<Body>, Status> {
    call.query.check_fields(at.kind)?;
    let form = call.accept.form()?;
    let snapshot = call.api.store.snapshot();
    let selected = select(&snapshot, at, &call.query);
    let revision = snapshot.revision();
    Ok(match form {
        Form::Json => Answer::encoded(StatusCode::OK, whole_list(at.kind, revision, selected)),
        Form::PartialMetadata => {
            let items: Vec<Value> = selected.map(|stored| partial(stored.object())).collect();
            Answer::json(&json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": revision.to_string()},
                "items": items,
            }))
        }
        Form::Table => {
            let mut table = Table::new(at.kind, call.query.include_object, crate::clock::now());
            selected.for_each(|stored| table.push(stored.object()));
            Answer::json(&table.finish(revision, true))
        }
    })
}

/// The objects of a place that a query selects.
pub(super) fn select<'a>(
    snapshot: &'a Snapshot,
    at: &'a Place,
    query: &'a Query,
) -> impl Iterator<Item = &'a Arc<Stored>> {
    let everywhere = at.namespace.is_none().then(|| snapshot.list(at.kind));
    let somewhere = at.namespace.as_deref().map(|namespace| snapshot.list_namespaced(at.kind, namespace));
    let all = everywhere.into_iter().flatten().chain(somewhere.into_iter().flatten());
    all.filter(move |stored| is_at(at, stored.key()) && query.selects(stored.object()))
}

/// Whether a key belongs to a place.
pub(super) fn is_at(at: &Place, key: &Key) -> bool {
    at.kind == key.kind
        && at.namespace.as_deref().is_none_or(|namespace| *key.namespace == *namespace)
        && at.name.as_deref().is_none_or(|name| *key.name == *name)
}

/// A list as JSON text, written object by object: a tree of all of them would be several times as large.
fn whole_list<'a>(kind: Kind, revision: u64, items: impl Iterator<Item = &'a Arc<Stored>>) -> Vec<u8> {
    let info = kind.info();
    let head = format!(
        r#"{{"kind":"{}List","apiVersion":"{}","metadata":{{"resourceVersion":"{revision}"}},"items":["#,
        info.kind,
        kind.api_version(),
    );
    let mut text = head.into_bytes();
    for (index, stored) in items.enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&stored.object().to_json());
    }
    text.extend_from_slice(b"]}");
    text
}

/// An object reduced to its metadata.
pub(super) fn partial(object: &Object) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.0.get("metadata"),
    })
}
