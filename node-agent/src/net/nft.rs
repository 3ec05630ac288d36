//! nf_tables over netlink: tables, chains, rules, maps and their elements, changed in transactions.
//!
//! An encoder for what this project uses, not for all of nf_tables. It knows nothing of services. A [`Batch`] is
//! one transaction: the kernel does all of it or nothing, and packets see either the old rules or the new.
//! The numbers are those of `linux/netfilter/nf_tables.h`; `nft list ruleset` shows what came of them.

mod attributes;
mod expression;

use super::netlink::{
    HEADER_BYTES, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkError, Socket,
};
use attributes::Attributes;
pub use expression::{Expression, REGISTER, Register, Verdict, in_range, key_of};

const NFPROTO_IPV4: u8 = 2;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;

const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_DELCHAIN: u16 = 5;
const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_DELRULE: u16 = 8;
const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;

const NLM_F_APPEND: u16 = 0x800;
const NFT_SET_ANONYMOUS: u32 = 0x1;
const NFT_SET_CONSTANT: u32 = 0x2;
const NFT_SET_MAP: u32 = 0x8;
const NFT_DATA_VERDICT: u32 = 0xffff_ff00;
/// A list of elements is one attribute, which holds less than 64 KiB; an element takes at most 300 bytes (the
/// longest is a verdict with a chain's name).
const ELEMENTS_PER_MESSAGE: usize = 200;
/// The kernel replaces `%d` by a number that is free.
const ANONYMOUS_MAP: &str = "__map%d";
/// User data that tells `nft` to show the keys in the machine's byte order: type, length, a native 1.
const HOST_ORDER_KEY: [u8; 6] = {
    let [a, b, c, d] = 1u32.to_ne_bytes();
    [0, 4, a, b, c, d]
};
/// What `nft` shows of a comment.
const COMMENT_BYTES_MAX: usize = 120;

/// Where a base chain hangs, and when it is its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Destination translation of what arrives.
    NatPrerouting,
    /// Destination translation of what this machine sends.
    NatOutput,
    /// Source translation of what leaves.
    NatPostrouting,
    /// The fate of what passes through.
    FilterForward,
}

impl Hook {
    /// Hook number, priority, chain type.
    fn parts(self) -> (u32, i32, &'static str) {
        match self {
            Self::NatPrerouting => (0, -100, "nat"),
            Self::NatOutput => (3, -100, "nat"),
            Self::NatPostrouting => (4, 100, "nat"),
            Self::FilterForward => (2, 0, "filter"),
        }
    }
}

/// One field of a key or of a value, and what `nft` calls it. In a concatenation each takes a multiple of 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A number in the machine's byte order, 4 bytes.
    Integer,
    /// An IPv4 address.
    Ipv4,
    /// The number of a transport protocol.
    Protocol,
    /// A port.
    Port,
}

impl Field {
    /// `enum datatypes` of nftables' own sources; only for `nft list`.
    fn type_number(self) -> u32 {
        match self {
            Self::Integer => 4,
            Self::Ipv4 => 7,
            Self::Protocol => 12,
            Self::Port => 13,
        }
    }
}

/// What a key of a map leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing: it is a set.
    None,
    /// What happens to the packet.
    Verdict,
    /// Data of these fields.
    Data(&'a [Field]),
}

/// One element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The fields, each filled to a multiple of 4 bytes; see [`key_of`].
    pub key: Vec<u8>,
    /// What it leads to; when it is deleted, nothing.
    pub value: ElementValue,
}

/// The value of one element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElementValue {
    /// Of a set, or of an element that is deleted.
    None,
    /// Of a verdict map.
    Verdict(Verdict),
    /// Of a data map.
    Data(Vec<u8>),
}

/// One transaction on one table of family `ip`.
#[derive(Debug)]
pub struct Batch<'a> {
    table: &'a str,
    messages: Vec<Vec<u8>>,
    anonymous_maps: u32,
}

impl<'a> Batch<'a> {
    /// Nothing yet, on `table`.
    pub fn new(table: &'a str) -> Self {
        Self { table, messages: vec![batch_message(NFNL_MSG_BATCH_BEGIN)], anonymous_maps: 0 }
    }

