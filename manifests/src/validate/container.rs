//! One container: its name, image, environment, ports, probes, mounts, amounts.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::view::{View, check_exactly_one, check_unique};
use crate::field::FieldError;
use crate::name;
use crate::quantity::Quantity;

pub(super) fn check_container(
    container: &View<'_>,
    volumes: &BTreeSet<String>,
    errors: &mut Vec<FieldError>,
) {
    container.field("name").require_text(name::dns_label, errors);
    check_image(&container.field("image"), errors);
    container.field("imagePullPolicy").check_one_of(&["Always", "IfNotPresent", "Never"], errors);
    container.field("terminationMessagePolicy").check_one_of(&["File", "FallbackToLogsOnError"], errors);
    check_ports(&container.field("ports"), errors);
    check_env(container, errors);
    check_mounts(&container.field("volumeMounts"), volumes, errors);
    check_resources(&container.field("resources"), errors);
    check_probe(&container.field("livenessProbe"), true, errors);
    check_probe(&container.field("startupProbe"), true, errors);
    check_probe(&container.field("readinessProbe"), false, errors);
    for hook in ["postStart", "preStop"] {
        let hook = container.field("lifecycle").field(hook);
        if hook.is_set() {
            check_exactly_one(&hook, &["exec", "httpGet", "tcpSocket", "sleep"], errors);
            check_handler(&hook, errors);
        }
    }
}

/// What only sidecars among the init containers may have.
pub(super) fn check_init_container(container: &View<'_>, errors: &mut Vec<FieldError>) {
    let policy = container.field("restartPolicy");
    policy.check_one_of(&["Always"], errors);
    if policy.text() == Some("Always") {
        return;
    }
    for field in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
        if container.field(field).is_set() {
            let detail = "an init container may have one only with restartPolicy Always";
            errors.push(container.field(field).forbidden(detail));
        }
    }
}

fn check_image(image: &View<'_>, errors: &mut Vec<FieldError>) {
    match image.text() {
        Some("") => errors.push(image.required("")),
        Some(text) if text.trim() != text => {
            errors.push(image.invalid("must not have leading or trailing whitespace"));
        }
        Some(text) if text.contains(char::is_whitespace) => {
            errors.push(image.invalid("must not have whitespace"))
        }
        Some(_) => {}
        None => errors.push(image.required("")),
    }
}

fn check_ports(ports: &View<'_>, errors: &mut Vec<FieldError>) {
    for port in ports.items() {
        port.field("containerPort").check_port(errors);
        if port.field("hostPort").int() != Some(0) {
            port.field("hostPort").check_port(errors);
        }
        port.field("protocol").check_one_of(&["TCP", "UDP", "SCTP"], errors);
        port.field("name").check_text(|text| super::pod::optional(text, name::port_name), errors);
    }
    let named =
        |port: &View<'_>| port.field("name").text().filter(|name| !name.is_empty()).map(str::to_owned);
    check_unique(&ports.items(), named, "name", errors);
}

fn check_env(container: &View<'_>, errors: &mut Vec<FieldError>) {
    for variable in container.field("env").items() {
        variable.field("name").require_text(name::env_name, errors);
        let from = variable.field("valueFrom");
        if !from.is_set() {
            continue;
        }
        if !variable.field("value").text_or_empty().is_empty() {
            errors.push(from.invalid("may not be specified when `value` is not empty"));
        }
        let sources = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
        check_exactly_one(&from, &sources, errors);
        for source in ["configMapKeyRef", "secretKeyRef"] {
            let source = from.field(source);
            if source.is_set() {
                require_set(&source.field("name"), errors);
                source.field("key").require_text(name::config_key, errors);
            }
        }
        check_field_ref(&from.field("fieldRef"), errors);
    }
    for source in container.field("envFrom").items() {
        check_exactly_one(&source, &["configMapRef", "secretRef"], errors);
        source.field("prefix").check_text(|text| super::pod::optional(text, name::env_name), errors);
        for reference in ["configMapRef", "secretRef"] {
            if source.field(reference).is_set() {
                require_set(&source.field(reference).field("name"), errors);
            }
        }
    }
}

