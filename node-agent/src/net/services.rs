//! Service addresses and node ports, in the kernel: the table of services applied to nftables, change by change.
//!
//! Owns the table, what of it is in the kernel, and the zone that DNS answers from. `table` says what should be,
//! `plan` what has to change, `rules` how that is said to nf_tables; this file carries it out.
//!
//! ```text
//! Unknown ──any table: rebuilt in one transaction──▶ Installed ──changes──▶ Installed
//!    ▲                                                  │
//!    └────────── a change that the kernel refused ──────┘
//! ```
//!
//! A table that an earlier agent left stays in force until the first word of the control plane: connections
//! go on being balanced while an agent is replaced.

mod conntrack;
mod plan;
mod rules;
mod table;

use std::collections::BTreeSet;
use std::error::Error;
use std::net::Ipv4Addr;

use nix::errno::Errno;

use super::dns::SharedZone;
use super::netlink::{Family, NetlinkError, Socket};
use super::nft::Batch;
use super::pods::kernel;
use super::{NetConfig, NetError, ServiceRequest};
use plan::{
    Change, Installed, apply_changes, compute_changes, compute_hairpin_changes, compute_hairpins,
    compute_vanished_udp,
};
use rules::TABLE;
use table::Table;

/// The owner of the node's service tables.
#[derive(Debug)]
pub(super) struct Services {
    config: NetConfig,
    socket: Socket,
    table: Table,
    kernel: Kernel,
    zone: SharedZone,
}

/// What we know to be in the kernel.
#[derive(Debug)]
enum Kernel {
    /// What an earlier agent left, or what a failure left.
    Unknown,
    Installed {
        frontends: Installed,
        hairpins: BTreeSet<Ipv4Addr>,
    },
}

impl Services {
    /// Makes the tables if there are none yet.
    pub(super) fn open(config: NetConfig, zone: SharedZone) -> Result<Self, NetError> {
        let mut socket = Socket::open(Family::Netfilter).map_err(kernel("open", "nfnetlink"))?;
        let mut batch = Batch::new(TABLE);
        batch.create_table();
        rules::add_frame(&mut batch, &config);
        match batch.commit(&mut socket) {
            Err(error) if error.errno() != Some(Errno::EEXIST as i32) => {
                return Err(kernel("make the table", TABLE)(error));
            }
            Ok(()) | Err(_) => {}
        }
        Ok(Self { config, socket, table: Table::default(), kernel: Kernel::Unknown, zone })
    }

    /// Does one thing that was asked for. Whoever asked and no longer listens is not told.
    pub(super) fn serve(&mut self, request: ServiceRequest) {
        match request {
            ServiceRequest::Table { table, answer } => drop(answer.send(self.update(table))),
            ServiceRequest::Endpoint { ip, up, answer } => {
                drop(answer.send(self.set_endpoint(ip, up)));
            }
            ServiceRequest::Remove { answer } => drop(answer.send(self.remove())),
        }
    }

    fn update(&mut self, update: proto::ServiceTable) -> Result<u64, NetError> {
        let generation = update.generation;
        let touched = self.table.update(update);
        self.apply(&touched)?;
        Ok(generation)
    }

    fn set_endpoint(&mut self, ip: Ipv4Addr, up: bool) -> Result<(), NetError> {
        let touched = self.table.set_endpoint(ip, up);
        match self.kernel {
            // Before the first table nothing is known that the endpoint could be taken out of.
            Kernel::Unknown => Ok(()),
            Kernel::Installed { .. } => self.apply(&touched),
        }
    }

    /// Brings the kernel, then DNS, to what the table says of the services `touched`.
    fn apply(&mut self, touched: &BTreeSet<String>) -> Result<(), NetError> {
        let applied = self.apply_changes(touched).or_else(|error| {
            let error: &dyn Error = &error;
            tracing::warn!(error, "the kernel refused a change of the service tables; building them anew");
            self.rebuild()
        });
        let table = &self.table;
        let mut zone = self.zone.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for name in touched {
            zone.set(name, table.get(name), |ip| table.is_down(ip));
        }
        applied.map_err(kernel("change the table", TABLE))
    }

    fn apply_changes(&mut self, touched: &BTreeSet<String>) -> Result<(), NetlinkError> {
        let Kernel::Installed { frontends, hairpins } = &mut self.kernel else { return self.rebuild() };
        let mut changes = compute_changes(frontends, &self.table.wanted(touched), touched);
        let vanished = compute_vanished_udp(frontends, &changes);
        apply_changes(frontends, &changes);
        let next_hairpins = compute_hairpins(frontends, self.config.pod_cidr);
        changes.extend(compute_hairpin_changes(hairpins, &next_hairpins));
        *hairpins = next_hairpins;
        commit(&mut self.socket, Batch::new(TABLE), &changes)?;
        if !vanished.is_empty()
            && let Err(error) = conntrack::forget(&mut self.socket, &vanished)
        {
            let error: &dyn Error = &error;
            tracing::warn!(error, "cannot end UDP flows to endpoints that are gone; they end by themselves");
        }
        Ok(())
    }

    /// Replaces the whole table in one transaction: no packet sees it half made.
    fn rebuild(&mut self) -> Result<(), NetlinkError> {
        self.kernel = Kernel::Unknown;
        let frontends = self.table.wanted(self.table.names());
        let hairpins = compute_hairpins(&frontends, self.config.pod_cidr);
        let mut changes: Vec<Change> =
            frontends.iter().map(|(frontend, rule)| Change::Add(*frontend, rule.clone())).collect();
        changes.extend(hairpins.iter().copied().map(Change::AddHairpin));
        let mut batch = Batch::new(TABLE);
        batch.replace_table();
        rules::add_frame(&mut batch, &self.config);
        commit(&mut self.socket, batch, &changes)?;
        self.kernel = Kernel::Installed { frontends, hairpins };
        Ok(())
    }

    fn remove(&mut self) -> Result<(), NetError> {
        self.kernel = Kernel::Unknown;
        let mut batch = Batch::new(TABLE);
        batch.add_table().delete_table();
        batch.commit(&mut self.socket).map_err(kernel("remove the table", TABLE))
    }
}

fn commit(socket: &mut Socket, mut batch: Batch<'_>, changes: &[Change]) -> Result<(), NetlinkError> {
    for change in changes {
        rules::add_change(&mut batch, change);
    }
    batch.commit(socket)
}
