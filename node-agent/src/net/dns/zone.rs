//! The names of the cluster's services and what is answered about them. Pure.
//!
//! Follows the Kubernetes DNS specification 1.1.0 (github.com/kubernetes/dns, docs/specification.md): A, SRV and PTR
//! for services, headless services and their named pods; CNAME for ExternalName. There are no AAAA records: the
//! cluster speaks IPv4, and saying "no such data" at once keeps clients from waiting for a second answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::str::FromStr;

use hickory_proto::op::Query;
use hickory_proto::rr::rdata::{A, CNAME, PTR, SOA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use ipnet::{IpNet, Ipv4Net};

/// Seconds. Short: an endpoint that is gone must not be dialled for long.
const TTL_S: u32 = 5;
/// Seconds that clients may remember that there is no such name.
const NEGATIVE_TTL_S: u32 = 5;

/// What is known about one question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The name is none of the cluster's; ask elsewhere.
    NotOurs,
    /// There is no such name.
    NoSuchName,
    /// The name exists; there may be no records of the type that was asked for.
    Records {
        /// In no particular order.
        answers: Vec<Record>,
        /// Addresses of the targets of SRV records.
        additionals: Vec<Record>,
    },
    /// The name stands for another, which may be anybody's.
    Alias {
        /// The record that says so.
        record: Box<Record>,
        /// What it stands for.
        target: Name,
    },
}

/// The names of the cluster.
#[derive(Debug)]
pub(crate) struct Zone {
    domain: Name,
    /// Addresses in these ranges are ours to name.
    ranges: [Ipv4Net; 2],
    services: BTreeMap<String, Entry>,
    /// How many services each namespace has, so that `NAMESPACE.svc` is known to exist.
    namespaces: BTreeMap<String, usize>,
    /// The names of an address; the first is its PTR record.
    names: BTreeMap<Ipv4Addr, BTreeSet<Name>>,
}

/// What one service contributes.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    name: Name,
    namespace: String,
    kind: Kind,
    ports: Vec<Port>,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Cluster(Ipv4Addr),
    Headless(BTreeMap<Ipv4Addr, String>),
    External(Name),
}

#[derive(Debug, PartialEq, Eq)]
struct Port {
    name: String,
    protocol: String,
    number: u16,
}

impl Zone {
    /// The zone of a cluster without services. A domain that is no name is taken for the root.
    pub(crate) fn new(domain: &str, ranges: [Ipv4Net; 2]) -> Self {
        let mut domain = Name::from_str(&domain.to_lowercase()).unwrap_or_else(|_| Name::root());
        domain.set_fqdn(true);
        Self {
            domain,
            ranges,
            services: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// Replaces what is known of the service `key`; `None` forgets it. Endpoints that are `down` have no names.
    pub(crate) fn set(
        &mut self,
        key: &str,
        service: Option<&proto::Service>,
        down: impl Fn(Ipv4Addr) -> bool,
    ) {
        if let Some(old) = self.services.remove(key) {
            self.forget(&old);
        }
        let Some(entry) = service.and_then(|service| self.entry(service, down)) else { return };
        *self.namespaces.entry(entry.namespace.clone()).or_default() += 1;
        for (ip, name) in names_of(&entry) {
            self.names.entry(ip).or_default().insert(name);
        }
        self.services.insert(key.to_owned(), entry);
    }

    /// What is to be answered.
    pub(crate) fn answer(&self, query: &Query) -> Answer {
        if query.query_class() != DNSClass::IN {
            return Answer::NotOurs;
        }
        let mut name = query.name().to_lowercase();
        name.set_fqdn(true);
        if let Ok(network) = name.parse_arpa_name() {
            return self.answer_reverse(&name, network, query.query_type());
        }
        if !self.domain.zone_of(&name) {
            return Answer::NotOurs;
        }
        self.answer_forward(&name, query.query_type())
    }

    /// The record that goes with every "there is none", and says for how long that may be believed.
    pub(crate) fn authority(&self) -> Record {
        let server = self.domain.prepend_label("dns").and_then(|name| name.prepend_label("ns"));
        let server = server.unwrap_or_else(|_| self.domain.clone());
        let soa = SOA::new(server.clone(), server, 1, 7200, 1800, 86400, NEGATIVE_TTL_S);
        Record::from_rdata(self.domain.clone(), NEGATIVE_TTL_S, RData::SOA(soa))
    }

    fn forget(&mut self, entry: &Entry) {
        if let Some(count) = self.namespaces.get_mut(&entry.namespace) {
            *count -= 1;
            if *count == 0 {
                self.namespaces.remove(&entry.namespace);
            }
        }
        for (ip, name) in names_of(entry) {
            if let Some(names) = self.names.get_mut(&ip) {
                names.remove(&name);
                if names.is_empty() {
                    self.names.remove(&ip);
                }
            }
        }
    }

    /// Reads a service; `None` where its name or its target is no DNS name.
    fn entry(&self, service: &proto::Service, down: impl Fn(Ipv4Addr) -> bool) -> Option<Entry> {
        let labels = [service.name.as_str(), service.namespace.as_str(), "svc"];
        let name = Name::from_labels(labels.map(str::as_bytes)).ok()?.append_domain(&self.domain).ok()?;
        let kind = if service.r#type == "ExternalName" {
            let mut target = Name::from_str(&service.external_name).ok()?;
            target.set_fqdn(true);
            Kind::External(target)
        } else if let Ok(ip) = service.cluster_ip.parse() {
            Kind::Cluster(ip)
        } else {
            Kind::Headless(hosts_of(service, down))
        };
        let ports = service.ports.iter().filter_map(|port| {
            let protocol =
                if port.protocol.is_empty() { "tcp".to_owned() } else { port.protocol.to_lowercase() };
            Some(Port { name: port.name.clone(), protocol, number: u16::try_from(port.port).ok()? })
        });
        Some(Entry { name, namespace: service.namespace.clone(), kind, ports: ports.collect() })
    }

    fn answer_reverse(&self, name: &Name, network: IpNet, kind: RecordType) -> Answer {
        let IpNet::V4(network) = network else { return Answer::NotOurs };
        if !self.ranges.iter().any(|range| range.contains(&network)) {
            return Answer::NotOurs;
        }
        let Some(names) = self.names.get(&network.addr()).filter(|_| network.prefix_len() == 32) else {
            return Answer::NoSuchName;
        };
        let first = names.first().filter(|_| wants(kind, RecordType::PTR));
        records(first.map(|target| record(name, RData::PTR(PTR(target.clone())))))
    }

    fn answer_forward(&self, name: &Name, kind: RecordType) -> Answer {
        let inner = usize::from(name.num_labels() - self.domain.num_labels());
        let labels: Vec<String> =
            name.iter().take(inner).map(|label| String::from_utf8_lossy(label).into_owned()).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        match labels.as_slice() {
            [] if wants(kind, RecordType::SOA) => records([self.authority()]),
            [] | ["svc"] => records([]),
            [namespace, "svc"] if self.namespaces.contains_key(*namespace) => records([]),
            [inside @ .., service, namespace, "svc"] => {
                match self.services.get(&format!("{namespace}/{service}")) {
                    Some(entry) => entry.answer(name, inside, kind),
                    None => Answer::NoSuchName,
                }
            }
            _ => Answer::NoSuchName,
        }
    }
}

impl Entry {
    /// Answers for the service itself (`inside` is empty), one of its hosts, or one of its ports.
    fn answer(&self, name: &Name, inside: &[&str], kind: RecordType) -> Answer {
        match (&self.kind, inside) {
            (Kind::External(target), []) if kind == RecordType::CNAME => {
                records([record(name, RData::CNAME(CNAME(target.clone())))])
            }
            (Kind::External(target), []) => Answer::Alias {
                record: Box::new(record(name, RData::CNAME(CNAME(target.clone())))),
                target: target.clone(),
            },
            (Kind::External(_), _) => Answer::NoSuchName,
            (Kind::Cluster(ip), []) => addresses(name, kind, [*ip]),
            (Kind::Headless(hosts), []) => addresses(name, kind, hosts.keys().copied()),
            (Kind::Headless(hosts), [host]) => {
                let ips: Vec<Ipv4Addr> =
                    hosts.iter().filter(|(_, name)| name == host).map(|(ip, _)| *ip).collect();
                if ips.is_empty() { Answer::NoSuchName } else { addresses(name, kind, ips) }
            }
            (Kind::Cluster(_) | Kind::Headless(_), [port, protocol]) => {
                self.answer_port(name, port, protocol, kind)
            }
            (Kind::Cluster(_) | Kind::Headless(_), _) => Answer::NoSuchName,
        }
    }

