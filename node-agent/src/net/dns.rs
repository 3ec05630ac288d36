//! Cluster DNS, answered on every node from the node's own tables.
//!
//! `zone` knows the names and decides the answers (pure); `server` listens at the cluster's DNS address, over UDP and
//! TCP; `upstream` asks the host's own resolvers for all other names. Nothing here knows nftables or pods. The address
//! is on the node's loopback device, so a question crosses neither another node nor any translation.

mod server;
mod upstream;
mod zone;

use std::net::Ipv4Addr;
use std::sync::{Arc, RwLock};

pub(super) use server::DnsServer;
pub(super) use zone::Zone;

/// The zone: one thread writes it, each question reads it for microseconds.
pub(super) type SharedZone = Arc<RwLock<Zone>>;

/// Kubernetes' own: a name with fewer dots is tried within the search list first.
const NDOTS: u8 = 5;

/// The `/etc/resolv.conf` of a pod (`dnsPolicy: ClusterFirst`).
pub(super) fn pod_resolv_conf(dns: Ipv4Addr, domain: &str, namespace: &str) -> String {
    format!(
        "search {namespace}.svc.{domain} svc.{domain} {domain}\nnameserver {dns}\noptions ndots:{NDOTS}\n"
    )
}
