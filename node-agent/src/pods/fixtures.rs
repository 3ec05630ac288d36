//! Pods for the tests of this room.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::pods::decide::{Plan, PodAction, begin, decide};
use crate::pods::desired::Desired;
use crate::pods::state::{Fact, PodState, ProcessEnd};

/// A time, in milliseconds.
pub(crate) fn at_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).expect("in range")
}

/// A pod with this spec.
pub(crate) fn desired(spec: Value) -> Desired {
    let pod = json!({
        "metadata": { "name": "shop", "namespace": "default", "uid": "uid-1" },
        "spec": spec,
    });
    let pod: Pod = serde_json::from_value(pod).expect("the test's pod is one");
    Desired::new(pod)
}

/// A pod with one container, `app`, without probes.
pub(crate) fn plain() -> Desired {
    desired(json!({ "containers": [{ "name": "app", "image": "app" }] }))
}

/// A process that ended by itself.
pub(crate) fn exit(exit_code: i32) -> ProcessEnd {
    ProcessEnd { exit_code, ..ProcessEnd::default() }
}

/// The end of a run of a container.
pub(crate) fn exited(container: &str, attempt: u32, end: ProcessEnd) -> Fact {
    Fact::Exited { container: container.into(), attempt, end }
}

/// What a machine on which everything works answers to an action.
pub(crate) fn success(desired: &Desired, state: &PodState, action: &PodAction) -> Option<Fact> {
    let attempt = |name: &str| state.container(name).restarts;
    Some(match action {
        PodAction::PrepareVolumes => Fact::VolumesReady(desired.volumes_content),
        PodAction::CreateSandbox => Fact::SandboxReady(Some([10, 0, 0, 7].into())),
        PodAction::RemoveSandbox => Fact::SandboxRemoved,
        PodAction::RemoveVolumes => Fact::VolumesRemoved,
        PodAction::ReportGone => Fact::Reported,
        PodAction::Start { container, attempt } => Fact::Started {
            container: container.clone(),
            id: format!("{container}-{attempt}"),
            image_id: "sha256:0".into(),
            stop_signal: None,
        },
        PodAction::PreStop(name) => Fact::PreStopDone { container: name.clone(), attempt: attempt(name) },
        PodAction::PostStart(name) => {
            Fact::PostStartDone { container: name.clone(), attempt: attempt(name), succeeded: true }
        }
        PodAction::Kill(name) => {
            let end = ProcessEnd { exit_code: 137, signal: Some(9), ..ProcessEnd::default() };
            exited(name, attempt(name), end)
        }
        PodAction::Probe(name, kind) => {
            Fact::Probed { container: name.clone(), attempt: attempt(name), kind: *kind, passed: true }
        }
        PodAction::BeginEnding
        | PodAction::EndpointDown
        | PodAction::EndpointUp
        | PodAction::Terminate(_) => return None,
    })
}

/// Carries out plans on a machine on which everything works, until there is nothing left to do at `now`.
/// Returns everything that was done.
pub(crate) fn settle(desired: &Desired, state: &mut PodState, now: Timestamp) -> (Vec<PodAction>, Plan) {
    let mut done = Vec::new();
    for _ in 0..100 {
        let plan = decide(desired, state, now);
        if plan.actions.is_empty() {
            return (done, plan);
        }
        for action in plan.actions {
            begin(state, desired, &action, now);
            if let Some(fact) = success(desired, state, &action) {
                state.learn(desired, fact, now);
            }
            done.push(action);
        }
    }
    panic!("never settles: {done:?}");
}
