//! What is done, and when.

use serde_json::json;

use super::*;
use crate::pods::fixtures::{at_ms, desired, exit, exited, plain, settle};
use crate::pods::state::{Fact, ProcessEnd, StartFailure};

mod properties;

fn start(container: &str, attempt: u32) -> PodAction {
    PodAction::Start { container: container.into(), attempt }
}

fn running(desired: &Desired) -> PodState {
    let mut state = PodState::default();
    settle(desired, &mut state, at_ms(0));
    state
}

fn deleted(mut desired: Desired, grace_seconds: i64) -> Desired {
    let metadata = &mut desired.pod.metadata;
    metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at_ms(grace_seconds * 1000)));
    metadata.deletion_grace_period_seconds = Some(grace_seconds);
    desired
}

#[test]
fn a_new_pod_gets_volumes_then_a_sandbox_then_its_containers() {
    let mut state = PodState::default();
    let (done, plan) = settle(&plain(), &mut state, at_ms(0));
    let expected =
        [PodAction::PrepareVolumes, PodAction::CreateSandbox, start("app", 0), PodAction::EndpointUp];
    assert_eq!(done, expected);
    assert_eq!(plan.wake_at, None);
}

#[test]
fn a_container_that_ends_is_started_again_at_once_in_the_same_sandbox() {
    let pod = plain();
    let mut state = running(&pod);
    state.learn(&pod, exited("app", 0, exit(1)), at_ms(100));
    let plan = decide(&pod, &state, at_ms(100));
    assert_eq!(plan.actions, [PodAction::EndpointDown, start("app", 1)]);
}

#[test]
fn the_second_crash_in_a_row_waits_a_second() {
    let pod = plain();
    let mut state = running(&pod);
    for attempt in 0..2 {
        state.learn(&pod, exited("app", attempt, exit(1)), at_ms(100));
        settle(&pod, &mut state, at_ms(100));
    }
    let plan = decide(&pod, &state, at_ms(100));
    assert_eq!(plan, Plan { actions: vec![], wake_at: Some(at_ms(1100)) });
    assert_eq!(decide(&pod, &state, at_ms(1100)).actions, [start("app", 2)]);
}

#[test]
fn a_pod_with_restart_policy_never_is_not_restarted_and_gives_its_sandbox_back() {
    let pod = desired(json!({ "restartPolicy": "Never", "containers": [{ "name": "app" }] }));
    let mut state = running(&pod);
    state.learn(&pod, exited("app", 0, exit(1)), at_ms(100));
    let (done, plan) = settle(&pod, &mut state, at_ms(100));
    assert_eq!(done, [PodAction::EndpointDown, PodAction::RemoveSandbox]);
    assert_eq!(plan, Plan::default());
}

#[test]
fn a_pod_that_had_ended_before_this_node_knew_it_is_not_run_again_and_goes_when_asked() {
    for phase in ["Succeeded", "Failed"] {
        let mut desired = plain();
        desired.pod.status.get_or_insert_default().phase = Some(phase.to_owned());
        assert_eq!(decide(&desired, &PodState::default(), at_ms(0)), Plan::default(), "{phase}");
        let plan = decide(&deleted(desired, 30), &PodState::default(), at_ms(0));
        assert!(!plan.actions.is_empty(), "{phase}");
    }
}

#[test]
fn with_restart_policy_on_failure_success_is_final() {
    let pod = desired(json!({ "restartPolicy": "OnFailure", "containers": [{ "name": "app" }] }));
    let mut state = running(&pod);
    state.learn(&pod, exited("app", 0, exit(1)), at_ms(1));
    settle(&pod, &mut state, at_ms(1));
    assert!(state.running("app").is_some());
    state.learn(&pod, exited("app", 1, exit(0)), at_ms(2));
    settle(&pod, &mut state, at_ms(2));
    assert!(finished(&pod, &state));
}

#[test]
fn init_containers_run_one_after_the_other_before_the_containers() {
    let pod = desired(json!({
        "initContainers": [{ "name": "first" }, { "name": "second" }],
        "containers": [{ "name": "app" }],
    }));
    let mut state = running(&pod);
    for (name, next) in [("first", "second"), ("second", "app")] {
        assert!(state.running(next).is_none());
        state.learn(&pod, exited(name, 0, exit(0)), at_ms(10));
        settle(&pod, &mut state, at_ms(10));
        assert!(state.running(next).is_some());
    }
}

#[test]
fn an_init_container_that_fails_is_repeated_and_the_next_waits() {
    let pod = desired(json!({ "initContainers": [{ "name": "first" }], "containers": [{ "name": "app" }] }));
    let mut state = running(&pod);
    state.learn(&pod, exited("first", 0, exit(1)), at_ms(10));
    let (done, _) = settle(&pod, &mut state, at_ms(10));
    assert_eq!(done, [start("first", 1)]);
}

