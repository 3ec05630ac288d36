use load_balancer::{BackendStats, EndpointStats};

use super::*;

fn endpoint(ip: &str, port: u32, ready: bool, terminating: bool) -> proto::Endpoint {
    proto::Endpoint { ip: ip.to_owned(), port, ready, terminating, ..proto::Endpoint::default() }
}

fn port(port: u32, backend: &str, http: bool) -> proto::PortRoute {
    proto::PortRoute { port, backend: backend.to_owned(), http }
}

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[test]
fn only_a_ready_endpoint_that_does_not_terminate_gets_something_new() {
    let endpoints = vec![
        endpoint("10.65.1.2", 80, true, false),
        endpoint("10.65.1.3", 80, true, true),
        endpoint("10.65.1.4", 80, false, false),
    ];
    let backends = vec![proto::Backend { key: "default/shop:80".to_owned(), endpoints }];
    let (table, problems) = table(&RouteTable { generation: 7, backends, ..RouteTable::default() }, ADDRESS);
    assert_eq!((table.generation, problems), (7, Vec::new()));
    let ready: Vec<bool> = table.backends[0].endpoints.iter().map(|endpoint| endpoint.ready).collect();
    assert_eq!(ready, [true, false, false]);
}

#[test]
fn what_cannot_be_served_is_said_and_the_rest_is_served() {
    let routes = RouteTable {
        ports: vec![port(80, "a", true), port(80, "b", false), port(0, "c", false), port(70_000, "d", false)],
        backends: vec![proto::Backend {
            key: "a".to_owned(),
            endpoints: vec![
                endpoint("nonsense", 80, true, false),
                endpoint("10.0.0.1", 70_000, true, false),
                endpoint("10.0.0.1", 80, true, false),
            ],
        }],
        ..RouteTable::default()
    };
    let (table, problems) = table(&routes, ADDRESS);
    assert_eq!(table.ports.len(), 1);
    assert_eq!((table.ports[0].listen, table.ports[0].protocol), ((ADDRESS, 80).into(), Protocol::Http));
    assert_eq!(table.backends[0].endpoints.len(), 1);
    assert_eq!(
        problems,
        [
            "b: port 80 of the front is taken by a",
            "c: 0 is not a port",
            "d: 70000 is not a port",
            "a: nonsense:80 is not an address",
            "a: 10.0.0.1:70000 is not an address",
        ]
    );
}

#[test]
fn what_no_endpoint_answers_for_is_counted_without_an_endpoint() {
    let rows = vec![
        EndpointStats { address: Some((ADDRESS, 80).into()), requests: 3, ..EndpointStats::default() },
        EndpointStats { failures: 1, ..EndpointStats::default() },
    ];
    let backends = vec![BackendStats { key: "a".to_owned(), endpoints: rows }];
    let counters = counters(&Stats { backends, ..Stats::default() });
    let rows: Vec<_> =
        counters.endpoints.iter().map(|row| (row.endpoint.as_str(), row.requests, row.failures)).collect();
    assert_eq!(rows, [("127.0.0.1:80", 3, 0), ("", 0, 1)]);
}
