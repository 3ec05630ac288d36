//! Ends UDP flows whose endpoint is gone, so that their next packet is led to one that is there.
//!
//! The kernel translates a flow's later packets as it did the first, whatever the tables say by then. Over ctnetlink
//! (`linux/netfilter/nfnetlink_conntrack.h`): all flows are listed, and those to the endpoints in question deleted.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use nix::errno::Errno;

use super::super::netlink::{HEADER_BYTES, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkError, Socket};
use super::super::nft::header;

const NFPROTO_IPV4: u8 = 2;
const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const IPPROTO_UDP: u8 = 17;
const NLA_TYPE_MASK: u16 = 0x3fff;
const NLA_F_NESTED: u16 = 0x8000;
/// `struct nfgenmsg` follows the netlink header.
const ATTRIBUTES_AT: usize = HEADER_BYTES + 4;

/// Deletes the translated UDP flows to any of `endpoints`.
pub(super) fn forget(socket: &mut Socket, endpoints: &BTreeSet<SocketAddrV4>) -> Result<(), NetlinkError> {
    let kind = |message| NFNL_SUBSYS_CTNETLINK << 8 | message;
    let flows = socket.query(header(kind(IPCTNL_MSG_CT_GET), NLM_F_REQUEST | NLM_F_DUMP, NFPROTO_IPV4, 0))?;
    for tuple in flows.iter().filter_map(|flow| tuple_to_forget(flow, endpoints)) {
        let mut request = header(kind(IPCTNL_MSG_CT_DELETE), NLM_F_REQUEST | NLM_F_ACK, NFPROTO_IPV4, 0);
        request.extend(tuple);
        match socket.request(&mut [request]) {
            // It ended by itself in the meantime.
            Err(error) if error.errno() == Some(Errno::ENOENT as i32) => {}
            other => other?,
        }
    }
    Ok(())
}

/// The attribute that names a flow, if it was translated to one of `endpoints`.
fn tuple_to_forget(flow: &[u8], endpoints: &BTreeSet<SocketAddrV4>) -> Option<Vec<u8>> {
    let attributes = flow.get(ATTRIBUTES_AT..)?;
    let (original, reply) = (find(attributes, CTA_TUPLE_ORIG)?, find(attributes, CTA_TUPLE_REPLY)?);
    let protocol = find(find(reply, CTA_TUPLE_PROTO)?, CTA_PROTO_NUM)?;
    if protocol != [IPPROTO_UDP] {
        return None;
    }
    // Who answers is where the flow leads; where the client sends to is what it was translated from.
    let port = find(find(reply, CTA_TUPLE_PROTO)?, CTA_PROTO_SRC_PORT)?;
    let endpoint =
        SocketAddrV4::new(address(reply, CTA_IP_V4_SRC)?, u16::from_be_bytes(port.try_into().ok()?));
    let translated = address(original, CTA_IP_V4_DST)? != *endpoint.ip();
    (translated && endpoints.contains(&endpoint)).then(|| attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, original))
}

fn address(tuple: &[u8], kind: u16) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = find(find(tuple, CTA_TUPLE_IP)?, kind)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets))
}

/// The value of the first attribute of that kind.
fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    while let Some(([l0, l1, k0, k1], _)) = attributes.split_first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([*l0, *l1]));
        let value = attributes.get(4..length)?;
        if u16::from_ne_bytes([*k0, *k1]) & NLA_TYPE_MASK == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
}

#[cfg(test)]
mod tests;
