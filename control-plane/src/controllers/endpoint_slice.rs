//! The EndpointSlice controller: which pods answer for a Service, on which ports, and in which state.
//!
//! A pod that was asked to go is `terminating` in the same moment, so that everybody who balances by these slices
//! sends it nothing new while it still serves what it has.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Pod, PodSpec, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use manifests::pod::{is_ready, is_sidecar, is_terminal, is_terminating};
use manifests::selector::Selector;
use manifests::{Kind, Object};
use serde_json::{Value, json};

use super::pods::{PodRef, node_name};
use super::{Plan, owner, stable};
use crate::change::Change;
use crate::snapshot::{Key, Snapshot, Stored};

/// The label that says which Service a slice is of.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
/// Endpoints in one slice; Kubernetes takes no more in one object.
const ENDPOINTS_PER_SLICE_MAX: usize = 1_000;
/// Characters that tell the slices of a Service apart.
const SUFFIX_LEN: usize = 5;

/// What should change so that the Service at `key` has the slices of its pods.
pub fn reconcile(snapshot: &Snapshot, key: &Key) -> Plan {
    let mut plan = Plan::default();
    // Without a Service, its slices are garbage, and collected as such.
    let Some((stored, service)) = snapshot.find::<Service>(&key.namespace, &key.name) else { return plan };
    if stored.is_deleting() {
        return plan;
    }
    let Some(wanted) = wanted_slices(snapshot, stored, service) else { return plan };
    let present: BTreeMap<&Key, &Stored> =
        own_slices(snapshot, stored).map(|slice| (slice.key(), slice)).collect();
    for (slice_key, slice) in &wanted {
        match present.get(slice_key) {
            None => plan.push_because(Change::Create(slice.clone()), format!("{slice_key}: missing")),
            Some(old) if !is_same(old.object(), slice) => {
                let updated = replaced(old.object(), slice);
                plan.push_because(Change::Update(updated), format!("{slice_key}: its endpoints changed"));
            }
            Some(_) => {}
        }
    }
    for (slice_key, slice) in present.into_iter().filter(|(slice_key, _)| !wanted.contains_key(slice_key)) {
        plan.push_because(
            Change::delete(slice_key.clone(), slice.uid().clone()),
            format!("{slice_key}: no endpoint has its ports"),
        );
    }
    plan
}

/// The slices of ours of this Service; a user may have put others beside them.
fn own_slices<'a>(snapshot: &'a Snapshot, service: &'a Stored) -> impl Iterator<Item = &'a Stored> {
    let slices = snapshot.dependents(service.uid()).filter(|slice| slice.key().kind == Kind::EndpointSlice);
    let ours = |slice: &&Stored| slice.object().label(MANAGED_BY) == Some(MANAGER) && !slice.is_deleting();
    slices.map(|slice| &**slice).filter(ours)
}

/// The ports of a Service as one pod answers on them.
type Ports = Vec<Value>;

/// `None` for a Service whose endpoints are not ours to find.
fn wanted_slices(snapshot: &Snapshot, stored: &Stored, service: &Service) -> Option<BTreeMap<Key, Object>> {
    let spec = service.spec.as_ref().filter(|spec| spec.type_.as_deref() != Some("ExternalName"))?;
    let labels = spec.selector.as_ref().filter(|selector| !selector.is_empty())?;
    let selector = Selector::from_labels(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let all_ready = spec.publish_not_ready_addresses == Some(true);
    let mut by_ports: BTreeMap<String, (Ports, Vec<Value>)> = BTreeMap::new();
    for (pod_stored, pod) in snapshot.all_in::<Pod>(&stored.key().namespace) {
        let Some(ip) = address(pod).filter(|_| selector.matches_object(pod_stored.object())) else {
            continue;
        };
        let ports = ports(spec.ports.as_deref().unwrap_or_default(), pod);
        let endpoints = by_ports.entry(Value::from(ports.clone()).to_string()).or_insert((ports, Vec::new()));
        endpoints.1.push(endpoint((pod_stored, pod), ip, &stored.key().name, all_ready));
    }
    if by_ports.is_empty() {
        // An empty slice says that somebody looked.
        by_ports.insert(String::new(), (Vec::new(), Vec::new()));
    }
    let slices = by_ports.into_values().flat_map(|(ports, endpoints)| {
        let chunks: Vec<Vec<Value>> = chunked(endpoints);
        chunks.into_iter().enumerate().map(move |(index, chunk)| (ports.clone(), index, chunk))
    });
    Some(slices.map(|(ports, index, endpoints)| slice(stored, ports, index, endpoints)).collect())
}

fn chunked(endpoints: Vec<Value>) -> Vec<Vec<Value>> {
    if endpoints.is_empty() {
        return vec![Vec::new()];
    }
    endpoints.chunks(ENDPOINTS_PER_SLICE_MAX).map(<[Value]>::to_vec).collect()
}

/// Where the pod can be reached, if it can be at all.
fn address(pod: &Pod) -> Option<&str> {
    let ip = pod.status.as_ref()?.pod_ip.as_deref().filter(|ip| !ip.is_empty())?;
    (!is_terminal(pod)).then_some(ip)
}

fn ports(service_ports: &[ServicePort], pod: &Pod) -> Ports {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let resolved = service_ports.iter().filter_map(|port| Some((port, target_port(port, spec)?)));
    resolved.map(|(port, number)| port_entry(port, number)).collect()
}

fn port_entry(port: &ServicePort, number: i32) -> Value {
    let mut entry = json!({
        "name": port.name.as_deref().unwrap_or_default(),
        "port": number,
        "protocol": port.protocol.as_deref().unwrap_or("TCP"),
    });
    if let Some(protocol) = &port.app_protocol {
        entry["appProtocol"] = json!(protocol);
    }
    entry
}

/// The number of a port on this pod; `None` if the pod has no port of that name.
fn target_port(port: &ServicePort, spec: &PodSpec) -> Option<i32> {
    let name = match &port.target_port {
        None => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) => name,
    };
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let mut named = ports.filter(|port| port.name.as_deref() == Some(name));
    named.find(|port| port.protocol.as_deref().unwrap_or("TCP") == protocol).map(|port| port.container_port)
}

