use super::super::testing::{service, slice, snapshot};
use super::*;

fn key() -> Key {
    Key::new(Kind::Service, "shop", "payment")
}

#[test]
fn a_service_is_joined_with_the_endpoints_of_its_slices() {
    let snapshot =
        snapshot(&[service("payment", "ClusterIP"), slice("payment", &["10.65.1.2", "10.65.2.2"])]);
    let mut services = Services::default();
    let difference = services.refresh(&snapshot, [&key()]).expect("it is new");
    let ports = &difference.changed[0].ports;
    let endpoints: Vec<_> = ports[0].endpoints.iter().map(|it| (it.ip.as_str(), it.port, it.ready)).collect();
    assert_eq!(endpoints, [("10.65.1.2", 8080, true), ("10.65.2.2", 8080, true)]);
}

#[test]
fn only_what_differs_is_said() {
    let mut services = Services::default();
    let before = snapshot(&[service("payment", "ClusterIP"), slice("payment", &["10.65.1.2"])]);
    services.refresh(&before, [&key()]);
    assert_eq!(services.refresh(&before, [&key()]), None);
    let after = snapshot(&[service("payment", "ClusterIP")]);
    let difference = services.refresh(&after, [&key()]).expect("the slice is gone");
    assert_eq!((difference.generation, difference.complete), (2, false));
    assert!(difference.changed[0].ports[0].endpoints.is_empty());
}

#[test]
fn a_deleted_service_is_removed_once() {
    let mut services = Services::default();
    services.refresh(&snapshot(&[service("payment", "ClusterIP")]), [&key()]);
    let difference = services.refresh(&Snapshot::default(), [&key()]).expect("it is gone");
    assert_eq!(difference.removed, ["shop/payment"]);
    assert_eq!(services.refresh(&Snapshot::default(), [&key()]), None);
    assert!(services.complete().changed.is_empty());
}
