//! A pod's status, derived: the same state always says the same thing. Pure.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container as ContainerSpec, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::pods::decide::{finished, init_failed, initialized};
use crate::pods::desired::Desired;
use crate::pods::qos::qos_class;
use crate::pods::state::{Container, Exit, Failure, PodState, Run, Sandbox, Volumes};

/// Derives the pod's status. `previous` is the status before, for the times at which conditions changed.
#[must_use]
pub fn derive_status(
    desired: &Desired,
    state: &PodState,
    host_ip: IpAddr,
    previous: Option<&PodStatus>,
    now: Timestamp,
) -> PodStatus {
    let statuses = |specs: &[ContainerSpec]| -> Vec<ContainerStatus> {
        specs.iter().map(|spec| container_status(desired, state, spec, now)).collect()
    };
    let ip =
        state.ip().map(|ip| ip.to_string()).or_else(|| previous.and_then(|status| status.pod_ip.clone()));
    let init = statuses(desired.init_containers());
    PodStatus {
        phase: Some(phase(desired, state).to_owned()),
        conditions: Some(conditions(desired, state, previous, now)),
        message: blocked(desired, state),
        start_time: state.accepted_at.map(Time),
        host_ip: Some(host_ip.to_string()),
        host_ips: Some(vec![HostIP { ip: host_ip.to_string() }]),
        pod_ips: ip.clone().map(|ip| vec![PodIP { ip }]),
        pod_ip: ip,
        qos_class: Some(qos_class(desired).to_owned()),
        init_container_statuses: (!init.is_empty()).then_some(init),
        container_statuses: Some(statuses(desired.containers())),
        observed_generation: desired.pod.metadata.generation,
        ..PodStatus::default()
    }
}

/// Pending until every container has been started once; then Running; then, if nothing is left to be started
/// again, Succeeded or Failed.
fn phase(desired: &Desired, state: &PodState) -> &'static str {
    let exits = || desired.containers().iter().map(|spec| state.container(&spec.name).run);
    if finished(desired, state) {
        let succeeded = !init_failed(desired, state)
            && exits().all(|run| matches!(run, Run::Exited(exit) if exit.exit_code == 0));
        return if succeeded { "Succeeded" } else { "Failed" };
    }
    let never_started = |container: &Container| match container.run {
        Run::Waiting | Run::Failed(_) => container.previous.is_none(),
        Run::Running(_) | Run::Exited(_) => false,
    };
    let pending = desired.containers().iter().any(|spec| never_started(&state.container(&spec.name)));
    if pending { "Pending" } else { "Running" }
}

/// Why the pod as a whole gets no further.
fn blocked(desired: &Desired, state: &PodState) -> Option<String> {
    if let (Some(message), Volumes::Absent | Volumes::Failed(_)) = (&desired.volumes_blocked, &state.volumes)
    {
        return Some(message.clone());
    }
    match (&state.volumes, &state.sandbox) {
        (Volumes::Failed(failure), _) | (_, Sandbox::Failed(failure)) => Some(failure.message.clone()),
        (
            Volumes::Absent | Volumes::Ready(_),
            Sandbox::Unknown | Sandbox::Removed | Sandbox::Ready { .. },
        ) => None,
    }
}

// ---------------------------------------------------------------------- conditions

