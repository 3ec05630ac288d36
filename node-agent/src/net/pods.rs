//! The pod network of one node: a veth pair per pod, routed, not bridged.
//!
//! Each pod has a /32 and a default route to the node's gateway address; the node has a /32 route to each pod. A
//! bridge would cost a hop, end at 1023 ports, and hide answers between two pods of the node from conntrack, which
//! must see them to undo the translation of service addresses. Who has which hardware address is written down on
//! both sides when the pair is made, so no pod's first packet waits for ARP.
//!
//! ```text
//! pod: eth0 10.65.1.7/32 ── veth ── node: mki0a410107 ── routes ── eth0 ── other nodes
//!      default via 10.65.1.1        10.65.1.7/32 dev mki0a410107; 10.65.1.1 is on lo
//! ```
//!
//! State: the addresses in use and the routes to peers; the rest is asked of the kernel.

mod addresses;
mod peers;

use std::error::Error;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};

use ipnet::Ipv4Net;
use nix::errno::Errno;

use super::link::{self, LOOPBACK_INDEX, Mac, Requests, VethEnd, Via};
use super::netlink::{Family, NetlinkError, Socket, in_netns};
use super::{NetConfig, NetError, Peer, PodRequest, sysctl};
use addresses::{Addresses, ClaimRefused};
use peers::{Routed, compute_changes};

/// The node's end of every pair has the same hardware address: no pod ever sees two of them.
const GATEWAY_MAC: Mac = [0xee, 0xee, 0xee, 0xee, 0xee, 0xee];
/// Interfaces of pods that have gone live on for a moment, and keep their name; so many are passed over.
const LINGERING_MAX: usize = 16;
const POD_INTERFACE: &str = "eth0";
/// More is refused by the kernel; `lo`, which a node of one machine may have its address on, carries one byte more.
const VETH_MTU_MAX: u32 = 65_535;

/// What a pod has of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The pod's address.
    pub ip: Ipv4Addr,
}

/// The owner of the node's pod network.
#[derive(Debug)]
pub(super) struct PodNetwork {
    config: NetConfig,
    socket: Socket,
    addresses: Addresses,
    routed: Routed,
    mtu: Option<u32>,
}

impl PodNetwork {
    /// Makes the node a router for its pods, and finds the routes that an earlier agent left.
    pub(super) fn open(config: NetConfig) -> Result<Self, NetError> {
        let mut socket = Socket::open(Family::Route).map_err(kernel("open", "rtnetlink"))?;
        set_sysctl(sysctl::IP_FORWARD, "1")?;
        let mut requests = Requests::new();
        requests.add_address(LOOPBACK_INDEX, Ipv4Net::from(config.gateway()));
        requests.add_address(LOOPBACK_INDEX, Ipv4Net::from(config.cluster_dns));
        requests.set_up(LOOPBACK_INDEX);
        // An address that no pod has must not be looked for beyond the node: it would come back to us for ever.
        requests.set_route(config.pod_cidr.trunc(), Via::Unreachable);
        requests.send(&mut socket).map_err(kernel("set up the gateway of", config.pod_cidr))?;
        let routed = find_routed(&mut socket, &config)?;
        let mtu = find_mtu(&mut socket, &config)?;
        Ok(Self { addresses: Addresses::new(config.pod_cidr), config, socket, routed, mtu })
    }

    /// Does one thing that was asked for. Whoever asked and no longer listens is not told.
    pub(super) fn serve(&mut self, request: PodRequest) {
        match request {
            PodRequest::Attach { owner, netns, answer } => {
                let attached = self.attach(&owner, netns.as_fd());
                // Nobody would ever detach what nobody knows to be attached.
                if let Err(Ok(attachment)) = answer.send(attached)
                    && let Err(error) = self.detach(&owner)
                {
                    let error: &dyn Error = &error;
                    tracing::warn!(error, ip = %attachment.ip, "cannot undo what nobody waited for");
                }
            }
            PodRequest::Adopt { owner, ip, answer } => drop(answer.send(self.adopt(&owner, ip))),
            PodRequest::Detach { owner, answer } => drop(answer.send(self.detach(&owner))),
            PodRequest::Peers { peers, answer } => drop(answer.send(self.set_peers(&peers))),
            PodRequest::Remove { answer } => drop(answer.send(self.remove())),
        }
    }

    fn attach(&mut self, owner: &str, netns: BorrowedFd<'_>) -> Result<Attachment, NetError> {
        if let Some(ip) = self.addresses.of(owner) {
            return Err(NetError::AlreadyAttached { owner: owner.to_owned(), ip });
        }
        let ip = self.make_pair(owner, netns)?;
        if let Err(error) = self.wire(ip, netns) {
            self.addresses.release(owner);
            return Err(error);
        }
        Ok(Attachment { ip })
    }

