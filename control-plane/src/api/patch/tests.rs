use manifests::Kind;
use serde_json::json;

use super::*;

fn operations(patch: Value) -> Patch {
    Patch::Json(serde_json::from_value(patch).expect("a JSON patch"))
}

#[test]
fn a_merge_patch_deletes_with_null() {
    let patch = Patch::Merge(json!({"a": null, "b": {"c": 2}}));
    assert_eq!(
        patch.apply(json!({"a": 1, "b": {"d": 3}}), None).expect("applied"),
        json!({"b": {"c": 2, "d": 3}})
    );
}

#[test]
fn a_json_patch_whose_test_fails_is_unprocessable() {
    let patch = operations(json!([{"op": "test", "path": "/a", "value": 2}, {"op": "remove", "path": "/a"}]));
    assert_eq!(patch.apply(json!({"a": 1}), None).expect_err("the test fails").code(), 422);
    let patch = operations(json!([{"op": "replace", "path": "/nowhere/at/all", "value": 2}]));
    assert_eq!(patch.apply(json!({"a": 1}), None).expect_err("no such path").code(), 422);
}

#[test]
fn a_json_patch_cannot_grow_a_document_without_end() {
    let mut bomb = vec![json!({"op": "add", "path": "/a0", "value": ["x".repeat(1024)]})];
    for n in 0..40 {
        bomb.push(json!({"op": "add", "path": format!("/a{}", n + 1), "value": []}));
        for _ in 0..2 {
            bomb.push(json!({"op": "copy", "from": format!("/a{n}"), "path": format!("/a{}/-", n + 1)}));
        }
    }
    let status = operations(Value::Array(bomb)).apply(json!({}), None).expect_err("too much");
    assert_eq!(status.code(), 400);
    let many = vec![json!({"op": "add", "path": "/a", "value": 1}); JSON_PATCH_OPERATIONS_MAX + 1];
    assert_eq!(operations(Value::Array(many)).apply(json!({}), None).expect_err("too many").code(), 413);
}

#[test]
fn a_patch_that_names_a_version_is_for_that_version_alone() {
    let pinned = json!({"metadata": {"resourceVersion": "5"}});
    let Value::Object(map) = pinned.clone() else { unreachable!("a map") };
    assert!(Patch::Merge(pinned).pins_revision());
    assert!(Patch::Strategic(map).pins_revision());
    assert!(
        operations(json!([{"op": "test", "path": "/metadata/resourceVersion", "value": "5"}]))
            .pins_revision()
    );
    assert!(!Patch::Merge(json!({"metadata": {"labels": {}}})).pins_revision());
}

#[test]
fn an_apply_configuration_merges_lists_by_key() {
    let Value::Object(configuration) = json!({"spec": {"containers": [{"name": "a", "image": "2"}]}}) else {
        unreachable!("a map")
    };
    let place = Some(Place::root(Kind::Pod));
    let document = json!({"spec": {"containers": [{"name": "a", "image": "1", "tty": true}]}});
    let applied = Patch::Apply(configuration).apply(document, place).expect("applied");
    assert_eq!(applied["spec"]["containers"], json!([{"name": "a", "image": "2", "tty": true}]));
}
