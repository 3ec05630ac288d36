use serde_json::json;

use super::*;

#[test]
fn paths_print_as_kubernetes_prints_them() {
    let path = FieldPath::new("spec.containers").index(0).field("image");
    assert_eq!(path.to_string(), "spec.containers[0].image");
    assert_eq!(
        FieldPath::new("metadata.labels").field("example.com/a").to_string(),
        "metadata.labels[example.com/a]"
    );
}

#[test]
fn messages_quote_the_value_and_say_what_would_be_right() {
    let error = FieldError::invalid(FieldPath::new("spec.replicas"), &json!(-1), "must not be negative");
    assert_eq!(error.to_string(), "spec.replicas: Invalid value: -1: must not be negative");
    let error =
        FieldError::not_supported(FieldPath::new("spec.type"), "Nodeport", &["ClusterIP", "NodePort"]);
    assert_eq!(
        error.message(),
        r#"Unsupported value: "Nodeport": did you mean "NodePort"? supported values: "ClusterIP", "NodePort""#
    );
    let long = FieldError::invalid(FieldPath::root(), &json!("ä".repeat(500)), "too long");
    assert!(long.message().chars().count() < 160);
}

#[test]
fn the_nearest_word_is_one_that_could_have_been_meant() {
    assert_eq!(nearest("replicaz", ["replicas", "selector"]), Some("replicas"));
    assert_eq!(nearest("imagePulPolicy", ["image", "imagePullPolicy"]), Some("imagePullPolicy"));
    assert_eq!(nearest("zzz", ["replicas", "selector"]), None);
}
