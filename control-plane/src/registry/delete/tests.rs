use super::super::tests::{Cluster, pod};
use super::*;
use crate::change::Change;
use crate::store::Outcome;

#[test]
fn a_pod_without_a_node_goes_at_once() {
    let mut cluster = Cluster::founded();
    let key = cluster.create(pod("p")).key().clone();
    assert!(matches!(cluster.delete(&key, None), Ok(Outcome::Removed(_))));
}

#[test]
fn a_pod_on_a_node_stays_until_its_node_says_that_it_is_gone() {
    let mut cluster = Cluster::founded();
    let key = cluster.bound_pod();
    cluster.delete(&key, None).expect("asked to go");
    let object = cluster.get(&key).expect("still there");
    assert_eq!(object.str_at(&["metadata", "deletionTimestamp"]), Some("2026-01-01T00:00:30Z"));
    assert_eq!(object.i64_at(&["metadata", "deletionGracePeriodSeconds"]), Some(30));
    assert!(matches!(cluster.delete(&key, Some(0)), Ok(Outcome::Removed(_))));
}

#[test]
fn a_second_deletion_may_hurry_the_first_and_never_slows_it() {
    let mut cluster = Cluster::founded();
    let key = cluster.bound_pod();
    cluster.delete(&key, Some(10)).expect("asked to go");
    assert!(matches!(cluster.delete(&key, Some(20)), Ok(Outcome::Unchanged(_))));
    let hurried = cluster.delete(&key, Some(5)).expect("hurried");
    assert_eq!(hurried.stored().object().i64_at(&["metadata", "deletionGracePeriodSeconds"]), Some(5));
}

#[test]
fn a_deletion_that_was_meant_for_another_object_is_a_conflict() {
    let mut cluster = Cluster::founded();
    let stored = cluster.create(pod("p"));
    let deletion = |uid: &str, resource_version| Change::Delete {
        key: stored.key().clone(),
        preconditions: Preconditions { uid: Some(uid.into()), resource_version },
        grace_period_seconds: None,
        propagation: Propagation::Background,
    };
    assert_eq!(cluster.apply(deletion("another", None)).expect_err("another uid").code(), 409);
    assert_eq!(cluster.apply(deletion(stored.uid(), Some(1))).expect_err("an old version").code(), 409);
    cluster.apply(deletion(stored.uid(), Some(stored.revision()))).expect("this one");
}

#[test]
fn a_foreground_deletion_waits_for_the_garbage_collector() {
    let mut cluster = Cluster::founded();
    let stored = cluster.create(pod("p"));
    let deletion = Change::Delete {
        key: stored.key().clone(),
        preconditions: Preconditions::default(),
        grace_period_seconds: None,
        propagation: Propagation::Foreground,
    };
    let waiting = cluster.apply(deletion).expect("asked to go");
    assert_eq!(waiting.stored().object().finalizers(), ["foregroundDeletion"]);
    let done = Change::Finalize {
        key: stored.key().clone(),
        uid: Arc::clone(stored.uid()),
        finalizer: "foregroundDeletion".into(),
    };
    assert!(matches!(cluster.apply(done), Ok(Outcome::Removed(_))));
}

#[test]
fn a_namespace_waits_until_it_is_empty() {
    let mut cluster = Cluster::founded();
    let stored = cluster.create(Object::new(Kind::Namespace, "", "brief"));
    let going = cluster.delete(stored.key(), None).expect("asked to go");
    assert_eq!(going.stored().object().str_at(&["status", "phase"]), Some("Terminating"));
    let finalizer = namespaces::FINALIZER.into();
    let done = Change::Finalize { key: stored.key().clone(), uid: Arc::clone(stored.uid()), finalizer };
    assert!(matches!(cluster.apply(done), Ok(Outcome::Removed(_))));
}

#[test]
fn the_clusters_own_namespaces_stay() {
    let mut cluster = Cluster::founded();
    let refusal = cluster.delete(&Key::new(Kind::Namespace, "", "default"), None).expect_err("kept");
    assert_eq!(refusal.code(), 403);
}
