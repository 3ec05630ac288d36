//! Links, addresses, routes and neighbours, as rtnetlink requests: plain values that [`Requests`] collects and
//! sends in one datagram.
//!
//! Knows nothing of pods or clusters. IPv4 only, as the rest of the pod network.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use ipnet::Ipv4Net;
use nix::errno::Errno;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State,
};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkError, Socket};

/// `IFNAMSIZ` less the final zero.
pub const NAME_BYTES_MAX: usize = 15;
const NLM_F_REPLACE: u16 = 0x100;
/// Routes of ours say so; `proto 77` in `ip route`.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(77);
/// The loopback device is the first of every namespace.
pub const LOOPBACK_INDEX: u32 = 1;

/// The link watch comes at most once a second when many links change at the same time.
const OPERATIONAL_CHECKS_MAX: u32 = 1000;
const OPERATIONAL_CHECK_PAUSE: Duration = Duration::from_millis(1);

/// A hardware address.
pub type Mac = [u8; 6];

/// One end of a veth pair that is to be made.
#[derive(Clone, Debug)]
pub struct VethEnd<'a> {
    /// At most [`NAME_BYTES_MAX`] bytes.
    pub name: &'a str,
    /// `None`: the kernel makes one up.
    pub mac: Option<Mac>,
    /// The namespace that it is born in; `None`: the requesting socket's.
    pub netns: Option<BorrowedFd<'a>>,
    /// Bytes; `None`: the kernel's 1500.
    pub mtu: Option<u32>,
    /// The index of the bridge that it joins.
    pub bridge: Option<u32>,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Straight out of a device; what this machine itself sends there bears the address `source`.
    Device {
        /// The device's index.
        index: u32,
        /// `None`: an address of the device's.
        source: Option<Ipv4Addr>,
    },
    /// To a router that another route reaches.
    Gateway(Ipv4Addr),
    /// To a router that is behind this device whatever other routes say.
    GatewayOnDevice(Ipv4Addr, u32),
    /// Nowhere: senders are told at once that there is no such host.
    Unreachable,
}

/// One link as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface index.
    pub index: u32,
    /// The interface name.
    pub name: String,
    /// The alias, a free text that stays with the link.
    pub alias: String,
    /// Bytes.
    pub mtu: u32,
    /// Whether it carries packets: it is up, its other end is up, and its queue has been started.
    pub operational: bool,
}

/// One route of the main table as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads; `0.0.0.0/0` is the default route.
    pub destination: Ipv4Net,
    /// The next router, if any.
    pub gateway: Option<Ipv4Addr>,
    /// The device's index, if any.
    pub device: Option<u32>,
    /// Whether it carries our mark.
    pub ours: bool,
}

impl Route {
    /// Whether it is the one that we set so that nothing to `range` goes anywhere else.
    pub fn is_ours_to_nowhere(&self, range: Ipv4Net) -> bool {
        self.ours && self.device.is_none() && self.destination == range.trunc()
    }
}

/// Requests that go to the kernel together, in order.
#[derive(Debug, Default)]
pub struct Requests {
    batch: Vec<Vec<u8>>,
}

