//! Refusals and failures, in Kubernetes' words: a reason, a code, a message and where it applies.
//!
//! Every room of the control plane that can refuse something to a user does it with a [`Status`]; the API renders
//! it as the `Status` object that kubectl prints as `Error from server (Reason): message`.
//! Reference: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>.

use std::fmt;

use manifests::Kind;
use serde_json::{Map, Value, json};

/// Why something was refused; clients decide by it whether and how to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The object, or the path, does not exist.
    NotFound,
    /// An object of this name exists.
    AlreadyExists,
    /// The object was changed by somebody else in between, or is in a state that forbids the change.
    Conflict,
    /// The object says something that it may not say; the causes say where.
    Invalid,
    /// The request makes no sense.
    BadRequest,
    /// The caller may not do this.
    Forbidden,
    /// Nobody knows who is calling.
    Unauthorized,
    /// The path exists, the verb does not.
    MethodNotAllowed,
    /// The body is of a kind that is not read here.
    UnsupportedMediaType,
    /// The answer cannot be given in any form that the caller takes.
    NotAcceptable,
    /// The body or the object is beyond its limit.
    RequestEntityTooLarge,
    /// The revision that was asked for is no longer remembered.
    Expired,
    /// Too much at once; the caller may come again.
    TooManyRequests,
    /// It did not happen in time.
    Timeout,
    /// It cannot be done now, for want of a disk or of a node.
    ServiceUnavailable,
    /// Our fault.
    InternalError,
}

impl Reason {
    /// The HTTP code that goes with the reason.
    pub fn code(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Invalid => 422,
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::Unauthorized => 401,
            Self::MethodNotAllowed => 405,
            Self::UnsupportedMediaType => 415,
            Self::NotAcceptable => 406,
            Self::RequestEntityTooLarge => 413,
            Self::Expired => 410,
            Self::TooManyRequests => 429,
            Self::Timeout => 504,
            Self::ServiceUnavailable => 503,
            Self::InternalError => 500,
        }
    }

    /// The reason as it stands in a `Status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Invalid => "Invalid",
            Self::BadRequest => "BadRequest",
            Self::Forbidden => "Forbidden",
            Self::Unauthorized => "Unauthorized",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::NotAcceptable => "NotAcceptable",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::Expired => "Expired",
            Self::TooManyRequests => "TooManyRequests",
            Self::Timeout => "Timeout",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::InternalError => "InternalError",
        }
    }
}

/// One of the places where an object is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueRequired`, `FieldValueInvalid`, ...
    pub reason: String,
    /// What is wrong with it, for people.
    pub message: String,
    /// The path of the field: `spec.template.spec.containers[0].image`.
    pub field: String,
}

/// What a refusal is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The object's name; empty where none is meant.
    pub name: String,
    /// The API group; empty for the core.
    pub group: String,
    /// The plural (`pods`), or for an invalid object its kind (`Pod`), as Kubernetes has it.
    pub kind: String,
    /// The object's identity, where it is known.
    pub uid: String,
    /// Every place that is wrong.
    pub causes: Vec<Cause>,
    /// When to come again.
    pub retry_after_seconds: Option<u32>,
}

/// A refusal or failure, as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Why.
    pub reason: Reason,
    /// What happened, for people; kubectl prints it as it is.
    pub message: String,
    /// What it is about.
    pub details: Option<Box<Details>>,
}

impl Status {
    /// A refusal that is about no object.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), details: None }
    }

    /// A request that makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// Our fault; the message is shown to the user.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Reason::InternalError, format!("Internal error occurred: {}", message.into()))
    }

    /// It cannot be done now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Reason::ServiceUnavailable, message)
    }

    /// `pods "x" not found`.
    pub fn not_found(kind: Kind, name: &str) -> Self {
        Self::about(Reason::NotFound, kind, name, "not found")
    }

    /// `pods "x" already exists`.
    pub fn already_exists(kind: Kind, name: &str) -> Self {
        Self::about(Reason::AlreadyExists, kind, name, "already exists")
    }

    /// `pods "x" is forbidden: why`.
    pub fn forbidden(kind: Kind, name: &str, why: &str) -> Self {
        Self::about(Reason::Forbidden, kind, name, &format!("is forbidden: {why}"))
    }

    /// `Operation cannot be fulfilled on deployments.apps "x": why`.
    pub fn conflict(kind: Kind, name: &str, why: &str) -> Self {
        let mut status = Self::about(Reason::Conflict, kind, name, why);
        let resource = qualified(kind.info().group, kind.info().plural);
        status.message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        status
    }

    /// The conflict of a writer whose copy is stale.
    pub fn modified(kind: Kind, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    /// An object that says something that it may not say: all its causes at once.
    pub fn invalid(kind: Kind, name: &str, causes: Vec<Cause>) -> Self {
        let list: Vec<String> = causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let list = match list.len() {
            1 => list.concat(),
            _ => format!("[{}]", list.join(", ")),
        };
        let info = kind.info();
        let message = format!("{} \"{name}\" is invalid: {list}", qualified(info.group, info.kind));
        let mut details = Details { causes, ..Details::of(kind, name) };
        details.kind = info.kind.into();
        Self { reason: Reason::Invalid, message, details: Some(Box::new(details)) }
    }

    /// A watcher that asks for what is no longer remembered; it has to list again.
    pub fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(Reason::Expired, format!("too old resource version: {asked} ({oldest})"))
    }

    /// A message about one object: `deployments.apps "x" what`.
    fn about(reason: Reason, kind: Kind, name: &str, what: &str) -> Self {
        let message = format!("{} \"{name}\" {what}", qualified(kind.info().group, kind.info().plural));
        Self { reason, message, details: Some(Box::new(Details::of(kind, name))) }
    }

    /// The same with the time after which to come again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = Some(seconds);
        self
    }

    /// The HTTP code.
    pub fn code(&self) -> u16 {
        self.reason.code()
    }

    /// The `Status` object of the API.
    pub fn to_json(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason.as_str(),
            "code": self.code(),
        });
        if let Some(details) = &self.details {
            status["details"] = details.to_json();
        }
        status
    }
}

impl Cause {
    /// A value that cannot be: `Invalid value: 0: must be greater than 0`.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: "FieldValueInvalid".into(), message: message.into(), field: field.into() }
    }
}

impl Details {
    /// Details that name an object.
    pub fn of(kind: Kind, name: &str) -> Self {
        let info = kind.info();
        Self { name: name.into(), group: info.group.into(), kind: info.plural.into(), ..Self::default() }
    }

    /// The `details` of a `Status`; what is empty is left out.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        for (field, text) in
            [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)]
        {
            if !text.is_empty() {
                map.insert(field.into(), json!(text));
            }
        }
        if !self.causes.is_empty() {
            let causes = self.causes.iter();
            let causes = causes.map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field}));
            map.insert("causes".into(), causes.collect());
        }
        if let Some(seconds) = self.retry_after_seconds {
            map.insert("retryAfterSeconds".into(), json!(seconds));
        }
        Value::Object(map)
    }
}

/// `deployments.apps`, or `pods` for the core group.
fn qualified(group: &str, name: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.reason.as_str())
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests;
