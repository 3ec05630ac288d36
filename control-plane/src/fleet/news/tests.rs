use serde_json::{Value, json};

use super::super::testing::{ingress, pod, service, slice, snapshot, stored};
use super::*;

fn news(before: &[Value], after: &[Value], old: Option<&Value>, new: Option<&Value>) -> Vec<News> {
    let (old, new) = (old.map(|it| stored(it, 1)), new.map(|it| stored(it, 2)));
    let mut ledger = Ledger::of(&snapshot(before));
    ledger.news(&snapshot(after), [Changed { old: old.as_ref(), new: new.as_ref() }])
}

#[test]
fn a_bound_pod_is_assigned_to_its_node_only() {
    let (old, new) = (pod("register", ""), pod("register", "node-1"));
    let news = news(std::slice::from_ref(&old), std::slice::from_ref(&new), Some(&old), Some(&new));
    let [News::Node(node, Command::Assignment(_))] = news.as_slice() else { panic!("{news:?}") };
    assert_eq!(node, "node-1");
}

#[test]
fn a_status_is_not_told_to_the_node_that_said_it() {
    let old = pod("register", "node-1");
    let mut new = old.clone();
    new["status"] = json!({"phase": "Running"});
    new["metadata"]["resourceVersion"] = json!("9");
    assert_eq!(news(std::slice::from_ref(&old), std::slice::from_ref(&new), Some(&old), Some(&new)), []);
}

#[test]
fn a_pod_that_is_asked_to_go_is_assigned_again_and_a_deleted_one_forgotten() {
    let old = pod("register", "node-1");
    let mut new = old.clone();
    new["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let said = news(std::slice::from_ref(&old), std::slice::from_ref(&new), Some(&old), Some(&new));
    assert!(matches!(said.as_slice(), [News::Node(_, Command::Assignment(_))]), "{said:?}");
    let said = news(std::slice::from_ref(&new), &[], Some(&new), None);
    assert!(matches!(said.as_slice(), [News::Node(_, Command::Forget(_))]), "{said:?}");
}

#[test]
fn a_pod_recreated_under_the_same_name_is_forgotten_there_and_assigned_here() {
    let old = pod("register", "node-1");
    let mut new = pod("register", "node-2");
    new["metadata"]["uid"] = json!("another");
    let said = news(std::slice::from_ref(&old), std::slice::from_ref(&new), Some(&old), Some(&new));
    let [News::Node(first, Command::Forget(_)), News::Node(second, Command::Assignment(_))] = said.as_slice()
    else {
        panic!("{said:?}")
    };
    assert_eq!((first.as_str(), second.as_str()), ("node-1", "node-2"));
}

#[test]
fn a_changed_secret_reaches_the_pods_that_refer_to_it() {
    let mut reader = pod("reader", "node-1");
    reader["spec"]["volumes"] = json!([{"name": "keys", "secret": {"secretName": "keys"}}]);
    let other = pod("other", "node-2");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": "shop", "uid": "k"}});
    let before = [reader.clone(), other.clone()];
    let said = news(&before, &[reader, other, secret.clone()], None, Some(&secret));
    let [News::Node(node, Command::Assignment(assignment))] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((node.as_str(), assignment.references.len()), ("node-1", 1));
}

#[test]
fn an_endpoint_change_reaches_every_node_and_the_fronts() {
    let objects = [service("payment", "ClusterIP"), ingress("", "/", "Prefix", "payment")];
    let slice = slice("payment", &["10.65.1.2"]);
    let after = [objects[0].clone(), objects[1].clone(), slice.clone()];
    let said = news(&objects, &after, None, Some(&slice));
    assert!(matches!(said.as_slice(), [News::Nodes(Command::Services(_)), News::Fronts(_)]), "{said:?}");
}
