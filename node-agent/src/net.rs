//! The network of one node: pod addresses, routes to other nodes, service addresses, DNS.
//!
//! Works in the network namespace of the process that starts it: on a real machine the machine's own, in a
//! local cluster the node's. Two threads own all state and do all netlink, each in the order in which it is asked:
//! one the pods and peers, one the services, so that neither waits for the other. [`Net`] is the handle of both.
//! It must not know containers, images or the control plane's stream; what it needs of them comes as arguments.
//!
//! ```text
//! Net ──attach, detach, peers──▶ pods thread     ──▶ veth, routes
//!  └───table, endpoint up/down──▶ services thread ──▶ nftables, and the zone that dns answers from
//! ```

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use ipnet::Ipv4Net;
use tokio::sync::{mpsc, oneshot};

pub mod dns;
pub mod link;
pub mod netlink;
pub mod nft;
mod pods;
mod services;
pub mod sysctl;

pub use netlink::NetlinkError;
pub use pods::Attachment;

use dns::{DnsServer, SharedZone, Zone};
use pods::PodNetwork;
use services::Services;

/// Requests that may wait for one owner thread; senders wait when there are more.
const REQUESTS_QUEUED_MAX: usize = 1024;

/// What the network of a node is told at its start; most of it comes with the control plane's `Welcome`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetConfig {
    /// The node's address on the network that joins the nodes.
    pub node_ip: Ipv4Addr,
    /// The range of this node's pods; its first address is the node's own in it, the pods' gateway.
    pub pod_cidr: Ipv4Net,
    /// The range of all pods of the cluster.
    pub cluster_pod_cidr: Ipv4Net,
    /// The range of service addresses.
    pub service_cidr: Ipv4Net,
    /// The service address at which this node answers DNS itself.
    pub cluster_dns: Ipv4Addr,
    /// For example `cluster.local`.
    pub cluster_domain: String,
    /// The MTU of pods' interfaces; `None`: that of the node's own interface.
    pub mtu: Option<u32>,
    /// The host's resolver configuration, which names the servers that other names are asked of.
    pub resolv_conf: PathBuf,
}

/// A node that other nodes' pods are reached through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// The node's name, for messages.
    pub name: String,
    /// Its address, on the same L2 network as ours.
    pub address: Ipv4Addr,
    /// The pods behind it.
    pub pod_cidr: Ipv4Net,
}

/// Why something of the node's network could not be done.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The address plan contradicts itself.
    #[error("{what} {value} is not usable: {why}")]
    BadPlan {
        /// The setting.
        what: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        why: &'static str,
    },
    /// The kernel refused.
    #[error("cannot {action} {object}")]
    Kernel {
        /// What was tried.
        action: &'static str,
        /// On what.
        object: String,
        /// The kernel's reason.
        #[source]
        source: NetlinkError,
    },
    /// A kernel setting could not be made.
    #[error("cannot set {key}")]
    Sysctl {
        /// For example `net.ipv4.ip_forward`.
        key: String,
        /// The kernel's reason.
        #[source]
        source: std::io::Error,
    },
    /// The node's pod range is used up.
    #[error("no address is free in {range}: {used} pods hold one")]
    NoAddressFree {
        /// The node's pod range.
        range: Ipv4Net,
        /// How many are taken.
        used: usize,
    },
    /// An adopted pod's address is outside the range, or another's.
    #[error("{owner} cannot keep the address {ip}: {why}")]
    NotAdoptable {
        /// Whose.
        owner: String,
        /// The address.
        ip: Ipv4Addr,
        /// The reason.
        why: &'static str,
    },
    /// The owner is attached already.
    #[error("{owner} is attached already, with {ip}")]
    AlreadyAttached {
        /// Who.
        owner: String,
        /// The address that it has.
        ip: Ipv4Addr,
    },
    /// The DNS server could not listen.
    #[error("cannot answer DNS at {address}")]
    Dns {
        /// The cluster's DNS address.
        address: Ipv4Addr,
        /// The kernel's reason.
        #[source]
        source: std::io::Error,
    },
    /// An owner thread could not be started.
    #[error("cannot start a thread of the node's network")]
    Thread(#[source] std::io::Error),
    /// The network has been shut down.
    #[error("the node's network has been shut down")]
    Stopped,
}

