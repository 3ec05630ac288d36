//! Which processes a local cluster is made of, and how each is started. Pure but for the paths of our own executable.

use super::config::{ClusterConfig, LocalNode};
use super::layout::Layout;
use super::process::Start;

/// The port of the underlay where nodes and the front dial in.
pub(crate) const FLEET_PORT: u16 = 6444;

/// The names of a cluster's processes, in the order in which they start.
pub(crate) fn names(config: &ClusterConfig) -> Vec<String> {
    let nodes = config.node_list().into_iter().map(|node| agent_name(&node));
    ["control-plane".to_owned(), "front".to_owned()].into_iter().chain(nodes).collect()
}

/// The name of a node's agent.
pub(crate) fn agent_name(node: &LocalNode) -> String {
    format!("node-agent-{}", node.name)
}

pub(crate) fn control_plane(layout: &Layout, config: &ClusterConfig) -> Start {
    start(
        layout,
        "control-plane",
        vec![
            "control-plane".to_owned(),
            flag("state-dir", layout.control_plane().display()),
            flag("api-address", format_args!("{}:{}", config.address, config.api_port)),
            flag("fleet-address", format_args!("{}:{FLEET_PORT}", config.host_address())),
            flag("pod-cidr", config.pods()),
            flag("service-cidr", config.services()),
            flag("kubeconfig", layout.kubeconfig().display()),
        ],
    )
}

pub(crate) fn front(layout: &Layout, config: &ClusterConfig) -> Start {
    start(
        layout,
        "front",
        vec![
            "load-balancer".to_owned(),
            flag("name", "front"),
            flag("control-plane", fleet_url(config)),
            flag("ca", layout.ca().display()),
            flag("token-file", layout.join_token().display()),
            flag("state-dir", layout.front().display()),
            flag("http-address", format_args!("{}:{}", config.address, config.http_port)),
            flag("address", config.address),
        ],
    )
}

pub(crate) fn node_agent(layout: &Layout, config: &ClusterConfig, node: &LocalNode) -> Start {
    start(
        layout,
        &agent_name(node),
        vec![
            "node-agent".to_owned(),
            flag("name", &node.name),
            flag("address", node.address),
            flag("control-plane", fleet_url(config)),
            flag("ca", layout.ca().display()),
            flag("token-file", layout.join_token().display()),
            flag("pod-cidr", node.pod_cidr),
            flag("state-dir", layout.node_state(&node.name).display()),
            flag("run-dir", layout.node_run(&node.name).display()),
            flag("images", layout.images().display()),
            flag("cgroup", layout.node_cgroup(&node.name).display()),
        ],
    )
}

fn start(layout: &Layout, name: &str, mut arguments: Vec<String>) -> Start {
    arguments.push("--background".to_owned());
    Start { name: name.to_owned(), arguments, log: layout.log(name), pid_file: layout.pid_file(name) }
}

fn fleet_url(config: &ClusterConfig) -> String {
    format!("https://{}:{FLEET_PORT}", config.host_address())
}

fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}
