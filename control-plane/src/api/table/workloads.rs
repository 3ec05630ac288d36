//! Rows of what keeps pods: Deployments and ReplicaSets.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use manifests::Object;
use manifests::selector::Selector;
use serde_json::{Value, json};

use super::age::age_of;
use super::{Always, Column, Wide, joined};

pub(super) const DEPLOYMENT: &[Column] = &[
    ("Name", Always),
    ("Ready", Always),
    ("Up-to-date", Always),
    ("Available", Always),
    ("Age", Always),
    ("Containers", Wide),
    ("Images", Wide),
    ("Selector", Wide),
];

pub(super) const REPLICA_SET: &[Column] = &[
    ("Name", Always),
    ("Desired", Always),
    ("Current", Always),
    ("Ready", Always),
    ("Age", Always),
    ("Containers", Wide),
    ("Images", Wide),
    ("Selector", Wide),
];

pub(super) fn deployment(object: &Object, now: Timestamp) -> Vec<Value> {
    let count = |path: &[&str]| object.i64_at(path).unwrap_or(0);
    let ready = format!("{}/{}", count(&["status", "readyReplicas"]), count(&["spec", "replicas"]));
    let mut cells = vec![
        json!(object.name()),
        json!(ready),
        json!(count(&["status", "updatedReplicas"])),
        json!(count(&["status", "availableReplicas"])),
        json!(age_of(object, now)),
    ];
    cells.extend(template(object));
    cells
}

pub(super) fn replica_set(object: &Object, now: Timestamp) -> Vec<Value> {
    let count = |path: &[&str]| json!(object.i64_at(path).unwrap_or(0));
    let mut cells = vec![
        json!(object.name()),
        count(&["spec", "replicas"]),
        count(&["status", "replicas"]),
        count(&["status", "readyReplicas"]),
        json!(age_of(object, now)),
    ];
    cells.extend(template(object));
    cells
}

/// What the pods are made of, and how they are found.
fn template(object: &Object) -> [Value; 3] {
    let containers = object.list_at(&["spec", "template", "spec", "containers"]);
    let of = |field: &str| {
        let texts =
            containers.iter().map(|container| container[field].as_str().unwrap_or_default().to_owned());
        joined(texts.collect::<Vec<_>>())
    };
    let selector = object.at(&["spec", "selector"]).cloned().unwrap_or_default();
    let selector = serde_json::from_value::<LabelSelector>(selector).ok();
    let selector = selector.and_then(|selector| Selector::from_label_selector(&selector).ok());
    [of("name"), of("image"), joined(selector.map(|selector| selector.to_string()))]
}
