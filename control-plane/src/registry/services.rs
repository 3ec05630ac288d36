//! Services: the cluster addresses and node ports that they are given, each to one service at a time.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use manifests::{Kind, Object};
use rand::RngExt;
use serde_json::{Value, json};

use super::{Cause, Context, Status};
use crate::snapshot::{Key, Snapshot};

/// The first addresses of the range are given only to who asks for them by name: the cluster's own services.
const RESERVED_ADDRESSES: u32 = 16;

/// Gives a service the address and ports that it needs and does not have; keeps those that it had.
pub(super) fn allocate(
    snapshot: &Snapshot,
    object: &mut Object,
    old: Option<&Object>,
    context: &mut Context<'_>,
) -> Result<(), Status> {
    if let Some(old) = old {
        keep(old, object);
    }
    if object.str_at(&["spec", "type"]) == Some("ExternalName") {
        for field in ["clusterIP", "clusterIPs"] {
            object.remove(&["spec", field]);
        }
        return Ok(());
    }
    let taken = Taken::by_others(snapshot, object);
    let mut causes = Vec::new();
    causes.extend(allocate_address(object, &taken, context)?);
    causes.extend(allocate_node_ports(object, &taken, context)?);
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(Kind::Service, object.name(), causes)) }
}

/// What other services have.
struct Taken {
    addresses: BTreeSet<Ipv4Addr>,
    /// By protocol.
    node_ports: BTreeSet<(String, u16)>,
}

impl Taken {
    fn by_others(snapshot: &Snapshot, object: &Object) -> Self {
        let this = Key::of(object);
        let mut taken = Self { addresses: BTreeSet::new(), node_ports: BTreeSet::new() };
        for other in snapshot.list(Kind::Service).filter(|other| Some(other.key()) != this.as_ref()) {
            let other = other.object();
            taken.addresses.extend(cluster_ip(other).parse::<Ipv4Addr>().ok());
            for port in other.list_at(&["spec", "ports"]) {
                taken.node_ports.extend(node_port(port).map(|number| (protocol(port), number)));
            }
        }
        taken
    }
}

fn cluster_ip(object: &Object) -> &str {
    object.str_at(&["spec", "clusterIP"]).unwrap_or_default()
}

fn node_port(port: &Value) -> Option<u16> {
    port["nodePort"].as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0)
}

fn protocol(port: &Value) -> String {
    port["protocol"].as_str().unwrap_or("TCP").to_owned()
}

fn uses_node_ports(object: &Object) -> bool {
    matches!(object.str_at(&["spec", "type"]), Some("NodePort" | "LoadBalancer"))
}

/// What an update does not mention it does not give back.
fn keep(old: &Object, object: &mut Object) {
    let headless_or_named =
        cluster_ip(object) == "None" || object.str_at(&["spec", "type"]) == Some("ExternalName");
    if cluster_ip(object).is_empty() && !headless_or_named {
        for field in ["clusterIP", "clusterIPs"] {
            if let Some(value) = old.at(&["spec", field]) {
                object.set(&["spec", field], value.clone());
            }
        }
    }
    let uses = uses_node_ports(object);
    let before = old.list_at(&["spec", "ports"]).to_vec();
    let Some(ports) = object.0.get_mut("spec").and_then(|spec| spec["ports"].as_array_mut()) else { return };
    for port in ports {
        let same = |other: &&Value| other["port"] == port["port"] && protocol(other) == protocol(port);
        let had = before.iter().find(same).and_then(node_port);
        match (node_port(port), had) {
            (None, Some(had)) if uses => port["nodePort"] = json!(had),
            // The type was changed and the port came back with the rest of the object.
            (Some(now), Some(had)) if !uses && now == had => {
                drop(port.as_object_mut().map(|map| map.remove("nodePort")))
            }
            _ => {}
        }
    }
}