    /// Makes the pair under the first free address whose interface name is free too.
    fn make_pair(&mut self, owner: &str, netns: BorrowedFd<'_>) -> Result<Ipv4Addr, NetError> {
        for attempt in 1.. {
            let used = self.addresses.held();
            let range = self.addresses.range();
            let ip = self.addresses.take(owner).ok_or(NetError::NoAddressFree { range, used })?;
            let Err(source) = self.add_veth(ip, netns) else { return Ok(ip) };
            self.addresses.release(owner);
            if source.errno() != Some(Errno::EEXIST as i32) || attempt == LINGERING_MAX {
                return Err(kernel("make the interface of", owner)(source));
            }
        }
        unreachable!("the loop has no other end")
    }

    fn add_veth(&mut self, ip: Ipv4Addr, netns: BorrowedFd<'_>) -> Result<(), NetlinkError> {
        let name = interface_name(ip);
        let near = VethEnd { name: &name, mac: Some(GATEWAY_MAC), netns: None, mtu: self.mtu, bridge: None };
        let far = VethEnd { name: POD_INTERFACE, mac: Some(pod_mac(ip)), netns: Some(netns), ..near.clone() };
        let mut requests = Requests::new();
        requests.add_veth(&near, &far);
        requests.send(&mut self.socket)
    }

    /// Gives both ends their addresses, neighbours and routes.
    fn wire(&mut self, ip: Ipv4Addr, netns: BorrowedFd<'_>) -> Result<(), NetError> {
        let gateway = self.config.gateway();
        let name = interface_name(ip);
        let index = index_of(&mut self.socket, &name).map_err(kernel("find", &name))?;
        // A pod that reaches itself through its service must not be told of a shorter way.
        set_sysctl(&format!("ipv4/conf/{name}/send_redirects"), "0")?;
        // Strict (RFC 3704): from here only what bears the pod's own address is taken, so that none can forge another's.
        set_sysctl(&format!("ipv4/conf/{name}/rp_filter"), "1")?;
        without_ipv6(&name)?;
        let mut requests = Requests::new();
        requests.set_up(index);
        requests.set_neighbour(index, ip, pod_mac(ip));
        requests.set_route(Ipv4Net::from(ip), Via::Device { index, source: Some(gateway) });
        requests.send(&mut self.socket).map_err(kernel("route", ip))?;
        in_netns(netns, || wire_pod(ip, gateway)).map_err(kernel("enter the namespace of", ip))??;
        if !link::wait_until_operational(&mut self.socket, &name).map_err(kernel("look at", &name))? {
            tracing::warn!(%name, %ip, "the pod's interface does not come up; going on without");
        }
        Ok(())
    }

    fn adopt(&mut self, owner: &str, ip: Ipv4Addr) -> Result<(), NetError> {
        self.addresses.claim(owner, ip).map_err(|refused| NetError::NotAdoptable {
            owner: owner.to_owned(),
            ip,
            why: match refused {
                ClaimRefused::OutsideRange => "it is not in the node's pod range",
                ClaimRefused::HeldByAnother => "another pod has it",
                ClaimRefused::OwnerHasAnother => "the pod has another one",
            },
        })
    }

    fn detach(&mut self, owner: &str) -> Result<(), NetError> {
        let Some(ip) = self.addresses.release(owner) else { return Ok(()) };
        self.delete_route(Ipv4Net::from(ip)).map_err(kernel("unroute", ip))
    }

