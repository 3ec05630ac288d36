use super::*;

fn link(index: u32, name: &str, alias: &str) -> Link {
    Link { index, name: name.to_owned(), alias: alias.to_owned(), mtu: 1400, operational: true }
}

fn route(destination: &str, device: Option<u32>, ours: bool) -> Route {
    let gateway = None;
    Route { destination: destination.parse().expect("a range"), gateway, device, ours }
}

fn range() -> Ipv4Net {
    "10.64.0.0/14".parse().expect("a range")
}

#[test]
fn a_range_that_the_machine_uses_is_refused_by_name() {
    let links = [link(2, "eth0", ""), link(3, "tun0", "")];
    let routes = [route("0.0.0.0/0", Some(2), false), route("10.65.3.0/24", Some(3), false)];
    let error = check(range(), &routes, &links, None).expect_err("taken").to_string();
    for word in ["--cluster-cidr 10.64.0.0/14", "10.65.3.0/24", "tun0"] {
        assert!(error.contains(word), "{error}");
    }
    let wider = [route("10.0.0.0/8", Some(3), false)];
    assert!(check(range(), &wider, &links, None).is_err(), "a wider route would be cut in two");
}

#[test]
fn the_default_route_and_our_own_are_no_conflict() {
    let routes = [
        route("0.0.0.0/0", Some(2), false),
        route("192.0.2.0/24", Some(2), false),
        route("10.64.0.0/16", Some(9), false),
        route("10.65.1.0/24", Some(9), true),
        route("10.64.0.0/14", None, true),
    ];
    assert!(check(range(), &routes, &[], Some(9)).is_ok());
    assert!(check(range(), &routes, &[], None).is_err(), "another cluster has it");
}

#[test]
fn a_mark_reads_back() {
    for forwarding in [false, true] {
        let mark = Mark { cluster: "shop".to_owned(), forwarding };
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
    }
    assert_eq!(Mark::parse("somebody's bridge"), None);
}

#[test]
fn the_last_cluster_turns_forwarding_off_if_it_was_off() {
    let off = |cluster: &str| Mark { cluster: cluster.to_owned(), forwarding: false };
    let on = |cluster: &str| Mark { cluster: cluster.to_owned(), forwarding: true };
    let own = link(5, "mki1", &off("a").to_string());
    assert_eq!(compute_restore(&off("a"), std::slice::from_ref(&own)), Restore::Off);
    assert_eq!(compute_restore(&on("a"), std::slice::from_ref(&own)), Restore::Nothing);
    let other = link(6, "mki2", &on("b").to_string());
    assert_eq!(compute_restore(&off("a"), &[own, other]), Restore::HandOver { index: 6, mark: off("b") });
}

#[test]
fn nodes_send_no_more_than_the_way_out_carries() {
    let links = [link(2, "eth0", "")];
    assert_eq!(outward_mtu(&[route("0.0.0.0/0", Some(2), false)], &links), Some(1400));
    assert_eq!(outward_mtu(&[], &links), None);
}
