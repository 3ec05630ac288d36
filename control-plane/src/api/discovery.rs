//! What is served here, in the words of Kubernetes' discovery: groups, versions, resources. Pure.

use manifests::Kind;
use serde_json::{Value, json};

/// The Kubernetes release whose API we speak a subset of.
const KUBERNETES_MINOR: &str = "33";

/// `GET /version`.
pub(super) fn version() -> Value {
    json!({
        "major": "1",
        "minor": KUBERNETES_MINOR,
        "gitVersion": format!("v1.{KUBERNETES_MINOR}.0-minikube-ish+{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// `GET /api`.
pub(super) fn api_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `GET /apis`.
pub(super) fn groups() -> Value {
    let mut names: Vec<&str> = Vec::new();
    for kind in Kind::ALL {
        let group = kind.info().group;
        if !group.is_empty() && !names.contains(&group) {
            names.push(group);
        }
    }
    let groups: Vec<Value> = names.into_iter().map(group_entry).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `GET /apis/GROUP`.
pub(super) fn group(name: &str) -> Value {
    let mut group = group_entry(name);
    group["kind"] = json!("APIGroup");
    group["apiVersion"] = json!("v1");
    group
}

fn group_entry(name: &str) -> Value {
    let mut versions: Vec<Value> = Vec::new();
    for kind in Kind::ALL.iter().filter(|kind| kind.info().group == name) {
        let version = kind.info().version;
        let entry = json!({"groupVersion": format!("{name}/{version}"), "version": version});
        if !versions.contains(&entry) {
            versions.push(entry);
        }
    }
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

/// `GET /api/v1` and `GET /apis/GROUP/VERSION`.
pub(super) fn resources(group: &str, version: &str) -> Value {
    let here = Kind::ALL.iter().filter(|kind| kind.info().group == group && kind.info().version == version);
    let resources: Vec<Value> = here.flat_map(|kind| entries(*kind)).collect();
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

/// A kind's own entry and one for each of its subresources. `pods/eviction` is left out on purpose: `kubectl drain`
/// then deletes pods, which is what we do.
fn entries(kind: Kind) -> Vec<Value> {
    let info = kind.info();
    let mut own = json!({
        "name": info.plural,
        "singularName": info.singular,
        "namespaced": info.namespaced,
        "kind": info.kind,
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    });
    if !info.short_names.is_empty() {
        own["shortNames"] = json!(info.short_names);
    }
    if !info.categories.is_empty() {
        own["categories"] = json!(info.categories);
    }
    let mut entries = vec![own];
    let below = |name: &str, kind: &str, verbs: &[&str]| {
        json!({
            "name": format!("{}/{name}", info.plural),
            "singularName": "",
            "namespaced": info.namespaced,
            "kind": kind,
            "verbs": verbs,
        })
    };
    if info.status {
        entries.push(below("status", info.kind, &["get", "patch", "update"]));
    }
    if info.scale {
        let mut scale = below("scale", "Scale", &["get", "patch", "update"]);
        scale["group"] = json!("autoscaling");
        scale["version"] = json!("v1");
        entries.push(scale);
    }
    if kind == Kind::Pod {
        entries.push(below("attach", "PodAttachOptions", &["create", "get"]));
        entries.push(below("binding", "Binding", &["create"]));
        entries.push(below("exec", "PodExecOptions", &["create", "get"]));
        entries.push(below("log", "Pod", &["get"]));
        entries.push(below("portforward", "PodPortForwardOptions", &["create", "get"]));
    }
    entries
}
