//! Objects as tables, with the columns that kubectl's users know. Pure: the time comes in.
//!
//! Reference: Kubernetes' `pkg/printers/internalversion/printers.go`; columns of priority 1 are those of `-o wide`.

use jiff::Timestamp;
use manifests::{Kind, Object};
use serde_json::{Map, Value, json};

use super::query::IncludeObject;
use super::read::partial;

mod age;
mod cluster;
mod network;
mod pods;
mod workloads;

use age::age_of;

/// A column: its name, and whether it is shown only when asked for more.
type Column = (&'static str, Priority);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Priority {
    Always,
    Wide,
}

use Priority::{Always, Wide};

/// A table of objects of one kind.
pub(super) struct Table {
    kind: Kind,
    include: IncludeObject,
    now: Timestamp,
    rows: Vec<Value>,
}

impl Table {
    pub(super) fn new(kind: Kind, include: IncludeObject, now: Timestamp) -> Self {
        Self { kind, include, now, rows: Vec::new() }
    }

    pub(super) fn push(&mut self, object: &Object) {
        let mut row = Map::new();
        row.insert("cells".to_owned(), Value::Array(cells(self.kind, object, self.now)));
        match self.include {
            IncludeObject::None => {}
            IncludeObject::Metadata => drop(row.insert("object".to_owned(), partial(object))),
            IncludeObject::Object => drop(row.insert("object".to_owned(), Value::Object(object.0.clone()))),
        }
        self.rows.push(Value::Object(row));
    }

    /// The table as the API serves it.
    pub(super) fn finish(self, revision: u64, with_columns: bool) -> Value {
        let definitions: Vec<Value> = match with_columns {
            true => columns(self.kind).iter().map(definition).collect(),
            false => Vec::new(),
        };
        json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {"resourceVersion": revision.to_string()},
            "columnDefinitions": definitions,
            "rows": self.rows,
        })
    }
}

fn definition((name, priority): &Column) -> Value {
    json!({
        "name": name,
        "type": "string",
        "format": if *name == "Name" { "name" } else { "" },
        "description": "",
        "priority": match priority {
            Always => 0,
            Wide => 1,
        },
    })
}

fn columns(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::Namespace => &[("Name", Always), ("Status", Always), ("Age", Always)],
        Kind::Node => cluster::NODE,
        Kind::ConfigMap => &[("Name", Always), ("Data", Always), ("Age", Always)],
        Kind::Secret => &[("Name", Always), ("Type", Always), ("Data", Always), ("Age", Always)],
        Kind::ServiceAccount => &[("Name", Always), ("Secrets", Always), ("Age", Always)],
        Kind::Service => network::SERVICE,
        Kind::Pod => pods::POD,
        Kind::Event => cluster::EVENT,
        Kind::ReplicaSet => workloads::REPLICA_SET,
        Kind::Deployment => workloads::DEPLOYMENT,
        Kind::EndpointSlice => network::ENDPOINT_SLICE,
        Kind::Ingress => network::INGRESS,
        Kind::Lease => &[("Name", Always), ("Holder", Always), ("Age", Always)],
    }
}

fn cells(kind: Kind, object: &Object, now: Timestamp) -> Vec<Value> {
    let name = || json!(object.name());
    let age = || json!(age_of(object, now));
    let count = |field: &str| object.at(&[field]).and_then(Value::as_object).map_or(0, Map::len);
    match kind {
        Kind::Namespace => vec![name(), text(object, &["status", "phase"]), age()],
        Kind::Node => cluster::node(object, now),
        Kind::ConfigMap => vec![name(), json!(count("data") + count("binaryData")), age()],
        Kind::Secret => vec![name(), text(object, &["type"]), json!(count("data")), age()],
        Kind::ServiceAccount => vec![name(), json!(object.list_at(&["secrets"]).len()), age()],
        Kind::Service => network::service(object, now),
        Kind::Pod => pods::pod(object, now),
        Kind::Event => cluster::event(object, now),
        Kind::ReplicaSet => workloads::replica_set(object, now),
        Kind::Deployment => workloads::deployment(object, now),
        Kind::EndpointSlice => network::endpoint_slice(object, now),
        Kind::Ingress => network::ingress(object, now),
        Kind::Lease => vec![name(), text(object, &["spec", "holderIdentity"]), age()],
    }
}

/// A field's text; empty if there is none.
fn text(object: &Object, path: &[&str]) -> Value {
    json!(object.str_at(path).unwrap_or_default())
}

/// A list in one cell, or `<none>`.
fn joined(items: impl IntoIterator<Item = String>) -> Value {
    let items: Vec<String> = items.into_iter().collect();
    if items.is_empty() { json!("<none>") } else { json!(items.join(",")) }
}

#[cfg(test)]
mod tests;
