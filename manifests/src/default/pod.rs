//! The defaults of pods and of pod templates.

use serde_json::{Value, json};

use super::{Fields, made, map, maps, put};
use crate::pod::TERMINATION_GRACE_SECONDS;

/// Permissions of the files of configMap, secret, projected and downwardAPI volumes: 0644.
const VOLUME_MODE: i32 = 0o644;

pub(super) fn default_pod(fields: &mut Fields) {
    let Some(spec) = map(fields, "spec") else { return };
    default_spec(spec);
    // Only for pods: a template keeps what its author wrote.
    for list in ["containers", "initContainers"] {
        maps(spec, list).for_each(default_requests);
    }
}

pub(super) fn default_spec(spec: &mut Fields) {
    put(spec, "restartPolicy", "Always");
    put(spec, "terminationGracePeriodSeconds", TERMINATION_GRACE_SECONDS);
    put(spec, "dnsPolicy", "ClusterFirst");
    put(spec, "schedulerName", "default-scheduler");
    put(spec, "securityContext", json!({}));
    put(spec, "enableServiceLinks", true);
    default_service_account(spec);
    let on_host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in maps(spec, list) {
            default_container(container);
            if on_host_network {
                maps(container, "ports").for_each(default_host_port);
            }
        }
    }
    maps(spec, "volumes").for_each(default_volume);
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are served.
fn default_service_account(spec: &mut Fields) {
    for (from, to) in [("serviceAccountName", "serviceAccount"), ("serviceAccount", "serviceAccountName")] {
        if let Some(name) = spec.get(from).cloned() {
            put(spec, to, name);
        }
    }
}

fn default_host_port(port: &mut Fields) {
    if let Some(number) = port.get("containerPort").cloned() {
        put(port, "hostPort", number);
    }
}

fn default_container(container: &mut Fields) {
    if let Some(image) = container.get("image").and_then(Value::as_str) {
        let policy = pull_policy(image);
        put(container, "imagePullPolicy", policy);
    }
    put(container, "terminationMessagePath", "/dev/termination-log");
    put(container, "terminationMessagePolicy", "File");
    put(container, "resources", json!({}));
    for port in maps(container, "ports") {
        put(port, "protocol", "TCP");
    }
    for variable in maps(container, "env") {
        if let Some(field) = map(variable, "valueFrom").and_then(|from| map(from, "fieldRef")) {
            put(field, "apiVersion", "v1");
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = map(container, probe) {
            default_probe(probe);
        }
    }
    if let Some(lifecycle) = map(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(request) = map(lifecycle, hook).and_then(|hook| map(hook, "httpGet")) {
                default_request(request);
            }
        }
    }
}

/// `Always` for the tag `latest`, said or not; an image pinned to a tag or digest is pulled once.
fn pull_policy(image: &str) -> &'static str {
    if image.contains('@') {
        return "IfNotPresent";
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.split_once(':') {
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

fn default_probe(probe: &mut Fields) {
    put(probe, "timeoutSeconds", 1);
    put(probe, "periodSeconds", 10);
    put(probe, "successThreshold", 1);
    put(probe, "failureThreshold", 3);
    if let Some(request) = map(probe, "httpGet") {
        default_request(request);
    }
    if let Some(call) = map(probe, "grpc") {
        put(call, "service", "");
    }
}

fn default_request(request: &mut Fields) {
    put(request, "path", "/");
    put(request, "scheme", "HTTP");
}

/// What has a limit and no request asks for its limit.
fn default_requests(container: &mut Fields) {
    let Some(resources) = map(container, "resources") else { return };
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else { return };
    let Some(requests) = made(resources, "requests") else { return };
    for (name, amount) in limits {
        put(requests, &name, amount);
    }
}

fn default_volume(volume: &mut Fields) {
    let named_only = volume.iter().all(|(field, value)| field == "name" || value.is_null());
    if named_only {
        put(volume, "emptyDir", json!({}));
    }
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(source) = map(volume, source) {
            put(source, "defaultMode", VOLUME_MODE);
            maps(source, "items").for_each(default_volume_item);
        }
    }
    if let Some(path) = map(volume, "hostPath") {
        put(path, "type", "");
    }
    for source in map(volume, "projected").into_iter().flat_map(|projected| maps(projected, "sources")) {
        if let Some(token) = map(source, "serviceAccountToken") {
            put(token, "expirationSeconds", 3_600);
        }
        if let Some(downward) = map(source, "downwardAPI") {
            maps(downward, "items").for_each(default_volume_item);
        }
    }
}

fn default_volume_item(item: &mut Fields) {
    if let Some(field) = map(item, "fieldRef") {
        put(field, "apiVersion", "v1");
    }
}
