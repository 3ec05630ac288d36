//! The service tables in the words of nf_tables. Pure: changes in, a transaction out.
//!
//! ```text
//! prerouting, output (nat):   address . protocol . port  -> map services   -> chain of the frontend
//!                             an unknown service address -> refused, never sent out of the cluster
//!                             an address of the node: protocol . port -> map node-ports -> chain
//! chain of a frontend:        one backend, by an even lot; or refused, if there is none
//! postrouting (nat):          a pod that met itself      -> source: the gateway
//!                             through a node port to another node's pod -> source: this node
//!                             a pod's traffic out of the cluster        -> source: this node
//! ```
//!
//! No packet marks: the connection itself remembers what it was opened to, and marks belong to everybody.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::super::NetConfig;
use super::super::nft::{
    Batch, Element, ElementValue, Expression, Field, Hook, REGISTER, Register, Value, Verdict, in_range,
    key_of,
};
use super::plan::{Change, Frontend, Protocol, Rule};

/// The table that is ours, in the node's namespace.
pub(super) const TABLE: &str = "minikube-ish";
const SERVICES: &str = "services";
const NODE_PORTS: &str = "node-ports";
const HAIRPINS: &str = "hairpins";
const RTN_LOCAL: u32 = 2;
const IPS_DST_NAT: u32 = 0x20;
const LOOPBACK_NETWORK: u8 = 127;

/// Makes everything that does not depend on services, in a table that is new.
pub(super) fn add_frame(batch: &mut Batch<'_>, config: &NetConfig) {
    batch.add_map(SERVICES, &[Field::Ipv4, Field::Protocol, Field::Port], Value::Verdict);
    batch.add_map(NODE_PORTS, &[Field::Protocol, Field::Port], Value::Verdict);
    batch.add_map(HAIRPINS, &[Field::Ipv4, Field::Ipv4], Value::None);
    for (chain, hook) in [("prerouting", Hook::NatPrerouting), ("output", Hook::NatOutput)] {
        batch.add_base_chain(chain, hook);
        add_dispatch(batch, chain, config);
    }
    batch.add_base_chain("postrouting", Hook::NatPostrouting);
    add_source_translation(batch, "postrouting", config);
}

/// Adds one change to the transaction.
pub(super) fn add_change(batch: &mut Batch<'_>, change: &Change) {
    match change {
        Change::Add(frontend, rule) => {
            let chain = frontend.chain();
            batch.add_chain(&chain);
            add_backends(batch, *frontend, rule);
            batch.add_elements(map_of(*frontend), &[element(*frontend, Verdict::Goto(chain))]);
        }
        Change::SetBackends(frontend, rule) => {
            batch.flush_chain(&frontend.chain());
            add_backends(batch, *frontend, rule);
        }
        Change::Remove(frontend) => {
            let chain = frontend.chain();
            let key = Element { key: key(*frontend), value: ElementValue::None };
            batch.delete_elements(map_of(*frontend), &[key]);
            batch.flush_chain(&chain).delete_chain(&chain);
        }
        Change::AddHairpin(ip) => drop(batch.add_elements(HAIRPINS, &[hairpin(*ip)])),
        Change::RemoveHairpin(ip) => drop(batch.delete_elements(HAIRPINS, &[hairpin(*ip)])),
    }
}

fn add_dispatch(batch: &mut Batch<'_>, chain: &str, config: &NetConfig) {
    let dns = config.cluster_dns.octets().to_vec();
    batch.add_rule(
        chain,
        "answered by this node itself",
        &[
            Expression::DestinationAddress(REGISTER),
            Expression::Equal(REGISTER, dns),
            Expression::Decide(Verdict::Accept),
        ],
    );
    batch.add_rule(
        chain,
        "service addresses",
        &[
            Expression::DestinationAddress(Register(0)),
            Expression::Protocol(Register(1)),
            Expression::DestinationPort(Register(2)),
            Expression::VerdictOf(Register(0), SERVICES.to_owned()),
        ],
    );
    let unknown = in_range(Expression::DestinationAddress(REGISTER), REGISTER, config.service_cidr, true);
    add_refusal(batch, chain, "no such service", &unknown);
    batch.add_rule(
        chain,
        "node ports",
        &[
            Expression::DestinationKind(REGISTER),
            Expression::Equal(REGISTER, RTN_LOCAL.to_ne_bytes().to_vec()),
            // What listens on loopback is the machine's own affair.
            Expression::DestinationNetwork(REGISTER),
            Expression::NotEqual(REGISTER, vec![LOOPBACK_NETWORK]),
            Expression::Protocol(Register(0)),
            Expression::DestinationPort(Register(1)),
            Expression::VerdictOf(Register(0), NODE_PORTS.to_owned()),
        ],
    );
}

