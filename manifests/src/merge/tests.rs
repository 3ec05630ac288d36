use serde_json::json;

use super::*;

fn object(value: Value) -> Object {
    Object::from_value(value).unwrap()
}

fn deployment(spec: Value) -> Object {
    object(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}))
}

fn containers(containers: Value) -> Object {
    deployment(json!({"template": {"spec": {"containers": containers}}}))
}

/// Applies the first, lets the "cluster" change it, applies the second.
fn reapplied(first: &Object, change: impl Fn(&mut Object), second: &Object) -> Object {
    let mut current = with_record(first);
    change(&mut current);
    apply(Kind::Deployment, &with_record(second), &current)
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let wanted = containers(json!([{"name": "a", "env": [{"name": "A", "value": "1"}]}]));
    let defaulted = |object: &mut Object| {
        object.set(&["spec", "replicas"], 1);
        object.set(&["status", "replicas"], 1);
        object.metadata_mut().insert("uid".into(), "u".into());
    };
    let mut current = with_record(&wanted);
    defaulted(&mut current);
    assert_eq!(apply(Kind::Deployment, &with_record(&wanted), &current), current);
}

#[test]
fn what_is_no_longer_wanted_goes_and_what_others_set_stays() {
    let first = containers(json!([
        {"name": "a", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"name": "gone"},
    ]));
    let second = containers(json!([{"name": "a", "env": [{"name": "A", "value": "3"}]}]));
    let merged = reapplied(
        &first,
        |current| {
            let container = &mut current.0["spec"]["template"]["spec"]["containers"];
            container[0]["imagePullPolicy"] = json!("Always");
            container.as_array_mut().unwrap().push(json!({"name": "injected"}));
        },
        &second,
    );
    assert_eq!(
        merged.list_at(&["spec", "template", "spec", "containers"]),
        [
            json!({"name": "a", "imagePullPolicy": "Always", "env": [{"name": "A", "value": "3"}]}),
            json!({"name": "injected"}),
        ]
    );
}

#[test]
fn fields_that_were_never_applied_are_left_alone() {
    let merged = reapplied(
        &deployment(json!({"paused": false})),
        |current| current.set(&["spec", "replicas"], 5),
        &deployment(json!({})),
    );
    assert_eq!(merged.at(&["spec"]), Some(&json!({"replicas": 5})));
}

#[test]
fn a_new_arm_of_a_union_drops_the_old_one() {
    let volumes = |volumes: Value| deployment(json!({"template": {"spec": {"volumes": volumes}}}));
    let merged = reapplied(
        &volumes(json!([{"name": "v", "emptyDir": {}}])),
        |_| {},
        &volumes(json!([{"name": "v", "configMap": {"name": "c"}}])),
    );
    assert_eq!(
        merged.list_at(&["spec", "template", "spec", "volumes"]),
        [json!({"name": "v", "configMap": {"name": "c"}})]
    );
    let merged = reapplied(
        &deployment(json!({})),
        |current| current.set(&["spec", "strategy"], json!({"type": "RollingUpdate", "rollingUpdate": {}})),
        &deployment(json!({"strategy": {"type": "Recreate"}})),
    );
    assert_eq!(merged.at(&["spec", "strategy"]), Some(&json!({"type": "Recreate"})));
}

#[test]
fn ports_of_two_protocols_are_two_ports() {
    let ports = |ports: Value| containers(json!([{"name": "a", "ports": ports}]));
    let wanted =
        ports(json!([{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]));
    let merged = reapplied(&ports(json!([{"containerPort": 53, "protocol": "TCP"}])), |_| {}, &wanted);
    assert_eq!(merged.at(&["spec"]), wanted.at(&["spec"]));
}

#[test]
fn finalizers_are_a_set() {
    let with = |finalizers: Value| {
        object(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "finalizers": finalizers}}),
        )
    };
    let merged = reapplied(
        &with(json!(["a", "b"])),
        |current| current.set(&["metadata", "finalizers"], json!(["a", "b", "other"])),
        &with(json!(["b", "c"])),
    );
    assert_eq!(merged.finalizers(), ["b", "other", "c"]);
}

#[test]
fn the_record_is_kubectls() {
    let recorded = with_record(&deployment(json!({"replicas": 1})));
    let text = recorded.annotation(LAST_APPLIED).unwrap();
    assert!(text.ends_with('\n'));
    let record: Value = serde_json::from_str(text).unwrap();
    assert_eq!(record["metadata"], json!({"annotations": {}, "name": "d"}));
}
