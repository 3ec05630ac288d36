//! The downward API: fields of the pod and amounts of its containers as text, for the environment and for
//! volumes. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ObjectFieldSelector, Pod, ResourceFieldSelector};
use manifests::quantity::Quantity;

use crate::spec::Facts;

/// A field that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FieldError {
    /// Not one of those that the downward API offers.
    #[error("field {path} is not one that a pod can be asked for")]
    UnknownField {
        /// The path.
        path: String,
    },
    /// Not one of those that the downward API offers.
    #[error("resource {resource} is not one that a container can be asked for")]
    UnknownResource {
        /// The resource.
        resource: String,
    },
    /// The pod has no such container.
    #[error("resource of container {container}: the pod has no such container")]
    UnknownContainer {
        /// Its name.
        container: String,
    },
    /// An amount or divisor that is none.
    #[error("{text:?} is not an amount of {resource}")]
    BadAmount {
        /// The resource.
        resource: String,
        /// The amount.
        text: String,
    },
}

/// The value of a field of the pod.
///
/// # Errors
/// When the field is not one that the downward API offers.
pub fn field(pod: &Pod, facts: &Facts, selector: &ObjectFieldSelector) -> Result<String, FieldError> {
    let metadata = &pod.metadata;
    let path = selector.field_path.as_str();
    let unknown = || FieldError::UnknownField { path: path.to_owned() };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let spec = pod.spec.as_ref();
    Ok(match path {
        "metadata.name" => text(&metadata.name),
        "metadata.namespace" => text(&metadata.namespace),
        "metadata.uid" => text(&metadata.uid),
        "metadata.labels" => all(metadata.labels.as_ref()),
        "metadata.annotations" => all(metadata.annotations.as_ref()),
        "spec.nodeName" => facts.node_name.clone(),
        "spec.serviceAccountName" => {
            spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| "default".to_owned())
        }
        "status.podIP" | "status.podIPs" => facts.pod_ip.map(|ip| ip.to_string()).unwrap_or_default(),
        "status.hostIP" | "status.hostIPs" => facts.host_ip.to_string(),
        path => {
            let (name, key) = subscript(path).ok_or_else(unknown)?;
            let map = match name {
                "metadata.labels" => metadata.labels.as_ref(),
                "metadata.annotations" => metadata.annotations.as_ref(),
                _ => return Err(unknown()),
            };
            map.and_then(|map| map.get(key)).cloned().unwrap_or_default()
        }
    })
}

/// The amount of a resource of a container, in units of the selector's divisor, rounded up.
///
/// # Errors
/// When the resource or the container does not exist.
pub fn resource(
    pod: &Pod,
    own: Option<&Container>,
    facts: &Facts,
    selector: &ResourceFieldSelector,
) -> Result<String, FieldError> {
    let container = match selector.container_name.as_deref().filter(|name| !name.is_empty()) {
        None => own,
        Some(name) => containers(pod).find(|container| container.name == name),
    };
    let container = container.ok_or_else(|| FieldError::UnknownContainer {
        container: selector.container_name.clone().unwrap_or_default(),
    })?;
    let milli = milli_amount(container, facts, &selector.resource)?;
    let divisor = match selector.divisor.as_ref().map(|divisor| divisor.0.as_str()) {
        None | Some("" | "0") => 1000,
        Some(text) => u128::from(parse(&selector.resource, text)?.milli()).max(1),
    };
    Ok(milli.div_ceil(divisor).to_string())
}

fn milli_amount(container: &Container, facts: &Facts, resource: &str) -> Result<u128, FieldError> {
    let unknown = || FieldError::UnknownResource { resource: resource.to_owned() };
    let (side, name) = resource.split_once('.').ok_or_else(unknown)?;
    let amounts = container.resources.as_ref().and_then(|resources| match side {
        "limits" => resources.limits.as_ref(),
        _ => resources.requests.as_ref(),
    });
    let said = amounts.and_then(|amounts| amounts.get(name));
    let unset = match (side, name) {
        ("limits", "cpu") => u128::from(facts.node_cpu_milli),
        ("limits", "memory") => u128::from(facts.node_memory_bytes) * 1000,
        ("requests", "cpu" | "memory") | ("limits" | "requests", "ephemeral-storage") => 0,
        _ => return Err(unknown()),
    };
    match said {
        None => Ok(unset),
        Some(amount) if name == "cpu" => Ok(u128::from(parse(resource, &amount.0)?.milli())),
        Some(amount) => Ok(u128::from(parse(resource, &amount.0)?.whole()) * 1000),
    }
}

fn parse(resource: &str, text: &str) -> Result<Quantity, FieldError> {
    text.parse().map_err(|_| FieldError::BadAmount { resource: resource.to_owned(), text: text.to_owned() })
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
    let proper = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
    init.iter().chain(proper)
}

/// `metadata.labels['app']` is `metadata.labels` and `app`.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (name, rest) = path.split_once("['")?;
    Some((name, rest.strip_suffix("']")?))
}

/// `key="value"`, one line each, the value escaped as Go would.
fn all(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}"));
    lines.collect::<Vec<_>>().join("\n")
}
