//! The network that joins the nodes of a local cluster: a bridge of the machine, and a namespace for each node.
//!
//! ```text
//! the machine: bridge mki<hash> 10.64.0.1/16 ── veth mki<hash>n1 ── eth0 of node-1, 10.64.1.1/16
//!              routes: each node's pods through the node's address; the rest of the cluster's range: nowhere
//!              nftables table mki-<cluster>: masquerading outwards, nobody new inwards
//! ```
//!
//! Everything is found again by its name, so `create` completes what is half there, and `destroy` takes down what
//! any earlier run left. Of the machine's own network one thing is changed: it forwards IPv4 while a cluster is up.
//! What the setting was before is written in the bridge's alias, which ends when the setting must, at `destroy`
//! or at a reboot. Netlink only; nothing here runs `ip` or `nft`.

mod firewall;
mod names;
mod namespace;
mod plan;

use std::process::{Child, Command};

use anyhow::{Context, bail};
use ipnet::Ipv4Net;
use node_agent::net::link::{self, LOOPBACK_INDEX, Link, Requests, VethEnd, Via};
use node_agent::net::netlink::{Family, Socket, in_netns};
use node_agent::net::sysctl;

use std::fs::File;
use std::os::fd::AsFd;

use super::config::{ClusterConfig, LocalNode};
use names::Names;
use plan::{Mark, Restore};

/// A node's only way out is called what it would be called on a machine.
const NODE_INTERFACE: &str = "eth0";

/// Makes what is missing of the cluster's network, its nodes included.
///
/// # Errors
/// The range is in use on this machine, or the kernel refuses.
pub(super) async fn create(cluster: &str, config: &ClusterConfig) -> anyhow::Result<()> {
    let (names, config) = (Names::new(cluster), config.clone());
    tokio::task::spawn_blocking(move || Underlay::open(names)?.create(&config)).await?
}

/// Takes down everything of the cluster's network that is there.
///
/// # Errors
/// The kernel refuses.
pub(super) async fn destroy(cluster: &str, config: &ClusterConfig) -> anyhow::Result<()> {
    let (names, range) = (Names::new(cluster), config.cluster_cidr);
    tokio::task::spawn_blocking(move || Underlay::open(names)?.destroy(range)).await?
}

/// Starts a program as on the node itself: its network is the node's.
///
/// # Errors
/// The node has no namespace, or the program cannot be started.
pub(super) fn spawn_in(cluster: &str, node: &str, mut command: Command) -> anyhow::Result<Child> {
    let netns = namespace::open(&Names::new(cluster).netns(node))?;
    // A child inherits the network of the thread that starts it.
    let child = in_netns(netns.as_fd(), || command.spawn())?;
    child.with_context(|| format!("cannot run {:?}", command.get_program()))
}

/// The machine's side of one cluster's network.
struct Underlay {
    names: Names,
    socket: Socket,
}

impl Underlay {
    fn open(names: Names) -> anyhow::Result<Self> {
        Ok(Self { names, socket: Socket::open(Family::Route)? })
    }

    fn create(&mut self, config: &ClusterConfig) -> anyhow::Result<()> {
        let links = link::links(&mut self.socket)?;
        let routes = link::routes(&mut self.socket)?;
        let bridge = links.iter().find(|link| link.name == self.names.bridge());
        plan::check(config.cluster_cidr, &routes, &links, bridge.map(|link| link.index))?;
        let bridge = self.create_bridge(bridge, config)?;
        firewall::install(&self.names, config.cluster_cidr)?;
        let mtu = plan::outward_mtu(&routes, &links);
        for (number, node) in (1..).zip(config.node_list()) {
            self.create_node(number, &node, config, bridge, mtu)
                .with_context(|| format!("cannot make the network of {}", node.name))?;
        }
        // The first packet of a node must not be lost: it would be sent again only after a second.
        let ports = (1..=config.nodes).map(|number| self.names.veth(number));
        for name in ports.chain([self.names.bridge()]).collect::<Vec<_>>() {
            if !link::wait_until_operational(&mut self.socket, &name)? {
                bail!("the interface {name} does not come up");
            }
        }
        Ok(())
    }

    /// The bridge with the machine's own address; returns its index.
    fn create_bridge(&mut self, found: Option<&Link>, config: &ClusterConfig) -> anyhow::Result<u32> {
        let mark = found.and_then(|link| Mark::parse(&link.alias));
        let index = match (found, mark) {
            (Some(link), Some(mark)) if mark.cluster == self.names.cluster() => link.index,
            // Made by a run that was killed before it could sign it; the name is ours.
            (Some(link), None) if link.alias.is_empty() => self.sign(link.index)?,
            (Some(link), _) => {
                bail!("the interface {} exists and is not of this cluster: {:?}", link.name, link.alias)
            }
            (None, _) => {
                let name = self.names.bridge();
                let mut requests = Requests::new();
                requests.add_bridge(&name);
                requests.send(&mut self.socket).with_context(|| format!("cannot make the bridge {name}"))?;
                let index = self.index_of(&name)?;
                self.sign(index)?
            }
        };
        sysctl::write(sysctl::IP_FORWARD, "1").context("cannot let the machine forward IPv4")?;
        let address = Ipv4Net::new(config.host_address(), config.underlay().prefix_len())?;
        let mut requests = Requests::new();
        requests.add_address(index, address);
        // What no node has must not leave the machine.
        requests.set_route(config.cluster_cidr, Via::Unreachable);
        requests.send(&mut self.socket).with_context(|| format!("cannot give the machine {address}"))?;
        Ok(index)
    }

