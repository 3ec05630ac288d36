//! Between the fleet's words and the load balancer's. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use load_balancer::{BackendSpec, EndpointSpec, HttpRoute, PortRoute, Protocol, Stats, Table};
use proto::{EndpointCounters, FrontCounters, RouteTable};

#[cfg(test)]
mod tests;

/// The table to serve with its ports opened on `address`, and what of it cannot be served.
pub(super) fn table(routes: &RouteTable, address: IpAddr) -> (Table, Vec<String>) {
    let mut problems = Vec::new();
    let http = routes.http.iter().map(|route| HttpRoute {
        host: route.host.clone(),
        path: route.path.clone(),
        exact: route.exact,
        backend: route.backend.clone(),
    });
    let table = Table {
        generation: routes.generation,
        http: http.collect(),
        ports: ports(routes, address, &mut problems),
        backends: routes.backends.iter().map(|wire| backend(wire, &mut problems)).collect(),
    };
    (table, problems)
}

fn ports(routes: &RouteTable, address: IpAddr, problems: &mut Vec<String>) -> Vec<PortRoute> {
    let mut owners: BTreeMap<u16, &str> = BTreeMap::new();
    let mut ports = Vec::new();
    for route in &routes.ports {
        let Some(port) = u16::try_from(route.port).ok().filter(|port| *port != 0) else {
            problems.push(format!("{}: {} is not a port", route.backend, route.port));
            continue;
        };
        if let Some(owner) = owners.get(&port) {
            problems.push(format!("{}: port {port} of the front is taken by {owner}", route.backend));
            continue;
        }
        owners.insert(port, &route.backend);
        let protocol = if route.http { Protocol::Http } else { Protocol::Tcp };
        ports.push(PortRoute {
            listen: SocketAddr::new(address, port),
            backend: route.backend.clone(),
            protocol,
        });
    }
    ports
}

fn backend(wire: &proto::Backend, problems: &mut Vec<String>) -> BackendSpec {
    let mut endpoints = Vec::new();
    for endpoint in &wire.endpoints {
        match (endpoint.ip.parse::<IpAddr>(), u16::try_from(endpoint.port)) {
            (Ok(ip), Ok(port)) => endpoints.push(EndpointSpec {
                address: SocketAddr::new(ip, port),
                ready: endpoint.ready && !endpoint.terminating,
                target: endpoint.target.clone(),
            }),
            (Err(_), _) | (_, Err(_)) => {
                problems.push(format!("{}: {}:{} is not an address", wire.key, endpoint.ip, endpoint.port));
            }
        }
    }
    BackendSpec { key: wire.key.clone(), endpoints }
}

/// What was counted, as it goes up. What no endpoint answers for has an empty endpoint.
pub(super) fn counters(stats: &Stats) -> FrontCounters {
    let rows = stats.backends.iter().flat_map(|backend| {
        backend.endpoints.iter().map(|row| EndpointCounters {
            service: backend.key.clone(),
            endpoint: row.address.map(|address| address.to_string()).unwrap_or_default(),
            target: row.target.clone(),
            requests: row.requests,
            failures: row.failures,
            retries: row.retries,
            in_flight: row.in_flight,
            latency_us_p50: row.latency_us_p50,
            latency_us_p99: row.latency_us_p99,
        })
    });
    FrontCounters { endpoints: rows.collect() }
}
