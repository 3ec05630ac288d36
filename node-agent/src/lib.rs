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
pub mod logs;
pub mod net;
pub mod node;
pub mod outbox;
pub mod pods;
pub mod probes;
pub mod sessions;
pub mod spec;
pub mod volumes;
mod wait;
mod welcome;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use link::{COMMANDS_MAX, Command, Ends, LinkConfig, chain};
use node::{Node, NodeError, Parts};

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

/// Why a node ended.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// What it is could not be found out.
    #[error("cannot look at the machine")]
    Machine(#[source] std::io::Error),
    /// It could not start to work.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// Runs a node until `shutdown`; `ready` is called once it keeps pods. Its containers run on.
///
/// # Errors
/// When the machine does not let it work.
pub async fn run(
    config: Config,
    shutdown: CancellationToken,
    ready: Box<dyn FnOnce() + Send>,
) -> Result<(), AgentError> {
    let parts = Parts::new(&config);
    let machine = hello::Machine::look().map_err(AgentError::Machine)?;
    let (commands, mut inbox) = mpsc::channel(COMMANDS_MAX);
    let ends = Ends { outbox: parts.outbox.clone(), commands, sessions: parts.sessions.clone() };
    let hello = hello::hello(&config, &machine);
    let linked = tokio::spawn(link::run(link_config(&config), hello, ends, shutdown.clone()));
    let worked = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        worked = work(&config, &parts, &mut inbox, ready) => worked,
    };
    shutdown.cancel();
    // A link that failed has said so itself.
    let _ = linked.await;
    Ok(worked?)
}

/// Begins with the welcome: that of the last time, or, on a new node, the control plane's first word.
async fn work(
    config: &Config,
    parts: &Parts,
    inbox: &mut mpsc::Receiver<Command>,
    ready: Box<dyn FnOnce() + Send>,
) -> Result<(), NodeError> {
    let known = match welcome::load(&config.state_dir) {
        Some(known) => known,
        None => match inbox.recv().await {
            Some(Command::Welcome(first)) => first,
            Some(_) | None => return Ok(()),
        },
    };
    let node = Node::start(config, parts, &known).await?;
    remember(config, &known);
    ready();
    while let Some(command) = inbox.recv().await {
        if let Command::Welcome(welcome) = &command {
            if welcome.pod_cidr != known.pod_cidr {
                tracing::error!(
                    ours = known.pod_cidr,
                    theirs = welcome.pod_cidr,
                    "the node has another pod range now; drain it and start it with an empty state directory"
                );
            }
            remember(config, welcome);
        }
        node.obey(command).await;
    }
    Ok(())
}

fn remember(config: &Config, welcome: &proto::Welcome) {
    if let Err(error) = welcome::save(&config.state_dir, welcome) {
        tracing::warn!(error = chain(&error), "the node could not start without the control plane");
    }
}

fn link_config(config: &Config) -> LinkConfig {
    LinkConfig {
        control_plane: config.control_plane.clone(),
        ca_pem: config.ca_pem.clone(),
        join_token: config.token.clone().unwrap_or_default(),
        identity_dir: config.state_dir.join("identity"),
        name: config.node_name.clone(),
    }
}
