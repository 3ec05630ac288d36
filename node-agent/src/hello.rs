//! What a node says of itself when it dials in: a v1.Node with its labels, addresses, room and system.
//!
//! Facts of the machine come in as [`Machine`]; the rest is pure.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;

use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeSpec, NodeStatus, NodeSystemInfo};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::Config;

#[cfg(test)]
mod tests;

/// How many pods a node offers to run.
const PODS_MAX: u32 = 250;
/// What the node keeps for itself and for the machine, out of what it offers to pods.
const MEMORY_RESERVED_BYTES: u64 = 256 << 20;

/// Facts of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Logical processors that we may use.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// `uname -r`
    pub kernel_version: String,
    /// `/etc/machine-id`; empty if there is none.
    pub machine_id: String,
    /// `/proc/sys/kernel/random/boot_id`
    pub boot_id: String,
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub os_image: String,
}

impl Machine {
    /// Looks at this machine.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn look() -> io::Result<Self> {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let meminfo = std::fs::read_to_string("/proc/meminfo")?;
        let kib = meminfo.lines().find_map(|line| {
            line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
        });
        let os_release = read("/etc/os-release");
        let os_image = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        Ok(Self {
            cpus: std::thread::available_parallelism().map_or(1, NonZero::get),
            memory_bytes: kib.unwrap_or_default() * 1024,
            kernel_version: read("/proc/sys/kernel/osrelease"),
            machine_id: read("/etc/machine-id"),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            os_image: os_image.unwrap_or_default().trim_matches('"').to_owned(),
        })
    }
}

/// The hello of a node on a machine.
#[must_use]
pub fn hello(config: &Config, machine: &Machine) -> proto::NodeHello {
    let node = serde_json::to_vec(&node(config, machine)).expect("a v1.Node serializes");
    proto::NodeHello { node: node.into() }
}

fn node(config: &Config, machine: &Machine) -> Node {
    let usual = [
        ("kubernetes.io/hostname", config.node_name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", architecture()),
    ];
    let mut labels = config.labels.clone();
    labels.extend(usual.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let pod_cidr = config.pod_cidr.map(|range| range.to_string());
    let allocatable = machine.memory_bytes.saturating_sub(MEMORY_RESERVED_BYTES);
    Node {
        metadata: ObjectMeta {
            name: Some(config.node_name.clone()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            pod_cidrs: pod_cidr.clone().map(|range| vec![range]),
            pod_cidr,
            ..NodeSpec::default()
        }),
        status: Some(NodeStatus {
            addresses: Some(vec![
                address("InternalIP", config.node_address.to_string()),
                address("Hostname", config.node_name.clone()),
            ]),
            capacity: Some(room(machine.cpus, machine.memory_bytes)),
            allocatable: Some(room(machine.cpus, allocatable)),
            node_info: Some(system(machine)),
            ..NodeStatus::default()
        }),
    }
}

fn address(kind: &str, address: String) -> NodeAddress {
    NodeAddress { type_: kind.to_owned(), address }
}

fn room(cpus: usize, memory_bytes: u64) -> BTreeMap<String, Quantity> {
    [
        ("cpu", cpus.to_string()),
        ("memory", format!("{}Ki", memory_bytes / 1024)),
        ("pods", PODS_MAX.to_string()),
    ]
    .map(|(name, amount)| (name.to_owned(), Quantity(amount)))
    .into()
}

fn system(machine: &Machine) -> NodeSystemInfo {
    NodeSystemInfo {
        architecture: architecture().to_owned(),
        boot_id: machine.boot_id.clone(),
        container_runtime_version: format!("minikube-ish://{}", env!("CARGO_PKG_VERSION")),
        kernel_version: machine.kernel_version.clone(),
        kubelet_version: format!("v{}", env!("CARGO_PKG_VERSION")),
        machine_id: machine.machine_id.clone(),
        operating_system: "linux".to_owned(),
        os_image: machine.os_image.clone(),
        ..NodeSystemInfo::default()
    }
}

/// As Go names it, which is what Kubernetes and OCI images say.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