/// The handle of a node's network. Cheap to clone; the network stops answering when the last one is dropped, and
/// leaves everything in place, so that pods keep running and the next agent can adopt them.
#[derive(Clone, Debug)]
pub struct Net {
    pods: mpsc::Sender<PodRequest>,
    services: mpsc::Sender<ServiceRequest>,
    config: Arc<NetConfig>,
    _dns: Arc<DnsServer>,
}

type Answer<T> = oneshot::Sender<Result<T, NetError>>;

/// What the pods thread is asked.
#[derive(Debug)]
enum PodRequest {
    Attach { owner: String, netns: OwnedFd, answer: Answer<Attachment> },
    Adopt { owner: String, ip: Ipv4Addr, answer: Answer<()> },
    Detach { owner: String, answer: Answer<()> },
    Peers { peers: Vec<Peer>, answer: Answer<()> },
    Remove { answer: Answer<()> },
}

/// What the services thread is asked.
#[derive(Debug)]
enum ServiceRequest {
    Table { table: proto::ServiceTable, answer: Answer<u64> },
    Endpoint { ip: Ipv4Addr, up: bool, answer: Answer<()> },
    Remove { answer: Answer<()> },
}

impl Net {
    /// Sets up the node's side: forwarding, the gateway address, an empty service table, DNS. What an earlier
    /// agent left is taken over: pods that are to stay must be adopted before others are attached.
    pub async fn start(config: NetConfig) -> Result<Self, NetError> {
        config.check()?;
        let ranges = [config.cluster_pod_cidr, config.service_cidr];
        let zone: SharedZone = Arc::new(RwLock::new(Zone::new(&config.cluster_domain, ranges)));
        let pods = start_pods(config.clone()).await?;
        let services = start_services(config.clone(), zone.clone()).await?;
        let dns = DnsServer::start(config.cluster_dns, &config.resolv_conf, zone).await?;
        Ok(Self { pods, services, config: Arc::new(config), _dns: Arc::new(dns) })
    }

    /// Joins a sandbox's network namespace to the pod network: `eth0` with an address of the node's range, a default
    /// route, loopback up. `owner` is whatever the caller calls the sandbox; it says it again at `detach`.
    pub async fn attach(&self, owner: &str, netns: OwnedFd) -> Result<Attachment, NetError> {
        let owner = owner.to_owned();
        self.ask_pods(|answer| PodRequest::Attach { owner, netns, answer }).await
    }

    /// Takes over a sandbox that an earlier agent attached and that runs on.
    pub async fn adopt(&self, owner: &str, ip: Ipv4Addr) -> Result<(), NetError> {
        let owner = owner.to_owned();
        self.ask_pods(|answer| PodRequest::Adopt { owner, ip, answer }).await
    }

    /// Takes the sandbox's address out of use. Its interface vanishes with its namespace, which the caller drops;
    /// deleting it here would take 20 to 30 ms. One that is not attached is no error.
    pub async fn detach(&self, owner: &str) -> Result<(), NetError> {
        let owner = owner.to_owned();
        self.ask_pods(|answer| PodRequest::Detach { owner, answer }).await
    }

    /// Routes pods of other nodes. `peers` is the whole set; what is no longer in it is no longer routed. All
    /// possible routes are set even if one cannot be; the first failure is returned.
    pub async fn set_peers(&self, peers: Vec<Peer>) -> Result<(), NetError> {
        self.ask_pods(|answer| PodRequest::Peers { peers, answer }).await
    }

    /// Applies a complete table or a change of it, to the kernel and to DNS in that order; returns its generation
    /// once new connections obey it.
    pub async fn apply_services(&self, table: proto::ServiceTable) -> Result<u64, NetError> {
        self.ask_services(|answer| ServiceRequest::Table { table, answer }).await
    }

    /// Takes an endpoint of this node out of every service at once, before the control plane knows of it. It
    /// stays out until [`Net::local_endpoint_up`], or until a table no longer says that it is ready.
    pub async fn local_endpoint_down(&self, ip: Ipv4Addr) -> Result<(), NetError> {
        self.ask_services(|answer| ServiceRequest::Endpoint { ip, up: false, answer }).await
    }

    /// Ends [`Net::local_endpoint_down`]: the control plane's word counts again.
    pub async fn local_endpoint_up(&self, ip: Ipv4Addr) -> Result<(), NetError> {
        self.ask_services(|answer| ServiceRequest::Endpoint { ip, up: true, answer }).await
    }

