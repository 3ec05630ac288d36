//! Rows of the cluster itself: Nodes and Events.

use jiff::Timestamp;
use manifests::Object;
use serde_json::{Value, json};

use super::age::{age_of, since_text};
use super::{Always, Column, Wide, joined};

/// A node's role is in the name of a label.
const ROLE_LABEL: &str = "node-role.kubernetes.io/";

pub(super) const NODE: &[Column] = &[
    ("Name", Always),
    ("Status", Always),
    ("Roles", Always),
    ("Age", Always),
    ("Version", Always),
    ("Internal-IP", Wide),
    ("External-IP", Wide),
    ("OS-Image", Wide),
    ("Kernel-Version", Wide),
    ("Container-Runtime", Wide),
];

pub(super) const EVENT: &[Column] = &[
    ("Last Seen", Always),
    ("Type", Always),
    ("Reason", Always),
    ("Object", Always),
    ("Subobject", Wide),
    ("Source", Wide),
    ("Message", Always),
    ("First Seen", Wide),
    ("Count", Wide),
    ("Name", Wide),
];

pub(super) fn node(object: &Object, now: Timestamp) -> Vec<Value> {
    let info = |field: &str| json!(object.str_at(&["status", "nodeInfo", field]).unwrap_or("<unknown>"));
    let address = |wanted: &str| {
        let found = object.list_at(&["status", "addresses"]).iter().find(|address| address["type"] == wanted);
        json!(found.and_then(|address| address["address"].as_str()).unwrap_or("<none>"))
    };
    let labels = object.labels();
    let roles = labels.keys().filter_map(|label| label.strip_prefix(ROLE_LABEL)).map(ToOwned::to_owned);
    vec![
        json!(object.name()),
        json!(status(object)),
        joined(roles),
        json!(age_of(object, now)),
        info("kubeletVersion"),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

fn status(object: &Object) -> String {
    let ready =
        object.list_at(&["status", "conditions"]).iter().find(|condition| condition["type"] == "Ready");
    let word = match ready.and_then(|condition| condition["status"].as_str()) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let is_cordoned = object.at(&["spec", "unschedulable"]) == Some(&Value::Bool(true));
    if is_cordoned { format!("{word},SchedulingDisabled") } else { word.to_owned() }
}

pub(super) fn event(object: &Object, now: Timestamp) -> Vec<Value> {
    let text = |path: &[&str]| object.str_at(path).unwrap_or_default();
    let involved = |field: &str| text(&["involvedObject", field]);
    let regarding = format!("{}/{}", involved("kind").to_ascii_lowercase(), involved("name"));
    let source: Vec<&str> = [text(&["source", "component"]), text(&["source", "host"])]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    let time = |field: &str| object.str_at(&[field]).or_else(|| object.str_at(&["eventTime"]));
    vec![
        json!(since_text(time("lastTimestamp"), now)),
        json!(text(&["type"])),
        json!(text(&["reason"])),
        json!(regarding),
        json!(involved("fieldPath")),
        json!(source.join(", ")),
        json!(text(&["message"]).trim()),
        json!(since_text(time("firstTimestamp"), now)),
        json!(object.i64_at(&["count"]).unwrap_or(1)),
        json!(object.name()),
    ]
}
