use serde_json::{Value, json};

use super::super::testing::{pod, snapshot};
use super::*;

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "shop", "uid": name}})
}

#[test]
fn a_pod_comes_with_the_secrets_that_it_refers_to_and_with_no_others() {
    let mut pod = pod("register", "node-1");
    pod["spec"]["containers"][0]["env"] =
        json!([{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "mine", "key": "password"}}}]);
    pod["spec"]["volumes"] = json!([{"name": "keys", "secret": {"secretName": "absent"}}]);
    let snapshot = snapshot(&[pod, secret("mine"), secret("other")]);
    let stored = snapshot.get(&Key::new(Kind::Pod, "shop", "register")).expect("the pod");
    let assignment = assignment(&snapshot, stored).expect("an assignment");
    let names: Vec<String> = assignment
        .references
        .iter()
        .map(|json| Object::from_json(json).expect("an object").name().to_owned())
        .collect();
    assert_eq!(names, ["mine"]);
}

#[test]
fn every_place_that_can_refer_to_a_config_map_is_found() {
    let mut pod = pod("register", "node-1");
    pod["spec"]["initContainers"] =
        json!([{"name": "first", "envFrom": [{"configMapRef": {"name": "by-env-from"}}]}]);
    pod["spec"]["containers"][0]["env"] =
        json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "by-key", "key": "a"}}}]);
    pod["spec"]["volumes"] = json!([
        {"name": "a", "configMap": {"name": "by-volume"}},
        {"name": "b", "projected": {"sources": [{"configMap": {"name": "by-projection"}}]}},
    ]);
    let pod: Pod = serde_json::from_value(pod).expect("a pod");
    let names: Vec<&str> = references(&pod).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["by-env-from", "by-key", "by-projection", "by-volume"]);
}
