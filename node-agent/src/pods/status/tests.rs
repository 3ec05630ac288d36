//! What is said of a pod.

use serde_json::json;

use super::*;
use crate::pods::fixtures::{at_ms, desired, exit, exited, plain, settle};
use crate::pods::state::{Fact, ProcessEnd, StartFailure};

fn status(desired: &Desired, state: &PodState, now_ms: i64) -> PodStatus {
    derive_status(desired, state, [192, 168, 0, 1].into(), None, at_ms(now_ms))
}

fn running(desired: &Desired) -> PodState {
    let mut state = PodState::default();
    settle(desired, &mut state, at_ms(0));
    state
}

fn app(status: &PodStatus) -> &ContainerStatus {
    &status.container_statuses.as_ref().expect("there are containers")[0]
}

fn waiting_reason(status: &PodStatus) -> Option<&str> {
    app(status).state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

fn condition_of<'a>(status: &'a PodStatus, type_: &str) -> &'a PodCondition {
    let conditions = status.conditions.as_ref().expect("there are conditions");
    conditions.iter().find(|condition| condition.type_ == type_).expect("it is one of them")
}

#[test]
fn a_pod_that_nothing_was_done_for_is_pending() {
    let status = status(&plain(), &PodState::default(), 0);
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    assert_eq!(waiting_reason(&status), Some("ContainerCreating"));
    assert_eq!(condition_of(&status, "Ready").status, "False");
}

#[test]
fn a_running_pod_is_ready_and_has_its_addresses() {
    let pod = plain();
    let status = status(&pod, &running(&pod), 5);
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(condition_of(&status, "Ready").status, "True");
    assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.7"));
    assert_eq!(status.host_ip.as_deref(), Some("192.168.0.1"));
    assert!(app(&status).ready && app(&status).started == Some(true));
}

#[test]
fn a_crash_loop_says_so_and_shows_the_last_exit() {
    let pod = plain();
    let mut state = running(&pod);
    for attempt in 0..3 {
        let now = at_ms(i64::from(attempt) * 3000);
        settle(&pod, &mut state, now);
        state.learn(&pod, exited("app", attempt, exit(3)), now);
        settle(&pod, &mut state, now);
    }
    let status = status(&pod, &state, 6001);
    assert_eq!(waiting_reason(&status), Some("CrashLoopBackOff"));
    assert_eq!(app(&status).restart_count, 2);
    let last =
        app(&status).last_state.as_ref().and_then(|state| state.terminated.as_ref()).expect("it crashed");
    assert_eq!((last.exit_code, last.reason.as_deref()), (3, Some("Error")));
    assert_eq!(status.phase.as_deref(), Some("Running"));
}

#[test]
fn running_out_of_memory_is_said_as_such() {
    let pod = desired(json!({ "restartPolicy": "Never", "containers": [{ "name": "app" }] }));
    let mut state = running(&pod);
    let end = ProcessEnd { exit_code: 137, signal: Some(9), oom_killed: true, ..ProcessEnd::default() };
    state.learn(&pod, exited("app", 0, end), at_ms(1));
    let status = status(&pod, &state, 2);
    let exit = app(&status).state.as_ref().and_then(|state| state.terminated.as_ref()).expect("it ended");
    assert_eq!((exit.exit_code, exit.reason.as_deref()), (137, Some("OOMKilled")));
    assert_eq!(status.phase.as_deref(), Some("Failed"));
}

#[test]
fn a_pod_whose_containers_all_completed_has_succeeded() {
    let pod = desired(json!({ "restartPolicy": "OnFailure", "containers": [{ "name": "app" }] }));
    let mut state = running(&pod);
    state.learn(&pod, exited("app", 0, exit(0)), at_ms(1));
    let status = status(&pod, &state, 2);
    assert_eq!(status.phase.as_deref(), Some("Succeeded"));
    assert_eq!(condition_of(&status, "Ready").reason.as_deref(), Some("PodCompleted"));
}

#[test]
fn an_absent_image_is_an_error_first_and_a_back_off_then() {
    let pod = plain();
    let mut state = PodState::default();
    let failed = || Fact::StartFailed {
        container: "app".into(),
        failure: StartFailure::Retry { reason: "ErrImagePull", message: "no such image".into() },
    };
    state.learn(&pod, failed(), at_ms(0));
    assert_eq!(waiting_reason(&status(&pod, &state, 1)), Some("ErrImagePull"));
    state.learn(&pod, failed(), at_ms(1000));
    assert_eq!(waiting_reason(&status(&pod, &state, 1001)), Some("ImagePullBackOff"));
}

#[test]
fn a_missing_secret_is_a_config_error_with_its_name() {
    let mut pod = plain();
    pod.config_errors.insert("app".into(), "secret \"db\" not found".into());
    let status = status(&pod, &running(&pod), 1);
    assert_eq!(waiting_reason(&status), Some("CreateContainerConfigError"));
    let waiting = app(&status).state.as_ref().and_then(|state| state.waiting.as_ref()).expect("it waits");
    assert_eq!(waiting.message.as_deref(), Some("secret \"db\" not found"));
}

#[test]
fn a_command_that_does_not_exist_is_a_start_error() {
    let pod = desired(json!({ "restartPolicy": "Never", "containers": [{ "name": "app" }] }));
    let mut state = PodState::default();
    let failure = StartFailure::Process { message: "executable \"nope\" not found".into() };
    state.learn(&pod, Fact::StartFailed { container: "app".into(), failure }, at_ms(0));
    let status = status(&pod, &state, 1);
    let exit = app(&status).state.as_ref().and_then(|state| state.terminated.as_ref()).expect("it ended");
    assert_eq!((exit.exit_code, exit.reason.as_deref()), (128, Some("StartError")));
}

#[test]
fn containers_behind_an_init_container_are_initializing() {
    let pod = desired(json!({ "initContainers": [{ "name": "first" }], "containers": [{ "name": "app" }] }));
    let status = status(&pod, &running(&pod), 1);
    assert_eq!(waiting_reason(&status), Some("PodInitializing"));
    assert_eq!(condition_of(&status, "Initialized").status, "False");
}

#[test]
fn a_condition_keeps_its_time_until_it_changes() {
    let pod = plain();
    let mut state = running(&pod);
    let first = status(&pod, &state, 5);
    let second = derive_status(&pod, &state, [1, 1, 1, 1].into(), Some(&first), at_ms(9));
    assert_eq!(condition_of(&second, "Ready").last_transition_time, Some(Time(at_ms(5))));
    state.learn(&pod, exited("app", 0, exit(1)), at_ms(20));
    let third = derive_status(&pod, &state, [1, 1, 1, 1].into(), Some(&second), at_ms(20));
    assert_eq!(condition_of(&third, "Ready").last_transition_time, Some(Time(at_ms(20))));
}

#[test]
fn the_quality_of_service_is_that_of_kubernetes() {
    let of = |resources: serde_json::Value| {
        qos_class(&desired(json!({ "containers": [{ "name": "app", "resources": resources }] })))
    };
    assert_eq!(of(json!({})), "BestEffort");
    assert_eq!(of(json!({ "requests": { "cpu": "1" } })), "Burstable");
    assert_eq!(of(json!({ "limits": { "cpu": "1", "memory": "1Gi" } })), "Guaranteed");
    let more =
        json!({ "limits": { "cpu": "1", "memory": "1Gi" }, "requests": { "cpu": "500m", "memory": "1Gi" } });
    assert_eq!(of(more), "Burstable");
}
