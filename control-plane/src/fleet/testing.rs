//! A snapshot from JSON, for the tests of this room.

use manifests::Object;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::snapshot::{Key, Snapshot, Stored};

pub(super) fn snapshot(objects: &[Value]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (object, revision) in objects.iter().zip(1..) {
        snapshot.insert(Arc::new(stored(object, revision)));
    }
    snapshot
}

pub(super) fn stored(object: &Value, revision: u64) -> Stored {
    let object = Object::from_value(object.clone()).expect("an object");
    Stored::new(Key::of(&object).expect("a kind that we serve"), object, revision)
}

pub(super) fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("{name}-uid")},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "it"}]},
    })
}

pub(super) fn service(name: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"clusterIP": "10.66.0.7", "type": kind, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
    })
}

pub(super) fn slice(service: &str, addresses: &[&str]) -> Value {
    let endpoint = |address| json!({"addresses": [address], "conditions": {"ready": true}});
    let endpoints: Vec<Value> = addresses.iter().map(endpoint).collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("{service}-1"), "namespace": "shop", "uid": format!("{service}-slice"),
            "labels": {"kubernetes.io/service-name": service},
        },
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080}],
    })
}

pub(super) fn ingress(host: &str, path: &str, path_type: &str, service: &str) -> Value {
    let backend = json!({"service": {"name": service, "port": {"number": 80}}});
    let name: String =
        format!("{host}{path}{path_type}").chars().filter(char::is_ascii_alphanumeric).collect();
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name.to_lowercase(), "namespace": "shop", "uid": name},
        "spec": {"rules": [
            {"host": host, "http": {"paths": [{"path": path, "pathType": path_type, "backend": backend}]}},
        ]},
    })
}
