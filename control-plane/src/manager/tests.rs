use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use manifests::pod::is_ready;
use manifests::{Kind, Object};
use serde_json::json;

use super::testing::{World, deployment};
use crate::change::Change;
use crate::controllers::node::Signal;
use crate::controllers::pods::node_name;

#[test]
fn a_deployment_becomes_ready_pods_spread_over_the_nodes() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.create(deployment("payment", 6));
    world.run();
    let pods: Vec<Pod> = world.all();
    assert_eq!(pods.iter().filter(|pod| is_ready(pod)).count(), 6);
    let mut per_node: BTreeMap<&str, u32> = BTreeMap::new();
    pods.iter().for_each(|pod| *per_node.entry(node_name(pod)).or_default() += 1);
    assert_eq!(per_node.into_values().collect::<Vec<_>>(), [2, 2, 2]);
    let status = world.find::<Deployment>("payment").and_then(|it| it.status).expect("a status");
    assert_eq!((status.available_replicas, status.observed_generation), (Some(6), Some(1)));
}

#[test]
fn a_second_full_pass_over_a_settled_cluster_changes_nothing() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.create(deployment("payment", 6));
    world.run();
    let revision = world.snapshot().revision();
    let (snapshot, now) = (world.snapshot(), world.now);
    world.agenda.plan_full_pass(&snapshot, now);
    world.settle();
    assert_eq!(world.snapshot().revision(), revision);
}

#[test]
fn scaling_down_deletes_pods_and_scaling_up_makes_them_again() {
    let mut world = World::new(&["n1", "n2"]);
    world.create(deployment("payment", 5));
    world.run();
    for replicas in [2, 7, 0, 3] {
        world.edit(Kind::Deployment, "payment", &["spec", "replicas"], replicas);
        world.run();
        assert_eq!(world.all::<Pod>().len(), replicas);
    }
    assert_eq!(world.all::<ReplicaSet>().len(), 1);
}

#[test]
fn pods_of_a_node_that_is_lost_become_ready_elsewhere() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.create(deployment("payment", 6));
    world.run();
    world.health.signals.insert("n2".into(), Signal::Lost(world.now));
    let (snapshot, now) = (world.snapshot(), world.now);
    world.agenda.plan_full_pass(&snapshot, now);
    world.pass(2);
    let node: Node = world.find("n2").expect("the node");
    assert!(crate::controllers::node::is_unreachable(&node));
    let elsewhere = |pod: &&Pod| !matches!(node_name(pod), "" | "n2");
    assert_eq!(world.all::<Pod>().iter().filter(elsewhere).count(), 6);
    // Back again: the pods that it still has are told to go, and the marks are taken off.
    world.health.signals.insert("n2".into(), Signal::Heard(world.now + jiff::SignedDuration::from_hours(1)));
    world.agenda.plan_full_pass(&snapshot, now);
    world.run();
    assert!(!crate::controllers::node::is_unreachable(&world.find("n2").expect("the node")));
    assert_eq!(world.all::<Pod>().len(), 6);
}

#[test]
fn a_namespace_that_is_deleted_takes_everything_in_it_along() {
    let mut world = World::new(&["n1"]);
    world.create(Object::new(Kind::Namespace, "", "shop"));
    let mut shop = deployment("payment", 3);
    shop.set(&["metadata", "namespace"], "shop");
    world.create(shop);
    world.run();
    assert_eq!(world.all::<Pod>().len(), 3);
    world.delete(Kind::Namespace, "shop");
    world.run();
    let left: Vec<String> = world
        .snapshot()
        .iter()
        .filter(|object| &*object.key().namespace == "shop" || &*object.key().name == "shop")
        .map(|object| object.key().to_string())
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_deployment_that_is_deleted_takes_its_sets_and_pods_along() {
    let mut world = World::new(&["n1"]);
    world.create(deployment("payment", 3));
    world.run();
    world.delete(Kind::Deployment, "payment");
    world.run();
    assert_eq!((world.all::<ReplicaSet>().len(), world.all::<Pod>().len()), (0, 0));
}

#[test]
fn a_creation_that_is_refused_is_told_to_users_and_tried_again_later() {
    let mut world = World::new(&["n1"]);
    let mut set = Object::new(Kind::ReplicaSet, "default", "broken");
    set.set(&["spec"], json!({"replicas": 1, "selector": {"matchLabels": {"app": "broken"}}, "template": super::testing::template("broken")}));
    set.set(&["spec", "template", "metadata", "finalizers"], json!(["not a finalizer"]));
    if world.try_apply(Change::Create(set)).is_ok() {
        world.settle();
        assert_eq!(world.events("FailedCreate").len() + world.events("SuccessfulCreate").len(), 1);
    }
}

/// A pod that nobody owns, with a request for CPU.
fn pod(name: &str, cpu: &str) -> Object {
    let mut pod = Object::new(Kind::Pod, "default", name);
    let requests = json!({"requests": {"cpu": cpu}});
    let containers = json!([{"name": "main", "image": "supermarket/payment:1", "resources": requests}]);
    pod.set(&["spec"], json!({ "containers": containers }));
    pod
}

#[test]
fn after_every_change_was_refused_for_a_while_pods_are_bound_again() {
    let mut world = World::new(&["n1"]);
    let refused = world.create(pod("refused", "1"));
    world.refuse_all = true;
    world.pass(1);
    world.refuse_all = false;
    world.apply(Change::delete(refused.key().clone(), refused.uid().clone()));
    world.pass(10);
    world.create(pod("next", "1"));
    world.pass(1);
    assert_eq!(node_name(&world.find::<Pod>("next").expect("it")), "n1");
}

#[test]
fn batches_that_the_store_did_not_take_leave_no_pods_behind_in_the_schedulers_view() {
    let mut world = World::new(&["n1", "n2"]);
    let first = world.create(pod("first", "3"));
    (0..10).for_each(|_| world.abandon_round());
    world.settle();
    world.apply(Change::delete_now(first.key().clone(), first.uid().clone()));
    for name in ["second", "third"] {
        world.create(pod(name, "3"));
    }
    world.settle();
    assert!(world.all::<Pod>().iter().all(|pod| !node_name(pod).is_empty()), "both nodes are free");
}

#[test]
fn a_pod_whose_binding_is_always_refused_does_not_hold_up_the_others() {
    let mut world = World::new(&["n1"]);
    world.refused = Some("unlucky");
    world.create(pod("unlucky", "1"));
    world.pass(30);
    world.create(pod("next", "1"));
    world.pass(0);
    assert_eq!(node_name(&world.find::<Pod>("next").expect("it")), "n1");
    world.refused = None;
    world.pass(6);
    assert_eq!(node_name(&world.find::<Pod>("unlucky").expect("it")), "n1");
}
