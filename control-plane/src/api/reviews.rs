//! Questions about the caller. Whoever gets this far may do everything, and is told so.

use axum::body::Body;
use http::{Method, Response, StatusCode};
use manifests::Object;
use serde_json::json;

use super::answer::Answer;
use super::route::Review;
use super::{Call, body};
use crate::registry::Status;

/// Answers a review with itself and its status.
pub(super) async fn answer(call: Call, review: Review) -> Result<Response<Body>, Status> {
    if call.head.method != Method::POST {
        return Err(call.method_not_allowed());
    }
    let media = body::media_type(&call.head.headers);
    let mut object = if call.body.is_empty() { Object::default() } else { body::object(&media, &call.body)? };
    let (api_version, kind, status) = match review {
        Review::Access => (
            "authorization.k8s.io/v1",
            "SelfSubjectAccessReview",
            json!({"allowed": true, "reason": "members of system:masters may do everything"}),
        ),
        Review::Rules => (
            "authorization.k8s.io/v1",
            "SelfSubjectRulesReview",
            json!({
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                "incomplete": false,
            }),
        ),
        Review::Identity => (
            "authentication.k8s.io/v1",
            "SelfSubjectReview",
            json!({"userInfo": {"username": call.identity.name, "groups": call.identity.groups}}),
        ),
    };
    object.set(&["apiVersion"], api_version);
    object.set(&["kind"], kind);
    object.set(&["status"], status);
    Ok(Answer::with_code(StatusCode::CREATED, &object.into_value()))
}
