use manifests::Kind;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn patched(document: Value, patch: Value) -> Result<Value, StrategicError> {
    let (Value::Object(mut document), Value::Object(patch)) = (document, patch) else { unreachable!("maps") };
    apply(&mut document, patch, Some(Place::root(Kind::Pod)))?;
    Ok(Value::Object(document))
}

fn spec(spec: Value) -> Value {
    json!({"spec": spec})
}

#[test]
fn containers_merge_by_name() {
    let pod = spec(json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}));
    let patch = spec(json!({"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]}));
    let expected =
        json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "3"}]);
    assert_eq!(patched(pod, patch).expect("applied")["spec"]["containers"], expected);
}

#[test]
fn ports_merge_by_their_number_alone() {
    let pod =
        spec(json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}));
    let patch =
        spec(json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "http"}]}]}));
    let ports = &patched(pod, patch).expect("applied")["spec"]["containers"][0]["ports"];
    assert_eq!(*ports, json!([{"containerPort": 80, "protocol": "TCP", "name": "http"}]));
}

#[test]
fn an_element_is_deleted_by_its_key() {
    let env = json!([{"name": "A", "value": "a"}, {"name": "B", "value": "b"}]);
    let pod = spec(json!({"containers": [{"name": "a", "env": env}]}));
    let gone = json!([{"name": "B", "$patch": "delete"}]);
    let patch = spec(json!({"containers": [{"name": "a", "env": gone}]}));
    let left = &patched(pod, patch).expect("applied")["spec"]["containers"][0]["env"];
    assert_eq!(*left, json!([{"name": "A", "value": "a"}]));
}

#[test]
fn a_list_is_replaced_when_the_patch_says_so_or_the_schema_knows_no_key() {
    let pod = spec(json!({"containers": [{"name": "a", "command": ["x", "y"]}]}));
    let patch = spec(json!({"containers": [{"$patch": "replace"}, {"name": "b"}]}));
    assert_eq!(patched(pod.clone(), patch).expect("applied")["spec"]["containers"], json!([{"name": "b"}]));
    let patch = spec(json!({"containers": [{"name": "a", "command": ["z"]}]}));
    assert_eq!(patched(pod, patch).expect("applied")["spec"]["containers"][0]["command"], json!(["z"]));
}

#[test]
fn a_map_is_replaced_or_deleted_when_the_patch_says_so() {
    let pod = spec(json!({"nodeSelector": {"a": "1", "b": "2"}, "securityContext": {"runAsUser": 1}}));
    let patch = spec(
        json!({"nodeSelector": {"$patch": "replace", "c": "3"}, "securityContext": {"$patch": "delete"}}),
    );
    assert_eq!(patched(pod, patch).expect("applied"), spec(json!({"nodeSelector": {"c": "3"}})));
}

#[test]
fn only_the_retained_keys_stay() {
    let volume = json!([{"name": "v", "emptyDir": {}}]);
    let pod = spec(json!({"volumes": volume}));
    let patch = spec(
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}),
    );
    let left = &patched(pod, patch).expect("applied")["spec"]["volumes"];
    assert_eq!(*left, json!([{"name": "v", "hostPath": {"path": "/x"}}]));
}

#[test]
fn elements_take_the_order_that_the_patch_sets() {
    let pod = spec(json!({"containers": [{"name": "server"}, {"name": "a"}, {"name": "b"}]}));
    let patch = spec(json!({
        "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
        "containers": [{"name": "b", "image": "2"}],
    }));
    let merged = patched(pod, patch).expect("applied");
    let names: Vec<&str> = merged["spec"]["containers"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|c| c["name"].as_str())
        .collect();
    assert_eq!(names, ["server", "b", "a"]);
}

#[test]
fn plain_values_are_added_once_and_deleted_by_name() {
    let document = json!({"metadata": {"finalizers": ["a", "b"]}});
    let patch = json!({"metadata": {"finalizers": ["b", "c"], "$deleteFromPrimitiveList/finalizers": ["a"]}});
    assert_eq!(patched(document, patch).expect("applied")["metadata"]["finalizers"], json!(["b", "c"]));
}

#[test]
fn an_element_without_its_key_is_refused() {
    let patch = spec(json!({"containers": [{"image": "1"}]}));
    assert!(matches!(patched(spec(json!({})), patch), Err(StrategicError::MissingMergeKey { .. })));
    let patch = json!({"spec": {"$patch": "explode"}});
    assert!(matches!(patched(spec(json!({})), patch), Err(StrategicError::UnknownDirective(_))));
}

#[test]
fn directives_never_reach_the_document() {
    let patch = spec(json!({
        "containers": [{"name": "a", "env": [{"name": "B", "$patch": "delete"}]}],
        "securityContext": {"$retainKeys": ["x"], "x": 1},
    }));
    let text = patched(json!({}), patch).expect("applied").to_string();
    assert!(!text.contains('$'), "{text}");
}

/// Containers with names from a small set, so that they meet.
fn containers() -> impl Strategy<Value = Value> {
    let env = prop::collection::btree_map("[A-C]", "[a-z]{0,2}", 0..3).prop_map(|env| {
        env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>()
    });
    let container = ("[a-c]", "[1-3]", env);
    prop::collection::btree_map("[a-d]", container, 0..4).prop_map(|all| {
        let all =
            all.into_iter().map(|(name, (_, image, env))| json!({"name": name, "image": image, "env": env}));
        spec(json!({"containers": all.collect::<Vec<_>>()}))
    })
}

/// Any JSON that may be sent as a patch, directives included.
fn anything() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("spec".to_owned()),
        Just("containers".to_owned()),
        Just("name".to_owned()),
        Just("env".to_owned()),
        Just("$patch".to_owned()),
        Just("$retainKeys".to_owned()),
        Just("$setElementOrder/containers".to_owned()),
        Just("$deleteFromPrimitiveList/containers".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(|n| json!(n)),
        "[a-c]|delete|replace|merge".prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 48, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(key.clone(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn an_empty_patch_changes_nothing(pod in containers()) {
        prop_assert_eq!(patched(pod.clone(), json!({})).expect("applied"), pod);
    }

    #[test]
    fn a_second_application_changes_nothing(pod in containers(), patch in containers()) {
        let once = patched(pod, patch.clone()).expect("applied");
        prop_assert_eq!(patched(once.clone(), patch).expect("applied"), once);
    }

    #[test]
    fn a_patch_says_the_last_word_on_what_it_names(pod in containers(), patch in containers()) {
        let merged = patched(pod, patch.clone()).expect("applied");
        let find = |name: &Value| merged["spec"]["containers"].as_array()?.iter().find(|c| c["name"] == *name).cloned();
        for container in patch["spec"]["containers"].as_array().expect("a list") {
            let found = find(&container["name"]).expect("merged");
            prop_assert_eq!(&found["image"], &container["image"]);
        }
    }

    #[test]
    fn no_patch_makes_it_panic(document in anything(), patch in anything()) {
        if let (Value::Object(mut document), Value::Object(patch)) = (document, patch) {
            let _either = apply(&mut document, patch, Some(Place::root(Kind::Pod)));
        }
    }
}
