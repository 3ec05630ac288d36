use super::*;

fn small() -> Addresses {
    Addresses::new("10.65.1.0/29".parse().expect("a range"))
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 65, 1, last)
}

#[test]
fn the_ends_of_the_range_and_the_gateway_are_nobodys() {
    let mut addresses = small();
    let taken: Vec<_> = (0..6).filter_map(|pod| addresses.take(&format!("pod-{pod}"))).collect();
    assert_eq!(taken, [ip(2), ip(3), ip(4), ip(5), ip(6)]);
    assert_eq!(addresses.held(), 5);
}

#[test]
fn an_address_that_has_just_become_free_is_the_last_to_be_used_again() {
    let mut addresses = small();
    assert_eq!(addresses.take("a"), Some(ip(2)));
    assert_eq!(addresses.release("a"), Some(ip(2)));
    let next: Vec<_> = ["b", "c", "d", "e", "f"].map(|pod| addresses.take(pod)).into_iter().collect();
    assert_eq!(next, [Some(ip(3)), Some(ip(4)), Some(ip(5)), Some(ip(6)), Some(ip(2))]);
}

#[test]
fn a_claimed_address_is_not_handed_out() {
    let mut addresses = small();
    assert_eq!(addresses.claim("a", ip(2)), Ok(()));
    assert_eq!(addresses.claim("a", ip(2)), Ok(()), "saying it twice changes nothing");
    assert_eq!(addresses.take("b"), Some(ip(3)));
}

#[test]
fn a_claim_that_contradicts_is_refused() {
    let mut addresses = small();
    assert_eq!(addresses.claim("a", ip(2)), Ok(()));
    assert_eq!(addresses.claim("b", ip(2)), Err(ClaimRefused::HeldByAnother));
    assert_eq!(addresses.claim("a", ip(3)), Err(ClaimRefused::OwnerHasAnother));
    assert_eq!(addresses.claim("b", ip(1)), Err(ClaimRefused::OutsideRange));
    assert_eq!(addresses.claim("b", Ipv4Addr::new(10, 65, 2, 2)), Err(ClaimRefused::OutsideRange));
}

#[test]
fn releasing_what_is_not_held_is_nothing() {
    assert_eq!(small().release("nobody"), None);
}
