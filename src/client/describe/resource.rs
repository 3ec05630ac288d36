//! The pages of nodes, deployments, services and secrets; and of anything else, field by field.

use base64::Engine;
use k8s_openapi::api::core::v1::Pod;
use manifests::Object;
use manifests::pod::{self, Resources};
use manifests::quantity::{self, format_bytes, format_milli_cpu};
use serde_json::Value;

use super::page::Page;
use super::pod::{entries, plain};

pub(super) fn describe_node(node: &Object, pods: &[Object], page: &mut Page) {
    page.head(node);
    page.field_if(0, "Created", node.str_at(&["metadata", "creationTimestamp"]));
    let taint = |taint: &Value| {
        let value = taint["value"].as_str().filter(|value| !value.is_empty());
        let value = value.map(|value| format!("={value}")).unwrap_or_default();
        format!("{}{value}:{}", plain(&taint["key"]), plain(&taint["effect"]))
    };
    let taints: Vec<String> = node.list_at(&["spec", "taints"]).iter().map(taint).collect();
    page.values(0, "Taints", &taints);
    let cordoned = node.at(&["spec", "unschedulable"]) == Some(&Value::Bool(true));
    page.field(0, "Unschedulable", cordoned.to_string());
    describe_conditions(node, page);
    page.section(0, "Addresses");
    for address in node.list_at(&["status", "addresses"]) {
        page.field(1, &plain(&address["type"]), plain(&address["address"]));
    }
    for (title, field) in [("Capacity", "capacity"), ("Allocatable", "allocatable")] {
        page.section(0, title);
        for (name, amount) in node.at(&["status", field]).map(entries).unwrap_or_default() {
            page.field(1, name, plain(amount));
        }
    }
    page.section(0, "System Info");
    for (name, value) in node.at(&["status", "nodeInfo"]).map(entries).unwrap_or_default() {
        page.field(1, name, plain(value));
    }
    page.field_if(0, "PodCIDR", node.str_at(&["spec", "podCIDR"]));
    describe_pods_of_node(node, pods, page);
}

/// The pods of a node and what they ask for, one by one and together.
fn describe_pods_of_node(node: &Object, pods: &[Object], page: &mut Page) {
    let living = pods.iter().filter_map(|pod| pod.parse::<Pod>().ok()).filter(|pod| !pod::is_terminal(pod));
    let mut total = Resources::default();
    let mut lines =
        vec![["Namespace", "Name", "CPU Requests", "Memory Requests"].map(str::to_owned).to_vec()];
    for one in living {
        let asked = one.spec.as_ref().map(pod::requests).unwrap_or_default();
        total = total.plus(asked);
        let (namespace, name) =
            (one.metadata.namespace.unwrap_or_default(), one.metadata.name.unwrap_or_default());
        lines.push(vec![
            namespace,
            name,
            format_milli_cpu(asked.milli_cpu),
            format_bytes(asked.memory_bytes),
        ]);
    }
    page.section(0, &format!("Pods ({})", lines.len() - 1));
    page.table(1, &lines);
    let room = |name: &str| node.at(&["status", "allocatable", name]).map(plain).unwrap_or_default();
    let cpu = quantity::milli_cpu(&room("cpu")).unwrap_or_default();
    let memory = quantity::bytes(&room("memory")).unwrap_or_default();
    let share = |part: u64, whole: u64| part.saturating_mul(100).checked_div(whole).unwrap_or_default();
    page.section(0, "Allocated");
    page.field(1, "cpu", format!("{} ({}%)", format_milli_cpu(total.milli_cpu), share(total.milli_cpu, cpu)));
    page.field(
        1,
        "memory",
        format!("{} ({}%)", format_bytes(total.memory_bytes), share(total.memory_bytes, memory)),
    );
}

fn describe_conditions(object: &Object, page: &mut Page) {
    page.section(0, "Conditions");
    let mut lines = vec![["Type", "Status", "Reason", "Message"].map(str::to_owned).to_vec()];
    let cells = |one: &Value| {
        ["type", "status", "reason", "message"]
            .map(|field| one[field].as_str().unwrap_or_default().to_owned())
            .to_vec()
    };
    lines.extend(object.list_at(&["status", "conditions"]).iter().map(cells));
    page.table(1, &lines);
}

pub(super) fn describe_deployment(deployment: &Object, replica_sets: &[Object], page: &mut Page) {
    page.head(deployment);
    page.field_if(0, "Created", deployment.str_at(&["metadata", "creationTimestamp"]));
    let selector = deployment.strings_at(&["spec", "selector", "matchLabels"]);
    let selector: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    page.field(0, "Selector", selector.join(","));
    let status = |field: &str| deployment.i64_at(&["status", field]).unwrap_or_default();
    page.field(
        0,
        "Replicas",
        format!(
            "{} desired | {} updated | {} total | {} available | {} unavailable",
            deployment.i64_at(&["spec", "replicas"]).unwrap_or(1),
            status("updatedReplicas"),
            status("replicas"),
            status("availableReplicas"),
            status("unavailableReplicas")
        ),
    );
    page.field_if(0, "Strategy", deployment.str_at(&["spec", "strategy", "type"]));
    let rolling = |field: &str| deployment.at(&["spec", "strategy", "rollingUpdate", field]).map(plain);
    if let (Some(unavailable), Some(surge)) = (rolling("maxUnavailable"), rolling("maxSurge")) {
        page.field(0, "Rolling Update", format!("{unavailable} max unavailable, {surge} max surge"));
    }
    page.section(0, "Pod Template");
    if let Some(template) = deployment.at(&["spec", "template"]) {
        describe_value(1, template, page);
    }
    describe_conditions(deployment, page);
    let (new, old): (Vec<&Object>, Vec<&Object>) =
        replica_sets.iter().partition(|set| set.i64_at(&["spec", "replicas"]).unwrap_or_default() > 0);
    let shown = |sets: Vec<&Object>| {
        let one = |set: &&Object| {
            let count = |path: &[&str]| set.i64_at(path).unwrap_or_default();
            let (made, wanted) = (count(&["status", "replicas"]), count(&["spec", "replicas"]));
            format!("{} ({made}/{wanted} replicas made)", set.name())
        };
        sets.iter().map(one).collect::<Vec<_>>()
    };
    page.values(0, "ReplicaSets", &shown(new));
    page.values(0, "Idle ReplicaSets", &shown(old));
}