impl Requests {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a pair of virtual Ethernet devices, joined back to back and down: an end whose other end is not there
    /// yet cannot be up.
    pub fn add_veth(&mut self, near: &VethEnd<'_>, far: &VethEnd<'_>) -> &mut Self {
        let mut message = link_message(near);
        let pair = InfoData::Veth(InfoVeth::Peer(link_message(far)));
        message
            .attributes
            .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth), LinkInfo::Data(pair)]));
        self.push(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Makes a bridge that is up.
    pub fn add_bridge(&mut self, name: &str) -> &mut Self {
        let mut message = link_message(&VethEnd { name, mac: None, netns: None, mtu: None, bridge: None });
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
        self.push(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Brings a link up.
    pub fn set_up(&mut self, index: u32) -> &mut Self {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.push(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Writes a link's alias.
    pub fn set_alias(&mut self, index: u32, alias: &str) -> &mut Self {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes.push(LinkAttribute::IfAlias(alias.to_owned()));
        self.push(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Removes a link, and with it the other end of a pair.
    pub fn delete_link(&mut self, index: u32) -> &mut Self {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.push(RouteNetlinkMessage::DelLink(message), 0)
    }

    /// Gives a link an address; one that it has already is no error.
    pub fn add_address(&mut self, index: u32, address: Ipv4Net) -> &mut Self {
        let message = address_message(index, address);
        self.push(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Takes an address from a link.
    pub fn delete_address(&mut self, index: u32, address: Ipv4Net) -> &mut Self {
        self.push(RouteNetlinkMessage::DelAddress(address_message(index, address)), 0)
    }

    /// Adds a route to the main table, or replaces the one to the same destination.
    pub fn set_route(&mut self, destination: Ipv4Net, via: Via) -> &mut Self {
        let message = route_message(destination, via);
        self.push(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Removes our route to `destination` from the main table, wherever it leads.
    pub fn delete_route(&mut self, destination: Ipv4Net) -> &mut Self {
        let mut message = route_message(destination, Via::Unreachable);
        message.header.scope = RouteScope::NoWhere;
        message.header.kind = RouteType::Unspec;
        self.push(RouteNetlinkMessage::DelRoute(message), 0)
    }

    /// Says for good which hardware address has `address`, so that nobody need ask.
    pub fn set_neighbour(&mut self, index: u32, address: Ipv4Addr, mac: Mac) -> &mut Self {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = index;
        message.header.state = NeighbourState::Permanent;
        message.attributes = vec![
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)),
            NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
        ];
        self.push(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Sends all of it. The kernel tries every request; the first refusal is returned.
    pub fn send(mut self, socket: &mut Socket) -> Result<(), NetlinkError> {
        socket.request(&mut self.batch)
    }

    fn push(&mut self, message: RouteNetlinkMessage, flags: u16) -> &mut Self {
        self.batch.push(encode(message, NLM_F_REQUEST | NLM_F_ACK | flags));
        self
    }
}

/// Every link of the socket's namespace.
pub fn links(socket: &mut Socket) -> Result<Vec<Link>, NetlinkError> {
    let found = socket
        .query(encode(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_REQUEST | NLM_F_DUMP))?;
    found.iter().map(|bytes| Ok(decode(bytes)?.and_then(read_link))).filter_map(Result::transpose).collect()
}

/// The link of that name, if there is one.
pub fn find_link(socket: &mut Socket, name: &str) -> Result<Option<Link>, NetlinkError> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    match socket.query(encode(RouteNetlinkMessage::GetLink(message), NLM_F_REQUEST | NLM_F_ACK)) {
        Ok(found) => found.first().map_or(Ok(None), |bytes| Ok(decode(bytes)?.and_then(read_link))),
        Err(error) if error.errno() == Some(Errno::ENODEV as i32) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until the link carries packets; returns whether it does. The end of a pair that was brought up first starts
/// its queue only when the kernel's link watch comes round, and until then drops everything: a first
/// question to DNS would be lost, and asked again only after seconds. Looking at the link hurries the link watch
/// (since Linux 6.8; before, it comes within milliseconds).
pub fn wait_until_operational(socket: &mut Socket, name: &str) -> Result<bool, NetlinkError> {
    for _ in 0..OPERATIONAL_CHECKS_MAX {
        if find_link(socket, name)?.is_some_and(|link| link.operational) {
            return Ok(true);
        }
        std::thread::sleep(OPERATIONAL_CHECK_PAUSE);
    }
    Ok(false)
}

/// The index of the link that has this address.
pub fn link_with_address(socket: &mut Socket, address: Ipv4Addr) -> Result<Option<u32>, NetlinkError> {
    let mut request = AddressMessage::default();
    request.header.family = AddressFamily::Inet;
    let found = socket.query(encode(RouteNetlinkMessage::GetAddress(request), NLM_F_REQUEST | NLM_F_DUMP))?;
    for bytes in &found {
        if let Some(RouteNetlinkMessage::NewAddress(message)) = decode(bytes)?
            && message.attributes.contains(&AddressAttribute::Local(IpAddr::V4(address)))
        {
            return Ok(Some(message.header.index));
        }
    }
    Ok(None)
}

/// The IPv4 routes of the main table.
pub fn routes(socket: &mut Socket) -> Result<Vec<Route>, NetlinkError> {
    let mut request = RouteMessage::default();
    request.header.address_family = AddressFamily::Inet;
    let found = socket.query(encode(RouteNetlinkMessage::GetRoute(request), NLM_F_REQUEST | NLM_F_DUMP))?;
    found.iter().map(|bytes| Ok(decode(bytes)?.and_then(read_route))).filter_map(Result::transpose).collect()
}

fn link_message(end: &VethEnd<'_>) -> LinkMessage {
    let mut message = LinkMessage::default();
    let attributes = &mut message.attributes;
    attributes.push(LinkAttribute::IfName(end.name.to_owned()));
    attributes.extend(end.mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
    attributes.extend(end.netns.map(|netns| LinkAttribute::NetNsFd(netns.as_raw_fd())));
    attributes.extend(end.mtu.map(LinkAttribute::Mtu));
    attributes.extend(end.bridge.map(LinkAttribute::Controller));
    message
}

fn address_message(index: u32, address: Ipv4Net) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = address.prefix_len();
    message.header.index = index;
    message.header.scope = AddressScope::Universe;
    let local = IpAddr::V4(address.addr());
    message.attributes = vec![AddressAttribute::Local(local), AddressAttribute::Address(local)];
    if address.prefix_len() < 31 {
        message.attributes.push(AddressAttribute::Broadcast(address.broadcast()));
    }
    message
}

fn route_message(destination: Ipv4Net, via: Via) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = destination.prefix_len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = PROTOCOL;
    message.header.kind = RouteType::Unicast;
    let attributes = &mut message.attributes;
    if destination.prefix_len() > 0 {
        attributes.push(RouteAttribute::Destination(RouteAddress::Inet(destination.network())));
    }
    match via {
        Via::Device { index, source } => {
            message.header.scope = RouteScope::Link;
            attributes.push(RouteAttribute::Oif(index));
            attributes.extend(source.map(|ip| RouteAttribute::PrefSource(RouteAddress::Inet(ip))));
        }
        Via::Gateway(router) => attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(router))),
        Via::GatewayOnDevice(router, index) => {
            message.header.flags = RouteFlags::Onlink;
            attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(router)));
            attributes.push(RouteAttribute::Oif(index));
        }
        Via::Unreachable => message.header.kind = RouteType::Unreachable,
    }
    message
}

fn encode(message: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn decode(bytes: &[u8]) -> Result<Option<RouteNetlinkMessage>, NetlinkError> {
    let message = NetlinkMessage::deserialize(bytes).map_err(|_| NetlinkError::Malformed)?;
    let NetlinkPayload::InnerMessage(inner) = message.payload else { return Ok(None) };
    Ok(Some(inner))
}

fn read_link(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        alias: String::new(),
        mtu: 0,
        operational: false,
    };
    for attribute in message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            link.name = name;
        } else if let LinkAttribute::IfAlias(alias) = attribute {
            link.alias = alias;
        } else if let LinkAttribute::Mtu(mtu) = attribute {
            link.mtu = mtu;
        } else if let LinkAttribute::OperState(state) = attribute {
            link.operational = state == State::Up;
        }
    }
    Some(link)
}

fn read_route(message: RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    if message.header.table != RouteHeader::RT_TABLE_MAIN {
        return None;
    }
    let mut address = Ipv4Addr::UNSPECIFIED;
    let mut route = Route {
        destination: Ipv4Net::default(),
        gateway: None,
        device: None,
        ours: message.header.protocol == PROTOCOL,
    };
    for attribute in message.attributes {
        if let RouteAttribute::Destination(RouteAddress::Inet(found)) = attribute {
            address = found;
        } else if let RouteAttribute::Gateway(RouteAddress::Inet(found)) = attribute {
            route.gateway = Some(found);
        } else if let RouteAttribute::Oif(found) = attribute {
            route.device = Some(found);
        }
    }
    route.destination = Ipv4Net::new(address, message.header.destination_prefix_length).ok()?;
    Some(route)
}

#[cfg(test)]
mod tests;
