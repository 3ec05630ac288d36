//! What a patch makes of a document, for the three patch languages that clients speak.
//!
//! Pure: a document and a patch in, a document out. What the result means is the registry's business.

use json_patch::PatchOperation;
use manifests::schema::Place;
use serde_json::{Map, Value};

use crate::registry::{Reason, Status};

mod strategic;

/// How many operations one JSON patch may have; Kubernetes' own limit.
pub(super) const JSON_PATCH_OPERATIONS_MAX: usize = 10_000;
/// How many bytes one JSON patch may copy within the document: `copy` could otherwise double it again and again.
pub(super) const JSON_PATCH_COPIES_MAX_BYTES: usize = 3 * 1024 * 1024;

/// A patch, by its language.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Patch {
    /// `application/strategic-merge-patch+json`
    Strategic(Map<String, Value>),
    /// `application/merge-patch+json`, RFC 7386
    Merge(Value),
    /// `application/json-patch+json`, RFC 6902
    Json(json_patch::Patch),
    /// `application/apply-patch+yaml`: server-side apply. Field ownership is not kept (clients do without it): the
    /// configuration is merged, and what a manager no longer names stays.
    Apply(Map<String, Value>),
}

impl Patch {
    /// Whether the patch says itself which version of the object it is for.
    pub(super) fn pins_revision(&self) -> bool {
        match self {
            Self::Strategic(patch) | Self::Apply(patch) => {
                patch.get("metadata").is_some_and(|metadata| metadata["resourceVersion"].is_string())
            }
            Self::Merge(patch) => patch["metadata"]["resourceVersion"].is_string(),
            Self::Json(patch) => {
                patch.0.iter().any(|operation| operation.path().as_str() == "/metadata/resourceVersion")
            }
        }
    }

    /// The document that the patch makes of `document`, whose lists merge as the schema at `place` says.
    pub(super) fn apply(self, mut document: Value, place: Option<Place>) -> Result<Value, Status> {
        match self {
            Self::Merge(patch) => json_patch::merge(&mut document, &patch),
            Self::Json(patch) => apply_operations(&mut document, &patch)?,
            Self::Strategic(patch) | Self::Apply(patch) => {
                let Value::Object(map) = &mut document else {
                    return Err(Status::internal("an object that is no JSON map"));
                };
                strategic::apply(map, patch, place)
                    .map_err(|error| Status::bad_request(error.to_string()))?;
            }
        }
        Ok(document)
    }
}

fn apply_operations(document: &mut Value, patch: &json_patch::Patch) -> Result<(), Status> {
    if patch.0.len() > JSON_PATCH_OPERATIONS_MAX {
        let message = format!(
            "The allowed maximum operations in a JSON patch is {JSON_PATCH_OPERATIONS_MAX}, got {}",
            patch.0.len()
        );
        return Err(Status::new(Reason::RequestEntityTooLarge, message));
    }
    let mut copied_bytes = 0;
    for operation in &patch.0 {
        if let PatchOperation::Copy(copy) = operation {
            copied_bytes += document.pointer(copy.from.as_str()).map_or(0, |value| value.to_string().len());
        }
        if copied_bytes > JSON_PATCH_COPIES_MAX_BYTES {
            return Err(Status::bad_request("the JSON patch copies more than it may"));
        }
        json_patch::patch(document, std::slice::from_ref(operation))
            .map_err(|error| unprocessable(&format!("{operation}: {}", error.kind)))?;
    }
    Ok(())
}

/// A patch that reads well and cannot be carried out on this document.
fn unprocessable(message: &str) -> Status {
    Status::new(
        Reason::Invalid,
        format!("the server rejected our request due to an error in our request: {message}"),
    )
}

#[cfg(test)]
mod tests;
