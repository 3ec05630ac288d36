use serde_json::json;

use super::*;

fn pod() -> Object {
    Object::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containerz": [], "containers": [{"name": "c", "image": "i", "portz": 1}]},
    }))
    .expect("a map")
}

#[test]
fn a_strict_caller_is_told_every_unknown_field() {
    let status = drop_unknown_fields(&mut pod(), FieldValidation::Strict).expect_err("unknown fields");
    assert!(status.message.starts_with("strict decoding error: unknown field \""), "{}", status.message);
    assert!(
        status.message.contains("spec.containerz") && status.message.contains("spec.containers[0].portz")
    );
}

#[test]
fn unknown_fields_are_taken_out_with_a_warning() {
    let mut object = pod();
    let warnings = drop_unknown_fields(&mut object, FieldValidation::Warn).expect("only a warning");
    assert_eq!(warnings.len(), 2);
    assert_eq!(object.0["spec"], json!({"containers": [{"name": "c", "image": "i"}]}));
}

#[test]
fn a_form_that_nobody_reads_is_refused_with_one_that_is() {
    let status = value("application/cbor", b"").expect_err("not read");
    assert_eq!(status.code(), 415);
    assert!(status.message.contains("application/json"));
}

#[test]
fn yaml_is_read_like_json() {
    assert_eq!(value("application/yaml", b"a: [1, two]").expect("YAML"), json!({"a": [1, "two"]}));
}