#[test]
fn a_sidecar_starts_first_and_ends_last() {
    let pod = desired(json!({
        "initContainers": [{ "name": "proxy", "restartPolicy": "Always" }],
        "containers": [{ "name": "app" }],
    }));
    let mut state = running(&pod);
    assert!(state.running("proxy").is_some() && state.running("app").is_some());
    let pod = deleted(pod, 30);
    settle(&pod, &mut state, at_ms(1000));
    let (done, _) = settle(&pod, &mut state, at_ms(2000));
    assert_eq!(done, [PodAction::Terminate("app".into())]);
    state.learn(&pod, exited("app", 0, exit(0)), at_ms(2100));
    let (done, _) = settle(&pod, &mut state, at_ms(2100));
    assert_eq!(done, [PodAction::Terminate("proxy".into())]);
}

#[test]
fn a_missing_config_map_holds_back_only_its_container() {
    let mut pod = desired(json!({ "containers": [{ "name": "app" }, { "name": "other" }] }));
    pod.config_errors.insert("app".into(), "configmap \"shop\" not found".into());
    let mut state = running(&pod);
    assert!(state.running("app").is_none() && state.running("other").is_some());
    pod.config_errors.clear();
    let (done, _) = settle(&pod, &mut state, at_ms(5));
    assert_eq!(done[0], start("app", 0));
}

#[test]
fn an_absent_image_is_tried_again_at_once_when_the_image_store_changes() {
    let pod = plain();
    let mut state =
        PodState { volumes: Volumes::Ready(0), sandbox: Sandbox::Ready { ip: None }, ..PodState::default() };
    let failure = StartFailure::Retry { reason: "ErrImagePull", message: "no such image".into() };
    state.learn(&pod, Fact::StartFailed { container: "app".into(), failure }, at_ms(0));
    assert_eq!(decide(&pod, &state, at_ms(10)), Plan { actions: vec![], wake_at: Some(at_ms(1000)) });
    state.learn(&pod, Fact::ImagesChanged, at_ms(20));
    assert_eq!(decide(&pod, &state, at_ms(20)).actions, [start("app", 0)]);
}

#[test]
fn a_failed_liveness_probe_ends_the_container_with_grace_and_then_by_force() {
    let pod = desired(json!({
        "terminationGracePeriodSeconds": 5,
        "containers": [{ "name": "app", "livenessProbe":
            { "tcpSocket": { "port": 1 }, "periodSeconds": 1, "failureThreshold": 1 } }],
    }));
    let mut state = running(&pod);
    let plan = decide(&pod, &state, at_ms(1000));
    assert_eq!(plan.actions, [PodAction::Probe("app".into(), Kind::Liveness)]);
    let failed = Fact::Probed { container: "app".into(), attempt: 0, kind: Kind::Liveness, passed: false };
    state.learn(&pod, failed, at_ms(1010));
    let (done, plan) = settle(&pod, &mut state, at_ms(1010));
    assert_eq!(done, [PodAction::Terminate("app".into()), PodAction::EndpointDown]);
    assert_eq!(plan.wake_at, Some(at_ms(6010)));
    assert_eq!(decide(&pod, &state, at_ms(6010)).actions, [PodAction::Kill("app".into())]);
}

#[test]
fn a_probe_of_a_kind_that_cannot_be_sent_is_as_good_as_none() {
    for probe in [json!({ "grpc": { "port": 1 } }), json!({ "httpGet": { "port": 1, "scheme": "HTTPS" } })] {
        let pod = desired(json!({ "containers": [{ "name": "app",
            "startupProbe": probe, "readinessProbe": probe, "livenessProbe": probe }] }));
        let mut state = PodState::default();
        let (done, plan) = settle(&pod, &mut state, at_ms(0));
        assert!(!done.iter().any(|action| matches!(action, PodAction::Probe(..))), "{done:?}");
        assert!(state.ready(&pod));
        assert_eq!(plan.wake_at, None);
    }
}

#[test]
fn readiness_is_asked_at_the_start_and_only_after_the_startup_probe_passed() {
    let pod = desired(json!({ "containers": [{ "name": "app",
        "startupProbe": { "tcpSocket": { "port": 1 } },
        "readinessProbe": { "tcpSocket": { "port": 1 } } }] }));
    let mut state = PodState::default();
    let (done, _) = settle(&pod, &mut state, at_ms(0));
    let probes: Vec<_> = done.iter().filter(|action| matches!(action, PodAction::Probe(..))).collect();
    let expected =
        [PodAction::Probe("app".into(), Kind::Startup), PodAction::Probe("app".into(), Kind::Readiness)];
    assert_eq!(probes, expected.iter().collect::<Vec<_>>());
    assert!(state.ready(&pod));
}

#[test]
fn an_outcome_of_an_earlier_run_changes_nothing() {
    let pod = plain();
    let mut state = running(&pod);
    state.learn(&pod, exited("app", 0, exit(1)), at_ms(10));
    settle(&pod, &mut state, at_ms(10));
    let before = state.clone();
    state.learn(&pod, exited("app", 0, exit(1)), at_ms(11));
    assert_eq!(state, before);
}

