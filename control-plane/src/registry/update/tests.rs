use super::super::tests::{Cluster, pod};
use super::*;
use crate::change::Change;
use crate::store::Outcome;

#[test]
fn only_a_change_of_the_spec_is_a_new_generation() {
    let mut cluster = Cluster::founded();
    let mut object = cluster.create(pod("p")).object().clone();
    object.remove(&["metadata", "resourceVersion"]);
    object.set(&["metadata", "labels", "a"], "b");
    let labelled = cluster.apply(Change::Update(object.clone())).expect("labelled");
    assert_eq!(labelled.stored().object().generation(), 1);
    object.set(&["spec", "activeDeadlineSeconds"], 5);
    let changed = cluster.apply(Change::Update(object)).expect("changed");
    assert_eq!(changed.stored().object().generation(), 2);
}

#[test]
fn a_stale_copy_is_a_conflict() {
    let mut cluster = Cluster::founded();
    let stale = cluster.create(pod("p")).object().clone();
    let mut fresh = stale.clone();
    fresh.set(&["metadata", "labels", "a"], "b");
    cluster.apply(Change::Update(fresh)).expect("current");
    assert_eq!(cluster.apply(Change::Update(stale.clone())).expect_err("stale").code(), 409);
    let mut garbled = stale;
    garbled.set(&["metadata", "resourceVersion"], "soon");
    assert_eq!(cluster.apply(Change::Update(garbled)).expect_err("no number").code(), 422);
}

#[test]
fn a_copy_of_an_object_that_was_replaced_is_a_conflict() {
    let mut cluster = Cluster::founded();
    let mut first = cluster.create(pod("p")).object().clone();
    cluster.delete(&key_of(&first).expect("a key"), Some(0)).expect("deleted");
    cluster.create(pod("p"));
    first.remove(&["metadata", "resourceVersion"]);
    assert_eq!(cluster.apply(Change::UpdateStatus(first)).expect_err("another uid").code(), 409);
}

#[test]
fn a_status_write_leaves_the_rest_alone_and_an_update_leaves_the_status() {
    let mut cluster = Cluster::founded();
    let mut object = cluster.create(pod("p")).object().clone();
    object.remove(&["metadata", "resourceVersion"]);
    object.set(&["status"], json!({"phase": "Running"}));
    object.set(&["metadata", "labels", "a"], "b");
    let reported = cluster.apply(Change::UpdateStatus(object.clone())).expect("reported");
    assert_eq!(reported.stored().object().label("a"), None);
    object.set(&["status"], json!({"phase": "Failed"}));
    let updated = cluster.apply(Change::Update(object)).expect("updated");
    assert_eq!(updated.stored().object().str_at(&["status", "phase"]), Some("Running"));
    assert_eq!(updated.stored().object().label("a"), Some("b"));
}

#[test]
fn what_is_already_so_is_not_written() {
    let mut cluster = Cluster::founded();
    let object = cluster.create(pod("p")).object().clone();
    assert!(matches!(cluster.apply(Change::Update(object)), Ok(Outcome::Unchanged(_))));
}

#[test]
fn a_pod_gets_its_node_by_a_binding_alone() {
    let mut cluster = Cluster::founded();
    let mut object = cluster.create(pod("p")).object().clone();
    object.set(&["spec", "nodeName"], "n");
    assert_eq!(cluster.apply(Change::Update(object)).expect_err("no binding").code(), 422);
}

#[test]
fn an_object_that_goes_takes_no_new_finalizers() {
    let mut cluster = Cluster::founded();
    let mut object = pod("p");
    object.set(&["metadata", "finalizers"], json!(["example.com/held"]));
    let key = cluster.create(object).key().clone();
    cluster.delete(&key, None).expect("asked to go");
    let mut object = cluster.get(&key).expect("held").clone();
    object.set(&["metadata", "finalizers"], json!(["example.com/held", "example.com/more"]));
    assert_eq!(cluster.apply(Change::Update(object.clone())).expect_err("too late").code(), 422);
    object.remove(&["metadata", "finalizers"]);
    assert!(
        matches!(cluster.apply(Change::Update(object)), Ok(Outcome::Removed(_))),
        "nothing holds it any more"
    );
}
