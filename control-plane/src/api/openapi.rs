//! The schema of everything served, as OpenAPI v2: what kubectl validates by, explains from, and computes patches by.
//!
//! kubectl reads it as protobuf ([`protobuf`]), everybody else as JSON. Both are made once.

use std::sync::LazyLock;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use manifests::Kind;
use manifests::schema::definitions;
use serde_json::{Map, Value, json};

mod protobuf;

/// The media type of the protobuf form; the `@` of the Accept header may not stand in a Content-Type.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);
static ENCODED: LazyLock<Bytes> = LazyLock::new(|| protobuf::document(&DOCUMENT).into());
static JSON: LazyLock<Bytes> = LazyLock::new(|| DOCUMENT.to_string().into());

/// `GET /openapi/v2`.
pub(super) fn v2(headers: &HeaderMap) -> Response<Body> {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let wants_protobuf = accept.flat_map(|value| value.split(',')).any(|media| media.contains("+protobuf"));
    let (body, media) = if wants_protobuf { (&*ENCODED, PROTOBUF) } else { (&*JSON, "application/json") };
    let mut response = Response::new(Body::from(body.clone()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

fn document() -> Value {
    let paths: Map<String, Value> =
        Kind::ALL.into_iter().map(|kind| (path_of(kind), path_item(kind))).collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "minikube-ish", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "definitions": definitions(),
    })
}

fn path_of(kind: Kind) -> String {
    let info = kind.info();
    let root = if info.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", info.group) };
    let within = if info.namespaced { "/namespaces/{namespace}" } else { "" };
    format!("{root}/{}{within}/{}/{{name}}", info.version, info.plural)
}

/// The one operation that clients look for: whether a kind can be patched without effect, and checked strictly.
fn path_item(kind: Kind) -> Value {
    let info = kind.info();
    let parameter = |name: &str| json!({"name": name, "in": "query", "type": "string", "uniqueItems": true});
    json!({
        "patch": {
            "operationId": format!("patch{}", info.kind),
            "description": format!("partially update the specified {}", info.kind),
            "parameters": [parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")],
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": {"group": info.group, "kind": info.kind, "version": info.version},
        }
    })
}

#[cfg(test)]
mod tests;