fn allocate_address(
    object: &mut Object,
    taken: &Taken,
    context: &mut Context<'_>,
) -> Result<Option<Cause>, Status> {
    let range = context.settings.service_cidr;
    let asked = cluster_ip(object).to_owned();
    let given = match asked.as_str() {
        "None" => asked,
        "" => match free_address(range, taken, context) {
            Some(address) => address.to_string(),
            None => {
                return Err(Status::internal(format!("every address of the service range {range} is taken")));
            }
        },
        text => match text.parse::<Ipv4Addr>() {
            Ok(address) if !range.contains(&address) => {
                let message =
                    format!("Invalid value: \"{text}\": the provided IP is not in the service range {range}");
                return Ok(Some(Cause::invalid("spec.clusterIPs[0]", message)));
            }
            Ok(address) if taken.addresses.contains(&address) => {
                let message = format!("Invalid value: \"{text}\": provided IP is already allocated");
                return Ok(Some(Cause::invalid("spec.clusterIPs[0]", message)));
            }
            Ok(_) => asked,
            Err(_) => {
                let message =
                    format!("Invalid value: \"{text}\": must be an IPv4 address, \"None\", or empty");
                return Ok(Some(Cause::invalid("spec.clusterIP", message)));
            }
        },
    };
    object.set(&["spec", "clusterIPs"], json!([given]));
    object.set(&["spec", "clusterIP"], given);
    object.set(&["spec", "ipFamilies"], json!(["IPv4"]));
    object.set(&["spec", "ipFamilyPolicy"], "SingleStack");
    Ok(None)
}

/// The first free address from a random place on, round the whole range.
fn free_address(range: ipnet::Ipv4Net, taken: &Taken, context: &mut Context<'_>) -> Option<Ipv4Addr> {
    let first = u32::from(range.network()).saturating_add(RESERVED_ADDRESSES);
    let last = u32::from(range.broadcast()).saturating_sub(1);
    if first > last {
        return None;
    }
    let start = context.random.random_range(first..=last);
    let mut round = (start..=last).chain(first..start).map(Ipv4Addr::from);
    round.find(|address| !taken.addresses.contains(address))
}

fn allocate_node_ports(
    object: &mut Object,
    taken: &Taken,
    context: &mut Context<'_>,
) -> Result<Vec<Cause>, Status> {
    let mut causes = Vec::new();
    let uses = uses_node_ports(object);
    let mut mine: BTreeSet<(String, u16)> = BTreeSet::new();
    let Some(ports) = object.0.get_mut("spec").and_then(|spec| spec["ports"].as_array_mut()) else {
        return Ok(causes);
    };
    mine.extend(ports.iter().filter_map(|port| Some((protocol(port), node_port(port)?))));
    for (index, port) in ports.iter_mut().enumerate() {
        let field = format!("spec.ports[{index}].nodePort");
        match node_port(port) {
            Some(number) if !uses => {
                let message = format!("Forbidden: may not be used when `type` is 'ClusterIP': {number}");
                causes.push(Cause { reason: "FieldValueForbidden".into(), message, field });
            }
            Some(number) => causes.extend(check_node_port(number, &protocol(port), field, taken, context)),
            None if !uses => {}
            None => {
                let number = free_node_port(&protocol(port), taken, &mine, context)?;
                mine.insert((protocol(port), number));
                port["nodePort"] = json!(number);
            }
        }
    }
    Ok(causes)
}

fn check_node_port(
    number: u16,
    protocol: &str,
    field: String,
    taken: &Taken,
    context: &Context<'_>,
) -> Option<Cause> {
    let range = &context.settings.node_ports;
    let why = if !range.contains(&number) {
        format!(
            "provided port is not in the valid range. The range of valid ports is {}-{}",
            range.start(),
            range.end()
        )
    } else if taken.node_ports.contains(&(protocol.to_owned(), number)) {
        "provided port is already allocated".to_owned()
    } else {
        return None;
    };
    Some(Cause::invalid(field, format!("Invalid value: {number}: {why}")))
}

fn free_node_port(
    protocol: &str,
    taken: &Taken,
    mine: &BTreeSet<(String, u16)>,
    context: &mut Context<'_>,
) -> Result<u16, Status> {
    let range = context.settings.node_ports.clone();
    let start = context.random.random_range(range.clone());
    let mut round = (start..=*range.end()).chain(*range.start()..start);
    let is_free = |number: &u16| {
        let claim = (protocol.to_owned(), *number);
        !taken.node_ports.contains(&claim) && !mine.contains(&claim)
    };
    round.find(is_free).ok_or_else(|| Status::internal("every node port is taken"))
}

#[cfg(test)]
mod tests;