fn endpoint((stored, pod): PodRef<'_>, ip: &str, service: &str, all_ready: bool) -> Value {
    let (serving, terminating) = (is_ready(pod), is_terminating(pod));
    let mut endpoint = json!({
        "addresses": [ip],
        "conditions": {
            "ready": all_ready || (serving && !terminating),
            "serving": all_ready || serving,
            "terminating": terminating,
        },
        "nodeName": node_name(pod),
        "targetRef": {
            "kind": "Pod",
            "namespace": &*stored.key().namespace,
            "name": &*stored.key().name,
            "uid": &**stored.uid(),
        },
    });
    let spec = pod.spec.as_ref();
    let hostname = spec
        .filter(|spec| spec.subdomain.as_deref() == Some(service))
        .and_then(|spec| spec.hostname.as_ref());
    if let Some(hostname) = hostname {
        endpoint["hostname"] = json!(hostname);
    }
    endpoint
}

fn slice(service: &Stored, ports: Ports, index: usize, endpoints: Vec<Value>) -> (Key, Object) {
    let signature = Value::from(ports.clone()).to_string();
    let hash = stable::hash([service.uid().as_bytes(), signature.as_bytes(), &index.to_le_bytes()]);
    let name = stable::name(&service.key().name, &stable::suffix(hash, SUFFIX_LEN));
    let mut slice = Object::new(Kind::EndpointSlice, &service.key().namespace, &name);
    slice.set(&["metadata", "labels"], json!({SERVICE_NAME: &*service.key().name, MANAGED_BY: MANAGER}));
    if service.object().str_at(&["spec", "clusterIP"]) == Some("None") {
        slice.set(&["metadata", "labels", "service.kubernetes.io/headless"], "");
    }
    slice.set(&["metadata", "ownerReferences"], json!([owner::reference(service)]));
    slice.set(&["addressType"], "IPv4");
    slice.set(&["ports"], ports);
    slice.set(&["endpoints"], endpoints);
    (Key::new(Kind::EndpointSlice, service.key().namespace.clone(), name), slice)
}

const CONTENT: [&[&str]; 5] =
    [&["metadata", "labels"], &["metadata", "ownerReferences"], &["addressType"], &["ports"], &["endpoints"]];

fn is_same(old: &Object, wanted: &Object) -> bool {
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    CONTENT.iter().all(|path| {
        let (old, wanted) =
            (old.at(path).cloned().unwrap_or_default(), wanted.at(path).cloned().unwrap_or_default());
        old == wanted || (is_empty(&old) && is_empty(&wanted))
    })
}

fn replaced(old: &Object, wanted: &Object) -> Object {
    let mut updated = old.clone();
    for path in CONTENT {
        updated.set(path, wanted.at(path).cloned().unwrap_or_default());
    }
    updated
}

/// The Services of a namespace that select these labels, before or after a change of a pod.
pub fn services_of<'a>(snapshot: &'a Snapshot, pods: &[&Stored]) -> BTreeSet<&'a Key> {
    let namespaces: BTreeSet<&str> = pods.iter().map(|pod| &*pod.key().namespace).collect();
    let services = namespaces.into_iter().flat_map(|namespace| snapshot.all_in::<Service>(namespace));
    let selects = |service: &Service| {
        let labels =
            service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).filter(|it| !it.is_empty());
        labels.is_some_and(|labels| {
            pods.iter().any(|pod| labels.iter().all(|(key, value)| pod.object().label(key) == Some(value)))
        })
    };
    services.filter(|(_, service)| selects(service)).map(|(stored, _)| stored.key()).collect()
}

#[cfg(test)]
mod tests;
