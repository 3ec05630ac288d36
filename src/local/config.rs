//! How a local cluster was made: written at its first `up`, kept until it is purged.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, bail};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// A cluster is at most this many nodes: each has a /24 of the pods' range, and one machine has its limits.
pub(crate) const NODES_MAX: u16 = 100;
/// A cluster's range holds the underlay, the pods and the services, each a quarter of it.
const PREFIX_MAX: u8 = 14;

/// How a cluster was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ClusterConfig {
    pub(crate) nodes: u16,
    /// Underlay, pods and services, a quarter each.
    pub(crate) cluster_cidr: Ipv4Net,
    /// The loopback address where the front and the API listen.
    pub(crate) address: Ipv4Addr,
    pub(crate) api_port: u16,
    pub(crate) http_port: u16,
}

impl ClusterConfig {
    pub(crate) fn load(path: &Path) -> anyhow::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(|| {
                format!("{} is damaged: mend it, or remove it and run `up` again", path.display())
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub(crate) fn save(&self, path: &Path) -> anyhow::Result<()> {
        let draft = path.with_extension("draft");
        let text = serde_json::to_string_pretty(self).expect("plain data serializes");
        fs::write(&draft, text + "\n")
            .and_then(|()| fs::rename(&draft, path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// # Errors
    /// What was wrong, and what would be right.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.nodes == 0 || self.nodes > NODES_MAX {
            bail!("--nodes {}: a local cluster has 1 to {NODES_MAX} nodes", self.nodes);
        }
        if self.cluster_cidr.prefix_len() > PREFIX_MAX {
            bail!(
                "--cluster-cidr {}: it must be a /{PREFIX_MAX} or larger, e.g. 10.64.0.0/14",
                self.cluster_cidr
            );
        }
        if self.cluster_cidr.trunc() != self.cluster_cidr {
            bail!("--cluster-cidr {}: did you mean {}?", self.cluster_cidr, self.cluster_cidr.trunc());
        }
        if !self.address.is_loopback() {
            bail!("--address {}: it must be a loopback address, 127.0.0.0/8", self.address);
        }
        if self.api_port == self.http_port {
            bail!("--api-port and --http-port are both {}: they must differ", self.api_port);
        }
        Ok(())
    }

    fn quarter(&self, index: usize) -> Ipv4Net {
        let quarters = self.cluster_cidr.subnets(16.max(self.cluster_cidr.prefix_len() + 2));
        let quarter = quarters.ok().and_then(|mut quarters| quarters.nth(index));
        quarter.expect("check: the range has four quarters")
    }

    /// Where the nodes live.
    pub(crate) fn underlay(&self) -> Ipv4Net {
        self.quarter(0)
    }

    pub(crate) fn pods(&self) -> Ipv4Net {
        self.quarter(1)
    }

    pub(crate) fn services(&self) -> Ipv4Net {
        self.quarter(2)
    }

    /// The machine's own address among the nodes.
    pub(crate) fn host_address(&self) -> Ipv4Addr {
        nth(self.underlay(), 1)
    }

    /// All nodes, in order.
    pub(crate) fn node_list(&self) -> Vec<LocalNode> {
        (1..=self.nodes).map(|index| self.node(index)).collect()
    }

    fn node(&self, index: u16) -> LocalNode {
        let pods = self.pods().subnets(24).ok().and_then(|mut ranges| ranges.nth(usize::from(index)));
        LocalNode {
            name: format!("node-{index}"),
            address: nth(self.underlay(), 256 + u32::from(index)),
            pod_cidr: pods.expect("check: every node has its /24"),
        }
    }
}

/// One node of a local cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalNode {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) pod_cidr: Ipv4Net,
}

fn nth(net: Ipv4Net, index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(net.network().to_bits() + index)
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            nodes: 1,
            cluster_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 64, 0, 0), PREFIX_MAX),
            address: Ipv4Addr::LOCALHOST,
            api_port: 6443,
            http_port: 8080,
        }
    }
}
