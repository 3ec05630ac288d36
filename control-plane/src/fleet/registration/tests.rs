use serde_json::{Value, json};

use super::super::testing::snapshot;
use super::*;

const POD_CIDR: &str = "10.65.0.0/16";

fn node(name: &str, pod_cidr: Option<&str>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "uid": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {"podCIDR": pod_cidr},
        "status": {"capacity": {"cpu": "2"}},
    })
}

fn hello(node: &Value, known: &[Value]) -> Result<Registration, RegistrationError> {
    let name = node["metadata"]["name"].as_str().expect("a name");
    register(&snapshot(known), name, node.to_string().as_bytes(), POD_CIDR.parse().expect("a range"))
}

#[test]
fn a_new_node_gets_the_first_range_that_is_free() {
    let known = [node("node-1", Some("10.65.0.0/24")), node("node-2", Some("10.65.2.0/24"))];
    let registration = hello(&node("node-3", None), &known).expect("a registration");
    assert_eq!(registration.pod_cidr, "10.65.1.0/24");
    assert!(matches!(registration.changes[0], Change::Create(_)));
}

#[test]
fn a_node_that_comes_back_keeps_its_range_and_what_users_said_of_it() {
    let mut known = node("node-1", Some("10.65.9.0/24"));
    known["metadata"]["labels"]["disk"] = json!("fast");
    known["spec"]["unschedulable"] = json!(true);
    let registration = hello(&node("node-1", None), &[known]).expect("a registration");
    assert_eq!(registration.pod_cidr, "10.65.9.0/24");
    let Change::Update(object) = &registration.changes[0] else { panic!("an update") };
    assert_eq!(object.label("disk"), Some("fast"));
    assert_eq!(object.at(&["spec", "unschedulable"]), Some(&json!(true)));
}

#[test]
fn a_range_of_another_node_is_refused() {
    let known = [node("node-1", Some("10.65.1.0/24"))];
    let refused = hello(&node("node-2", Some("10.65.1.0/24")), &known);
    assert!(matches!(refused, Err(RegistrationError::RangeTaken { .. })), "{refused:?}");
}

#[test]
fn a_range_that_overlaps_or_is_crooked_is_refused() {
    let known = [node("node-1", Some("10.65.1.0/24"))];
    for asked in ["10.65.1.0/25", "10.65.0.0/20", "10.65.2.7/24", "10.70.0.0/24", "nonsense"] {
        let refused = hello(&node("node-2", Some(asked)), &known);
        assert!(matches!(refused, Err(RegistrationError::RangeTaken { .. })), "{asked}: {refused:?}");
    }
}

#[test]
fn the_address_of_another_node_cannot_be_claimed() {
    let at = |mut node: Value, address: &str| {
        node["status"]["addresses"] = json!([{"type": "InternalIP", "address": address}]);
        node
    };
    let known = [at(node("node-1", None), "10.64.1.1")];
    let refused = hello(&at(node("node-2", None), "10.64.1.1"), &known);
    assert!(matches!(refused, Err(RegistrationError::AddressTaken { .. })), "{refused:?}");
    assert!(hello(&at(node("node-1", None), "10.64.1.1"), &known).is_ok());
}

#[test]
fn a_node_cannot_say_hello_for_another() {
    let hello = node("node-1", None).to_string();
    let refused =
        register(&Snapshot::default(), "node-2", hello.as_bytes(), POD_CIDR.parse().expect("a range"));
    assert!(matches!(refused, Err(RegistrationError::OtherNode { .. })), "{refused:?}");
}
