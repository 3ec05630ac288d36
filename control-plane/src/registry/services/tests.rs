use std::net::Ipv4Addr;

use super::super::tests::{Cluster, service};
use super::*;
use crate::change::Change;
use crate::store::Outcome;

fn ports(object: &Object) -> Vec<u64> {
    object.list_at(&["spec", "ports"]).iter().filter_map(|port| port["nodePort"].as_u64()).collect()
}

#[test]
fn a_service_gets_an_address_outside_the_reserved_ones() {
    let stored = Cluster::founded().create(service("s", json!({"ports": [{"port": 80}]})));
    let address: Ipv4Addr = cluster_ip(stored.object()).parse().expect("an address");
    assert!((16..31).contains(&address.octets()[3]), "{address}");
    assert_eq!(stored.object().list_at(&["spec", "clusterIPs"]), [json!(address.to_string())]);
}

#[test]
fn an_address_that_is_asked_for_is_given_once() {
    let mut cluster = Cluster::founded();
    let asking = |name: &str, ip: &str| service(name, json!({"clusterIP": ip, "ports": [{"port": 53}]}));
    cluster.create(asking("dns", "10.96.0.10"));
    let taken = cluster.apply(Change::Create(asking("other", "10.96.0.10"))).expect_err("taken");
    assert!(taken.message.contains("already allocated"), "{taken}");
    let outside = cluster.apply(Change::Create(asking("other", "10.97.0.1"))).expect_err("outside");
    assert_eq!(outside.code(), 422);
}

#[test]
fn a_headless_service_and_a_name_have_no_address() {
    let mut cluster = Cluster::founded();
    let headless = cluster.create(service("h", json!({"clusterIP": "None", "ports": [{"port": 80}]})));
    assert_eq!(cluster_ip(headless.object()), "None");
    let name = cluster.create(service("n", json!({"type": "ExternalName", "externalName": "example.com"})));
    assert_eq!(cluster_ip(name.object()), "");
}

#[test]
fn a_full_range_is_said_to_be_full() {
    let mut cluster = Cluster::founded();
    let mut last = Ok(());
    for number in 0..40 {
        let spec = json!({"ports": [{"port": 80}]});
        last = cluster.apply(Change::Create(service(&format!("s{number}"), spec))).map(|_| ());
    }
    assert!(last.expect_err("15 addresses are not 40").message.contains("is taken"));
}

#[test]
fn an_update_keeps_the_address_and_ports_that_it_does_not_mention() {
    let mut cluster = Cluster::founded();
    let spec = json!({"type": "NodePort", "ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]});
    let before = cluster.create(service("s", spec.clone()));
    assert_eq!(ports(before.object()).len(), 2);
    let again = cluster.apply(Change::Update(service("s", spec))).expect("updated");
    assert!(matches!(again, Outcome::Unchanged(_)), "{again:?}");
}

#[test]
fn a_service_that_needs_node_ports_no_longer_gives_them_back() {
    let mut cluster = Cluster::founded();
    let before = cluster.create(service("s", json!({"type": "NodePort", "ports": [{"port": 80}]})));
    let mut object = before.object().clone();
    object.set(&["spec", "type"], "ClusterIP");
    let after = cluster.apply(Change::Update(object)).expect("updated");
    assert!(ports(after.stored().object()).is_empty());
    assert_eq!(cluster_ip(after.stored().object()), cluster_ip(before.object()));
}

#[test]
fn a_node_port_is_given_once_and_only_from_its_range() {
    let mut cluster = Cluster::founded();
    let asking = |name: &str, port: u16| {
        service(name, json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}))
    };
    cluster.create(asking("a", 30_001));
    let taken = cluster.apply(Change::Create(asking("b", 30_001))).expect_err("taken");
    assert!(taken.message.contains("provided port is already allocated"), "{taken}");
    let outside = cluster.apply(Change::Create(asking("b", 40_000))).expect_err("outside");
    assert!(outside.message.contains("30000-30007"), "{outside}");
}