fn conditions(
    desired: &Desired,
    state: &PodState,
    previous: Option<&PodStatus>,
    now: Timestamp,
) -> Vec<PodCondition> {
    let unready: Vec<&str> = desired
        .containers()
        .iter()
        .map(|spec| spec.name.as_str())
        .filter(|name| !state.container_ready(desired, name))
        .collect();
    let completed = finished(desired, state) && phase(desired, state) == "Succeeded";
    let not_ready = match (state.ready(desired), completed) {
        (true, _) => None,
        (false, true) => Some(("PodCompleted", String::new())),
        (false, false) => {
            Some(("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))))
        }
    };
    let not_initialized = (!initialized(desired, state))
        .then(|| ("ContainersNotInitialized", "init containers have not completed yet".to_owned()));
    [
        ("PodScheduled", None),
        ("Initialized", not_initialized),
        ("ContainersReady", not_ready.clone()),
        ("Ready", not_ready),
    ]
    .into_iter()
    .map(|(type_, problem)| condition(type_, problem, previous, now))
    .collect()
}

fn condition(
    type_: &str,
    problem: Option<(&str, String)>,
    previous: Option<&PodStatus>,
    now: Timestamp,
) -> PodCondition {
    let status = if problem.is_none() { "True" } else { "False" };
    let unchanged = previous
        .and_then(|previous| previous.conditions.as_ref())
        .and_then(|conditions| conditions.iter().find(|condition| condition.type_ == type_))
        .filter(|condition| condition.status == status)
        .and_then(|condition| condition.last_transition_time.clone());
    let (reason, message) = problem.map_or((None, None), |(reason, message)| {
        (Some(reason.to_owned()), (!message.is_empty()).then_some(message))
    });
    PodCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason,
        message,
        last_transition_time: unchanged.or(Some(Time(now))),
        ..PodCondition::default()
    }
}

// ---------------------------------------------------------------------- containers

fn container_status(
    desired: &Desired,
    state: &PodState,
    spec: &ContainerSpec,
    now: Timestamp,
) -> ContainerStatus {
    let container = state.container(&spec.name);
    let (id, image_id) = match &container.run {
        Run::Running(running) => (running.id.as_str(), running.image_id.as_str()),
        Run::Exited(exit) => (exit.id.as_str(), exit.image_id.as_str()),
        Run::Waiting | Run::Failed(_) => match &container.previous {
            Some(exit) => (exit.id.as_str(), exit.image_id.as_str()),
            None => ("", ""),
        },
    };
    let completed_init = desired.is_plain_init(&spec.name)
        && matches!(&container.run, Run::Exited(exit) if exit.exit_code == 0);
    let (current, last) = container_states(desired, state, spec, &container, now);
    ContainerStatus {
        name: spec.name.clone(),
        image: spec.image.clone().unwrap_or_default(),
        image_id: image_id.to_owned(),
        container_id: container_uri(id),
        ready: completed_init || state.container_ready(desired, &spec.name),
        started: Some(state.running(&spec.name).is_some_and(|running| running.started(spec))),
        restart_count: i32::try_from(container.restarts).unwrap_or(i32::MAX),
        state: Some(current),
        last_state: last.map(terminated),
        ..ContainerStatus::default()
    }
}

/// The current state and the exit that the last state shows.
fn container_states<'a>(
    desired: &Desired,
    state: &PodState,
    spec: &ContainerSpec,
    container: &'a Container,
    now: Timestamp,
) -> (ContainerState, Option<&'a Exit>) {
    match &container.run {
        Run::Waiting => (unstarted(desired, state, spec), container.previous.as_ref()),
        Run::Failed(failure) => (waiting_for_retry(failure), container.previous.as_ref()),
        Run::Running(running) => {
            let running = ContainerStateRunning { started_at: Some(Time(running.started_at)) };
            let state = ContainerState { running: Some(running), ..ContainerState::default() };
            (state, container.previous.as_ref())
        }
        Run::Exited(exit) => {
            let pause = container.backoff.pause();
            let restarts = desired.restart_policy(&spec.name).restarts(exit.exit_code);
            let backs_off = restarts
                && !pause.is_zero()
                && state.ending.is_none()
                && now.duration_since(exit.finished_at) < pause;
            if !backs_off {
                return (terminated(exit), container.previous.as_ref());
            }
            let message = format!(
                "back-off {}s restarting failed container={} pod={}_{}({})",
                pause.as_secs(),
                spec.name,
                desired.pod.metadata.name.as_deref().unwrap_or_default(),
                desired.pod.metadata.namespace.as_deref().unwrap_or_default(),
                desired.pod.metadata.uid.as_deref().unwrap_or_default(),
            );
            (waiting("CrashLoopBackOff", Some(message)), Some(exit))
        }
    }
}

fn unstarted(desired: &Desired, state: &PodState, spec: &ContainerSpec) -> ContainerState {
    if let Some(message) = desired.config_errors.get(&spec.name) {
        return waiting("CreateContainerConfigError", Some(message.clone()));
    }
    let proper = desired.containers().iter().any(|other| other.name == spec.name);
    if proper && !initialized(desired, state) {
        return waiting("PodInitializing", None);
    }
    waiting("ContainerCreating", blocked(desired, state))
}

/// The first failure shows itself; from the second on the user sees that we are waiting longer and longer.
fn waiting_for_retry(failure: &Failure) -> ContainerState {
    let reason = match failure.reason.as_str() {
        "ErrImagePull" if failure.failures > 1 => "ImagePullBackOff",
        reason => reason,
    };
    waiting(reason, Some(failure.message.clone()))
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn terminated(exit: &Exit) -> ContainerState {
    let terminated = ContainerStateTerminated {
        container_id: container_uri(&exit.id),
        exit_code: exit.exit_code,
        signal: None,
        reason: Some(exit.reason.clone()),
        message: exit.message.clone(),
        started_at: exit.started_at.map(Time),
        finished_at: Some(Time(exit.finished_at)),
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

fn container_uri(id: &str) -> Option<String> {
    (!id.is_empty()).then(|| format!("minikube-ish://{id}"))
}

#[cfg(test)]
mod tests;
