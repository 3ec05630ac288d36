//! What holds whatever happens: any order of successes, failures, exits, probes and deletions.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use crate::pods::decide::{PodAction, begin, decide};
use crate::pods::desired::Desired;
use crate::pods::fixtures::{at_ms, desired, exited, settle, success};
use crate::pods::state::{Fact, PodState, ProcessEnd, Sandbox, StartFailure, Volumes};

/// Something that the world does.
#[derive(Clone, Debug)]
enum Happening {
    /// Time passes, in milliseconds.
    Passes(u16),
    /// The next planned action fails instead of succeeding.
    NextFails,
    /// A container ends.
    Exits(u8, i32),
    SandboxDies,
    ImagesChange,
    Deleted(u8),
    Forgotten,
    AgentRestarts,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => any::<u16>().prop_map(Happening::Passes),
        3 => Just(Happening::NextFails),
        6 => (any::<u8>(), prop_oneof![Just(0), Just(1), Just(137)]).prop_map(|(which, code)| Happening::Exits(which, code)),
        1 => Just(Happening::SandboxDies),
        1 => Just(Happening::ImagesChange),
        1 => (0_u8..40).prop_map(Happening::Deleted),
        1 => Just(Happening::Forgotten),
        1 => Just(Happening::AgentRestarts),
    ]
}

fn pod(policy: &str) -> Desired {
    let probe = json!({ "tcpSocket": { "port": 1 }, "periodSeconds": 1 });
    desired(json!({
        "restartPolicy": policy,
        "initContainers": [{ "name": "init" }, { "name": "sidecar", "restartPolicy": "Always" }],
        "containers": [
            { "name": "app", "readinessProbe": probe, "livenessProbe": probe,
              "lifecycle": { "preStop": { "exec": { "command": ["true"] } } } },
            { "name": "other", "startupProbe": probe },
        ],
    }))
}

fn failure(desired: &Desired, action: &PodAction) -> Option<Fact> {
    Some(match action {
        PodAction::PrepareVolumes => Fact::VolumesFailed("disk full".into()),
        PodAction::CreateSandbox => Fact::SandboxFailed("no room".into()),
        PodAction::Start { container, attempt } => Fact::StartFailed {
            container: container.clone(),
            failure: if attempt % 2 == 0 && desired.init_containers().is_empty() {
                StartFailure::Process { message: "no such file".into() }
            } else {
                StartFailure::Retry { reason: "ErrImagePull", message: "no image".into() }
            },
        },
        PodAction::Probe(container, kind) => {
            Fact::Probed { container: container.clone(), attempt: 0, kind: *kind, passed: false }
        }
        PodAction::BeginEnding
        | PodAction::EndpointDown
        | PodAction::EndpointUp
        | PodAction::PreStop(_)
        | PodAction::Terminate(_)
        | PodAction::Kill(_)
        | PodAction::RemoveSandbox
        | PodAction::RemoveVolumes
        | PodAction::ReportGone
        | PodAction::PostStart(_) => return None,
    })
}

/// The world, and the laws that it watches.
struct World {
    desired: Desired,
    state: PodState,
    now_ms: i64,
    next_fails: bool,
    starts: BTreeMap<String, u32>,
}

impl World {
    fn act(&mut self, action: &PodAction) {
        self.check(action);
        let now = at_ms(self.now_ms);
        begin(&mut self.state, &self.desired, action, now);
        let fails = std::mem::take(&mut self.next_fails);
        let fact = if fails { failure(&self.desired, action) } else { None };
        let fact = fact.or_else(|| success(&self.desired, &self.state, action));
        if let Some(fact) = fact {
            self.state.learn(&self.desired, fact, now);
        }
    }

