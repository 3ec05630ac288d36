use manifests::{Kind, Object};
use serde_json::json;

use super::reconcile;
use crate::manager::testing::{World, service};
use crate::snapshot::Key;

fn world() -> World {
    let mut world = World::new(&[]);
    let mut shop = service("shop");
    shop.set(&["spec", "type"], "LoadBalancer");
    world.create(shop);
    world.create(service("inner"));
    let mut ingress = Object::new(Kind::Ingress, "default", "door");
    let backend = json!({"service": {"name": "shop", "port": {"number": 80}}});
    ingress.set(&["spec"], json!({"defaultBackend": backend}));
    world.create(ingress);
    world
}

fn address(world: &World, kind: Kind, name: &str) -> serde_json::Value {
    let snapshot = world.snapshot();
    let object = snapshot.get(&Key::new(kind, "default", name)).expect("it").object();
    object.at(&["status", "loadBalancer", "ingress"]).cloned().unwrap_or_default()
}

fn front(world: &mut World, front: Option<&str>) {
    for (kind, name) in [(Kind::Service, "shop"), (Kind::Service, "inner"), (Kind::Ingress, "door")] {
        let plan = reconcile(&world.snapshot(), &Key::new(kind, "default", name), front);
        plan.changes.into_iter().for_each(|change| drop(world.apply(change)));
    }
}

#[test]
fn what_users_reach_through_the_front_says_where_it_is() {
    let mut world = world();
    front(&mut world, Some("127.0.0.1"));
    assert_eq!(address(&world, Kind::Service, "shop"), json!([{"ip": "127.0.0.1"}]));
    assert_eq!(address(&world, Kind::Ingress, "door"), json!([{"ip": "127.0.0.1"}]));
    assert!(address(&world, Kind::Service, "inner").is_null());
    front(&mut world, Some("front.example.com"));
    assert_eq!(address(&world, Kind::Service, "shop"), json!([{"hostname": "front.example.com"}]));
}

#[test]
fn nothing_is_said_twice_and_a_service_that_turns_inward_takes_it_back() {
    let mut world = world();
    front(&mut world, Some("127.0.0.1"));
    let revision = world.snapshot().revision();
    front(&mut world, Some("127.0.0.1"));
    assert_eq!(world.snapshot().revision(), revision);
    world.edit(Kind::Service, "shop", &["spec", "type"], "ClusterIP");
    front(&mut world, Some("127.0.0.1"));
    assert!(address(&world, Kind::Service, "shop").is_null());
}