    fn set_peers(&mut self, peers: &[Peer]) -> Result<(), NetError> {
        let changes = compute_changes(&self.routed, peers, self.config.pod_cidr);
        let mut failure = None;
        for range in changes.remove {
            match self.delete_route(range) {
                Ok(()) => drop(self.routed.remove(&range)),
                Err(source) => failure = failure.or(Some(kernel("unroute", range)(source))),
            }
        }
        for peer in changes.set {
            let mut requests = Requests::new();
            requests.set_route(peer.pod_cidr.trunc(), Via::Gateway(peer.address));
            match requests.send(&mut self.socket) {
                Ok(()) => drop(self.routed.insert(peer.pod_cidr.trunc(), peer.address)),
                Err(source) => failure = failure.or(Some(kernel("route pods of", peer.name)(source))),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Removes a route of ours; one that went with its interface is as good as removed.
    fn delete_route(&mut self, destination: Ipv4Net) -> Result<(), NetlinkError> {
        let mut requests = Requests::new();
        requests.delete_route(destination);
        match requests.send(&mut self.socket) {
            Err(error) if error.errno() == Some(Errno::ESRCH as i32) => Ok(()),
            other => other,
        }
    }

    fn remove(&mut self) -> Result<(), NetError> {
        self.set_peers(&[])?;
        let mut requests = Requests::new();
        for (_, ip) in self.addresses.owners() {
            let name = interface_name(ip);
            if let Some(link) = link::find_link(&mut self.socket, &name).map_err(kernel("find", &name))? {
                requests.delete_link(link.index);
            }
        }
        requests.delete_route(self.config.pod_cidr.trunc());
        requests.delete_address(LOOPBACK_INDEX, Ipv4Net::from(self.config.gateway()));
        requests.delete_address(LOOPBACK_INDEX, Ipv4Net::from(self.config.cluster_dns));
        requests.send(&mut self.socket).map_err(kernel("take down", self.config.pod_cidr))
    }
}

/// Runs inside the pod's namespace.
fn wire_pod(ip: Ipv4Addr, gateway: Ipv4Addr) -> Result<(), NetError> {
    without_ipv6(POD_INTERFACE)?;
    set_addresses(ip, gateway).map_err(kernel("wire", ip))
}

fn set_addresses(ip: Ipv4Addr, gateway: Ipv4Addr) -> Result<(), NetlinkError> {
    let mut socket = Socket::open(Family::Route)?;
    let index = index_of(&mut socket, POD_INTERFACE)?;
    let mut requests = Requests::new();
    requests.set_up(LOOPBACK_INDEX);
    requests.set_up(index);
    requests.add_address(index, Ipv4Net::from(ip));
    requests.set_neighbour(index, gateway, GATEWAY_MAC);
    requests.set_route(Ipv4Net::from(gateway), Via::Device { index, source: None });
    requests.set_route(Ipv4Net::default(), Via::GatewayOnDevice(gateway, index));
    requests.send(&mut socket)
}

/// No pod has an IPv6 address: without this each interface would look for neighbours and routers for a while, and
/// clients would ask for IPv6 addresses that nobody has.
fn without_ipv6(interface: &str) -> Result<(), NetError> {
    match set_sysctl(&format!("ipv6/conf/{interface}/disable_ipv6"), "1") {
        // A kernel without IPv6.
        Err(NetError::Sysctl { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn index_of(socket: &mut Socket, name: &str) -> Result<u32, NetlinkError> {
    let found = link::find_link(socket, name)?;
    let missing = || NetlinkError::Refused { index: 0, source: Errno::ENODEV.into() };
    found.map(|link| link.index).ok_or_else(missing)
}

/// The routes to other nodes' pods; on a local node the default route bears our mark too, and is none of these.
fn find_routed(socket: &mut Socket, config: &NetConfig) -> Result<Routed, NetError> {
    let routes = link::routes(socket).map_err(kernel("list", "routes"))?;
    let to_pods = |route: &link::Route| {
        let range = &route.destination;
        route.ours && config.cluster_pod_cidr.contains(range) && !config.pod_cidr.contains(range)
    };
    Ok(routes
        .into_iter()
        .filter(to_pods)
        .filter_map(|route| Some((route.destination, route.gateway?)))
        .collect())
}

/// Pods must not send more than the node's own interface can carry.
fn find_mtu(socket: &mut Socket, config: &NetConfig) -> Result<Option<u32>, NetError> {
    if config.mtu.is_some() {
        return Ok(config.mtu);
    }
    let index = link::link_with_address(socket, config.node_ip).map_err(kernel("find", config.node_ip))?;
    let links = link::links(socket).map_err(kernel("list", "links"))?;
    Ok(links.into_iter().find(|link| Some(link.index) == index).map(|link| link.mtu.min(VETH_MTU_MAX)))
}

/// The node's end of the pair: named by the address, so that the next agent finds it.
fn interface_name(ip: Ipv4Addr) -> String {
    format!("mki{:08x}", u32::from(ip))
}

/// Locally administered, and as unique as the address.
fn pod_mac(ip: Ipv4Addr) -> Mac {
    let [a, b, c, d] = ip.octets();
    [0x0a, 0x58, a, b, c, d]
}

fn set_sysctl(key: &str, value: &str) -> Result<(), NetError> {
    sysctl::write(key, value)
        .map_err(|source| NetError::Sysctl { key: format!("net.{}", key.replace('/', ".")), source })
}

/// Says what was tried when the kernel refused.
pub(super) fn kernel(
    action: &'static str,
    object: impl std::fmt::Display,
) -> impl FnOnce(NetlinkError) -> NetError {
    move |source| NetError::Kernel { action, object: object.to_string(), source }
}

#[cfg(test)]
mod tests;
