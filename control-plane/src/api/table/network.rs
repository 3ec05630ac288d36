//! Rows of how pods are reached: Services, EndpointSlices, Ingresses.

use jiff::Timestamp;
use manifests::Object;
use serde_json::{Value, json};

use super::age::age_of;
use super::{Always, Column, Wide, joined, text};

/// How many endpoints one cell lists.
const ENDPOINTS_SHOWN: usize = 3;

pub(super) const SERVICE: &[Column] = &[
    ("Name", Always),
    ("Type", Always),
    ("Cluster-IP", Always),
    ("External-IP", Always),
    ("Port(s)", Always),
    ("Age", Always),
    ("Selector", Wide),
];

pub(super) const ENDPOINT_SLICE: &[Column] =
    &[("Name", Always), ("AddressType", Always), ("Ports", Always), ("Endpoints", Always), ("Age", Always)];

pub(super) const INGRESS: &[Column] = &[
    ("Name", Always),
    ("Class", Always),
    ("Hosts", Always),
    ("Address", Always),
    ("Ports", Always),
    ("Age", Always),
];

pub(super) fn service(object: &Object, now: Timestamp) -> Vec<Value> {
    let ports = object.list_at(&["spec", "ports"]).iter().map(|port| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        match port["nodePort"].as_u64() {
            Some(node_port) if node_port != 0 => format!("{}:{node_port}/{protocol}", port["port"]),
            _ => format!("{}/{protocol}", port["port"]),
        }
    });
    let selector = object.strings_at(&["spec", "selector"]);
    let selector: Vec<String> = selector.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    vec![
        json!(object.name()),
        text(object, &["spec", "type"]),
        json!(object.str_at(&["spec", "clusterIP"]).filter(|ip| !ip.is_empty()).unwrap_or("<none>")),
        json!(external_ip(object)),
        joined(ports),
        json!(age_of(object, now)),
        joined(selector),
    ]
}

fn external_ip(object: &Object) -> String {
    let own: Vec<&str> = object.list_at(&["spec", "externalIPs"]).iter().filter_map(Value::as_str).collect();
    let balancer = addresses(object);
    match object.str_at(&["spec", "type"]) {
        Some("ExternalName") => object.str_at(&["spec", "externalName"]).unwrap_or_default().to_owned(),
        Some("LoadBalancer") if balancer.is_empty() && own.is_empty() => "<pending>".to_owned(),
        Some("LoadBalancer") => {
            [balancer, own.join(",")].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(",")
        }
        _ if own.is_empty() => "<none>".to_owned(),
        _ => own.join(","),
    }
}

fn addresses(object: &Object) -> String {
    let ingress = object.list_at(&["status", "loadBalancer", "ingress"]).iter();
    let all: Vec<&str> = ingress.filter_map(|one| one["ip"].as_str().or(one["hostname"].as_str())).collect();
    all.join(",")
}

pub(super) fn endpoint_slice(object: &Object, now: Timestamp) -> Vec<Value> {
    let ports = object.list_at(&["ports"]).iter().map(|port| port["port"].to_string());
    let addresses = object.list_at(&["endpoints"]).iter();
    let addresses = addresses.flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten());
    let addresses: Vec<String> = addresses.filter_map(Value::as_str).map(ToOwned::to_owned).collect();
    let mut shown = joined(addresses.iter().take(ENDPOINTS_SHOWN).cloned());
    if addresses.len() > ENDPOINTS_SHOWN {
        let more = addresses.len() - ENDPOINTS_SHOWN;
        shown = json!(format!("{} + {more} more...", shown.as_str().unwrap_or_default()));
    }
    vec![
        json!(object.name()),
        text(object, &["addressType"]),
        joined(ports),
        shown,
        json!(age_of(object, now)),
    ]
}

pub(super) fn ingress(object: &Object, now: Timestamp) -> Vec<Value> {
    let hosts = object.list_at(&["spec", "rules"]).iter().filter_map(|rule| rule["host"].as_str());
    let hosts: Vec<String> = hosts.filter(|host| !host.is_empty()).map(ToOwned::to_owned).collect();
    let has_tls = !object.list_at(&["spec", "tls"]).is_empty();
    vec![
        json!(object.name()),
        json!(object.str_at(&["spec", "ingressClassName"]).unwrap_or("<none>")),
        if hosts.is_empty() { json!("*") } else { joined(hosts) },
        json!(addresses(object)),
        json!(if has_tls { "80, 443" } else { "80" }),
        json!(age_of(object, now)),
    ]
}