    fn check(&mut self, action: &PodAction) {
        let ending = self.state.ending.is_some() || self.desired.ends();
        match action {
            PodAction::CreateSandbox => {
                assert!(!matches!(self.state.sandbox, Sandbox::Ready { .. }), "two sandboxes");
                assert!(!ending, "a sandbox for a pod that ends");
            }
            PodAction::Start { container, attempt } => {
                assert!(!ending, "a container for a pod that ends");
                assert!(self.state.running(container).is_none(), "two runs of a container");
                assert!(matches!(self.state.sandbox, Sandbox::Ready { .. }), "a container without a sandbox");
                assert!(matches!(self.state.volumes, Volumes::Ready(_)), "a container without volumes");
                let policy = self.desired.restart_policy(container);
                let before = self.starts.insert(container.clone(), *attempt);
                assert!(before.is_none_or(|before| before <= *attempt), "run numbers go back");
                let ran_before = self.state.container(container).previous.is_some();
                if policy == crate::pods::desired::RestartPolicy::Never {
                    assert_eq!(*attempt, 0, "restarted in spite of Never");
                    assert!(!ran_before);
                }
            }
            PodAction::RemoveSandbox => {
                assert!(!self.state.any_running(), "a sandbox removed under a container")
            }
            PodAction::ReportGone => {
                assert_eq!(self.state.sandbox, Sandbox::Removed, "gone with a sandbox");
                assert!(!self.state.any_running(), "gone with a container");
                assert_eq!(self.state.volumes, Volumes::Absent, "gone with volumes");
            }
            PodAction::BeginEnding
            | PodAction::EndpointDown
            | PodAction::EndpointUp
            | PodAction::PreStop(_)
            | PodAction::Terminate(_)
            | PodAction::Kill(_)
            | PodAction::RemoveVolumes
            | PodAction::PrepareVolumes
            | PodAction::PostStart(_)
            | PodAction::Probe(..) => {}
        }
    }

    fn happen(&mut self, happening: &Happening) {
        let now = at_ms(self.now_ms);
        match happening {
            Happening::Passes(ms) => self.now_ms += i64::from(*ms),
            Happening::NextFails => self.next_fails = true,
            Happening::Exits(which, code) => {
                let names: Vec<String> =
                    self.desired.all_containers().map(|spec| spec.name.clone()).collect();
                let name = &names[usize::from(*which) % names.len()];
                let attempt = self.state.container(name).restarts;
                let end = ProcessEnd { exit_code: *code, ..ProcessEnd::default() };
                self.state.learn(&self.desired, exited(name, attempt, end), now);
            }
            Happening::SandboxDies => {
                if matches!(self.state.sandbox, Sandbox::Ready { .. }) {
                    self.state.learn(&self.desired, Fact::SandboxLost, now);
                }
            }
            Happening::ImagesChange => self.state.learn(&self.desired, Fact::ImagesChanged, now),
            Happening::Deleted(grace) => {
                let metadata = &mut self.desired.pod.metadata;
                metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
                metadata.deletion_grace_period_seconds = Some(i64::from(*grace));
            }
            Happening::Forgotten => self.desired.forgotten = true,
            Happening::AgentRestarts => {
                let text = serde_json::to_string(&self.state).expect("plain data");
                self.state = serde_json::from_str(&text).expect("what was written");
                self.state.resume(&self.desired);
            }
        }
    }

    /// Acts until there is nothing to do; the plan must then not ask to be woken in the past.
    fn settle(&mut self) {
        for _ in 0..200 {
            let now = at_ms(self.now_ms);
            let plan = decide(&self.desired, &self.state, now);
            if plan.actions.is_empty() {
                assert!(plan.wake_at.is_none_or(|at| at > now), "a wake in the past");
                return;
            }
            for action in plan.actions {
                self.act(&action);
            }
        }
        panic!("never settles");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_laws_hold_whatever_happens(
        policy in prop_oneof![Just("Always"), Just("OnFailure"), Just("Never")],
        happenings in prop::collection::vec(happening(), 0..60),
    ) {
        let mut world = World {
            desired: pod(policy),
            state: PodState::default(),
            now_ms: 0,
            next_fails: false,
            starts: BTreeMap::new(),
        };
        world.settle();
        for happening in &happenings {
            world.happen(happening);
            world.settle();
        }
        // However it went: a pod that is forgotten is gone when nothing more goes wrong.
        world.desired.forgotten = true;
        world.next_fails = false;
        settle(&world.desired, &mut world.state, at_ms(world.now_ms));
        prop_assert!(world.state.gone);
    }
}
