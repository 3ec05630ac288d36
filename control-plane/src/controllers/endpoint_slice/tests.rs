use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use manifests::{Kind, Object};
use serde_json::json;

use crate::manager::testing::{World, deployment, service};
use crate::snapshot::Key;

fn shop(replicas: u32) -> World {
    let mut world = World::new(&["n1", "n2"]);
    world.create(service("shop"));
    world.create(deployment("shop", replicas));
    world.run();
    world
}

/// Of each endpoint, whether it is ready, serving and terminating.
fn states(world: &World) -> Vec<(bool, bool, bool)> {
    let slices = world.all::<EndpointSlice>().into_iter();
    let endpoints = slices.flat_map(|slice| slice.endpoints.unwrap_or_default());
    let said = |condition: Option<bool>| condition.expect("it is always said");
    let states = endpoints.map(|endpoint| {
        let conditions = endpoint.conditions.expect("conditions");
        (said(conditions.ready), said(conditions.serving), said(conditions.terminating))
    });
    states.collect()
}

fn ports(world: &World) -> Vec<i32> {
    let slices = world.all::<EndpointSlice>().into_iter();
    let mut ports: Vec<i32> =
        slices.flat_map(|it| it.ports.unwrap_or_default()).filter_map(|port| port.port).collect();
    ports.sort_unstable();
    ports
}

#[test]
fn a_service_has_its_ready_pods_on_the_port_that_they_named() {
    let world = shop(3);
    assert_eq!(states(&world), [(true, true, false); 3]);
    assert_eq!(ports(&world), [8080]);
}

#[test]
fn a_pod_that_is_asked_to_go_is_terminating_at_once_and_still_serves() {
    let mut world = shop(1);
    let name = world.all::<Pod>().remove(0).metadata.name.expect("a name");
    world.delete(Kind::Pod, &name);
    world.settle();
    assert_eq!(states(&world), [(false, true, true)]);
    world.run_nodes();
    world.settle();
    assert_eq!(states(&world), [(true, true, false)], "only the replacement is left");
}

#[test]
fn a_pod_that_is_not_ready_is_listed_but_gets_nothing() {
    let mut world = shop(1);
    let name = world.all::<Pod>().remove(0).metadata.name.expect("a name");
    world.set_ready(&Key::new(Kind::Pod, "default", name), false);
    world.settle();
    assert_eq!(states(&world), [(false, false, false)]);
    world.edit(Kind::Service, "shop", &["spec", "publishNotReadyAddresses"], true);
    world.settle();
    assert_eq!(states(&world), [(true, true, false)]);
}

#[test]
fn pods_that_name_different_ports_are_in_different_slices() {
    let mut world = shop(1);
    let mut other = Object::new(Kind::Pod, "default", "other");
    other.set(&["metadata", "labels"], json!({"app": "shop"}));
    other.set(
        &["spec"],
        json!({"containers": [
            {"name": "c", "image": "i", "ports": [{"containerPort": 9090, "name": "http"}]},
        ]}),
    );
    world.create(other);
    world.run();
    assert_eq!(ports(&world), [8080, 9090]);
}

#[test]
fn a_service_that_nobody_answers_for_has_one_empty_slice() {
    let mut world = World::new(&["n1"]);
    world.create(service("shop"));
    world.settle();
    assert_eq!((world.all::<EndpointSlice>().len(), states(&world).len()), (1, 0));
}

#[test]
fn a_service_without_a_selector_is_left_to_its_user() {
    let mut world = World::new(&["n1"]);
    let mut service = service("outside");
    service.remove(&["spec", "selector"]);
    world.create(service);
    world.settle();
    assert!(world.all::<EndpointSlice>().is_empty());
}

#[test]
fn slices_go_with_their_service() {
    let mut world = shop(2);
    world.delete(Kind::Service, "shop");
    world.settle();
    assert!(world.all::<EndpointSlice>().is_empty());
}
