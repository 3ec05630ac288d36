use proptest::prelude::*;

use super::*;

/// A field in the length-delimited form.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("short");
    [&[number << 3 | 2, length], bytes].concat()
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC, &field(1, &meta), &field(2, raw)].concat()
}

#[test]
fn a_config_map_is_the_json_that_it_would_have_been() {
    let metadata = [field(1, b"settings"), field(2, b""), field(8, b"")].concat();
    let entry = [field(1, b"key"), field(2, b"value")].concat();
    let body = envelope("v1", "ConfigMap", &[field(1, &metadata), field(2, &entry)].concat());
    let expected = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"key": "value"},
    });
    assert_eq!(value(&body).expect("read"), expected);
}

#[test]
fn what_a_secret_holds_becomes_base64() {
    let entry = [field(1, b"key"), field(2, b"\x00\xff")].concat();
    let body = envelope("v1", "Secret", &field(2, &entry));
    assert_eq!(value(&body).expect("read")["data"]["key"], "AP8=");
}

#[test]
fn zero_replicas_are_kept_and_a_zero_that_says_nothing_is_not() {
    let spec = [&[1 << 3, 0][..], &[5 << 3, 0]].concat();
    let body = envelope("apps/v1", "Deployment", &field(2, &spec));
    assert_eq!(value(&body).expect("read")["spec"], json!({"replicas": 0}));
}

#[test]
fn what_no_table_knows_is_refused_by_number() {
    let body = envelope("v1", "ConfigMap", &field(15, b"?"));
    let error = value(&body).expect_err("unknown");
    assert_eq!(error, ProtobufError::UnknownField { number: 15, parent: "the object" });
    assert!(matches!(value(&envelope("v1", "Pod", b"")), Err(ProtobufError::UnknownKind(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..120), kind in "ConfigMap|Secret|Deployment") {
        let api_version = if kind == "Deployment" { "apps/v1" } else { "v1" };
        let _either = value(&envelope(api_version, &kind, &raw));
        let _either = value(&[MAGIC, &raw].concat());
    }
}