#[test]
fn a_deleted_pod_drains_then_is_asked_then_killed_and_then_nothing_is_left() {
    let pod = deleted(plain(), 30);
    let mut state = running(&plain());
    let (done, plan) = settle(&pod, &mut state, at_ms(1000));
    assert_eq!(done, [PodAction::BeginEnding, PodAction::EndpointDown]);
    assert_eq!(plan.wake_at, Some(at_ms(1300)));
    let (done, plan) = settle(&pod, &mut state, at_ms(1300));
    assert_eq!(done, [PodAction::Terminate("app".into())]);
    assert_eq!(plan.wake_at, Some(at_ms(31_000)));
    let (done, plan) = settle(&pod, &mut state, at_ms(31_000));
    let expected = [
        PodAction::Kill("app".into()),
        PodAction::RemoveSandbox,
        PodAction::RemoveVolumes,
        PodAction::ReportGone,
    ];
    assert_eq!(done, expected);
    assert_eq!(plan, Plan::default());
}

#[test]
fn a_signal_that_could_not_be_sent_is_sent_again_shortly() {
    let unsent = || Fact::SignalFailed { container: "app".into(), attempt: 0 };
    let mut state = running(&plain());
    let pod = deleted(plain(), 1);
    settle(&pod, &mut state, at_ms(0));
    state.learn(&pod, unsent(), at_ms(10));
    assert_eq!(decide(&pod, &state, at_ms(10)), Plan { actions: vec![], wake_at: Some(at_ms(210)) });
    assert_eq!(decide(&pod, &state, at_ms(210)).actions, [PodAction::Terminate("app".into())]);
    state.learn(&pod, unsent(), at_ms(1000));
    assert_eq!(decide(&pod, &state, at_ms(1200)).actions, [PodAction::Kill("app".into())]);
}

#[test]
fn a_pre_stop_hook_comes_before_the_stop_signal() {
    let spec = json!({ "containers": [{ "name": "app",
        "lifecycle": { "preStop": { "exec": { "command": ["true"] } } } }] });
    let mut state = running(&desired(spec.clone()));
    let pod = deleted(desired(spec), 30);
    settle(&pod, &mut state, at_ms(0));
    let (done, _) = settle(&pod, &mut state, at_ms(400));
    assert_eq!(done, [PodAction::PreStop("app".into()), PodAction::Terminate("app".into())]);
}

#[test]
fn a_forgotten_pod_is_killed_at_once() {
    let mut pod = plain();
    let mut state = running(&pod);
    pod.forgotten = true;
    let (done, _) = settle(&pod, &mut state, at_ms(0));
    assert!(done.contains(&PodAction::Kill("app".into())));
    assert!(!done.contains(&PodAction::Terminate("app".into())));
    assert!(state.gone);
}

#[test]
fn a_pod_of_which_nothing_is_known_is_gone_only_after_its_sandbox_was_removed() {
    let mut state = PodState::default();
    let (done, _) = settle(&deleted(plain(), 30), &mut state, at_ms(0));
    let expected =
        [PodAction::BeginEnding, PodAction::EndpointDown, PodAction::RemoveSandbox, PodAction::ReportGone];
    assert_eq!(done, expected);
}

#[test]
fn a_pod_whose_sandbox_was_lost_is_gone_only_after_it_was_removed() {
    let pod = plain();
    let mut state = running(&pod);
    state.learn(&pod, Fact::SandboxLost, at_ms(5));
    let (done, _) = settle(&deleted(pod, 0), &mut state, at_ms(5));
    let removed = done.iter().position(|action| *action == PodAction::RemoveSandbox);
    let gone = done.iter().position(|action| *action == PodAction::ReportGone);
    assert!(removed.is_some() && removed < gone, "{done:?}");
}

#[test]
fn a_container_that_is_killed_from_outside_is_started_again_at_once_time_after_time() {
    let pod = plain();
    let mut state = running(&pod);
    for attempt in 0..20_u32 {
        let now = at_ms(i64::from(attempt + 1) * 1000);
        let end = ProcessEnd { exit_code: 137, signal: Some(9), ..ProcessEnd::default() };
        state.learn(&pod, exited("app", attempt, end), now);
        let (done, _) = settle(&pod, &mut state, now);
        assert!(done.contains(&start("app", attempt + 1)));
    }
}

#[test]
fn a_lost_sandbox_is_made_again_and_the_containers_restart() {
    let pod = plain();
    let mut state = running(&pod);
    state.learn(&pod, Fact::SandboxLost, at_ms(5));
    let (done, _) = settle(&pod, &mut state, at_ms(5));
    assert!(done.contains(&PodAction::CreateSandbox) && done.contains(&start("app", 1)));
}

#[test]
fn new_content_of_a_config_map_is_written_while_the_containers_run() {
    let mut pod = plain();
    let mut state = running(&pod);
    pod.volumes_content = 7;
    let (done, _) = settle(&pod, &mut state, at_ms(5));
    assert_eq!(done, [PodAction::PrepareVolumes]);
}
