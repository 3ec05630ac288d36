use super::*;

fn ip() -> Ipv4Addr {
    Ipv4Addr::new(10, 65, 1, 2)
}

fn service(name: &str, ready: bool) -> proto::Service {
    let endpoint = proto::Endpoint { ip: ip().to_string(), port: 80, ready, ..Default::default() };
    proto::Service {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        cluster_ip: "10.66.0.20".to_owned(),
        ports: vec![proto::ServicePort { port: 80, endpoints: vec![endpoint], ..Default::default() }],
        ..Default::default()
    }
}

fn complete(changed: Vec<proto::Service>) -> proto::ServiceTable {
    proto::ServiceTable { complete: true, changed, ..Default::default() }
}

fn backends(table: &Table) -> usize {
    table.wanted(table.names()).values().map(|rule| rule.backends.len()).sum()
}

#[test]
fn a_complete_table_touches_what_it_no_longer_has() {
    let mut table = Table::default();
    assert_eq!(table.update(complete(vec![service("a", true)])).len(), 1);
    let touched = table.update(complete(vec![service("b", true)]));
    assert_eq!(touched.into_iter().collect::<Vec<_>>(), ["default/a", "default/b"]);
    assert!(table.get("default/a").is_none());
}

#[test]
fn a_service_that_is_removed_and_changed_at_once_is_there() {
    let mut table = Table::default();
    let update = proto::ServiceTable {
        changed: vec![service("a", true)],
        removed: vec!["default/a".to_owned()],
        ..Default::default()
    };
    table.update(update);
    assert!(table.get("default/a").is_some());
}

#[test]
fn an_endpoint_that_is_down_here_stays_down_while_the_control_plane_does_not_know() {
    let mut table = Table::default();
    table.update(complete(vec![service("a", true)]));
    assert_eq!(table.set_endpoint(ip(), false).len(), 1);
    assert_eq!(table.set_endpoint(ip(), false).len(), 0, "nothing new");
    table.update(complete(vec![service("a", true)]));
    assert_eq!(backends(&table), 0);
}

#[test]
fn once_the_control_plane_knows_its_word_counts_again() {
    let mut table = Table::default();
    table.update(complete(vec![service("a", true)]));
    table.set_endpoint(ip(), false);
    table.update(complete(vec![service("a", false)]));
    assert!(!table.is_down(ip()));
    table.update(complete(vec![service("a", true)]));
    assert_eq!(backends(&table), 1);
}

#[test]
fn of_two_services_with_one_address_the_first_has_it() {
    let mut table = Table::default();
    table.update(complete(vec![service("b", true), service("a", true)]));
    let wanted = table.wanted(table.names());
    assert_eq!(wanted.values().map(|rule| rule.service.as_str()).collect::<Vec<_>>(), ["default/a"]);
}
