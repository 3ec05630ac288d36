//! The expressions of which rules are made: each loads, compares, looks up, or decides.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::ANONYMOUS_MAP;
use super::attributes::Attributes;

const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const NFT_REG_VERDICT: u32 = 0;
const NFT_REG32_00: u32 = 8;
const NFT_META_IIFNAME: u32 = 6;
const NFT_META_OIFNAME: u32 = 7;
const NFT_META_L4PROTO: u32 = 16;
const NFT_CT_STATE: u32 = 0;
const NFT_CT_STATUS: u32 = 2;
const NFT_CT_DST_IP: u32 = 20;
const IP_CT_DIR_ORIGINAL: u8 = 0;
const NFT_FIB_RESULT_ADDRTYPE: u32 = 3;
const NFTA_FIB_F_DADDR: u32 = 2;
const NF_NAT_RANGE_PROTO_RANDOM_FULLY: u32 = 1 << 4;
const IFNAMSIZ: usize = 16;

/// One of the 4-byte registers, 0 to 15. A longer value takes several, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(pub u8);

/// The register that is used where one is enough.
pub const REGISTER: Register = Register(0);

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Accept,
    /// It vanishes.
    Drop,
    /// This chain goes on with it in another, and does not come back.
    Goto(String),
}

/// One step of a rule. A comparison that does not hold ends the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Loads the source address.
    SourceAddress(Register),
    /// Loads the destination address.
    DestinationAddress(Register),
    /// Loads the first byte of the destination address.
    DestinationNetwork(Register),
    /// Loads the destination port, of TCP and UDP alike.
    DestinationPort(Register),
    /// Loads the transport protocol's number, 1 byte.
    Protocol(Register),
    /// Loads the name of the interface that the packet came in by, [`Expression::interface`] bytes.
    InputInterface(Register),
    /// Loads the name of the interface that it leaves by.
    OutputInterface(Register),
    /// Loads the state of the connection, a bit mask.
    ConnectionState(Register),
    /// Loads the status of the connection, a bit mask.
    ConnectionStatus(Register),
    /// Loads the address that the connection was opened to, before any translation.
    OriginalDestination(Register),
    /// Loads the kind of the destination address: `RTN_LOCAL` and others.
    DestinationKind(Register),
    /// Loads a random number below the modulus.
    Random(Register, u32),
    /// Loads constant bytes.
    Load(Register, Vec<u8>),
    /// Keeps only the bits of the mask, 4 bytes.
    And(Register, [u8; 4]),
    /// Goes on if the register has this value.
    Equal(Register, Vec<u8>),
    /// Goes on if the register has another value.
    NotEqual(Register, Vec<u8>),
    /// Goes on if the key in the registers is in the named set.
    InSet(Register, String),
    /// Does what the named map says for the key in the registers; goes on if it says nothing.
    VerdictOf(Register, String),
    /// Replaces the key in the registers by the value that the batch's map of this number has for it.
    ValueOf(Register, u32),
    /// Decides.
    Decide(Verdict),
    /// Translates the destination to the address in the first register and the port in the second.
    TranslateDestination(Register, Register),
    /// Translates the source to the address in the register.
    TranslateSource(Register),
    /// Translates the source to the address of the interface that the packet leaves by.
    Masquerade,
    /// Refuses with a TCP reset.
    RejectWithReset,
    /// Refuses with "port unreachable".
    RejectWithUnreachable,
}

/// The expressions that go on only if the address in the packet is in `range` (or, with `inside` false, is not).
pub fn in_range(load: Expression, register: Register, range: Ipv4Net, inside: bool) -> [Expression; 3] {
    let network = range.network().octets().to_vec();
    let compare =
        if inside { Expression::Equal(register, network) } else { Expression::NotEqual(register, network) };
    [load, Expression::And(register, range.netmask().octets()), compare]
}

/// The key of an element whose fields are these: each filled with zeros to a multiple of 4 bytes.
pub fn key_of(fields: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::new();
    for field in fields {
        key.extend(*field);
        key.resize(key.len().next_multiple_of(4), 0);
    }
    key
}

impl Register {
    fn number(self) -> u32 {
        NFT_REG32_00 + u32::from(self.0)
    }
}

impl Verdict {
    /// As `NFTA_DATA_VERDICT`.
    pub(super) fn encode(&self, data: &mut Attributes) {
        data.nested(2, |verdict| match self {
            Self::Drop => drop(verdict.u32(1, 0)),
            Self::Accept => drop(verdict.u32(1, 1)),
            Self::Goto(chain) => drop(verdict.bytes(1, &(-4i32).to_be_bytes()).string(2, chain)),
        });
    }
}

impl Expression {
    /// An interface's name as it is compared: all 16 bytes.
    pub fn interface(name: &str) -> Vec<u8> {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(IFNAMSIZ, 0);
        bytes
    }

    /// Loads an address for a translation.
    pub fn address(register: Register, address: Ipv4Addr) -> Self {
        Self::Load(register, address.octets().to_vec())
    }

