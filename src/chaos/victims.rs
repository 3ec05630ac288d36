//! Whom to kill: containers that run in pods that are Ready; and killing them, or a whole node.

use std::fmt;

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use nix::sys::signal::Signal;

use crate::local::config::ClusterConfig;
use crate::local::layout::Layout;
use crate::local::process::Process;
use crate::local::processes;

/// A container that can be killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Victim {
    pub(super) node: String,
    pub(super) pod: String,
    pub(super) pod_uid: String,
    pub(super) container: String,
    /// As its launcher knows it.
    pub(super) id: String,
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on {}", self.pod, self.container, self.node)
    }
}

/// The running containers of a pod, if it is Ready and is to stay.
pub(super) fn of_pod(pod: &Pod) -> Vec<Victim> {
    let (Some(node), Some(status)) = (pod.spec.as_ref().and_then(|spec| spec.node_name.clone()), &pod.status)
    else {
        return Vec::new();
    };
    if pod.metadata.deletion_timestamp.is_some() || !is_ready(pod) {
        return Vec::new();
    }
    let running = status
        .container_statuses
        .iter()
        .flatten()
        .filter(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()));
    let victims = running.filter_map(|container| {
        // `minikube-ish://ID`
        let (_, id) = container.container_id.as_deref()?.split_once("://")?;
        Some(Victim {
            node: node.clone(),
            pod: pod.metadata.name.clone()?,
            pod_uid: pod.metadata.uid.clone()?,
            container: container.name.clone(),
            id: id.to_owned(),
        })
    });
    victims.collect()
}

/// Whether a pod gets requests.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// SIGKILL to every process of a container. Nobody is told: the node has to find out by itself.
///
/// # Errors
/// When the node is not of this machine, or the container has ended already.
pub(super) async fn kill(layout: &Layout, victim: &Victim) -> anyhow::Result<()> {
    let socket = layout.launcher_socket(&victim.node);
    let (node, id) = (victim.node.clone(), victim.id.clone());
    tokio::task::spawn_blocking(move || {
        let mut launcher = runtime::client::Client::connect(&socket)
            .with_context(|| format!("{node} is no node of this machine, or its launcher is gone"))?;
        launcher.signal(&id, Signal::SIGKILL as i32).context("the launcher did not kill it")
    })
    .await
    .context("the kill was cut short")?
}

/// Ends a node as a power cut would: its agent first, which must not report the rest, then its launcher with every
/// container.
///
/// # Errors
/// When there is no such node on this machine, or it does not run.
pub(super) async fn kill_node(layout: &Layout, name: &str) -> anyhow::Result<()> {
    let config = ClusterConfig::load(&layout.config())?.context("there is no cluster on this machine")?;
    let nodes = config.node_list();
    let node = nodes.iter().find(|node| node.name == name).with_context(|| {
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        format!("{name} is no node of this machine: it has {}", names.join(", "))
    })?;
    let agent = Process::find(&layout.pid_file(&processes::agent_name(node)));
    agent.with_context(|| format!("{name} does not run"))?.signal(Signal::SIGKILL);
    let (socket, cgroup) = (layout.launcher_socket(name), layout.node_cgroup(name));
    tokio::task::spawn_blocking(move || {
        if let Ok(mut launcher) = runtime::client::Client::connect(&socket) {
            launcher.shutdown(true).context("the launcher did not end")?;
        }
        runtime::launcher::sweep(&cgroup.to_string_lossy()).context("cannot end every container")
    })
    .await
    .context("the kill was cut short")?
}
