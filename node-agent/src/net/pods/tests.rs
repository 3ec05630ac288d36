//! What pods may send.

use std::path::PathBuf;

use super::*;

#[test]
fn a_node_whose_address_is_on_the_loopback_gives_its_pods_an_mtu_that_a_veth_can_have() {
    let net = |text: &str| text.parse::<Ipv4Net>().expect("a range");
    let config = NetConfig {
        node_ip: Ipv4Addr::LOCALHOST,
        pod_cidr: net("10.165.0.0/24"),
        cluster_pod_cidr: net("10.165.0.0/16"),
        service_cidr: net("10.166.0.0/16"),
        cluster_dns: Ipv4Addr::new(10, 166, 0, 10),
        cluster_domain: "cluster.local".to_owned(),
        mtu: None,
        resolv_conf: PathBuf::from("/dev/null"),
    };
    let mut socket = Socket::open(Family::Route).expect("rtnetlink");
    let mtu = find_mtu(&mut socket, &config).expect("the loopback is found");
    assert!(mtu.is_some_and(|mtu| mtu <= VETH_MTU_MAX), "{mtu:?}");
}
