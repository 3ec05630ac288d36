//! Services, Ingresses and EndpointSlices.

use super::container::require_set;
use super::metadata;
use super::pod::{is_ip, optional};
use super::view::{Root, View, check_exactly_one, check_unique};
use crate::field::FieldError;
use crate::name;

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

pub(super) fn check_service(spec: &View<'_>, errors: &mut Vec<FieldError>) {
    let kind = spec.field("type");
    kind.check_one_of(&["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"], errors);
    spec.field("sessionAffinity").check_one_of(&["None", "ClientIP"], errors);
    spec.field("externalTrafficPolicy").check_one_of(&["Cluster", "Local"], errors);
    spec.field("internalTrafficPolicy").check_one_of(&["Cluster", "Local"], errors);
    metadata::check_labels(&spec.field("selector"), errors);
    let address = spec.field("clusterIP");
    address.check_text(|text| if text == "None" { Ok(()) } else { optional(text, is_ip) }, errors);
    let (headless, named) = (address.text() == Some("None"), kind.text() == Some("ExternalName"));
    if headless && matches!(kind.text(), Some("NodePort" | "LoadBalancer")) {
        errors
            .push(address.invalid(format!("may not be None for a service of type {}", kind.text_or_empty())));
    }
    if named {
        spec.field("externalName").check_text(name::dns_subdomain, errors);
        require_set(&spec.field("externalName"), errors);
    }
    check_service_ports(spec, !headless && !named, errors);
}

fn check_service_ports(spec: &View<'_>, needed: bool, errors: &mut Vec<FieldError>) {
    let ports = spec.field("ports");
    let items = ports.items();
    if needed && items.is_empty() {
        errors.push(ports.required("a service needs at least one port"));
    }
    let node_ports = matches!(spec.field("type").text(), Some("NodePort" | "LoadBalancer"));
    for port in &items {
        port.field("port").check_port(errors);
        port.field("targetPort").check_port_or_name(errors);
        port.field("protocol").check_one_of(&PROTOCOLS, errors);
        port.field("name").check_text(|text| optional(text, name::dns_label), errors);
        if items.len() > 1 && port.field("name").text_or_empty().is_empty() {
            errors.push(port.field("name").required("with more than one port, each needs a name"));
        }
        let node_port = port.field("nodePort");
        if node_port.int().is_some_and(|number| number != 0) {
            node_port.check_port(errors);
            if !node_ports {
                errors.push(node_port.forbidden("only for services of type NodePort or LoadBalancer"));
            }
        }
    }
    let place = |port: &View<'_>| {
        let protocol = port.field("protocol").text().unwrap_or("TCP");
        Some(format!("{}/{protocol}", port.field("port").int()?))
    };
    let named =
        |port: &View<'_>| port.field("name").text().filter(|name| !name.is_empty()).map(str::to_owned);
    check_unique(&items, named, "name", errors);
    check_unique(&items, place, "port", errors);
}

pub(super) fn check_ingress(spec: &View<'_>, errors: &mut Vec<FieldError>) {
    let (default, rules) = (spec.field("defaultBackend"), spec.field("rules"));
    if !default.is_set() && rules.items().is_empty() {
        errors.push(spec.required("either `defaultBackend` or `rules` must be specified"));
    }
    if default.is_set() {
        check_backend(&default, errors);
    }
    for rule in rules.items() {
        rule.field("host").check_text(check_host, errors);
        let paths = rule.field("http").field("paths");
        if rule.field("http").is_set() && paths.items().is_empty() {
            errors.push(paths.required(""));
        }
        for path in paths.items() {
            check_path(&path, errors);
        }
    }
    for tls in spec.field("tls").items() {
        for host in tls.field("hosts").items() {
            host.check_text(check_host, errors);
        }
    }
}

fn check_host(host: &str) -> name::Verdict {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return Err("must be a DNS name, not an IP address".to_owned());
    }
    optional(host, name::wildcard_subdomain)
}

fn check_path(path: &View<'_>, errors: &mut Vec<FieldError>) {
    let (kind, text) = (path.field("pathType"), path.field("path"));
    kind.check_one_of(&["Exact", "Prefix", "ImplementationSpecific"], errors);
    let exact = matches!(kind.text(), Some("Exact" | "Prefix"));
    if exact && !text.text_or_empty().starts_with('/') {
        errors.push(text.invalid("must be an absolute path"));
    }
    if exact
        && text.text().is_some_and(|text| text.contains("//") || text.split('/').any(|part| part == ".."))
    {
        errors.push(text.invalid("must not contain '//' or '..'"));
    }
    check_backend(&path.field("backend"), errors);
}

fn check_backend(backend: &View<'_>, errors: &mut Vec<FieldError>) {
    if !backend.is_set() {
        return;
    }
    check_exactly_one(backend, &["service", "resource"], errors);
    let service = backend.field("service");
    if !service.is_set() {
        return;
    }
    service.field("name").require_text(name::dns_label_1035, errors);
    let port = service.field("port");
    if !port.is_set() {
        errors.push(port.required("say the service's port, by `name` or `number`"));
        return;
    }
    check_exactly_one(&port, &["name", "number"], errors);
    port.field("number").check_port(errors);
    port.field("name").check_text(name::port_name, errors);
}

pub(super) fn check_endpoint_slice(root: Root<'_>, errors: &mut Vec<FieldError>) {
    let kind = root.field("addressType");
    kind.check_one_of(&["IPv4", "IPv6", "FQDN"], errors);
    for endpoint in root.field("endpoints").items() {
        let addresses = endpoint.field("addresses");
        if addresses.items().is_empty() {
            errors.push(addresses.required("an endpoint needs at least one address"));
        }
        for address in addresses.items() {
            match kind.text() {
                Some("FQDN") => address.check_text(name::dns_subdomain, errors),
                _ => address.check_text(is_ip, errors),
            }
        }
    }
    for port in root.field("ports").items() {
        port.field("port").check_port(errors);
        port.field("protocol").check_one_of(&PROTOCOLS, errors);
        port.field("name").check_text(|text| optional(text, name::dns_label), errors);
    }
}
