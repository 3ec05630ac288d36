use std::collections::BTreeSet;

use super::super::tests::{Cluster, node, pod};
use super::*;
use crate::change::Change;

#[test]
fn a_new_object_gets_what_only_the_server_gives() {
    let mut cluster = Cluster::founded();
    let mut object = pod("p");
    object.set(&["metadata", "uid"], "mine");
    object.set(&["metadata", "creationTimestamp"], Value::Null);
    object.set(&["status"], json!({"phase": "Succeeded"}));
    let stored = cluster.create(object);
    let object = stored.object();
    assert_eq!(object.uid().len(), 36);
    assert_eq!(object.str_at(&["metadata", "creationTimestamp"]), Some("2026-01-01T00:00:00Z"));
    assert_eq!(object.generation(), 1);
    assert_eq!(object.str_at(&["status", "phase"]), Some("Pending"), "a user's status is discarded");
    assert_eq!(object.str_at(&["spec", "restartPolicy"]), Some("Always"), "defaults are stored");
}

#[test]
fn a_node_reports_its_own_status_when_it_registers() {
    let stored = Cluster::founded().create(node("n"));
    assert_eq!(stored.object().str_at(&["status", "allocatable", "cpu"]), Some("1"));
}

#[test]
fn generated_names_differ_and_spell_no_words() {
    let mut cluster = Cluster::founded();
    let mut names = BTreeSet::new();
    for _ in 0..20 {
        let mut object = pod("");
        object.set(&["metadata", "generateName"], "web-");
        let stored = cluster.create(object);
        let suffix = stored.object().name().strip_prefix("web-").expect("the prefix").to_owned();
        assert_eq!(suffix.len(), GENERATED_SUFFIX_LEN);
        assert!(suffix.bytes().all(|byte| SUFFIX_ALPHABET.contains(&byte)));
        assert!(names.insert(suffix));
    }
}

#[test]
fn a_name_is_taken_once_and_needs_its_namespace() {
    let mut cluster = Cluster::founded();
    cluster.create(pod("p"));
    assert_eq!(cluster.apply(Change::Create(pod("p"))).expect_err("taken").code(), 409);
    let mut astray = pod("q");
    astray.set(&["metadata", "namespace"], "nowhere");
    let status = cluster.apply(Change::Create(astray)).expect_err("no namespace");
    assert_eq!(status.message, "namespaces \"nowhere\" not found");
}

#[test]
fn nothing_new_comes_into_a_namespace_that_ends() {
    let mut cluster = Cluster::founded();
    let namespace = cluster.create(Object::new(Kind::Namespace, "", "brief"));
    cluster.delete(namespace.key(), None).expect("asked to go");
    let mut late = pod("late");
    late.set(&["metadata", "namespace"], "brief");
    let status = cluster.apply(Change::Create(late)).expect_err("too late");
    assert_eq!(status.code(), 403);
    assert_eq!(status.details.expect("details").causes[0].reason, "NamespaceTerminating");
}

#[test]
fn a_new_object_may_not_say_its_version() {
    let mut object = pod("p");
    object.set(&["metadata", "resourceVersion"], "1");
    assert_eq!(Cluster::founded().apply(Change::Create(object)).expect_err("refused").code(), 400);
}
