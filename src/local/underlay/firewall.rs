//! The machine's rules for one cluster: its pods may go out, and nobody may come in through the machine.
//!
//! A table of its own, so nothing that others wrote is touched; where others drop what is forwarded (Docker sets
//! the policy of its chain so), their word still counts.

use anyhow::Context;
use ipnet::Ipv4Net;
use node_agent::net::netlink::{Family, Socket};
use node_agent::net::nft::{Batch, Expression, Hook, REGISTER, Verdict, in_range};

use super::names::Names;

/// `NF_CT_STATE_BIT`s of established and related.
const KNOWN_CONNECTION: u32 = 0b110;

/// Writes the rules, in place of those that are there.
pub(super) fn install(names: &Names, range: Ipv4Net) -> anyhow::Result<()> {
    let table = names.table();
    let bridge = Expression::interface(&names.bridge());
    let mut batch = Batch::new(&table);
    batch.replace_table();
    batch.add_base_chain("postrouting", Hook::NatPostrouting);
    let mut outwards = Vec::new();
    outwards.extend(in_range(Expression::SourceAddress(REGISTER), REGISTER, range, true));
    outwards.extend(in_range(Expression::DestinationAddress(REGISTER), REGISTER, range, false));
    outwards.extend([
        Expression::OutputInterface(REGISTER),
        Expression::NotEqual(REGISTER, bridge.clone()),
        Expression::Masquerade,
    ]);
    batch.add_rule("postrouting", "out of the cluster", &outwards);
    batch.add_base_chain("forward", Hook::FilterForward);
    // The machine forwards because of us; that must not open the cluster to its neighbours.
    let inwards = [
        Expression::OutputInterface(REGISTER),
        Expression::Equal(REGISTER, bridge.clone()),
        Expression::InputInterface(REGISTER),
        Expression::NotEqual(REGISTER, bridge),
        Expression::ConnectionState(REGISTER),
        Expression::And(REGISTER, KNOWN_CONNECTION.to_ne_bytes()),
        Expression::Equal(REGISTER, vec![0; 4]),
        Expression::Decide(Verdict::Drop),
    ];
    batch.add_rule("forward", "nobody new into the cluster", &inwards);
    batch
        .commit(&mut Socket::open(Family::Netfilter)?)
        .with_context(|| format!("cannot write the nftables table {table}"))
}

/// Removes the rules, if they are there.
pub(super) fn remove(names: &Names) -> anyhow::Result<()> {
    let table = names.table();
    let mut batch = Batch::new(&table);
    batch.add_table().delete_table();
    batch
        .commit(&mut Socket::open(Family::Netfilter)?)
        .with_context(|| format!("cannot remove the nftables table {table}"))
}
