//! What a listing tells.

use runtime::protocol::{Labels, Sandbox as ListedSandbox, Started};

use serde_json::json;

use super::*;
use crate::pods::decide::PodAction;
use crate::pods::fixtures::{at_ms, desired, plain, settle};

const UID: &str = "uid-1";

fn running() -> (Desired, PodState) {
    let pod = plain();
    let mut state = PodState::default();
    settle(&pod, &mut state, at_ms(0));
    (pod, state)
}

fn exit(code: i32) -> ContainerState {
    ContainerState::Exited(Exit {
        code,
        signal: None,
        oom_killed: false,
        started_at: at_ms(0),
        finished_at: at_ms(5),
        unobserved: false,
    })
}

fn alive() -> ContainerState {
    ContainerState::Running(Started { pid: 1, started_at: at_ms(0) })
}

fn listing(attempt: u32, state: ContainerState) -> Listing {
    let sandbox = ListedSandbox { id: UID.into(), pid: 1, alive: true, labels: Labels::new() };
    let id = container_id(UID, "app", attempt);
    let container = Container { id, sandbox: UID.into(), state, labels: Labels::new() };
    Listing { sandboxes: vec![sandbox], containers: vec![container] }
}

fn learned(state: &mut PodState, desired: &Desired, listing: &Listing) {
    for fact in facts(UID, desired, state, listing) {
        state.learn(desired, fact, at_ms(10));
    }
}

#[test]
fn a_container_that_runs_as_known_tells_nothing() {
    let (pod, state) = running();
    assert_eq!(facts(UID, &pod, &state, &listing(0, alive())), []);
}

#[test]
fn an_exit_that_nobody_told_is_learned_with_its_code() {
    let (pod, mut state) = running();
    learned(&mut state, &pod, &listing(0, exit(3)));
    assert!(matches!(&state.container("app").run, Run::Exited(exit) if exit.exit_code == 3));
}

#[test]
fn an_exit_that_was_seen_late_keeps_its_own_times() {
    let (pod, mut state) = running();
    learned(&mut state, &pod, &listing(0, exit(3)));
    let Run::Exited(exit) = state.container("app").run else { panic!("it ended") };
    assert_eq!((exit.started_at, exit.finished_at), (Some(at_ms(0)), at_ms(5)));
}

#[test]
fn a_run_that_began_and_ended_unwritten_is_not_repeated() {
    let pod = desired(json!({ "restartPolicy": "Never", "containers": [{ "name": "app" }] }));
    let mut state = PodState { sandbox: Sandbox::Ready { ip: None }, ..PodState::default() };
    learned(&mut state, &pod, &listing(0, exit(0)));
    let (done, _) = settle(&pod, &mut state, at_ms(10));
    assert!(!done.iter().any(|action| matches!(action, PodAction::Start { .. })), "{done:?}");
}

#[test]
fn a_start_that_is_under_way_is_no_run_yet() {
    let pod = plain();
    let listing = listing(0, ContainerState::Starting);
    assert!(is_starting(UID, &listing) && !is_starting("uid-2", &listing));
    assert_eq!(facts(UID, &pod, &PodState::default(), &listing), []);
}

#[test]
fn a_sandbox_that_was_replaced_outlives_the_word_of_the_old_ones_death() {
    let (pod, mut state) = running();
    state.learn(&pod, Fact::SandboxLost, at_ms(1));
    settle(&pod, &mut state, at_ms(1));
    assert_eq!(facts(UID, &pod, &state, &listing(1, alive())), []);
}

#[test]
fn a_start_that_was_not_written_down_is_adopted_and_not_repeated() {
    let (pod, mut state) = running();
    learned(&mut state, &pod, &listing(0, exit(3)));
    learned(&mut state, &pod, &listing(1, alive()));
    assert!(state.running("app").is_some());
    assert_eq!(state.container("app").restarts, 1);
}

#[test]
fn without_its_sandbox_nothing_of_a_pod_runs() {
    let (pod, mut state) = running();
    learned(&mut state, &pod, &Listing::default());
    assert_eq!(state.sandbox, Sandbox::Unknown);
    assert!(!state.any_running());
}

#[test]
fn what_never_ran_is_no_run() {
    let pod = plain();
    let failed = ContainerState::Failed(runtime::protocol::Failure::MonitorDied { id: "x".into() });
    assert_eq!(facts(UID, &pod, &PodState::default(), &listing(0, failed)), []);
}
