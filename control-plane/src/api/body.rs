//! Request bodies: read within limits, and understood in whatever form clients send them.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Limited};
use manifests::Object;
use manifests::field::{FieldPath, Reason as FieldReason, Step};
use serde_json::{Map, Value};

use super::query::FieldValidation;
use crate::registry::{Reason, Status};

mod protobuf;

/// How large a request's body may be; Kubernetes' own limit.
pub(super) const BODY_MAX_BYTES: usize = 3 * 1024 * 1024;
/// How long a caller may take to send it.
pub(super) const BODY_WAIT_MAX: Duration = Duration::from_secs(30);

/// Reads a whole body.
pub(super) async fn read(body: Body) -> Result<bytes::Bytes, Status> {
    let read = tokio::time::timeout(BODY_WAIT_MAX, Limited::new(body, BODY_MAX_BYTES).collect()).await;
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let message = format!("the request's body has more than {BODY_MAX_BYTES} bytes");
            Err(Status::new(Reason::RequestEntityTooLarge, message))
        }
        Ok(Err(error)) => Err(Status::bad_request(format!("the request's body cannot be read: {error}"))),
        Err(_) => Err(Status::new(Reason::Timeout, "the request's body took too long")),
    }
}

/// The media type of a body, without parameters; JSON if nothing is said, as old clients do.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media.is_empty() { "application/json".to_owned() } else { media }
}

/// A body as a JSON value, of JSON, YAML or Kubernetes' protobuf.
pub(super) fn value(media: &str, body: &[u8]) -> Result<Value, Status> {
    match media {
        "application/json" | "text/json" => json(body),
        "application/yaml" | "application/x-yaml" | "text/yaml" => yaml(body),
        "application/vnd.kubernetes.protobuf" => protobuf::value(body)
            .map_err(|error| Status::new(Reason::UnsupportedMediaType, error.to_string())),
        _ => Err(unsupported(media)),
    }
}

/// A body as an object.
pub(super) fn object(media: &str, body: &[u8]) -> Result<Object, Status> {
    Object::from_value(value(media, body)?)
        .map_err(|error| Status::bad_request(format!("the body is no object: {error}")))
}

pub(super) fn json(body: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(body)
        .map_err(|error| Status::bad_request(format!("the body is not JSON: {error}")))
}

pub(super) fn yaml(body: &[u8]) -> Result<Value, Status> {
    let text = std::str::from_utf8(body).map_err(|_| Status::bad_request("the body is not UTF-8"))?;
    serde_saphyr::from_str(text)
        .map_err(|error| Status::bad_request(format!("the body is not YAML: {error}")))
}

fn unsupported(media: &str) -> Status {
    let message = format!(
        "the body of the request was in an unknown format: {media}; send application/json or application/yaml"
    );
    Status::new(Reason::UnsupportedMediaType, message)
}

/// Deals with fields that the schema does not know: refuses them all at once if the caller is strict; else takes
/// them out and says so, unless the caller does not care.
pub(super) fn drop_unknown_fields(
    object: &mut Object,
    validation: FieldValidation,
) -> Result<Vec<String>, Status> {
    let errors = manifests::validate::check_shape(object);
    let unknown: Vec<FieldPath> = errors
        .into_iter()
        .filter(|error| error.reason == FieldReason::UnknownField)
        .map(|error| error.path)
        .collect();
    let told: Vec<String> = unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
    if validation == FieldValidation::Strict && !told.is_empty() {
        return Err(Status::bad_request(format!("strict decoding error: {}", told.join(", "))));
    }
    for path in &unknown {
        remove(&mut object.0, path);
    }
    Ok(if validation == FieldValidation::Warn { told } else { Vec::new() })
}

fn remove(map: &mut Map<String, Value>, path: &FieldPath) {
    let [Step::Field(first), rest @ ..] = path.0.as_slice() else { return };
    let [between @ .., Step::Field(last)] = rest else {
        map.remove(first);
        return;
    };
    let parent = between.iter().try_fold(map.get_mut(first), |value, step| {
        Some(match step {
            Step::Field(name) => value?.get_mut(name),
            Step::Index(index) => value?.get_mut(index),
        })
    });
    if let Some(fields) = parent.flatten().and_then(Value::as_object_mut) {
        fields.remove(last);
    }
}

/// What of an object is accepted and not acted on, for the caller to be told; each field once.
pub(super) fn not_acted_on(object: &Object) -> Vec<String> {
    let mut warnings: Vec<String> =
        manifests::effect::not_acted_on(object).iter().map(ToString::to_string).collect();
    warnings.dedup();
    warnings
}

#[cfg(test)]
mod tests;
