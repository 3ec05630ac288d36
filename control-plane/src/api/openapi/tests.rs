use super::*;

#[test]
fn every_kind_has_a_path_and_a_definition() {
    for kind in Kind::ALL {
        assert!(DOCUMENT["paths"][path_of(kind)]["patch"].is_object(), "{kind}");
        assert!(DOCUMENT["definitions"][kind.info().definition].is_object(), "{kind}");
    }
}

#[test]
fn every_reference_leads_to_a_definition() {
    fn check(value: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                    let name = reference.strip_prefix("#/definitions/").expect("a local reference");
                    assert!(definitions().contains_key(name), "{name}");
                }
                map.values().for_each(check);
            }
            Value::Array(items) => items.iter().for_each(check),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    check(&DOCUMENT);
}

#[test]
fn the_content_type_of_the_protobuf_form_does_not_echo_the_at_sign() {
    let mut headers = HeaderMap::new();
    let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    let response = v2(&headers);
    assert_eq!(response.headers()[header::CONTENT_TYPE], PROTOBUF);
    assert!(!PROTOBUF.contains('@'));
}