    /// Writes on the bridge whose it is, and how the machine's forwarding was.
    fn sign(&mut self, index: u32) -> anyhow::Result<u32> {
        let forwarding = sysctl::read(sysctl::IP_FORWARD).context("cannot read how the machine forwards")?;
        let mark = Mark { cluster: self.names.cluster().to_owned(), forwarding: forwarding == "1" };
        let mut requests = Requests::new();
        requests.set_alias(index, &mark.to_string());
        requests.send(&mut self.socket).context("cannot sign the bridge")?;
        Ok(index)
    }

    fn create_node(
        &mut self,
        number: u16,
        node: &LocalNode,
        config: &ClusterConfig,
        bridge: u32,
        mtu: Option<u32>,
    ) -> anyhow::Result<()> {
        let netns = namespace::create(&self.names.netns(&node.name))?;
        let mut inside = Socket::open_in(netns.as_fd(), Family::Route)?;
        let interface = match link::find_link(&mut inside, NODE_INTERFACE)? {
            Some(link) => link.index,
            None => self.create_pair(number, &netns, &mut inside, bridge, mtu)?,
        };
        in_netns(netns.as_fd(), || sysctl::write(sysctl::IP_FORWARD, "1"))?
            .context("cannot let the node forward IPv4")?;
        let mut requests = Requests::new();
        requests.set_up(LOOPBACK_INDEX).set_up(interface);
        requests.add_address(interface, Ipv4Net::new(node.address, config.underlay().prefix_len())?);
        requests.set_route(Ipv4Net::default(), Via::Gateway(config.host_address()));
        requests.send(&mut inside)?;
        let near = self.index_of(&self.names.veth(number))?;
        let mut requests = Requests::new();
        requests.set_up(near).set_route(node.pod_cidr, Via::GatewayOnDevice(node.address, bridge));
        Ok(requests.send(&mut self.socket)?)
    }

    /// Joins the namespace to the bridge; returns the index inside.
    fn create_pair(
        &mut self,
        number: u16,
        netns: &File,
        inside: &mut Socket,
        bridge: u32,
        mtu: Option<u32>,
    ) -> anyhow::Result<u32> {
        let name = self.names.veth(number);
        // One whose other end is not in this namespace belongs to a run that was killed.
        if let Some(stale) = link::find_link(&mut self.socket, &name)? {
            let mut requests = Requests::new();
            requests.delete_link(stale.index);
            requests.send(&mut self.socket)?;
        }
        let near = VethEnd { name: &name, mac: None, netns: None, mtu, bridge: Some(bridge) };
        let far = VethEnd { name: NODE_INTERFACE, netns: Some(netns.as_fd()), bridge: None, ..near.clone() };
        let mut requests = Requests::new();
        requests.add_veth(&near, &far);
        requests.send(&mut self.socket)?;
        let found = link::find_link(inside, NODE_INTERFACE)?;
        Ok(found.context("the node's interface vanished")?.index)
    }

    /// Takes down nodes, bridge, rules and the forwarding, whichever of them there are.
    fn destroy(&mut self, range: Ipv4Net) -> anyhow::Result<()> {
        for name in namespace::list()?.iter().filter(|name| self.names.is_our_netns(name)) {
            namespace::remove(name)?;
        }
        firewall::remove(&self.names)?;
        let links = link::links(&mut self.socket)?;
        let bridge = links.iter().find(|link| link.name == self.names.bridge());
        let mark = bridge.and_then(|bridge| Mark::parse(&bridge.alias));
        if let Some(foreign) = mark.as_ref().filter(|mark| mark.cluster != self.names.cluster()) {
            bail!("the bridge {} belongs to cluster {:?}", self.names.bridge(), foreign.cluster);
        }
        let names = self.names.clone();
        for link in links.iter().filter(|link| names.is_our_veth(&link.name)) {
            self.delete_link(link)?;
        }
        if let (Some(bridge), Some(mark)) = (bridge, mark) {
            self.restore_forwarding(&mark, &links, bridge)?;
        }
        if let Some(bridge) = bridge {
            self.delete_route_to_nowhere(range)?;
            self.delete_link(bridge)?;
        }
        Ok(())
    }

    fn restore_forwarding(&mut self, mark: &Mark, links: &[Link], bridge: &Link) -> anyhow::Result<()> {
        match plan::compute_restore(mark, links) {
            Restore::Nothing => Ok(()),
            Restore::HandOver { index, mark } => {
                let mut requests = Requests::new();
                requests.set_alias(index, &mark.to_string());
                Ok(requests.send(&mut self.socket)?)
            }
            Restore::Off => sysctl::write(sysctl::IP_FORWARD, "0")
                .with_context(|| format!("cannot end forwarding, which {} needed", bridge.name)),
        }
    }

    /// An interface that went away by itself, with its other end, is as good as deleted.
    fn delete_link(&mut self, link: &Link) -> anyhow::Result<()> {
        let mut requests = Requests::new();
        requests.delete_link(link.index);
        match requests.send(&mut self.socket) {
            Err(error) if link::find_link(&mut self.socket, &link.name)?.is_some() => {
                Err(error).with_context(|| format!("cannot remove the interface {}", link.name))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn delete_route_to_nowhere(&mut self, range: Ipv4Net) -> anyhow::Result<()> {
        let routes = link::routes(&mut self.socket)?;
        if !routes.iter().any(|route| route.is_ours_to_nowhere(range)) {
            return Ok(());
        }
        let mut requests = Requests::new();
        requests.delete_route(range);
        requests.send(&mut self.socket).with_context(|| format!("cannot remove the route to {range}"))
    }

    fn index_of(&mut self, name: &str) -> anyhow::Result<u32> {
        let found = link::find_link(&mut self.socket, name)?;
        Ok(found.with_context(|| format!("the interface {name} vanished"))?.index)
    }
}

#[cfg(test)]
mod tests;