    /// Makes the table if there is none.
    pub fn add_table(&mut self) -> &mut Self {
        let table = self.table;
        self.push(NFT_MSG_NEWTABLE, NLM_F_CREATE, |attributes| {
            attributes.string(1, table).u32(2, 0);
        })
    }

    /// Makes the table; if there is one already, the transaction fails with `EEXIST`.
    pub fn create_table(&mut self) -> &mut Self {
        let table = self.table;
        self.push(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, |attributes| {
            attributes.string(1, table).u32(2, 0);
        })
    }

    /// Removes the table with all that is in it; there must be one.
    pub fn delete_table(&mut self) -> &mut Self {
        let table = self.table;
        self.push(NFT_MSG_DELTABLE, 0, |attributes| {
            attributes.string(1, table);
        })
    }

    /// Removes the table if there is one, and makes it anew.
    pub fn replace_table(&mut self) -> &mut Self {
        self.add_table().delete_table().add_table()
    }

    /// Makes a chain that other chains lead to.
    pub fn add_chain(&mut self, chain: &str) -> &mut Self {
        let table = self.table;
        self.push(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |attributes| {
            attributes.string(1, table).string(3, chain);
        })
    }

    /// Makes a chain that the kernel calls itself; what it does not decide is accepted.
    pub fn add_base_chain(&mut self, chain: &str, hook: Hook) -> &mut Self {
        let table = self.table;
        let (number, priority, kind) = hook.parts();
        self.push(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |attributes| {
            attributes.string(1, table).string(3, chain);
            attributes.nested(4, |hook| {
                hook.u32(1, number).bytes(2, &priority.to_be_bytes());
            });
            attributes.string(7, kind);
        })
    }

    /// Removes an empty chain that nothing leads to any more.
    pub fn delete_chain(&mut self, chain: &str) -> &mut Self {
        let table = self.table;
        self.push(NFT_MSG_DELCHAIN, 0, |attributes| {
            attributes.string(1, table).string(3, chain);
        })
    }

    /// Removes the rules of a chain.
    pub fn flush_chain(&mut self, chain: &str) -> &mut Self {
        let table = self.table;
        self.push(NFT_MSG_DELRULE, 0, |attributes| {
            attributes.string(1, table).string(2, chain);
        })
    }

    /// Appends a rule; `comment` is shown by `nft list` and may be empty.
    pub fn add_rule(&mut self, chain: &str, comment: &str, expressions: &[Expression]) -> &mut Self {
        let table = self.table;
        self.push(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |attributes| {
            attributes.string(1, table).string(2, chain);
            attributes.nested(4, |list| {
                for expression in expressions {
                    list.nested(1, |element| expression.encode(element));
                }
            });
            if let Some(user_data) = comment_data(comment) {
                attributes.bytes(7, &user_data);
            }
        })
    }

    /// Makes a named set or map.
    pub fn add_map(&mut self, name: &str, key: &[Field], value: Value<'_>) -> &mut Self {
        self.push_map(name, 0, 0, key, value)
    }

    /// Makes a map without a name for the next rule of this batch, which refers to it by the number returned;
    /// the kernel removes it with the rule.
    pub fn add_anonymous_map(&mut self, key: &[Field], value: Value<'_>, elements: &[Element]) -> u32 {
        self.anonymous_maps = self.anonymous_maps.saturating_add(1);
        let id = self.anonymous_maps;
        self.push_map(ANONYMOUS_MAP, id, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT, key, value);
        self.push_elements(NFT_MSG_NEWSETELEM, ANONYMOUS_MAP, id, elements);
        id
    }

    /// Adds elements to a named set or map.
    pub fn add_elements(&mut self, name: &str, elements: &[Element]) -> &mut Self {
        self.push_elements(NFT_MSG_NEWSETELEM, name, 0, elements)
    }

    /// Removes elements, found by their keys, from a named set or map.
    pub fn delete_elements(&mut self, name: &str, elements: &[Element]) -> &mut Self {
        self.push_elements(NFT_MSG_DELSETELEM, name, 0, elements)
    }

