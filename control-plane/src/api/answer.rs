//! Answers: JSON, text, and refusals as `Status`.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use crate::registry::{Reason, Status};

/// How many `Warning:` headers one answer may carry, and how long each may be.
const WARNINGS_MAX: usize = 16;
const WARNING_MAX_CHARS: usize = 256;

/// An answer in the making.
#[derive(Debug)]
pub(super) struct Answer;

impl Answer {
    /// 200 with a JSON value.
    pub(super) fn json(value: &Value) -> Response<Body> {
        Self::with_code(StatusCode::OK, value)
    }

    /// A JSON value with a code of its own.
    pub(super) fn with_code(code: StatusCode, value: &Value) -> Response<Body> {
        Self::encoded(code, value.to_string())
    }

    /// JSON that is text already.
    pub(super) fn encoded(code: StatusCode, json: impl Into<Body>) -> Response<Body> {
        let mut response = Response::new(json.into());
        *response.status_mut() = code;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// 200 with a short text.
pub(super) fn text(text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// A refusal, as clients read it.
pub(super) fn refusal(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Answer::with_code(code, &status.to_json());
    let wait = status.details.as_ref().and_then(|details| details.retry_after_seconds);
    if let Some(seconds) = wait.or((status.reason == Reason::TooManyRequests).then_some(1)) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Tells the caller what was accepted and will not be acted on; kubectl prints it.
pub(super) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings.iter().take(WARNINGS_MAX) {
        let printable = |c: &char| c.is_ascii_graphic() || *c == ' ';
        let text: String = warning.chars().filter(printable).take(WARNING_MAX_CHARS).collect();
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
