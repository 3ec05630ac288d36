//! What a request asks for besides its path: the query and the Accept header. Pure.

use axum::extract::Query as Pairs;
use http::{HeaderMap, Uri, header};
use manifests::selector::{FieldSelector, Selector};
use manifests::{Kind, Object};

use crate::registry::Status;

/// The query of a request; what is absent is at its default.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub(super) labels: Selector,
    pub(super) fields: FieldSelector,
    pub(super) watch: bool,
    pub(super) resource_version: String,
    pub(super) timeout_seconds: Option<u64>,
    pub(super) allow_bookmarks: bool,
    pub(super) send_initial_events: bool,
    pub(super) dry_run: bool,
    pub(super) field_validation: FieldValidation,
    pub(super) include_object: IncludeObject,
    pairs: Vec<(String, String)>,
}

/// What to do about fields that the schema does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// How much of each object a Table's rows carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum IncludeObject {
    None,
    #[default]
    Metadata,
    Object,
}

impl Query {
    pub(super) fn parse(uri: &Uri) -> Result<Self, Status> {
        let Pairs(pairs) = Pairs::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Status::bad_request(format!("the query cannot be read: {error}")))?;
        let mut query = Self::default();
        for (name, value) in &pairs {
            query.set(name, value)?;
        }
        query.pairs = pairs;
        Ok(query)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Status> {
        match name {
            "labelSelector" => {
                let parsed = Selector::parse(value);
                self.labels = parsed
                    .map_err(|error| Status::bad_request(format!("unable to parse requirement: {error}")))?;
            }
            "fieldSelector" => {
                let parsed = FieldSelector::parse(value);
                self.fields = parsed
                    .map_err(|error| Status::bad_request(format!("invalid field selector: {error}")))?;
            }
            "watch" => self.watch = is_true(value),
            "resourceVersion" => value.clone_into(&mut self.resource_version),
            "timeoutSeconds" => self.timeout_seconds = Some(number(name, value)?),
            "allowWatchBookmarks" => self.allow_bookmarks = is_true(value),
            "sendInitialEvents" => self.send_initial_events = is_true(value),
            "dryRun" => {
                if value != "All" {
                    return Err(Status::bad_request(format!(
                        "invalid dryRun \"{value}\": only \"All\" is known"
                    )));
                }
                self.dry_run = true;
            }
            "fieldValidation" => self.field_validation = field_validation(value)?,
            "includeObject" => self.include_object = include_object(value)?,
            _ => {}
        }
        Ok(())
    }

    /// The first value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter, in order.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a parameter says yes.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_true)
    }

    /// A parameter that is a number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Status> {
        self.get(name).filter(|value| !value.is_empty()).map(|value| number(name, value)).transpose()
    }

    /// Whether an object is selected.
    pub(super) fn selects(&self, object: &Object) -> bool {
        self.labels.matches_object(object) && self.fields.matches(object)
    }

    /// Refuses field selectors that the kind does not have: an answer that ignored them would be wrong.
    pub(super) fn check_fields(&self, kind: Kind) -> Result<(), Status> {
        for requirement in &self.fields.requirements {
            let path = requirement.path.as_str();
            let is_known =
                matches!(path, "metadata.name" | "metadata.namespace") || fields_of(kind).contains(&path);
            if !is_known {
                return Err(Status::bad_request(format!("field label not supported: {path}")));
            }
        }
        Ok(())
    }
}

/// The fields that objects of a kind can be selected by, besides their name and namespace.
fn fields_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Pod => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        Kind::Event => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        Kind::Node => &["spec.unschedulable"],
        Kind::Secret => &["type"],
        Kind::Namespace => &["status.phase"],
        Kind::ReplicaSet => &["status.replicas"],
        Kind::ConfigMap
        | Kind::ServiceAccount
        | Kind::Service
        | Kind::Deployment
        | Kind::EndpointSlice
        | Kind::Ingress
        | Kind::Lease => &[],
    }
}

fn is_true(value: &str) -> bool {
    matches!(value, "true" | "True" | "1" | "")
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Status> {
    value.parse().map_err(|_| Status::bad_request(format!("{name} must be a number, not \"{value}\"")))
}

fn field_validation(value: &str) -> Result<FieldValidation, Status> {
    match value {
        "Ignore" => Ok(FieldValidation::Ignore),
        "Warn" | "" => Ok(FieldValidation::Warn),
        "Strict" => Ok(FieldValidation::Strict),
        _ => Err(Status::bad_request(format!(
            "fieldValidation must be Ignore, Warn or Strict, not \"{value}\""
        ))),
    }
}

fn include_object(value: &str) -> Result<IncludeObject, Status> {
    match value {
        "None" => Ok(IncludeObject::None),
        "Metadata" | "" => Ok(IncludeObject::Metadata),
        "Object" => Ok(IncludeObject::Object),
        _ => Err(Status::bad_request(format!(
            "includeObject must be None, Metadata or Object, not \"{value}\""
        ))),
    }
}

/// The form that a caller wants objects in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Table,
    PartialMetadata,
}

/// What a caller takes, in the order of its liking.
#[derive(Debug, Clone)]
pub(super) struct Accept(Vec<Media>);

#[derive(Debug, Clone)]
struct Media {
    name: String,
    shape: Option<String>,
}

impl Accept {
    pub(super) fn parse(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        Self(values.flat_map(|value| value.split(',')).map(Media::parse).collect())
    }

    /// The first form on the caller's list that we can give.
    pub(super) fn form(&self) -> Result<Form, Status> {
        let form = |media: &Media| match (media.name.as_str(), media.shape.as_deref()) {
            ("application/json", Some("Table")) => Some(Form::Table),
            ("application/json", Some("PartialObjectMetadata" | "PartialObjectMetadataList")) => {
                Some(Form::PartialMetadata)
            }
            ("application/json" | "application/*" | "*/*", None) => Some(Form::Json),
            _ => None,
        };
        if self.0.is_empty() {
            return Ok(Form::Json);
        }
        self.0.iter().find_map(form).ok_or_else(|| {
            let message = "only the following media types are accepted: application/json";
            Status::new(crate::registry::Reason::NotAcceptable, message)
        })
    }
}

impl Media {
    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let shape = parts.find_map(|part| part.strip_prefix("as=")).map(ToOwned::to_owned);
        Self { name, shape }
    }
}

#[cfg(test)]
mod tests;