    /// Whether committing it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.messages.len() == 1
    }

    /// Carries out the transaction: all of it or, with an error, nothing.
    pub fn commit(mut self, socket: &mut Socket) -> Result<(), NetlinkError> {
        if self.is_empty() {
            return Ok(());
        }
        // Only the last change is acknowledged: kernels before 6.10 do not answer for the ends of a batch.
        let last = self.messages.last_mut().expect("a batch begins with its first message");
        let flags = flags_of(last) | NLM_F_ACK;
        last[6..8].copy_from_slice(&flags.to_ne_bytes());
        socket.request_with_end(&mut self.messages, batch_message(NFNL_MSG_BATCH_END))
    }

    fn push_map(&mut self, name: &str, id: u32, flags: u32, key: &[Field], value: Value<'_>) -> &mut Self {
        let table = self.table;
        let is_map = if value == Value::None { 0 } else { NFT_SET_MAP };
        self.push(NFT_MSG_NEWSET, NLM_F_CREATE, |attributes| {
            attributes.string(1, table).string(2, name).u32(3, flags | is_map);
            attributes.u32(4, type_of(key)).u32(5, length_of(key));
            match value {
                Value::None => {}
                Value::Verdict => drop(attributes.u32(6, NFT_DATA_VERDICT)),
                Value::Data(fields) => drop(attributes.u32(6, type_of(fields)).u32(7, length_of(fields))),
            }
            attributes.u32(10, id);
            if key == [Field::Integer] {
                attributes.bytes(13, &HOST_ORDER_KEY);
            }
        })
    }

    fn push_elements(&mut self, message: u16, name: &str, id: u32, elements: &[Element]) -> &mut Self {
        let table = self.table;
        for part in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.push(message, NLM_F_CREATE, |attributes| {
                attributes.string(1, table).string(2, name);
                attributes.nested(3, |list| {
                    for element in part {
                        list.nested(1, |inside| encode_element(inside, element));
                    }
                });
                if id != 0 {
                    attributes.u32(4, id);
                }
            });
        }
        self
    }

    fn push(&mut self, message: u16, flags: u16, fill: impl FnOnce(&mut Attributes)) -> &mut Self {
        let kind = NFNL_SUBSYS_NFTABLES << 8 | message;
        let mut attributes = Attributes::after(header(kind, NLM_F_REQUEST | flags, NFPROTO_IPV4, 0));
        fill(&mut attributes);
        self.messages.push(attributes.into_bytes());
        self
    }
}

/// `struct nlmsghdr` and `struct nfgenmsg`; length and sequence are filled in when it is sent.
pub(crate) fn header(kind: u16, flags: u16, family: u8, resource: u16) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes
}

fn batch_message(kind: u16) -> Vec<u8> {
    header(kind, NLM_F_REQUEST, 0, NFNL_SUBSYS_NFTABLES)
}

fn flags_of(message: &[u8]) -> u16 {
    u16::from_ne_bytes([message[6], message[7]])
}

/// The types of a concatenation, 6 bits each, as `nft` reads them.
fn type_of(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |sum, field| sum << 6 | field.type_number())
}

/// Bytes. A field alone has its own length, in a concatenation each is filled to 4.
fn length_of(fields: &[Field]) -> u32 {
    match fields {
        [Field::Port] => 2,
        [Field::Protocol] => 1,
        several => several.iter().fold(0, |sum, _| sum + 4),
    }
}

fn encode_element(attributes: &mut Attributes, element: &Element) {
    attributes.value(1, &element.key);
    match &element.value {
        ElementValue::None => {}
        ElementValue::Verdict(verdict) => drop(attributes.nested(2, |data| verdict.encode(data))),
        ElementValue::Data(value) => drop(attributes.value(2, value)),
    }
}

/// A rule's comment in the form that `nft` keeps it in: type 0, length, text, zero.
fn comment_data(comment: &str) -> Option<Vec<u8>> {
    let cut = comment.char_indices().map(|(at, _)| at).take_while(|at| *at <= COMMENT_BYTES_MAX).last()?;
    let text = if comment.len() <= COMMENT_BYTES_MAX { comment } else { &comment[..cut] };
    let length = u8::try_from(text.len() + 1).ok()?;
    Some([&[0, length], text.as_bytes(), &[0]].concat())
}

#[cfg(test)]
mod tests;
