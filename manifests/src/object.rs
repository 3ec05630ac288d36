//! [`Object`]: any Kubernetes object, kept as the JSON that users and the API exchange.
//!
//! Fields that no type of ours knows survive a round trip. Accessors never fail: what is absent, or of the wrong
//! type, reads as absent. Whoever needs a whole typed view calls [`Object::parse`].

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kind::Kind;

/// A Kubernetes object as a JSON map.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(pub Map<String, Value>);

/// An object whose JSON does not fit the type that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{object} does not read as its type")]
pub struct ParseError {
    /// `Kind namespace/name`.
    pub object: String,
    /// What did not fit.
    #[source]
    pub source: serde_json::Error,
}

/// JSON text, or a JSON value, that is no object.
#[derive(Debug, thiserror::Error)]
pub enum NotAnObject {
    /// Not JSON at all.
    #[error("not JSON")]
    Json(#[source] serde_json::Error),
    /// JSON, but of another shape.
    #[error("expected a JSON object, found {found}")]
    Shape {
        /// The JSON type that was found.
        found: &'static str,
    },
}

impl Object {
    /// An object of `kind` with a name and, for a namespaced kind, a namespace.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Object {
        let mut object = Object::default();
        object.0.insert("apiVersion".into(), kind.api_version().into());
        object.0.insert("kind".into(), kind.info().kind.into());
        object.set(&["metadata", "name"], name);
        if kind.info().namespaced {
            object.set(&["metadata", "namespace"], namespace);
        }
        object
    }

    /// The object in JSON text, as it comes over the wire.
    pub fn from_json(text: &[u8]) -> Result<Object, NotAnObject> {
        Object::from_value(serde_json::from_slice(text).map_err(NotAnObject::Json)?)
    }

    /// The object in a JSON value.
    pub fn from_value(value: Value) -> Result<Object, NotAnObject> {
        let found = json_type(&value);
        let Value::Object(map) = value else { return Err(NotAnObject::Shape { found }) };
        Ok(Object(map))
    }

    /// The JSON of a typed object, `apiVersion` and `kind` included.
    pub fn from_typed<T: k8s_openapi::Resource + Serialize>(typed: &T) -> Object {
        let value =
            serde_json::to_value(typed).expect("generated types have string keys and no failing fields");
        Object::from_value(value).expect("resources serialize as maps")
    }

