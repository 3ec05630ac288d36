//! The node at work: its network and its pods, once the control plane has said which addresses are whose.
//!
//! It takes commands and knows nothing of the stream that they come by, so that it works, and is tested, without one.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use runtime::image::Store;
use tokio::sync::mpsc;

use crate::Config;
use crate::link::Command;
use crate::net::{Net, NetConfig, NetError, Peer};
use crate::outbox::Outbox;
use crate::pods::directory::Directory;
use crate::pods::host::{Host, capacity, make_private, memory_dir};
use crate::pods::launcher::Launcher;
use crate::pods::{self, LauncherError, MemoryDirError, Pods, StateDirError};
use crate::sessions::Sessions;

/// Changes of services and peers that may wait for the kernel.
const NET_COMMANDS_MAX: usize = 256;
const HOST_RESOLV_CONF: &str = "/etc/resolv.conf";

/// A node that could not start to work.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The control plane's welcome makes no sense.
    #[error("the control plane's welcome has {what} {value:?}, which is none")]
    Welcome {
        /// Which field.
        what: &'static str,
        /// What it says.
        value: String,
    },
    /// The pods' network.
    #[error("cannot set up the node's network")]
    Net(#[from] NetError),
    /// The directory for what must not touch the disk.
    #[error(transparent)]
    MemoryDir(#[from] MemoryDirError),
    /// The directories on the disk for what belongs to pods.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The image store.
    #[error("cannot open the image store {}", path.display())]
    Images {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: runtime::image::StoreError,
    },
    /// The launcher.
    #[error("cannot reach or start the launcher")]
    Launcher(#[from] LauncherError),
}

/// What exists before the node is welcome anywhere.
#[derive(Clone, Debug)]
pub struct Parts {
    /// What the node has to tell.
    pub outbox: Arc<Outbox>,
    /// What serves logs, exec and port-forward.
    pub sessions: Sessions,
    launcher: Launcher,
    directory: Directory,
}

/// The node at work.
#[derive(Debug)]
pub struct Node {
    pods: Pods,
    net_commands: mpsc::Sender<NetCommand>,
}

#[derive(Debug)]
enum NetCommand {
    Services(proto::ServiceTable),
    Peers(proto::Peers),
}

impl Parts {
    /// The parts of the node that `config` describes.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let launcher = Launcher::new(config.launcher_socket.clone(), config.launcher_command.clone());
        let directory = Directory::new();
        let sessions = Sessions::new(launcher.clone(), directory.clone());
        Self { outbox: Arc::default(), sessions, launcher, directory }
    }
}

impl Node {
    /// Sets up the network and takes over the pods that an earlier agent left.
    ///
    /// # Errors
    /// When the machine does not let it, or the welcome makes no sense.
    pub async fn start(config: &Config, parts: &Parts, welcome: &proto::Welcome) -> Result<Self, NodeError> {
        let memory_dir = memory_dir(&config.run_dir)?;
        make_private(&config.state_dir)?;
        let images = Store::open(&config.image_store)
            .map_err(|source| NodeError::Images { path: config.image_store.clone(), source })?;
        let net = Net::start(net_config(config, welcome)?).await?;
        let (cpu_milli, memory_bytes) = capacity();
        let host = Host {
            node_name: config.node_name.clone(),
            node_address: config.node_address,
            state_dir: config.state_dir.clone(),
            memory_dir,
            cpu_milli,
            memory_bytes,
            cluster_domain: welcome.cluster_domain.clone(),
            launcher: parts.launcher.clone(),
            images,
            net: net.clone(),
            outbox: Arc::clone(&parts.outbox),
            directory: parts.directory.clone(),
        };
        let pods = Pods::start(Arc::new(host)).await?;
        let (net_commands, inbox) = mpsc::channel(NET_COMMANDS_MAX);
        tokio::spawn(keep_net(net, inbox, Arc::clone(&parts.outbox)));
        Ok(Self { pods, net_commands })
    }

    /// Does what the control plane says.
    pub async fn obey(&self, command: Command) {
        match command {
            // The ranges of a node at work do not change; each stream begins by saying all assignments anew.
            Command::Welcome(_) => self.pods.tell(pods::Command::Restart).await,
            Command::Assign(assignment) => self.pods.tell(pods::Command::Assign(assignment)).await,
            Command::Forget(pod) => self.pods.tell(pods::Command::Forget(pod)).await,
            Command::AssignmentsComplete => self.pods.tell(pods::Command::Complete).await,
            Command::Services(table) => self.tell_net(NetCommand::Services(table)).await,
            Command::Peers(peers) => self.tell_net(NetCommand::Peers(peers)).await,
        }
    }

    async fn tell_net(&self, command: NetCommand) {
        // Nobody is left to be told only when the agent ends.
        let _ = self.net_commands.send(command).await;
    }
}

/// Beside the pods, in its own order: neither waits for the other.
async fn keep_net(net: Net, mut inbox: mpsc::Receiver<NetCommand>, outbox: Arc<Outbox>) {
    while let Some(command) = inbox.recv().await {
        let done = match command {
            NetCommand::Services(table) => {
                let applied = net.apply_services(table).await;
                applied.map(|generation| outbox.services_applied(generation))
            }
            NetCommand::Peers(peers) => {
                net.set_peers(peers.peers.iter().filter_map(Peer::from_wire).collect()).await
            }
        };
        if let Err(error) = done {
            tracing::error!(error = crate::chain(&error), "the network does not follow the control plane");
        }
    }
}

fn net_config(config: &Config, welcome: &proto::Welcome) -> Result<NetConfig, NodeError> {
    fn parse<T: std::str::FromStr>(what: &'static str, value: &str) -> Result<T, NodeError> {
        value.parse().map_err(|_| NodeError::Welcome { what, value: value.to_owned() })
    }
    let node_ip: Ipv4Addr = match config.node_address {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => {
            return Err(NodeError::Welcome { what: "a node of address", value: ip.to_string() });
        }
    };
    Ok(NetConfig {
        node_ip,
        pod_cidr: parse("pod_cidr", &welcome.pod_cidr)?,
        cluster_pod_cidr: parse("cluster_pod_cidr", &welcome.cluster_pod_cidr)?,
        service_cidr: parse("service_cidr", &welcome.service_cidr)?,
        cluster_dns: parse("cluster_dns", &welcome.cluster_dns)?,
        cluster_domain: welcome.cluster_domain.clone(),
        mtu: None,
        resolv_conf: PathBuf::from(HOST_RESOLV_CONF),
    })
}
