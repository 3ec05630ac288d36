//! Pods and pod templates: what holds of the pod as a whole. Containers and volumes have rooms of their own.

use std::collections::BTreeSet;

use super::view::{Root, View, check_unique};
use super::{container, metadata, volume};
use crate::field::FieldError;
use crate::name;

pub(super) fn check_pod(root: Root<'_>, errors: &mut Vec<FieldError>) {
    check_spec(&root.field("spec"), errors);
}

/// A pod template of a workload: its labels and its spec.
pub(super) fn check_template(template: &View<'_>, errors: &mut Vec<FieldError>) {
    let labels = template.field("metadata").field("labels");
    metadata::check_labels(&labels, errors);
    let spec = template.field("spec");
    let policy = spec.field("restartPolicy");
    if policy.text().is_some_and(|text| text != "Always") {
        errors.push(FieldError::not_supported(policy.path.clone(), policy.text_or_empty(), &["Always"]));
    }
    check_spec(&spec, errors);
}

fn check_spec(spec: &View<'_>, errors: &mut Vec<FieldError>) {
    spec.field("restartPolicy").check_one_of(&["Always", "OnFailure", "Never"], errors);
    spec.field("dnsPolicy")
        .check_one_of(&["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"], errors);
    spec.field("terminationGracePeriodSeconds").check_at_least(0, errors);
    spec.field("activeDeadlineSeconds").check_at_least(1, errors);
    spec.field("hostname").check_text(name::dns_label, errors);
    spec.field("subdomain").check_text(name::dns_label, errors);
    spec.field("nodeName").check_text(|text| optional(text, name::dns_subdomain), errors);
    spec.field("serviceAccountName").check_text(|text| optional(text, name::dns_subdomain), errors);
    metadata::check_labels(&spec.field("nodeSelector"), errors);
    check_tolerations(&spec.field("tolerations"), errors);
    check_dns(spec, errors);
    for alias in spec.field("hostAliases").items() {
        alias.field("ip").check_text(is_ip, errors);
    }
    container::check_amounts(&spec.field("overhead"), errors);
    let volumes = volume::check_volumes(&spec.field("volumes"), errors);
    check_containers(spec, &volumes, errors);
}

fn check_containers(spec: &View<'_>, volumes: &BTreeSet<String>, errors: &mut Vec<FieldError>) {
    let (containers, init) = (spec.field("containers"), spec.field("initContainers"));
    if containers.value().and_then(|value| value.as_array()).is_some_and(Vec::is_empty) {
        errors.push(containers.required("a pod needs at least one container"));
    }
    for one in containers.items() {
        container::check_container(&one, volumes, errors);
        if one.field("restartPolicy").is_set() {
            errors.push(one.field("restartPolicy").forbidden("only init containers may have one"));
        }
    }
    for one in init.items() {
        container::check_container(&one, volumes, errors);
        container::check_init_container(&one, errors);
    }
    let mut all = init.items();
    all.extend(containers.items());
    check_unique(&all, |one| one.field("name").text().map(str::to_owned), "name", errors);
    let running: Vec<View<'_>> = all.iter().flat_map(|one| one.field("ports").items()).collect();
    check_unique(&running, host_port, "hostPort", errors);
}

/// A port of the node, which only one container of the pod can have.
fn host_port(port: &View<'_>) -> Option<String> {
    let number = port.field("hostPort").int().filter(|number| *number > 0)?;
    let protocol = port.field("protocol").text().unwrap_or("TCP");
    Some(format!("{}/{protocol}/{number}", port.field("hostIP").text_or_empty()))
}

fn check_tolerations(tolerations: &View<'_>, errors: &mut Vec<FieldError>) {
    for toleration in tolerations.items() {
        let (key, operator) = (toleration.field("key"), toleration.field("operator"));
        key.check_text(|text| optional(text, name::qualified_name), errors);
        operator.check_one_of(&["Exists", "Equal", "Lt", "Gt", ""], errors);
        toleration.field("effect").check_one_of(&["", "NoSchedule", "PreferNoSchedule", "NoExecute"], errors);
        let exists = operator.text() == Some("Exists");
        if key.text_or_empty().is_empty() && !exists {
            errors.push(operator.invalid("must be Exists when `key` is empty, which means all taints"));
        }
        if exists && !toleration.field("value").text_or_empty().is_empty() {
            errors.push(toleration.field("value").invalid("must be empty when `operator` is Exists"));
        }
        let seconds = toleration.field("tolerationSeconds");
        if seconds.is_set() && toleration.field("effect").text() != Some("NoExecute") {
            errors.push(
                toleration.field("effect").invalid("must be NoExecute when `tolerationSeconds` is set"),
            );
        }
    }
}

/// The taints of a node.
pub(super) fn check_taints(taints: &View<'_>, errors: &mut Vec<FieldError>) {
    for taint in taints.items() {
        taint.field("key").require_text(name::qualified_name, errors);
        taint.field("value").check_text(name::label_value, errors);
        taint.field("effect").check_one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"], errors);
    }
    let identity = |taint: &View<'_>| {
        Some(format!("{}:{}", taint.field("key").text()?, taint.field("effect").text_or_empty()))
    };
    check_unique(&taints.items(), identity, "key", errors);
}

fn check_dns(spec: &View<'_>, errors: &mut Vec<FieldError>) {
    const NAMESERVERS_MAX: usize = 3;
    let servers = spec.field("dnsConfig").field("nameservers");
    for server in servers.items() {
        server.check_text(is_ip, errors);
    }
    if servers.items().len() > NAMESERVERS_MAX {
        errors.push(servers.invalid(format!("must be at most {NAMESERVERS_MAX}")));
    }
    if spec.field("dnsPolicy").text() == Some("None") && servers.items().is_empty() {
        errors.push(servers.required("dnsPolicy None needs at least one nameserver"));
    }
}

pub(super) fn is_ip(text: &str) -> name::Verdict {
    text.parse::<std::net::IpAddr>().map(|_| ()).map_err(|_| "must be an IP address".to_owned())
}

/// `verdict`, but nothing at all is fine.
pub(super) fn optional(text: &str, verdict: fn(&str) -> name::Verdict) -> name::Verdict {
    if text.is_empty() { Ok(()) } else { verdict(text) }
}