    /// This object as a type of `k8s-openapi`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ParseError> {
        T::deserialize(&self.0).map_err(|source| ParseError { object: self.describe(), source })
    }

    /// This object as JSON text.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("a JSON map has string keys")
    }

    /// This object as a JSON value.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// `Kind namespace/name`, for messages.
    pub fn describe(&self) -> String {
        let kind = self.kind_name();
        match self.namespace() {
            Some(namespace) => format!("{kind} {namespace}/{}", self.name()),
            None => format!("{kind} {}", self.name()),
        }
    }

    /// The kind, if it is one that we serve.
    pub fn kind(&self) -> Option<Kind> {
        Kind::of(self.api_version(), self.kind_name())
    }

    /// `apiVersion` as written; empty if absent.
    pub fn api_version(&self) -> &str {
        self.str_at(&["apiVersion"]).unwrap_or_default()
    }

    /// `kind` as written; empty if absent.
    pub fn kind_name(&self) -> &str {
        self.str_at(&["kind"]).unwrap_or_default()
    }

    /// `metadata.name`; empty if absent.
    pub fn name(&self) -> &str {
        self.str_at(&["metadata", "name"]).unwrap_or_default()
    }

    /// `metadata.namespace`, unless absent or empty.
    pub fn namespace(&self) -> Option<&str> {
        self.str_at(&["metadata", "namespace"]).filter(|namespace| !namespace.is_empty())
    }

    /// `metadata.uid`; empty if absent.
    pub fn uid(&self) -> &str {
        self.str_at(&["metadata", "uid"]).unwrap_or_default()
    }

    /// `metadata.resourceVersion` as a number, if it is one.
    pub fn resource_version(&self) -> Option<u64> {
        self.str_at(&["metadata", "resourceVersion"])?.parse().ok()
    }

    /// `metadata.generation`; 0 if absent.
    pub fn generation(&self) -> i64 {
        self.i64_at(&["metadata", "generation"]).unwrap_or_default()
    }

    /// `metadata.creationTimestamp`, if it reads as a time.
    pub fn creation_timestamp(&self) -> Option<Timestamp> {
        self.str_at(&["metadata", "creationTimestamp"])?.parse().ok()
    }

    /// `metadata.deletionTimestamp`, if it reads as a time.
    pub fn deletion_timestamp(&self) -> Option<Timestamp> {
        self.str_at(&["metadata", "deletionTimestamp"])?.parse().ok()
    }

    /// Whether the object was asked to go.
    pub fn is_terminating(&self) -> bool {
        self.str_at(&["metadata", "deletionTimestamp"]).is_some()
    }

    /// One label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.str_at(&["metadata", "labels", key])
    }

    /// One annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.str_at(&["metadata", "annotations", key])
    }

    /// The labels; entries that are no strings are left out.
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        self.strings_at(&["metadata", "labels"])
    }

    /// The annotations; entries that are no strings are left out.
    pub fn annotations(&self) -> BTreeMap<&str, &str> {
        self.strings_at(&["metadata", "annotations"])
    }

    /// The string entries of the map at `path`.
    pub fn strings_at(&self, path: &[&str]) -> BTreeMap<&str, &str> {
        let entries = self.at(path).and_then(Value::as_object).into_iter().flatten();
        entries.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
    }

    /// `metadata.finalizers`.
    pub fn finalizers(&self) -> Vec<&str> {
        self.list_at(&["metadata", "finalizers"]).iter().filter_map(Value::as_str).collect()
    }

    /// `metadata.ownerReferences`; entries that do not read as such are left out.
    pub fn owner_references(&self) -> Vec<OwnerReference> {
        let references = self.list_at(&["metadata", "ownerReferences"]).iter();
        references.filter_map(|reference| OwnerReference::deserialize(reference).ok()).collect()
    }

    /// The owner that manages this object (`controller: true`).
    pub fn controller(&self) -> Option<OwnerReference> {
        self.owner_references().into_iter().find(|owner| owner.controller == Some(true))
    }

    /// The whole `metadata`, typed; empty if it does not read as such.
    pub fn metadata(&self) -> ObjectMeta {
        self.at(&["metadata"]).and_then(|metadata| ObjectMeta::deserialize(metadata).ok()).unwrap_or_default()
    }

    /// `metadata` to write into; made if absent.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        map_entry(&mut self.0, "metadata")
    }

    /// The value at a path of field names.
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.0.get(*first)?, |value, field| value.get(*field))
    }

    /// The string at a path of field names.
    pub fn str_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.as_str()
    }

    /// The whole number at a path of field names.
    pub fn i64_at(&self, path: &[&str]) -> Option<i64> {
        self.at(path)?.as_i64()
    }

    /// The list at a path of field names; empty if absent.
    pub fn list_at(&self, path: &[&str]) -> &[Value] {
        self.at(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// Puts a value at a path of field names, making the maps on the way.
    pub fn set(&mut self, path: &[&str], value: impl Into<Value>) {
        let Some((last, parents)) = path.split_last() else { return };
        let map = parents.iter().fold(&mut self.0, |map, field| map_entry(map, field));
        map.insert((*last).to_owned(), value.into());
    }

    /// Takes out the value at a path of field names.
    pub fn remove(&mut self, path: &[&str]) -> Option<Value> {
        let (last, parents) = path.split_last()?;
        let map = parents.iter().try_fold(&mut self.0, |map, field| map.get_mut(*field)?.as_object_mut())?;
        map.remove(*last)
    }
}

/// The map under `field`, made if it is absent or no map.
fn map_entry<'a>(map: &'a mut Map<String, Value>, field: &str) -> &'a mut Map<String, Value> {
    let value = map.entry(field).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("made a map above")
}

/// What a user would call the type of a JSON value.
pub(crate) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests;
