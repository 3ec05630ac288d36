use proptest::prelude::*;

use super::*;

fn endpoint(last: u8, ready: bool) -> proto::Endpoint {
    proto::Endpoint { ip: format!("10.65.1.{last}"), port: 8080, ready, ..Default::default() }
}

fn service(name: &str, ip: &str, node_port: u32, endpoints: Vec<proto::Endpoint>) -> proto::Service {
    let port = proto::ServicePort {
        protocol: "TCP".to_owned(),
        port: 80,
        node_port,
        endpoints,
        ..Default::default()
    };
    proto::Service {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        cluster_ip: ip.to_owned(),
        ports: vec![port],
        ..Default::default()
    }
}

fn cluster(last: u8) -> Frontend {
    Frontend::Cluster { ip: Ipv4Addr::new(10, 66, 0, last), protocol: Protocol::Tcp, port: 80 }
}

fn backends(lasts: &[u8]) -> Backends {
    lasts.iter().map(|last| SocketAddrV4::new(Ipv4Addr::new(10, 65, 1, *last), 8080)).collect()
}

fn touched(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| format!("default/{name}")).collect()
}

#[test]
fn only_endpoints_that_may_get_new_connections_are_backends() {
    let leaving = proto::Endpoint { terminating: true, ..endpoint(4, true) };
    let endpoints =
        vec![endpoint(3, true), endpoint(2, true), endpoint(5, false), leaving, endpoint(3, true)];
    let all = compute_frontends(&service("shop", "10.66.0.20", 0, endpoints.clone()), &BTreeSet::new());
    assert_eq!(all[&cluster(20)].backends, backends(&[2, 3]));
    let down = BTreeSet::from([Ipv4Addr::new(10, 65, 1, 2)]);
    let fewer = compute_frontends(&service("shop", "10.66.0.20", 0, endpoints), &down);
    assert_eq!(fewer[&cluster(20)].backends, backends(&[3]));
}

#[test]
fn a_headless_service_has_no_frontend_and_a_node_port_is_one_more() {
    assert!(compute_frontends(&service("db", "", 0, vec![]), &BTreeSet::new()).is_empty());
    assert!(compute_frontends(&service("db", "None", 0, vec![]), &BTreeSet::new()).is_empty());
    let both = compute_frontends(&service("shop", "10.66.0.20", 30080, vec![]), &BTreeSet::new());
    assert_eq!(both.len(), 2);
    assert!(both.contains_key(&Frontend::Node { protocol: Protocol::Tcp, port: 30080 }));
}

#[test]
fn what_cannot_be_read_is_left_out() {
    let mut odd = service("odd", "10.66.0.20", 70_000, vec![endpoint(2, true)]);
    odd.ports[0].endpoints.push(proto::Endpoint {
        ip: "fd00::1".to_owned(),
        port: 1,
        ready: true,
        ..Default::default()
    });
    odd.ports.push(proto::ServicePort { protocol: "SCTP".to_owned(), port: 81, ..Default::default() });
    let frontends = compute_frontends(&odd, &BTreeSet::new());
    assert_eq!(frontends.keys().collect::<Vec<_>>(), [&cluster(20)]);
    assert_eq!(frontends[&cluster(20)].backends, backends(&[2]));
}

#[test]
fn a_change_of_endpoints_changes_one_chain() {
    let none = BTreeSet::new();
    let mut installed = compute_frontends(&service("shop", "10.66.0.20", 0, vec![endpoint(2, true)]), &none);
    installed.extend(compute_frontends(&service("bank", "10.66.0.21", 0, vec![endpoint(9, true)]), &none));
    let wanted = compute_frontends(&service("shop", "10.66.0.20", 0, vec![endpoint(3, true)]), &none);
    let rule = Rule { service: "default/shop".to_owned(), backends: backends(&[3]) };
    assert_eq!(
        compute_changes(&installed, &wanted, &touched(&["shop"])),
        [Change::SetBackends(cluster(20), rule)]
    );
    assert_eq!(
        compute_changes(&installed, &Installed::new(), &touched(&["shop"])),
        [Change::Remove(cluster(20))]
    );
}

#[test]
fn an_address_moves_from_a_service_that_goes_to_one_that_comes() {
    let none = BTreeSet::new();
    let installed = compute_frontends(&service("old", "10.66.0.20", 0, vec![endpoint(2, true)]), &none);
    let wanted = compute_frontends(&service("new", "10.66.0.20", 0, vec![endpoint(3, true)]), &none);
    let both = compute_changes(&installed, &wanted, &touched(&["old", "new"]));
    assert!(matches!(both.as_slice(), [Change::SetBackends(_, rule)] if rule.service == "default/new"));
    assert_eq!(compute_changes(&installed, &wanted, &touched(&["new"])), [], "it is still another's");
}

#[test]
fn only_this_nodes_pods_can_meet_themselves() {
    let mut endpoints = vec![endpoint(2, true)];
    endpoints.push(proto::Endpoint { ip: "10.65.2.2".to_owned(), ..endpoint(0, true) });
    let installed = compute_frontends(&service("shop", "10.66.0.20", 0, endpoints), &BTreeSet::new());
    let own = "10.65.1.0/24".parse().expect("a range");
    assert_eq!(compute_hairpins(&installed, own), BTreeSet::from([Ipv4Addr::new(10, 65, 1, 2)]));
}

#[test]
fn udp_flows_to_backends_that_are_gone_are_found() {
    let udp =
        |last| Frontend::Cluster { ip: Ipv4Addr::new(10, 66, 0, last), protocol: Protocol::Udp, port: 53 };
    let rule = |lasts: &[u8]| Rule { service: "default/dns".to_owned(), backends: backends(lasts) };
    let installed =
        Installed::from([(udp(20), rule(&[2, 3])), (udp(21), rule(&[4])), (cluster(22), rule(&[5]))]);
    let changes =
        [Change::SetBackends(udp(20), rule(&[3, 9])), Change::Remove(udp(21)), Change::Remove(cluster(22))];
    assert_eq!(compute_vanished_udp(&installed, &changes), backends(&[2, 4]).into_iter().collect());
}

fn some_installed() -> impl Strategy<Value = Installed> {
    let rule = (0u8..4, proptest::collection::btree_set(2u8..8, 0..4));
    proptest::collection::btree_map(1u8..12, rule, 0..8).prop_map(|map| {
        let rule = |(owner, lasts): (u8, BTreeSet<u8>)| Rule {
            service: format!("default/{owner}"),
            backends: backends(&lasts.into_iter().collect::<Vec<_>>()),
        };
        map.into_iter().map(|(last, value)| (cluster(last), rule(value))).collect()
    })
}

proptest! {
    #[test]
    fn applying_the_changes_leads_to_what_is_wanted(old in some_installed(), new in some_installed()) {
        let all: BTreeSet<String> = old.values().chain(new.values()).map(|rule| rule.service.clone()).collect();
        let changes = compute_changes(&old, &new, &all);
        let mut installed = old;
        apply_changes(&mut installed, &changes);
        prop_assert_eq!(&installed, &new);
        prop_assert!(compute_changes(&installed, &new, &all).is_empty(), "and then there is nothing to do");
    }
}