pub(super) fn describe_service(service: &Object, slices: &[Object], page: &mut Page) {
    page.head(service);
    let selector = service.strings_at(&["spec", "selector"]);
    let selector: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    page.field(0, "Selector", if selector.is_empty() { "<none>".to_owned() } else { selector.join(",") });
    page.field_if(0, "Type", service.str_at(&["spec", "type"]));
    page.field_if(0, "IP", service.str_at(&["spec", "clusterIP"]));
    page.field_if(0, "External Name", service.str_at(&["spec", "externalName"]));
    for ingress in service.list_at(&["status", "loadBalancer", "ingress"]) {
        let address = ingress["ip"].as_str().or(ingress["hostname"].as_str());
        page.field_if(0, "LoadBalancer Ingress", address);
    }
    for port in service.list_at(&["spec", "ports"]) {
        let name = port["name"].as_str().filter(|name| !name.is_empty()).unwrap_or("<unnamed>");
        let protocol = plain(&port["protocol"]);
        page.field(0, "Port", format!("{name} {}/{protocol}", port["port"]));
        page.field(0, "TargetPort", format!("{}/{protocol}", plain(&port["targetPort"])));
        if let Some(number) = port["nodePort"].as_i64().filter(|number| *number != 0) {
            page.field(0, "NodePort", format!("{number}/{protocol}"));
        }
        page.field(0, "Endpoints", endpoints(slices, &port["name"]));
    }
}

/// The ready endpoints of a port, and how many are not ready.
fn endpoints(slices: &[Object], port_name: &Value) -> String {
    let (mut ready, mut unready) = (Vec::new(), 0);
    for slice in slices {
        let named = |port: &&Value| plain(&port["name"]) == port_name.as_str().unwrap_or_default();
        let Some(port) = slice.list_at(&["ports"]).iter().find(named) else { continue };
        for endpoint in slice.list_at(&["endpoints"]) {
            let addresses = endpoint["addresses"].as_array().into_iter().flatten();
            if endpoint["conditions"]["ready"] == Value::Bool(false) {
                unready += 1;
                continue;
            }
            ready.extend(addresses.map(|address| format!("{}:{}", plain(address), port["port"])));
        }
    }
    let shown = if ready.is_empty() { "<none>".to_owned() } else { ready.join(",") };
    if unready == 0 { shown } else { format!("{shown} ({unready} not ready)") }
}

/// The keys of a Secret and how long their values are; never the values.
pub(super) fn describe_secret(secret: &Object, page: &mut Page) {
    page.head(secret);
    page.field_if(0, "Type", secret.str_at(&["type"]));
    page.section(0, "Data");
    for (key, value) in secret.strings_at(&["data"]) {
        let length =
            base64::engine::general_purpose::STANDARD.decode(value).map_or(value.len(), |bytes| bytes.len());
        page.field(1, key, format!("{length} bytes"));
    }
}

pub(super) fn describe_any(object: &Object, page: &mut Page) {
    page.head(object);
    page.field(0, "API Version", object.api_version());
    page.field(0, "Kind", object.kind_name());
    page.field_if(0, "Created", object.str_at(&["metadata", "creationTimestamp"]));
    if let Some(owner) = object.controller() {
        page.field(0, "Controlled By", format!("{}/{}", owner.kind, owner.name));
    }
    let said = ["apiVersion", "kind", "metadata"];
    for (name, value) in object.0.iter().filter(|(name, _)| !said.contains(&name.as_str())) {
        describe_field(0, name, value, page);
    }
}

fn describe_value(level: usize, value: &Value, page: &mut Page) {
    for (name, value) in entries(value) {
        describe_field(level, name, value, page);
    }
}

/// A field, by the name that manifests have for it, and all that is in it, one level down.
fn describe_field(level: usize, name: &str, value: &Value, page: &mut Page) {
    match value {
        Value::Null => {}
        Value::Object(fields) if fields.is_empty() => {}
        Value::Object(_) => {
            page.section(level, name);
            describe_value(level + 1, value, page);
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            page.section(level, name);
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    page.text(level + 1, "-");
                }
                describe_value(level + 1, item, page);
            }
        }
        Value::Array(items) => page.values(level, name, &items.iter().map(plain).collect::<Vec<_>>()),
        Value::String(text) if text.contains('\n') => {
            page.section(level, name);
            text.lines().for_each(|line| page.text(level + 1, line));
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => page.field(level, name, plain(value)),
    }
}
