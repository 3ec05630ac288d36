use serde_json::json;

use super::*;

fn status_of(pod: Value) -> String {
    status(&Object::from_value(pod).expect("a map"))
}

#[test]
fn a_pod_that_waits_says_what_for() {
    let waiting = json!({"status": {"phase": "Pending", "containerStatuses": [
        {"name": "a", "state": {"waiting": {"reason": "ImagePullBackOff"}}},
    ]}});
    assert_eq!(status_of(waiting), "ImagePullBackOff");
}

#[test]
fn a_pod_whose_init_containers_run_says_how_many_are_done() {
    let starting = json!({
        "spec": {"initContainers": [{"name": "a"}, {"name": "b"}]},
        "status": {"phase": "Pending", "initContainerStatuses": [
            {"name": "a", "state": {"terminated": {"exitCode": 0}}},
            {"name": "b", "state": {"running": {}}},
        ]},
    });
    assert_eq!(status_of(starting), "Init:1/2");
}

#[test]
fn a_pod_that_was_asked_to_go_is_terminating() {
    let going =
        json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Running"}});
    assert_eq!(status_of(going), "Terminating");
}

#[test]
fn a_container_that_ended_without_a_reason_says_its_code() {
    let ended = json!({"status": {"phase": "Failed", "containerStatuses": [
        {"name": "a", "state": {"terminated": {"exitCode": 137}}},
    ]}});
    assert_eq!(status_of(ended), "ExitCode:137");
}

#[test]
fn restarts_say_when_the_last_was() {
    let pod = json!({"status": {"containerStatuses": [
        {"restartCount": 3, "lastState": {"terminated": {"finishedAt": "2026-01-01T00:00:00Z"}}},
    ]}});
    let now: Timestamp = "2026-01-01T00:01:00Z".parse().expect("a time");
    assert_eq!(restarts(&Object::from_value(pod).expect("a map"), now), "3 (60s ago)");
}
