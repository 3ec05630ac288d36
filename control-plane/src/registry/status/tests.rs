use super::*;

#[test]
fn a_missing_object_is_named_with_its_group() {
    let status = Status::not_found(Kind::Deployment, "payment");
    assert_eq!(status.message, "deployments.apps \"payment\" not found");
    assert_eq!(status.code(), 404);
    assert_eq!(
        status.to_json()["details"],
        json!({"name": "payment", "group": "apps", "kind": "deployments"})
    );
}

#[test]
fn every_cause_of_an_invalid_object_is_told() {
    let cause = |field: &str| Cause {
        reason: "FieldValueRequired".into(),
        message: "Required value".into(),
        field: field.into(),
    };
    let status = Status::invalid(Kind::Pod, "p", vec![cause("spec.containers"), cause("metadata.name")]);
    assert_eq!(
        status.message,
        "Pod \"p\" is invalid: [spec.containers: Required value, metadata.name: Required value]"
    );
    assert_eq!(status.to_json()["details"]["causes"].as_array().expect("causes").len(), 2);
}

#[test]
fn a_stale_writer_reads_kubernetes_own_words() {
    let status = Status::modified(Kind::Deployment, "x");
    assert!(
        status.message.starts_with("Operation cannot be fulfilled on deployments.apps \"x\": the object has")
    );
    assert_eq!(status.code(), 409);
}