fn add_source_translation(batch: &mut Batch<'_>, chain: &str, config: &NetConfig) {
    let destination =
        |range, inside| in_range(Expression::DestinationAddress(REGISTER), REGISTER, range, inside);
    let met_itself = [
        Expression::SourceAddress(Register(0)),
        Expression::DestinationAddress(Register(1)),
        Expression::InSet(Register(0), HAIRPINS.to_owned()),
        Expression::address(REGISTER, config.gateway()),
        Expression::TranslateSource(REGISTER),
    ];
    batch.add_rule(chain, "a pod that met itself", &met_itself);
    // Endpoints on this node answer through it anyway, and may see who is asking.
    let mut node_port: Vec<Expression> = Vec::new();
    node_port.extend(destination(config.cluster_pod_cidr, true));
    node_port.extend(destination(config.pod_cidr, false));
    node_port.extend([
        Expression::ConnectionStatus(REGISTER),
        Expression::And(REGISTER, IPS_DST_NAT.to_ne_bytes()),
        Expression::NotEqual(REGISTER, vec![0; 4]),
    ]);
    node_port.extend(in_range(
        Expression::OriginalDestination(REGISTER),
        REGISTER,
        config.service_cidr,
        false,
    ));
    node_port.push(Expression::Masquerade);
    batch.add_rule(chain, "through a node port to another node", &node_port);
    let mut leaving: Vec<Expression> = Vec::new();
    leaving.extend(in_range(Expression::SourceAddress(REGISTER), REGISTER, config.pod_cidr, true));
    leaving.extend(destination(config.cluster_pod_cidr, false));
    leaving.push(Expression::Masquerade);
    batch.add_rule(chain, "out of the cluster", &leaving);
}

fn add_backends(batch: &mut Batch<'_>, frontend: Frontend, rule: &Rule) {
    let chain = frontend.chain();
    match rule.backends.as_slice() {
        [] => match frontend.protocol() {
            Protocol::Tcp => drop(batch.add_rule(&chain, &rule.service, &[Expression::RejectWithReset])),
            Protocol::Udp => {
                batch.add_rule(&chain, &rule.service, &[Expression::RejectWithUnreachable]);
            }
        },
        [only] => {
            let expressions = [
                Expression::address(Register(0), *only.ip()),
                Expression::Load(Register(1), only.port().to_be_bytes().to_vec()),
                Expression::TranslateDestination(Register(0), Register(1)),
            ];
            batch.add_rule(&chain, &rule.service, &expressions);
        }
        several => add_lot(batch, &chain, &rule.service, several),
    }
}

/// One rule that draws a number and translates to the backend of that number.
fn add_lot(batch: &mut Batch<'_>, chain: &str, service: &str, backends: &[SocketAddrV4]) {
    let elements: Vec<Element> =
        (0u32..).zip(backends).map(|(number, backend)| numbered(number, backend)).collect();
    let modulus = u32::try_from(backends.len()).unwrap_or(u32::MAX);
    let map = batch.add_anonymous_map(&[Field::Integer], Value::Data(&[Field::Ipv4, Field::Port]), &elements);
    let expressions = [
        Expression::Random(Register(0), modulus),
        Expression::ValueOf(Register(0), map),
        Expression::TranslateDestination(Register(0), Register(1)),
    ];
    batch.add_rule(chain, service, &expressions);
}

fn numbered(number: u32, backend: &SocketAddrV4) -> Element {
    let value = key_of(&[&backend.ip().octets(), &backend.port().to_be_bytes()]);
    Element { key: number.to_ne_bytes().to_vec(), value: ElementValue::Data(value) }
}

/// Refuses what `matches` selects: TCP with a reset, everything else with an ICMP message.
fn add_refusal(batch: &mut Batch<'_>, chain: &str, comment: &str, matches: &[Expression]) {
    let tcp = [Expression::Protocol(REGISTER), Expression::Equal(REGISTER, vec![Protocol::Tcp.number()])];
    let reset = [matches, &tcp, &[Expression::RejectWithReset]].concat();
    batch.add_rule(chain, comment, &reset);
    let unreachable = [matches, &[Expression::RejectWithUnreachable]].concat();
    batch.add_rule(chain, comment, &unreachable);
}

fn map_of(frontend: Frontend) -> &'static str {
    match frontend {
        Frontend::Cluster { .. } => SERVICES,
        Frontend::Node { .. } => NODE_PORTS,
    }
}

fn key(frontend: Frontend) -> Vec<u8> {
    match frontend {
        Frontend::Cluster { ip, protocol, port } => {
            key_of(&[&ip.octets(), &[protocol.number()], &port.to_be_bytes()])
        }
        Frontend::Node { protocol, port } => key_of(&[&[protocol.number()], &port.to_be_bytes()]),
    }
}

fn element(frontend: Frontend, verdict: Verdict) -> Element {
    Element { key: key(frontend), value: ElementValue::Verdict(verdict) }
}

fn hairpin(ip: Ipv4Addr) -> Element {
    Element { key: key_of(&[&ip.octets(), &ip.octets()]), value: ElementValue::None }
}
