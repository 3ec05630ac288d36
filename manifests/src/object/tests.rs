use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::*;

fn pod() -> Object {
    Object::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "payment-1", "namespace": "shop", "uid": "u1", "resourceVersion": "12", "generation": 3,
            "labels": {"app": "payment", "odd": 1}, "finalizers": ["a", 2],
            "deletionTimestamp": "2026-01-02T03:04:05Z",
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "payment", "uid": "u0", "controller": true},
            ],
        },
    }))
    .unwrap()
}

#[test]
fn accessors_read_what_is_there_and_pass_over_the_rest() {
    let pod = pod();
    assert_eq!(pod.kind(), Some(Kind::Pod));
    assert_eq!((pod.name(), pod.namespace(), pod.uid()), ("payment-1", Some("shop"), "u1"));
    assert_eq!((pod.resource_version(), pod.generation()), (Some(12), 3));
    assert_eq!(pod.labels(), BTreeMap::from([("app", "payment")]));
    assert_eq!(pod.finalizers(), ["a"]);
    assert!(pod.is_terminating());
    assert_eq!(pod.deletion_timestamp().unwrap().as_second(), 1_767_323_045);
    assert_eq!(pod.controller().unwrap().uid, "u0");
    assert_eq!(pod.describe(), "Pod shop/payment-1");
}

#[test]
fn an_empty_object_reads_as_absent_everywhere() {
    let object = Object::default();
    assert_eq!((object.kind(), object.name(), object.namespace()), (None, "", None));
    assert_eq!(object.at(&[]), None);
    assert_eq!(object.metadata(), ObjectMeta::default());
}

#[test]
fn set_makes_the_maps_on_the_way_and_remove_takes_out() {
    let mut object = Object::default();
    object.set(&["spec", "template", "replicas"], 3);
    assert_eq!(object.i64_at(&["spec", "template", "replicas"]), Some(3));
    assert_eq!(object.remove(&["spec", "template", "replicas"]), Some(json!(3)));
    assert_eq!(object.remove(&["spec", "absent", "replicas"]), None);
}

#[test]
fn a_typed_object_comes_back_with_its_kind() {
    let mut pod = pod();
    pod.remove(&["metadata", "finalizers"]);
    pod.remove(&["metadata", "labels"]);
    let typed: Pod = pod.parse().unwrap();
    assert_eq!(Object::from_typed(&typed).kind(), Some(Kind::Pod));
}

#[test]
fn what_does_not_fit_names_the_object() {
    let mut object = pod();
    object.set(&["spec"], "no map");
    assert_eq!(
        object.parse::<Pod>().unwrap_err().to_string(),
        "Pod shop/payment-1 does not read as its type"
    );
}
