use serde_json::json;

use super::*;

fn spec(value: serde_json::Value) -> PodSpec {
    serde_json::from_value(value).unwrap()
}

fn amounts(milli_cpu: u64, memory_bytes: u64) -> Resources {
    Resources { milli_cpu, memory_bytes }
}

#[test]
fn containers_add_up_and_a_limit_without_a_request_is_a_request() {
    let spec = spec(json!({"containers": [
        {"name": "a", "resources": {"requests": {"cpu": "100m", "memory": "1Ki"}, "limits": {"cpu": "1"}}},
        {"name": "b", "resources": {"limits": {"cpu": "0.2", "memory": "2Ki"}}},
        {"name": "c"},
    ], "overhead": {"cpu": "1m"}}));
    assert_eq!(requests(&spec), amounts(301, 3 << 10));
}

#[test]
fn the_largest_init_container_counts_if_it_is_larger_and_sidecars_stay() {
    let spec = spec(json!({
        "initContainers": [
            {"name": "first", "resources": {"requests": {"cpu": "500m"}}},
            {"name": "sidecar", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
            {"name": "second", "resources": {"requests": {"cpu": "450m"}}},
        ],
        "containers": [{"name": "main", "resources": {"requests": {"cpu": "200m", "memory": "5"}}}],
    }));
    assert_eq!(requests(&spec), amounts(550, 5));
}

#[test]
fn readiness_and_phase_come_from_the_status() {
    let pod: Pod = serde_json::from_value(json!({"status": {
        "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
    }}))
    .unwrap();
    assert!(is_ready(&pod) && phase(&pod) == Phase::Running && !is_terminal(&pod));
    assert_eq!(phase(&Pod::default()), Phase::Pending);
    assert!(!is_ready(&Pod::default()));
}

#[test]
fn restart_policies_decide_by_exit_code() {
    let on_failure = RestartPolicy::of(&spec(json!({"containers": [], "restartPolicy": "OnFailure"})));
    assert!(on_failure.restarts(1) && !on_failure.restarts(0));
    assert!(RestartPolicy::Always.restarts(0) && !RestartPolicy::Never.restarts(1));
}
