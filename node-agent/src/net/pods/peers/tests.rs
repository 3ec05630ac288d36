use super::*;

fn peer(name: &str, node: u8) -> Peer {
    Peer {
        name: name.to_owned(),
        address: Ipv4Addr::new(10, 64, 1, node),
        pod_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 65, node, 0), 24),
    }
}

fn own() -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(10, 65, 1, 0), 24)
}

#[test]
fn only_differences_change_routes() {
    let routed = Routed::from([
        (peer("b", 2).pod_cidr, peer("b", 2).address),
        (peer("c", 3).pod_cidr, peer("c", 3).address),
    ]);
    let changes = compute_changes(&routed, &[peer("b", 2), peer("d", 4)], own());
    assert_eq!(changes, PeerChanges { remove: vec![peer("c", 3).pod_cidr], set: vec![peer("d", 4)] });
}

#[test]
fn a_node_that_comes_back_with_another_address_is_routed_anew() {
    let routed = Routed::from([(peer("b", 2).pod_cidr, Ipv4Addr::new(10, 64, 1, 99))]);
    let changes = compute_changes(&routed, &[peer("b", 2)], own());
    assert_eq!(changes, PeerChanges { remove: vec![], set: vec![peer("b", 2)] });
}

#[test]
fn nobody_can_claim_our_own_pods() {
    let thief = Peer { pod_cidr: "10.65.0.0/16".parse().expect("a range"), ..peer("thief", 9) };
    assert_eq!(compute_changes(&Routed::new(), &[thief, peer("self", 1)], own()), PeerChanges::default());
}
