use serde_json::json;

use super::*;

fn pod(containers: &[&str]) -> Object {
    let containers: Vec<Value> = containers.iter().map(|name| json!({"name": name})).collect();
    Object::from_value(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": containers, "initContainers": [{"name": "setup"}]},
    }))
    .expect("a map")
}

#[test]
fn the_only_container_need_not_be_named() {
    assert_eq!(choose(&pod(&["app"]), "").expect("chosen"), "app");
    assert_eq!(choose(&pod(&["app"]), "setup").expect("chosen"), "setup");
}

#[test]
fn one_of_several_containers_must_be_named() {
    let status = choose(&pod(&["app", "proxy"]), "").expect_err("ambiguous");
    assert_eq!(status.code(), 400);
    assert!(status.message.contains("choose one of: [app proxy]"), "{}", status.message);
    assert!(choose(&pod(&["app"]), "nobody").is_err());
}

#[test]
fn an_annotation_names_the_container_that_is_meant() {
    let mut pod = pod(&["app", "proxy"]);
    pod.set(&["metadata", "annotations", DEFAULT_CONTAINER], "proxy");
    assert_eq!(choose(&pod, "").expect("chosen"), "proxy");
}

#[test]
fn an_exit_code_is_told_as_kubectl_reads_it() {
    assert_eq!(exit_status(0)["status"], "Success");
    assert_eq!(exit_status(3)["details"]["causes"][0]["message"], "3");
}
