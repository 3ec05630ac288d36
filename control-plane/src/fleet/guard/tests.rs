use super::*;

#[test]
fn one_address_cannot_take_every_place_and_gets_its_own_back() {
    let counts = Counts::default();
    let (greedy, modest) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
    let mut places: Vec<Place> = (0..PER_ADDRESS_MAX).filter_map(|_| counts.take(greedy)).collect();
    assert_eq!(places.len(), PER_ADDRESS_MAX);
    assert!(counts.take(greedy).is_none());
    assert!(counts.take(modest).is_some());
    places.pop();
    assert!(counts.take(greedy).is_some());
    drop(places);
    assert!(counts.lock().is_empty());
}
