//! The files that every pod finds: `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`. Pure.

use std::fmt::Write as _;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

/// The kernel's limit of a host name.
const HOSTNAME_MAX: usize = 63;

/// The pod's host name: what it says, else its own name, cut to what the kernel takes.
#[must_use]
pub fn hostname(pod: &Pod) -> String {
    let said = pod.spec.as_ref().and_then(|spec| spec.hostname.as_deref()).filter(|name| !name.is_empty());
    let name = said.or(pod.metadata.name.as_deref()).unwrap_or("pod");
    let cut: String = name.chars().filter(char::is_ascii).take(HOSTNAME_MAX).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// `/etc/hosts`.
#[must_use]
pub fn hosts(pod: &Pod, ip: Option<IpAddr>, cluster_domain: &str) -> String {
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
    let name = hostname(pod);
    let spec = pod.spec.as_ref();
    let subdomain = spec.and_then(|spec| spec.subdomain.as_deref()).filter(|name| !name.is_empty());
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let full = subdomain.map(|subdomain| format!("{name}.{subdomain}.{namespace}.svc.{cluster_domain}\t"));
    if let Some(ip) = ip {
        let _ = writeln!(text, "{ip}\t{}{name}", full.unwrap_or_default());
    }
    for alias in spec.and_then(|spec| spec.host_aliases.as_ref()).into_iter().flatten() {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        let _ = writeln!(text, "{}\t{names}", alias.ip);
    }
    text
}

/// `/etc/resolv.conf`: that of the pod's DNS policy, and what its `dnsConfig` adds.
#[must_use]
pub fn resolv_conf(pod: &Pod, cluster: &str, host: &str) -> String {
    let spec = pod.spec.as_ref();
    let host_network = spec.and_then(|spec| spec.host_network) == Some(true);
    let mut text = match spec.and_then(|spec| spec.dns_policy.as_deref()) {
        Some("None") => String::new(),
        Some("Default") => host.to_owned(),
        Some("ClusterFirst") | None if host_network => host.to_owned(),
        Some(_) | None => cluster.to_owned(),
    };
    let Some(config) = spec.and_then(|spec| spec.dns_config.as_ref()) else { return text };
    for server in config.nameservers.iter().flatten() {
        let _ = writeln!(text, "nameserver {server}");
    }
    let searches = config.searches.as_deref().unwrap_or_default();
    if !searches.is_empty() {
        let _ = writeln!(text, "search {}", searches.join(" "));
    }
    for option in config.options.iter().flatten() {
        let name = option.name.as_deref().unwrap_or_default();
        let value = option.value.as_deref().map(|value| format!(":{value}")).unwrap_or_default();
        let _ = writeln!(text, "options {name}{value}");
    }
    text
}
