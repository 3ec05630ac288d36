//! Kubernetes' defaults, put into objects before they are validated, compared and stored, so that every reader
//! finds them there. Idempotent: a second pass changes nothing.
//!
//! Source: Kubernetes `pkg/apis/*/v1/defaults.go`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::object::Object;
use crate::quantity::Quantity;
use crate::schema::{Place, Shape};

mod pod;

type Fields = Map<String, Value>;

/// Puts in what the user left out. An object of no kind of ours, or of the wrong shape, is left as it is there.
pub fn set_defaults(object: &mut Object) {
    let Some(kind) = object.kind() else { return };
    normalize(Place::root(kind), &mut object.0);
    match kind {
        Kind::Pod => pod::default_pod(&mut object.0),
        Kind::ReplicaSet => default_replica_set(&mut object.0),
        Kind::Deployment => default_deployment(&mut object.0),
        Kind::Service => default_service(&mut object.0),
        Kind::EndpointSlice => default_endpoint_slice(&mut object.0),
        Kind::Secret => default_secret(&mut object.0),
        Kind::Namespace => default_namespace(object),
        Kind::Ingress | Kind::Node | Kind::ConfigMap | Kind::ServiceAccount | Kind::Event | Kind::Lease => {}
    }
}

/// Brings values into the one form that they are kept in: no nulls, quantities as text.
fn normalize(place: Place, fields: &mut Fields) {
    fields.retain(|_, value| !value.is_null());
    for (name, value) in fields.iter_mut() {
        if let Some(place) = place.field(name) {
            normalize_value(place, value);
        }
    }
}

fn normalize_value(place: Place, value: &mut Value) {
    match (value, place.shape()) {
        (value @ Value::Number(_), Shape::Quantity) => {
            if let Ok(amount) = value.to_string().parse::<Quantity>() {
                *value = Value::String(amount.to_string());
            }
        }
        (Value::Object(fields), _) => normalize(place, fields),
        (Value::Array(items), _) => {
            let Some(place) = place.item() else { return };
            items.iter_mut().for_each(|item| normalize_value(place, item));
        }
        _ => {}
    }
}

fn default_replica_set(fields: &mut Fields) {
    let Some(spec) = map(fields, "spec") else { return };
    put(spec, "replicas", 1);
    default_template(spec);
}

fn default_deployment(fields: &mut Fields) {
    let Some(spec) = map(fields, "spec") else { return };
    put(spec, "replicas", 1);
    put(spec, "revisionHistoryLimit", 10);
    put(spec, "progressDeadlineSeconds", 600);
    let strategy = made(spec, "strategy");
    if let Some(strategy) = strategy {
        put(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate"
            && let Some(rolling) = made(strategy, "rollingUpdate")
        {
            put(rolling, "maxUnavailable", "25%");
            put(rolling, "maxSurge", "25%");
        }
    }
    default_template(spec);
}

fn default_template(spec: &mut Fields) {
    if let Some(pod) = map(spec, "template").and_then(|template| map(template, "spec")) {
        pod::default_spec(pod);
    }
}

fn default_service(fields: &mut Fields) {
    let Some(spec) = map(fields, "spec") else { return };
    put(spec, "sessionAffinity", "None");
    put(spec, "type", "ClusterIP");
    for port in maps(spec, "ports") {
        put(port, "protocol", "TCP");
        if let Some(number) = port.get("port").cloned() {
            put(port, "targetPort", number);
        }
    }
    if spec["sessionAffinity"] == "ClientIP"
        && let Some(client) = made(spec, "sessionAffinityConfig").and_then(|config| made(config, "clientIP"))
    {
        put(client, "timeoutSeconds", 10_800);
    }
    if spec["type"] == "ExternalName" {
        return;
    }
    put(spec, "internalTrafficPolicy", "Cluster");
    put(spec, "ipFamilies", json!(["IPv4"]));
    put(spec, "ipFamilyPolicy", "SingleStack");
    if spec["type"] == "NodePort" || spec["type"] == "LoadBalancer" {
        put(spec, "externalTrafficPolicy", "Cluster");
    }
    if spec["type"] == "LoadBalancer" {
        put(spec, "allocateLoadBalancerNodePorts", true);
    }
}

fn default_endpoint_slice(fields: &mut Fields) {
    for port in maps(fields, "ports") {
        put(port, "name", "");
        put(port, "protocol", "TCP");
    }
}

/// `stringData` is a way of writing only: it becomes `data`.
fn default_secret(fields: &mut Fields) {
    put(fields, "type", "Opaque");
    let plain = |value: &Value| value.as_object().is_some_and(|map| map.values().all(Value::is_string));
    if !fields.get("stringData").is_some_and(plain) {
        return;
    }
    let Some(Value::Object(texts)) = fields.remove("stringData") else { return };
    let Some(data) = made(fields, "data") else { return };
    for (key, text) in texts {
        data.insert(key, BASE64.encode(text.as_str().unwrap_or_default()).into());
    }
}

fn default_namespace(namespace: &mut Object) {
    const NAME_LABEL: &str = "kubernetes.io/metadata.name";
    let name = namespace.name().to_owned();
    if let Some(labels) = made(namespace.metadata_mut(), "labels") {
        put(labels, NAME_LABEL, name);
    }
}

/// Puts a value where there is none.
fn put(fields: &mut Fields, name: &str, value: impl Into<Value>) {
    let field = fields.entry(name).or_insert(Value::Null);
    if field.is_null() {
        *field = value.into();
    }
}

/// The map under a name, if there is one.
fn map<'a>(fields: &'a mut Fields, name: &str) -> Option<&'a mut Fields> {
    fields.get_mut(name)?.as_object_mut()
}

/// The map under a name, made if nothing is there. None: something else is.
fn made<'a>(fields: &'a mut Fields, name: &str) -> Option<&'a mut Fields> {
    put(fields, name, json!({}));
    map(fields, name)
}

/// The maps in the list under a name.
fn maps<'a>(fields: &'a mut Fields, name: &str) -> impl Iterator<Item = &'a mut Fields> {
    let items = fields.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten();
    items.filter_map(Value::as_object_mut)
}

#[cfg(test)]
mod tests;
