use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use manifests::pod::is_terminating;
use manifests::{Kind, Object};
use serde_json::json;

use crate::change::Change;
use crate::controllers::owner;
use crate::manager::testing::{World, template};
use crate::snapshot::Key;

fn set(name: &str, replicas: u32) -> Object {
    let mut set = Object::new(Kind::ReplicaSet, "default", name);
    let selector = json!({"matchLabels": {"app": name}});
    set.set(&["spec"], json!({"replicas": replicas, "selector": selector, "template": template(name)}));
    set
}

fn pod(name: &str, app: &str) -> Object {
    let mut pod = Object::new(Kind::Pod, "default", name);
    pod.set(&["metadata", "labels"], json!({"app": app}));
    pod.set(&["spec"], template(app)["spec"].clone());
    pod
}

fn names(world: &World) -> Vec<String> {
    world
        .all::<Pod>()
        .into_iter()
        .filter(|pod| !is_terminating(pod))
        .filter_map(|pod| pod.metadata.name)
        .collect()
}

#[test]
fn a_pod_that_matches_and_is_managed_by_nobody_is_taken_in() {
    let mut world = World::new(&["n1"]);
    world.create(pod("stray", "shop"));
    world.create(set("shop", 2));
    world.run();
    let names = names(&world);
    assert_eq!(names.len(), 2);
    assert!(names.contains(&"stray".to_owned()));
    let stray: Pod = world.find("stray").expect("it");
    assert_eq!(owner::controller(&stray.metadata).map(|owner| owner.name.as_str()), Some("shop"));
}

#[test]
fn a_pod_that_no_longer_matches_is_let_go_and_replaced() {
    let mut world = World::new(&["n1"]);
    world.create(set("shop", 1));
    world.run();
    let name = names(&world).remove(0);
    world.edit(Kind::Pod, &name, &["metadata", "labels"], json!({"app": "quarantine"}));
    world.run();
    assert_eq!(names(&world).len(), 2);
    let released: Pod = world.find(&name).expect("it is still there");
    assert!(owner::controller(&released.metadata).is_none());
}

#[test]
fn of_too_many_pods_the_unready_goes_first_then_one_of_the_crowd_then_the_youngest() {
    let mut world = World::new(&["n1"]);
    world.create(set("shop", 3));
    world.run();
    let all = names(&world);
    world.set_ready(&Key::new(Kind::Pod, "default", all[1].as_str()), false);
    world.edit(Kind::ReplicaSet, "shop", &["spec", "replicas"], 2);
    world.settle();
    assert_eq!(names(&world), [all[0].clone(), all[2].clone()]);
    world.pass(100);
    let young = all[0].as_str();
    world.set_ready(&Key::new(Kind::Pod, "default", young), false);
    world.set_ready(&Key::new(Kind::Pod, "default", young), true);
    world.edit(Kind::ReplicaSet, "shop", &["spec", "replicas"], 1);
    world.settle();
    assert_eq!(names(&world), [all[2].clone()]);
}

#[test]
fn a_pod_with_a_low_deletion_cost_goes_before_its_equals() {
    let mut world = World::new(&["n1"]);
    world.create(set("shop", 3));
    world.run();
    let all = names(&world);
    let cost = ["metadata", "annotations", "controller.kubernetes.io/pod-deletion-cost"];
    world.edit(Kind::Pod, &all[2], &cost, "-10");
    world.edit(Kind::ReplicaSet, "shop", &["spec", "replicas"], 2);
    world.settle();
    assert_eq!(names(&world), [all[0].clone(), all[1].clone()]);
}

#[test]
fn a_failed_pod_is_replaced_and_a_terminating_one_is_not_waited_for() {
    let mut world = World::new(&["n1"]);
    world.create(set("shop", 2));
    world.run();
    let all = names(&world);
    let mut failed =
        world.snapshot().get(&Key::new(Kind::Pod, "default", all[0].as_str())).expect("it").object().clone();
    failed.set(&["status", "phase"], "Failed");
    world.apply(Change::UpdateStatus(failed));
    world.delete(Kind::Pod, &all[1]);
    world.settle();
    assert_eq!(world.all::<Pod>().len(), 4);
    let status = world.find::<ReplicaSet>("shop").and_then(|set| set.status).expect("a status");
    assert_eq!((status.replicas, status.terminating_replicas), (2, Some(1)));
}

#[test]
fn a_plan_that_is_carried_out_twice_makes_no_pod_twice() {
    let mut world = World::new(&["n1"]);
    world.create(set("shop", 3));
    let snapshot = world.snapshot();
    let key = Key::new(Kind::ReplicaSet, "default", "shop");
    let plan = super::reconcile(&snapshot, &key, world.now);
    for change in plan.changes.iter().chain(&plan.changes) {
        drop(world.try_apply(change.clone()));
    }
    assert_eq!(world.all::<Pod>().len(), 3);
}
