//! A pod's row: its status in one word, which is the first thing anybody looks at.

use jiff::Timestamp;
use manifests::Object;
use serde_json::{Value, json};

use super::age::{age_of, since_text};
use super::{Always, Column, Wide};

pub(super) const POD: &[Column] = &[
    ("Name", Always),
    ("Ready", Always),
    ("Status", Always),
    ("Restarts", Always),
    ("Age", Always),
    ("IP", Wide),
    ("Node", Wide),
    ("Nominated Node", Wide),
    ("Readiness Gates", Wide),
];

pub(super) fn pod(object: &Object, now: Timestamp) -> Vec<Value> {
    let statuses = object.list_at(&["status", "containerStatuses"]);
    let ready = statuses.iter().filter(|status| status["ready"] == true).count();
    let wanted = object.list_at(&["spec", "containers"]).len();
    let or_none =
        |path: &[&str]| json!(object.str_at(path).filter(|text| !text.is_empty()).unwrap_or("<none>"));
    vec![
        json!(object.name()),
        json!(format!("{ready}/{wanted}")),
        json!(status(object)),
        json!(restarts(object, now)),
        json!(age_of(object, now)),
        or_none(&["status", "podIP"]),
        or_none(&["spec", "nodeName"]),
        or_none(&["status", "nominatedNodeName"]),
        json!("<none>"),
    ]
}

/// The pod's state in a word: what holds it up says more than its phase.
fn status(object: &Object) -> String {
    let phase = object.str_at(&["status", "phase"]).unwrap_or("Unknown");
    let mut word =
        object.str_at(&["status", "reason"]).filter(|reason| !reason.is_empty()).unwrap_or(phase).to_owned();
    if let Some(waiting) = init_status(object) {
        word = waiting;
    } else {
        word = main_status(object, word);
    }
    if object.is_terminating() {
        word = match object.str_at(&["status", "reason"]) {
            Some("NodeLost") => "Unknown".to_owned(),
            _ => "Terminating".to_owned(),
        };
    }
    word
}

/// `Init:1/3` or why it does not go on, while init containers are not done.
fn init_status(object: &Object) -> Option<String> {
    let containers = object.list_at(&["spec", "initContainers"]);
    let is_sidecar = |name: &Value| {
        containers
            .iter()
            .any(|container| container["name"] == *name && container["restartPolicy"] == "Always")
    };
    for (index, status) in object.list_at(&["status", "initContainerStatuses"]).iter().enumerate() {
        let state = &status["state"];
        if state["terminated"]["exitCode"] == 0 || is_sidecar(&status["name"]) && status["started"] == true {
            continue;
        }
        let told = if state["terminated"].is_object() {
            Some(ended(&state["terminated"]))
        } else {
            state["waiting"]["reason"]
                .as_str()
                .filter(|reason| *reason != "PodInitializing")
                .map(ToOwned::to_owned)
        };
        return Some(match told {
            Some(reason) => format!("Init:{reason}"),
            None => format!("Init:{index}/{}", containers.len()),
        });
    }
    None
}

fn main_status(object: &Object, word: String) -> String {
    let mut word = word;
    let mut has_running = false;
    for status in object.list_at(&["status", "containerStatuses"]).iter().rev() {
        let state = &status["state"];
        if let Some(reason) = state["waiting"]["reason"].as_str().filter(|reason| !reason.is_empty()) {
            reason.clone_into(&mut word);
        } else if state["terminated"].is_object() {
            word = ended(&state["terminated"]);
        } else if status["ready"] == true && state["running"].is_object() {
            has_running = true;
        }
    }
    if word == "Completed" && has_running { "Running".to_owned() } else { word }
}

/// Why a container ended, in a word.
fn ended(terminated: &Value) -> String {
    let reason = terminated["reason"].as_str().unwrap_or_default();
    match (reason, terminated["signal"].as_i64().unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", terminated["exitCode"]),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// How often containers were started again, and when last.
fn restarts(object: &Object, now: Timestamp) -> String {
    let statuses = object.list_at(&["status", "containerStatuses"]);
    let count: i64 = statuses.iter().filter_map(|status| status["restartCount"].as_i64()).sum();
    let last =
        statuses.iter().filter_map(|status| status["lastState"]["terminated"]["finishedAt"].as_str()).max();
    match last {
        Some(last) if count > 0 => format!("{count} ({} ago)", since_text(Some(last), now)),
        _ => count.to_string(),
    }
}

#[cfg(test)]
mod tests;
