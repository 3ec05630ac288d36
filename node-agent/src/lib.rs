//! One node: it keeps the pods that it was given.
//!
//! `link` brings commands from the control plane and carries reports back; `pods` turns assignments into
//! running containers; `net` gives pods their addresses and services; `sessions` serves logs, exec and
//! port-forward. This file owns only the wiring between them. The node knows nothing of the store, nor of
//! other nodes' pods; everything that its pods need comes with their assignment.
//!
//!     control plane ── link ──Command──▶ run ──▶ pods ──▶ launcher (containers)
//!           ▲            │                 └───▶ net  ──▶ kernel (bridge, services, DNS)
//!           └── Outbox ◀─┴──── statuses, events, PodGone ── pods

#![forbid(unsafe_code)]

pub mod assignment;
pub mod clock;
pub mod hello;
pub mod link;
pub mod net;
pub mod outbox;
pub mod pods;
pub mod probes;
pub mod sessions;
pub mod spec;
pub mod volumes;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// All that a node is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name in the cluster.
    pub node_name: String,
    /// The address at which other nodes reach this one.
    pub node_address: IpAddr,
    /// The pod range that this node asks for; `None`: the control plane chooses one.
    pub pod_cidr: Option<ipnet::Ipv4Net>,
    /// Labels of the Node object beside the usual ones.
    pub labels: BTreeMap<String, String>,
    /// What outlives a reboot: certificate, logs, disk-backed emptyDirs.
    pub state_dir: PathBuf,
    /// What lives as long as the containers: checkpoints, sockets, tmpfs-backed volumes.
    pub run_dir: PathBuf,
    /// The image store; nodes of one machine may share one.
    pub image_store: PathBuf,
    /// The launcher's socket.
    pub launcher_socket: PathBuf,
    /// The launcher's command line, for when none answers at its socket: the executable and its arguments.
    pub launcher_command: Vec<String>,
    /// The cgroup below which everything of this node lives, relative to each hierarchy's root.
    pub cgroup_root: PathBuf,
    /// `https://HOST:PORT` of the control plane's fleet service.
    pub control_plane: String,
    /// The cluster's CA, PEM: what the control plane's certificate is checked against.
    pub ca_pem: String,
    /// The join token; needed only until a certificate lies in `state_dir`.
    pub token: Option<String>,
}
