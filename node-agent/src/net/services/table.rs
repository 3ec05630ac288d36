//! The table of services as the control plane last said, and what this node knows better. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::plan::{Installed, compute_frontends};

/// Every service of the cluster, by `namespace/name`.
#[derive(Debug, Default)]
pub(super) struct Table {
    services: BTreeMap<String, proto::Service>,
    /// Endpoints of this node that are gone although the control plane does not know yet.
    down: BTreeSet<Ipv4Addr>,
}

impl Table {
    /// Takes in a complete table or a change; returns the services that may differ now.
    pub(super) fn update(&mut self, update: proto::ServiceTable) -> BTreeSet<String> {
        let mut touched: BTreeSet<String> = update.removed.into_iter().collect();
        if update.complete {
            touched.extend(std::mem::take(&mut self.services).into_keys());
        }
        for name in &touched {
            self.services.remove(name);
        }
        for service in update.changed {
            let name = format!("{}/{}", service.namespace, service.name);
            touched.insert(name.clone());
            self.services.insert(name, service);
        }
        self.forgive_known_down(&mut touched);
        touched
    }

    /// Marks an endpoint as gone, or ends that; returns the services that it belongs to.
    pub(super) fn set_endpoint(&mut self, ip: Ipv4Addr, up: bool) -> BTreeSet<String> {
        let changed = if up { self.down.remove(&ip) } else { self.down.insert(ip) };
        if !changed {
            return BTreeSet::new();
        }
        self.services_with(ip)
    }

    /// The frontends that the services of these names should have. Where two claim the same, the first by name has it.
    pub(super) fn wanted<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Installed {
        let mut wanted = Installed::new();
        for service in names.into_iter().filter_map(|name| self.services.get(name)) {
            for (frontend, rule) in compute_frontends(service, &self.down) {
                wanted.entry(frontend).or_insert(rule);
            }
        }
        wanted
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.services.keys()
    }

    pub(super) fn get(&self, name: &str) -> Option<&proto::Service> {
        self.services.get(name)
    }

    pub(super) fn is_down(&self, ip: Ipv4Addr) -> bool {
        self.down.contains(&ip)
    }

    /// Once the control plane itself no longer calls an endpoint ready, its word counts again: the endpoint is
    /// up as soon as it says so.
    fn forgive_known_down(&mut self, touched: &mut BTreeSet<String>) {
        let ready = |service: &proto::Service, ip: Ipv4Addr| {
            let mut endpoints = service.ports.iter().flat_map(|port| &port.endpoints);
            endpoints.any(|endpoint| endpoint.ready && endpoint.ip.parse() == Ok(ip))
        };
        let services = &self.services;
        let known: Vec<Ipv4Addr> = self
            .down
            .iter()
            .copied()
            .filter(|ip| !services.values().any(|service| ready(service, *ip)))
            .collect();
        for ip in known {
            self.down.remove(&ip);
            touched.extend(self.services_with(ip));
        }
    }

    fn services_with(&self, ip: Ipv4Addr) -> BTreeSet<String> {
        let text = ip.to_string();
        let has = |service: &proto::Service| {
            service.ports.iter().flat_map(|port| &port.endpoints).any(|endpoint| endpoint.ip == text)
        };
        self.services.iter().filter(|(_, service)| has(service)).map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
