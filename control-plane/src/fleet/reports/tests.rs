use serde_json::json;

use super::super::testing::{pod, snapshot};
use super::*;

fn node() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "uid": "node-1"},
        "spec": {"podCIDR": "10.65.1.0/24"},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.64.1.1"}]},
    })
}

fn status_of(name: &str, uid: &str) -> Report {
    Report::PodStatus(proto::PodStatus {
        pod: Some(proto::PodRef { namespace: "shop".into(), name: name.into(), uid: uid.into() }),
        status: json!({"phase": "Running"}).to_string().into(),
    })
}

#[test]
fn a_node_speaks_for_its_own_pods() {
    let snapshot = snapshot(&[node(), pod("register", "node-1")]);
    let change = change(&snapshot, "node-1", status_of("register", "register-uid"));
    let Some(Change::UpdateStatus(object)) = change else { panic!("a status: {change:?}") };
    assert_eq!(object.str_at(&["status", "phase"]), Some("Running"));
    assert_eq!(object.uid(), "register-uid");
}

#[test]
fn a_node_does_not_speak_for_the_pods_of_others_nor_of_an_earlier_pod_of_that_name() {
    let snapshot = snapshot(&[node(), pod("register", "node-1")]);
    assert_eq!(change(&snapshot, "node-2", status_of("register", "register-uid")), None);
    assert_eq!(change(&snapshot, "node-1", status_of("register", "another-uid")), None);
    assert_eq!(change(&snapshot, "node-1", status_of("nobody", "register-uid")), None);
}

#[test]
fn a_node_gives_only_its_own_addresses_to_pods() {
    let snapshot = snapshot(&[node(), pod("register", "node-1")]);
    let at = |address: &str| {
        let Report::PodStatus(mut report) = status_of("register", "register-uid") else { unreachable!() };
        report.status = json!({"podIP": address, "podIPs": [{"ip": address}]}).to_string().into();
        change(&snapshot, "node-1", Report::PodStatus(report)).is_some()
    };
    assert!(at("10.65.1.7") && at("10.64.1.1") && at(""));
    assert!(!at("10.65.2.7") && !at("127.0.0.1") && !at("nonsense"));
}

#[test]
fn a_long_message_is_cut_at_a_character() {
    assert_eq!(cut("ä".repeat(MESSAGE_MAX)).len(), MESSAGE_MAX);
    assert_eq!(cut(format!("a{}", "ä".repeat(MESSAGE_MAX))).len(), MESSAGE_MAX - 1);
}
