use super::super::tests::{Cluster, node, pod};
use super::*;
use crate::change::Change;
use crate::store::Outcome;

fn bind(cluster: &mut Cluster, name: &str, node: &str) -> Result<Outcome, Status> {
    let pod = Key::new(Kind::Pod, "default", name);
    cluster.apply(Change::Bind { pod, uid: "".into(), node: node.into() })
}

#[test]
fn a_pod_is_bound_once() {
    let mut cluster = Cluster::founded();
    let key = cluster.bound_pod();
    let object = cluster.get(&key).expect("there");
    assert_eq!(object.str_at(&["spec", "nodeName"]), Some("n0"));
    assert_eq!(object.list_at(&["status", "conditions"])[0]["type"], "PodScheduled");
    let refusal = bind(&mut cluster, "p0", "n0").expect_err("bound");
    assert!(refusal.message.contains("already assigned to node \"n0\""), "{refusal}");
}

#[test]
fn a_node_takes_no_more_than_it_has_room_for() {
    let mut cluster = Cluster::founded();
    cluster.bound_pod();
    for name in ["p1", "p2"] {
        cluster.create(pod(name));
    }
    bind(&mut cluster, "p1", "n0").expect("800 of 1000 millicores");
    let refusal = bind(&mut cluster, "p2", "n0").expect_err("400 into 200");
    assert_eq!(refusal.code(), 409);
    assert!(refusal.message.contains("room for 200m cpu"), "{refusal}");
}

#[test]
fn a_pod_is_bound_to_no_node_that_is_not_there() {
    let mut cluster = Cluster::founded();
    cluster.create(pod("p"));
    assert_eq!(bind(&mut cluster, "p", "nowhere").expect_err("no node").code(), 404);
    assert_eq!(bind(&mut cluster, "nobody", "nowhere").expect_err("no pod").code(), 404);
}

#[test]
fn a_node_takes_as_many_pods_as_it_says() {
    let mut cluster = Cluster::founded();
    let mut small = node("n");
    small.set(&["status", "allocatable", "pods"], "1");
    cluster.create(small);
    for name in ["p", "q"] {
        cluster.create(pod(name));
    }
    bind(&mut cluster, "p", "n").expect("the first");
    assert!(bind(&mut cluster, "q", "n").expect_err("full").message.contains("all of its 1 pods"));
}

#[test]
fn the_class_of_a_pod_follows_from_what_it_asks_for() {
    let with = |resources: Value| {
        let mut object = pod("p");
        object.set(&["spec"], json!({"containers": [{"name": "c", "resources": resources}]}));
        qos_class(&object)
    };
    assert_eq!(with(json!({})), "BestEffort");
    assert_eq!(with(json!({"requests": {"cpu": "1"}})), "Burstable");
    assert_eq!(with(json!({"limits": {"cpu": "1", "memory": "1Gi"}})), "Guaranteed");
}