/// The fields of its own pod that a container may be told of in its environment.
fn check_field_ref(reference: &View<'_>, errors: &mut Vec<FieldError>) {
    const FIELDS: [&str; 9] = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    let path = reference.field("fieldPath");
    let of_map =
        |text: &str| text.starts_with("metadata.labels['") || text.starts_with("metadata.annotations['");
    if path.text().is_some_and(|text| !of_map(text)) {
        path.check_one_of(&FIELDS, errors);
    }
}

fn check_mounts(mounts: &View<'_>, volumes: &BTreeSet<String>, errors: &mut Vec<FieldError>) {
    for mount in mounts.items() {
        let name = mount.field("name");
        match name.text() {
            Some("") => errors.push(name.required("")),
            Some(text) if !volumes.contains(text) => {
                let near = crate::field::nearest(text, volumes.iter().map(String::as_str));
                let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
                errors.push(name.invalid(format!("the pod has no volume of this name{hint}")));
            }
            _ => {}
        }
        let path = mount.field("mountPath");
        require_set(&path, errors);
        if path.text().is_some_and(|text| text.contains(':')) {
            errors.push(path.invalid("must not contain ':'"));
        }
        mount.field("subPath").check_inner_path(errors);
    }
    let path = |mount: &View<'_>| mount.field("mountPath").text().map(str::to_owned);
    check_unique(&mounts.items(), path, "mountPath", errors);
}

fn check_resources(resources: &View<'_>, errors: &mut Vec<FieldError>) {
    let (requests, limits) = (resources.field("requests"), resources.field("limits"));
    check_amounts(&requests, errors);
    check_amounts(&limits, errors);
    for (name, request) in requests.entries() {
        let (Some(asked), Some(limit)) = (amount(&request), amount(&limits.field(name))) else { continue };
        if asked > limit {
            errors
                .push(request.invalid(format!("must be less than or equal to the {name} limit of {limit}")));
        }
    }
}

/// Amounts of resources must not be negative.
pub(super) fn check_amounts(amounts: &View<'_>, errors: &mut Vec<FieldError>) {
    for (name, value) in amounts.entries() {
        if let Err(detail) = name::qualified_name(name) {
            errors.push(amounts.invalid_key(name, detail));
        }
        if amount(&value).is_some_and(Quantity::is_negative) {
            errors.push(value.invalid("must be greater than or equal to 0"));
        }
    }
}

fn amount(view: &View<'_>) -> Option<Quantity> {
    let value = view.value()?;
    let number = value.as_number().map(ToString::to_string);
    Quantity::from_str(number.as_deref().or(value.as_str())?).ok()
}

fn check_probe(probe: &View<'_>, restarts: bool, errors: &mut Vec<FieldError>) {
    if !probe.is_set() {
        return;
    }
    check_exactly_one(probe, &["exec", "httpGet", "tcpSocket", "grpc"], errors);
    check_handler(probe, errors);
    probe.field("grpc").field("port").check_port(errors);
    probe.field("initialDelaySeconds").check_at_least(0, errors);
    for field in ["timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        // 0 reads as "not said" in Kubernetes, which then puts in the default.
        probe.field(field).check_at_least(0, errors);
    }
    let threshold = probe.field("successThreshold");
    if restarts && threshold.int().is_some_and(|count| count > 1) {
        errors.push(threshold.invalid("must be 1 for liveness and startup probes"));
    }
    probe.field("terminationGracePeriodSeconds").check_at_least(1, errors);
}

fn check_handler(handler: &View<'_>, errors: &mut Vec<FieldError>) {
    let command = handler.field("exec").field("command");
    if handler.field("exec").is_set() && command.items().is_empty() {
        errors.push(command.required(""));
    }
    let request = handler.field("httpGet");
    request.field("port").check_port_or_name(errors);
    request.field("scheme").check_one_of(&["HTTP", "HTTPS"], errors);
    handler.field("tcpSocket").field("port").check_port_or_name(errors);
    handler.field("sleep").field("seconds").check_at_least(0, errors);
}

/// A text must be there and not be empty.
pub(super) fn require_set(view: &View<'_>, errors: &mut Vec<FieldError>) {
    if view.text_or_empty().is_empty() {
        errors.push(view.required(""));
    }
}
