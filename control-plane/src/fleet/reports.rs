//! What a node's reports mean, as changes. Pure.
//!
//! A node may speak of its own pods only: a report about a pod that is bound elsewhere, or that is another one of
//! the same name, is dropped.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::{Node, Pod};
use manifests::{Kind, Object};
use proto::node_report::Report;
use serde_json::{Value, json};

use super::registration::internal_addresses;
use crate::change::{Change, EventIntent, Severity};
use crate::snapshot::{Key, Snapshot};

#[cfg(test)]
mod tests;

/// Longer messages are cut: an Event is one sentence for people.
const MESSAGE_MAX: usize = 1024;

/// The change that a report asks for, if any.
#[must_use]
pub(super) fn change(snapshot: &Snapshot, node: &str, report: Report) -> Option<Change> {
    match report {
        Report::PodStatus(report) => {
            let pod = report.pod?;
            let key = own_pod(snapshot, node, &pod)?;
            let status: Value = serde_json::from_slice(&report.status).ok()?;
            if !has_own_addresses(snapshot, node, &status) {
                tracing::warn!(node, pod = %key, "a status with an address that is not the node's to give is dropped");
                return None;
            }
            let object = json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"namespace": *key.namespace, "name": *key.name, "uid": pod.uid},
                "status": status,
            });
            Some(Change::UpdateStatus(Object::from_value(object).ok()?))
        }
        Report::PodGone(report) => {
            let pod = report.pod?;
            let key = own_pod(snapshot, node, &pod)?;
            // A node that says so of a pod nobody asked to go has lost it; its controller makes another.
            Some(Change::delete_now(key, pod.uid.into()))
        }
        Report::Event(event) => record(snapshot, node, event),
        Report::Hello(_) | Report::Heartbeat(_) | Report::ServicesApplied(_) => None,
    }
}

/// Whether a status names only addresses that are this node's: of its pod range, or its own.
fn has_own_addresses(snapshot: &Snapshot, node: &str, status: &Value) -> bool {
    let Some((_, node)) = snapshot.find::<Node>("", node) else { return false };
    let range = node.spec.as_ref().and_then(|spec| spec.pod_cidr.as_deref());
    let range: Option<Ipv4Net> = range.and_then(|range| range.parse().ok());
    let is_own = |address: &str| {
        let in_range = |range: Ipv4Net| address.parse().is_ok_and(|ip: Ipv4Addr| range.contains(&ip));
        range.is_some_and(in_range) || internal_addresses(node).any(|own| own == address)
    };
    let single = status["podIP"].as_str().into_iter();
    let all = status["podIPs"].as_array().into_iter().flatten().filter_map(|entry| entry["ip"].as_str());
    single.chain(all).filter(|address| !address.is_empty()).all(is_own)
}

fn record(snapshot: &Snapshot, node: &str, event: proto::Event) -> Option<Change> {
    let pod = event.pod?;
    let regarding = own_pod(snapshot, node, &pod)?;
    Some(Change::Record(EventIntent {
        regarding,
        uid: pod.uid.into(),
        field_path: cut(event.field_path),
        severity: if event.r#type == "Warning" { Severity::Warning } else { Severity::Normal },
        reason: cut(event.reason),
        message: cut(event.message),
        component: "node-agent",
        host: node.to_owned(),
    }))
}

fn own_pod(snapshot: &Snapshot, node: &str, pod: &proto::PodRef) -> Option<Key> {
    let key = Key::new(Kind::Pod, pod.namespace.as_str(), pod.name.as_str());
    let stored = snapshot.get(&key)?;
    let bound_to = stored.typed::<Pod>()?.spec.as_ref()?.node_name.as_deref();
    (**stored.uid() == *pod.uid && bound_to == Some(node)).then_some(key)
}

fn cut(mut text: String) -> String {
    if text.len() > MESSAGE_MAX {
        let end = (0..=MESSAGE_MAX).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
