use super::*;

fn range(text: &str) -> Ipv4Net {
    text.parse().expect("a range")
}

fn zone() -> Zone {
    Zone::new("cluster.local", [range("10.65.0.0/16"), range("10.66.0.0/16")])
}

fn endpoint(last: u8, hostname: &str) -> proto::Endpoint {
    let ip = format!("10.65.1.{last}");
    proto::Endpoint { ip, port: 5432, ready: true, hostname: hostname.to_owned(), ..Default::default() }
}

fn service(name: &str, cluster_ip: &str, endpoints: Vec<proto::Endpoint>) -> proto::Service {
    let port = proto::ServicePort {
        name: "sql".to_owned(),
        protocol: "TCP".to_owned(),
        port: 5432,
        endpoints,
        ..Default::default()
    };
    proto::Service {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        cluster_ip: cluster_ip.to_owned(),
        ports: vec![port],
        ..Default::default()
    }
}

/// A database without an address of its own, and a shop with one.
fn market() -> Zone {
    let mut zone = zone();
    let database = service("db", "", vec![endpoint(2, "db-0"), endpoint(3, "")]);
    zone.set("default/db", Some(&database), |_| false);
    zone.set("default/shop", Some(&service("shop", "10.66.0.20", vec![endpoint(2, "")])), |_| false);
    zone
}

fn ask(zone: &Zone, name: &str, kind: RecordType) -> Answer {
    zone.answer(&Query::query(Name::from_str(name).expect("a name"), kind))
}

/// The answers' data, as text.
fn said(zone: &Zone, name: &str, kind: RecordType) -> Vec<String> {
    let Answer::Records { answers, .. } = ask(zone, name, kind) else { panic!("{name} {kind}: no records") };
    answers.iter().map(|record| record.data.to_string()).collect()
}

#[test]
fn a_service_has_the_address_that_it_was_given() {
    let zone = market();
    assert_eq!(said(&zone, "shop.default.svc.cluster.local.", RecordType::A), ["10.66.0.20"]);
    assert_eq!(said(&zone, "SHOP.Default.svc.cluster.LOCAL", RecordType::A), ["10.66.0.20"]);
    assert_eq!(said(&zone, "shop.default.svc.cluster.local.", RecordType::AAAA), [""; 0]);
}

#[test]
fn a_headless_service_has_the_addresses_of_its_ready_pods() {
    let mut zone = market();
    assert_eq!(said(&zone, "db.default.svc.cluster.local.", RecordType::A), ["10.65.1.2", "10.65.1.3"]);
    assert_eq!(said(&zone, "db-0.db.default.svc.cluster.local.", RecordType::A), ["10.65.1.2"]);
    assert_eq!(said(&zone, "10-65-1-3.db.default.svc.cluster.local.", RecordType::A), ["10.65.1.3"]);
    let unready = proto::Endpoint { ready: false, ..endpoint(2, "db-0") };
    zone.set("default/db", Some(&service("db", "", vec![unready, endpoint(3, "")])), |_| false);
    assert_eq!(said(&zone, "db.default.svc.cluster.local.", RecordType::A), ["10.65.1.3"]);
    assert_eq!(ask(&zone, "db-0.db.default.svc.cluster.local.", RecordType::A), Answer::NoSuchName);
}

#[test]
fn a_pod_that_is_down_here_has_no_name() {
    let mut zone = zone();
    let database = service("db", "", vec![endpoint(2, "db-0"), endpoint(3, "db-1")]);
    zone.set("default/db", Some(&database), |ip| ip == Ipv4Addr::new(10, 65, 1, 2));
    assert_eq!(said(&zone, "db.default.svc.cluster.local.", RecordType::A), ["10.65.1.3"]);
}

#[test]
fn a_port_has_a_service_record_whose_target_has_an_address() {
    let zone = market();
    let name = "_sql._tcp.shop.default.svc.cluster.local.";
    assert_eq!(said(&zone, name, RecordType::SRV), ["0 100 5432 shop.default.svc.cluster.local."]);
    let Answer::Records { answers, additionals } =
        ask(&zone, "_sql._tcp.db.default.svc.cluster.local.", RecordType::SRV)
    else {
        panic!("there are records")
    };
    assert_eq!((answers.len(), additionals.len()), (2, 2));
    assert_eq!(ask(&zone, "_web._tcp.shop.default.svc.cluster.local.", RecordType::SRV), Answer::NoSuchName);
}

#[test]
fn addresses_of_the_cluster_lead_back_to_names() {
    let zone = market();
    assert_eq!(said(&zone, "20.0.66.10.in-addr.arpa.", RecordType::PTR), ["shop.default.svc.cluster.local."]);
    assert_eq!(
        said(&zone, "2.1.65.10.in-addr.arpa.", RecordType::PTR),
        ["db-0.db.default.svc.cluster.local."]
    );
    assert_eq!(ask(&zone, "9.9.65.10.in-addr.arpa.", RecordType::PTR), Answer::NoSuchName);
    assert_eq!(ask(&zone, "1.1.1.1.in-addr.arpa.", RecordType::PTR), Answer::NotOurs);
}

#[test]
fn an_external_name_is_an_alias() {
    let mut zone = zone();
    let external = proto::Service {
        r#type: "ExternalName".to_owned(),
        external_name: "db.example.com".to_owned(),
        ..service("db", "", vec![])
    };
    zone.set("default/db", Some(&external), |_| false);
    let Answer::Alias { target, .. } = ask(&zone, "db.default.svc.cluster.local.", RecordType::A) else {
        panic!("an alias")
    };
    assert_eq!(target.to_string(), "db.example.com.");
    assert_eq!(said(&zone, "db.default.svc.cluster.local.", RecordType::CNAME), ["db.example.com."]);
}

#[test]
fn a_name_that_could_exist_and_does_not_is_denied_and_others_are_not_ours() {
    let zone = market();
    for name in ["none.default.svc.cluster.local.", "shop.none.svc.cluster.local.", "none.cluster.local."] {
        assert_eq!(ask(&zone, name, RecordType::A), Answer::NoSuchName, "{name}");
    }
    for name in ["default.svc.cluster.local.", "svc.cluster.local.", "cluster.local."] {
        assert_eq!(said(&zone, name, RecordType::A), [""; 0], "{name}");
    }
    for name in ["example.com.", "cluster.local.example.com.", "local."] {
        assert_eq!(ask(&zone, name, RecordType::A), Answer::NotOurs, "{name}");
    }
}

#[test]
fn a_service_that_is_forgotten_leaves_no_name() {
    let mut zone = market();
    zone.set("default/db", None, |_| false);
    zone.set("default/shop", None, |_| false);
    assert!(zone.services.is_empty() && zone.namespaces.is_empty() && zone.names.is_empty());
}
