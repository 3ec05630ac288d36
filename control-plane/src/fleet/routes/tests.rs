use manifests::Kind;
use serde_json::Value;

use super::super::testing::{ingress, service, slice, snapshot};
use super::*;

fn table(objects: &[Value]) -> proto::RouteTable {
    let snapshot = snapshot(objects);
    let mut services = Services::default();
    let keys: Vec<_> = snapshot.list(Kind::Service).map(|stored| stored.key().clone()).collect();
    services.refresh(&snapshot, &keys);
    routes(&snapshot, &services, 7)
}

#[test]
fn routes_are_tried_in_the_order_that_ingress_prescribes() {
    let table = table(&[
        ingress("", "/", "Prefix", "payment"),
        ingress("*.shop.test", "/", "Prefix", "payment"),
        ingress("a.shop.test", "/buy", "Prefix", "payment"),
        ingress("a.shop.test", "/buy/now", "Prefix", "payment"),
        ingress("a.shop.test", "/buy", "Exact", "payment"),
    ]);
    let order: Vec<_> = table.http.iter().map(|it| (it.host.as_str(), it.path.as_str(), it.exact)).collect();
    assert_eq!(
        order,
        [
            ("a.shop.test", "/buy", true),
            ("a.shop.test", "/buy/now", false),
            ("a.shop.test", "/buy", false),
            ("*.shop.test", "/", false),
            ("", "/", false),
        ]
    );
}

#[test]
fn an_ingress_to_a_service_that_does_not_exist_keeps_its_route() {
    let table = table(&[ingress("", "/", "Prefix", "nobody")]);
    assert_eq!(table.http[0].backend, "shop/nobody");
    assert!(table.backends[0].endpoints.is_empty());
}

#[test]
fn a_load_balancer_gets_a_port_and_other_services_do_not() {
    let table = table(&[
        service("payment", "LoadBalancer"),
        slice("payment", &["10.65.1.2"]),
        service("inventory", "ClusterIP"),
    ]);
    let ports: Vec<_> = table.ports.iter().map(|it| (it.port, it.backend.as_str(), it.http)).collect();
    assert_eq!(ports, [(80, "shop/payment:80", true)]);
    assert_eq!(table.backends[0].endpoints[0].ip, "10.65.1.2");
}
