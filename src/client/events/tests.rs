use serde_json::json;

use super::*;

fn event(value: serde_json::Value) -> Object {
    Object::from_value(value).unwrap()
}

#[test]
fn an_event_that_repeats_is_told_once_with_its_count() {
    let now = "2026-01-01T00:10:00Z".parse().unwrap();
    let repeated = event(json!({
        "type": "Warning", "reason": "BackOff", "message": "again\nand again", "count": 3,
        "firstTimestamp": "2026-01-01T00:08:00Z", "lastTimestamp": "2026-01-01T00:09:55Z",
        "involvedObject": {"kind": "Pod", "name": "a"}, "metadata": {"namespace": "shop"},
    }));
    assert_eq!(
        row(&repeated, true, now),
        ["shop", "5s (x3 over 2m)", "Warning", "BackOff", "pod/a", "again and again"]
    );
}

#[test]
fn events_come_oldest_first_whichever_field_says_when() {
    let events = sorted(vec![
        event(json!({"reason": "c", "lastTimestamp": "2026-01-03T00:00:00Z"})),
        event(json!({"reason": "a", "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}})),
        event(json!({"reason": "b", "eventTime": "2026-01-02T00:00:00.000000Z"})),
    ]);
    let reasons: Vec<&str> = events.iter().filter_map(|event| event.str_at(&["reason"])).collect();
    assert_eq!(reasons, ["a", "b", "c"]);
}

#[test]
fn an_object_is_named_with_its_kind() {
    assert_eq!(about("deploy/shop").unwrap(), "involvedObject.kind=Deployment,involvedObject.name=shop");
    assert!(about("shop").is_err());
}