    /// As `NFTA_LIST_ELEM`: its name and its attributes.
    pub(super) fn encode(&self, element: &mut Attributes) {
        match self {
            Self::SourceAddress(to) => payload(element, *to, NETWORK_HEADER, 12, 4),
            Self::DestinationAddress(to) => payload(element, *to, NETWORK_HEADER, 16, 4),
            Self::DestinationNetwork(to) => payload(element, *to, NETWORK_HEADER, 16, 1),
            Self::DestinationPort(to) => payload(element, *to, TRANSPORT_HEADER, 2, 2),
            Self::Protocol(to) => meta(element, *to, NFT_META_L4PROTO),
            Self::InputInterface(to) => meta(element, *to, NFT_META_IIFNAME),
            Self::OutputInterface(to) => meta(element, *to, NFT_META_OIFNAME),
            Self::ConnectionState(to) => connection(element, *to, NFT_CT_STATE, None),
            Self::ConnectionStatus(to) => connection(element, *to, NFT_CT_STATUS, None),
            Self::OriginalDestination(to) => {
                connection(element, *to, NFT_CT_DST_IP, Some(IP_CT_DIR_ORIGINAL));
            }
            Self::DestinationKind(to) => named(element, "fib", |data| {
                data.u32(1, to.number()).u32(2, NFT_FIB_RESULT_ADDRTYPE).u32(3, NFTA_FIB_F_DADDR);
            }),
            Self::Random(to, modulus) => named(element, "numgen", |data| {
                data.u32(1, to.number()).u32(2, *modulus).u32(3, 1).u32(4, 0);
            }),
            Self::Load(to, value) => named(element, "immediate", |data| {
                data.u32(1, to.number()).value(2, value);
            }),
            Self::And(register, mask) => bitwise(element, *register, *mask),
            Self::Equal(from, value) => compare(element, *from, 0, value),
            Self::NotEqual(from, value) => compare(element, *from, 1, value),
            Self::InSet(from, set) => lookup(element, set, 0, *from, None),
            Self::VerdictOf(from, map) => lookup(element, map, 0, *from, Some(NFT_REG_VERDICT)),
            Self::ValueOf(register, id) => {
                lookup(element, ANONYMOUS_MAP, *id, *register, Some(register.number()));
            }
            Self::Decide(verdict) => named(element, "immediate", |data| {
                data.u32(1, NFT_REG_VERDICT).nested(2, |constant| verdict.encode(constant));
            }),
            Self::TranslateDestination(address, port) => nat(element, 1, *address, Some(*port)),
            Self::TranslateSource(address) => nat(element, 0, *address, None),
            Self::Masquerade => named(element, "masq", |data| {
                data.u32(1, NF_NAT_RANGE_PROTO_RANDOM_FULLY);
            }),
            Self::RejectWithReset => reject(element, 1, 0),
            Self::RejectWithUnreachable => reject(element, 0, ICMP_PORT_UNREACHABLE),
        }
    }
}

const ICMP_PORT_UNREACHABLE: u8 = 3;
const NFPROTO_IPV4: u32 = 2;

fn named(element: &mut Attributes, name: &str, fill: impl FnOnce(&mut Attributes)) {
    element.string(1, name).nested(2, fill);
}

fn payload(element: &mut Attributes, to: Register, base: u32, offset: u32, length: u32) {
    named(element, "payload", |data| {
        data.u32(1, to.number()).u32(2, base).u32(3, offset).u32(4, length);
    });
}

fn meta(element: &mut Attributes, to: Register, key: u32) {
    named(element, "meta", |data| {
        data.u32(1, to.number()).u32(2, key);
    });
}

fn connection(element: &mut Attributes, to: Register, key: u32, direction: Option<u8>) {
    named(element, "ct", |data| {
        data.u32(1, to.number()).u32(2, key);
        if let Some(direction) = direction {
            data.bytes(3, &[direction]);
        }
    });
}

fn bitwise(element: &mut Attributes, register: Register, mask: [u8; 4]) {
    named(element, "bitwise", |data| {
        data.u32(1, register.number()).u32(2, register.number()).u32(3, 4);
        data.value(4, &mask);
        data.value(5, &[0; 4]);
    });
}

fn compare(element: &mut Attributes, from: Register, operator: u32, value: &[u8]) {
    named(element, "cmp", |data| {
        data.u32(1, from.number()).u32(2, operator).value(3, value);
    });
}

fn lookup(element: &mut Attributes, set: &str, id: u32, from: Register, to: Option<u32>) {
    named(element, "lookup", |data| {
        data.string(1, set).u32(2, from.number());
        if let Some(to) = to {
            data.u32(3, to);
        }
        if id != 0 {
            data.u32(4, id);
        }
    });
}

fn nat(element: &mut Attributes, kind: u32, address: Register, port: Option<Register>) {
    named(element, "nat", |data| {
        data.u32(1, kind).u32(2, NFPROTO_IPV4).u32(3, address.number());
        if let Some(port) = port {
            data.u32(5, port.number());
        }
    });
}

fn reject(element: &mut Attributes, kind: u32, code: u8) {
    named(element, "reject", |data| {
        data.u32(1, kind).bytes(2, &[code]);
    });
}
