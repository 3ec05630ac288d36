use k8s_openapi::api::core::v1::Pod;
use manifests::Kind;

use crate::controllers::node::Signal;
use crate::controllers::pods::node_name;
use crate::manager::nodes_changed;
use crate::manager::testing::{World, deployment};

fn shop() -> World {
    let mut world = World::new(&["n1", "n2"]);
    world.create(deployment("shop", 4));
    world.run();
    world
}

fn on(world: &World, node: &str) -> usize {
    world.all::<Pod>().iter().filter(|pod| node_name(pod) == node).count()
}

#[test]
fn pods_of_a_node_that_is_deleted_are_gone_and_replaced() {
    let mut world = shop();
    world.delete(Kind::Node, "n1");
    world.run();
    assert_eq!((on(&world, "n1"), on(&world, "n2")), (0, 4));
}

#[test]
fn a_pod_that_was_asked_to_go_on_a_silent_node_is_given_up_at_last() {
    let mut world = shop();
    world.health.signals.insert("n1".into(), Signal::Lost(world.now));
    let snapshot = world.snapshot();
    nodes_changed(&snapshot, |work| world.agenda.add(work));
    world.pass(60);
    assert_eq!(on(&world, "n1"), 2, "its own grace, and a minute");
    world.pass(35);
    assert_eq!(on(&world, "n1"), 0);
}