    /// `_PORT._PROTOCOL.SERVICE…`
    fn answer_port(&self, name: &Name, port: &str, protocol: &str, kind: RecordType) -> Answer {
        let found = port.strip_prefix('_').zip(protocol.strip_prefix('_')).and_then(|(port, protocol)| {
            self.ports.iter().find(|known| known.name == port && known.protocol == protocol)
        });
        let Some(port) = found else { return Answer::NoSuchName };
        if !wants(kind, RecordType::SRV) {
            return records([]);
        }
        let mut answers = Vec::new();
        let mut additionals = Vec::new();
        for (ip, target) in names_of(self) {
            answers.push(record(name, RData::SRV(SRV::new(0, 100, port.number, target.clone()))));
            additionals.push(record(&target, RData::A(A(ip))));
        }
        Answer::Records { answers, additionals }
    }
}

/// The ready hosts of a headless service and what they are called.
fn hosts_of(service: &proto::Service, down: impl Fn(Ipv4Addr) -> bool) -> BTreeMap<Ipv4Addr, String> {
    let endpoints = service.ports.iter().flat_map(|port| &port.endpoints);
    endpoints
        .filter(|endpoint| endpoint.ready && !endpoint.terminating)
        .filter_map(|endpoint| Some((endpoint.ip.parse().ok()?, endpoint.hostname.to_lowercase())))
        .filter(|(ip, _)| !down(*ip))
        .map(|(ip, hostname)| if hostname.is_empty() { (ip, dashed(ip)) } else { (ip, hostname) })
        .collect()
}

/// Each address that a service names, with the name that leads back to it.
fn names_of(entry: &Entry) -> Vec<(Ipv4Addr, Name)> {
    match &entry.kind {
        Kind::Cluster(ip) => vec![(*ip, entry.name.clone())],
        Kind::Headless(hosts) => hosts
            .iter()
            .filter_map(|(ip, host)| Some((*ip, entry.name.prepend_label(host.as_str()).ok()?)))
            .collect(),
        Kind::External(_) => Vec::new(),
    }
}

fn dashed(ip: Ipv4Addr) -> String {
    ip.to_string().replace('.', "-")
}

fn wants(asked: RecordType, kind: RecordType) -> bool {
    asked == kind || asked == RecordType::ANY
}

fn addresses(name: &Name, kind: RecordType, ips: impl IntoIterator<Item = Ipv4Addr>) -> Answer {
    let ips = ips.into_iter().filter(|_| wants(kind, RecordType::A));
    records(ips.map(|ip| record(name, RData::A(A(ip)))))
}

fn records(answers: impl IntoIterator<Item = Record>) -> Answer {
    Answer::Records { answers: answers.into_iter().collect(), additionals: Vec::new() }
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), TTL_S, data)
}

#[cfg(test)]
mod tests;