    /// Takes down what `start` set up on the node, for a node that leaves its cluster.
    pub async fn remove(&self) -> Result<(), NetError> {
        self.ask_services(|answer| ServiceRequest::Remove { answer }).await?;
        self.ask_pods(|answer| PodRequest::Remove { answer }).await
    }

    /// The `/etc/resolv.conf` of a pod of `namespace` whose `dnsPolicy` is `ClusterFirst`.
    pub fn pod_resolv_conf(&self, namespace: &str) -> String {
        dns::pod_resolv_conf(self.config.cluster_dns, &self.config.cluster_domain, namespace)
    }

    /// What the network was started with.
    pub fn config(&self) -> &NetConfig {
        &self.config
    }

    async fn ask_pods<T>(&self, request: impl FnOnce(Answer<T>) -> PodRequest) -> Result<T, NetError> {
        let (sender, answer) = oneshot::channel();
        self.pods.send(request(sender)).await.map_err(|_| NetError::Stopped)?;
        answer.await.map_err(|_| NetError::Stopped)?
    }

    async fn ask_services<T>(
        &self,
        request: impl FnOnce(Answer<T>) -> ServiceRequest,
    ) -> Result<T, NetError> {
        let (sender, answer) = oneshot::channel();
        self.services.send(request(sender)).await.map_err(|_| NetError::Stopped)?;
        answer.await.map_err(|_| NetError::Stopped)?
    }
}

impl NetConfig {
    /// The node's own address within its pod range, the gateway of its pods.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.pod_cidr.network()).saturating_add(1))
    }

    fn check(&self) -> Result<(), NetError> {
        let refuse = |what, value: String, why| Err(NetError::BadPlan { what, value, why });
        if !(16..=29).contains(&self.pod_cidr.prefix_len()) {
            return refuse("the pod range", self.pod_cidr.to_string(), "it must be between /16 and /29");
        }
        if !self.cluster_pod_cidr.contains(&self.pod_cidr) {
            return refuse("the pod range", self.pod_cidr.to_string(), "it must lie within the cluster's");
        }
        if !self.service_cidr.contains(&self.cluster_dns) {
            return refuse(
                "the DNS address",
                self.cluster_dns.to_string(),
                "it must lie in the service range",
            );
        }
        if self.cluster_pod_cidr.contains(&self.service_cidr)
            || self.service_cidr.contains(&self.cluster_pod_cidr)
        {
            return refuse(
                "the service range",
                self.service_cidr.to_string(),
                "it must not overlap the pods'",
            );
        }
        Ok(())
    }
}

impl Peer {
    /// Reads a peer from the wire; `None` where an address is not IPv4, for such a peer cannot be routed.
    pub fn from_wire(peer: &proto::Peer) -> Option<Self> {
        let address = peer.address.parse().ok()?;
        Some(Self { name: peer.name.clone(), address, pod_cidr: peer.pod_cidr.parse().ok()? })
    }
}

async fn start_pods(config: NetConfig) -> Result<mpsc::Sender<PodRequest>, NetError> {
    let (sender, mut requests) = mpsc::channel(REQUESTS_QUEUED_MAX);
    let (ready, started) = oneshot::channel();
    let serve = move || match PodNetwork::open(config) {
        Ok(mut network) => {
            drop(ready.send(Ok(())));
            while let Some(request) = requests.blocking_recv() {
                network.serve(request);
            }
        }
        Err(error) => drop(ready.send(Err(error))),
    };
    std::thread::Builder::new().name("net-pods".to_owned()).spawn(serve).map_err(NetError::Thread)?;
    started.await.map_err(|_| NetError::Stopped)??;
    Ok(sender)
}

async fn start_services(
    config: NetConfig,
    zone: SharedZone,
) -> Result<mpsc::Sender<ServiceRequest>, NetError> {
    let (sender, mut requests) = mpsc::channel(REQUESTS_QUEUED_MAX);
    let (ready, started) = oneshot::channel();
    let serve = move || match Services::open(config, zone) {
        Ok(mut services) => {
            drop(ready.send(Ok(())));
            while let Some(request) = requests.blocking_recv() {
                services.serve(request);
            }
        }
        Err(error) => drop(ready.send(Err(error))),
    };
    std::thread::Builder::new().name("net-services".to_owned()).spawn(serve).map_err(NetError::Thread)?;
    started.await.map_err(|_| NetError::Stopped)??;
    Ok(sender)
}

#[cfg(test)]
mod tests;
