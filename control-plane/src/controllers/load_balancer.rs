//! What a Service of type LoadBalancer, or an Ingress, says of where users reach it: the front's address.

use manifests::Kind;
use serde_json::{Value, json};

use super::{Plan, status_update};
use crate::snapshot::{Key, Snapshot, Stored};

/// What should change so that the object at `key` says where the front is.
pub fn reconcile(snapshot: &Snapshot, key: &Key, front: Option<&str>) -> Plan {
    let mut plan = Plan::default();
    let Some(stored) = snapshot.get(key) else { return plan };
    let ingress = front.filter(|_| is_balanced(stored)).map(|address| {
        let field = if address.parse::<std::net::IpAddr>().is_ok() { "ip" } else { "hostname" };
        json!([{field: address}])
    });
    if stored.object().at(&["status", "loadBalancer", "ingress"]) == ingress.as_ref() {
        return plan;
    }
    let mut status = stored.object().at(&["status"]).cloned().unwrap_or_default();
    status["loadBalancer"] = ingress.map_or_else(|| json!({}), |ingress| json!({"ingress": ingress}));
    if stored.object().at(&["status"]) != Some(&status)
        && !(is_empty(stored) && status == json!({"loadBalancer": {}}))
    {
        plan.push(status_update(stored, status));
    }
    plan
}

fn is_balanced(stored: &Stored) -> bool {
    stored.key().kind == Kind::Ingress || stored.object().str_at(&["spec", "type"]) == Some("LoadBalancer")
}

fn is_empty(stored: &Stored) -> bool {
    stored.object().at(&["status"]).is_none_or(Value::is_null)
}

#[cfg(test)]
mod tests;
