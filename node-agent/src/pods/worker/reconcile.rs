//! What the launcher's listing tells about a pod that its state does not know yet. Pure.
//!
//! After a crash of the agent or of the launcher the two may differ by what happened meanwhile: a container that
//! ended, one that was started just before its start could be written down, a sandbox that is lost.

use runtime::protocol::{Container, ContainerState, Exit, Listing};

use crate::pods::desired::Desired;
use crate::pods::start::{LABEL_IMAGE, LABEL_STOP_SIGNAL, container_id};
use crate::pods::state::{EXIT_KILLED, Fact, PodState, ProcessEnd, Run, Sandbox};

/// The facts, in the order in which they are to be learned.
pub(super) fn facts(uid: &str, desired: &Desired, state: &PodState, listing: &Listing) -> Vec<Fact> {
    let mut facts = Vec::new();
    for spec in desired.all_containers() {
        let known = state.container(&spec.name);
        let attempt = known.next_attempt();
        let id = container_id(uid, &spec.name, attempt);
        let found = listing.containers.iter().find(|container| container.id == id);
        match (&known.run, found) {
            (Run::Running(_), None) => facts.push(exited(&spec.name, attempt, lost())),
            (Run::Running(_), Some(found)) => facts.extend(ended(&spec.name, attempt, found)),
            (Run::Waiting | Run::Failed(_) | Run::Exited(_), Some(found)) => {
                facts.extend(unwritten(&spec.name, attempt, found));
            }
            (Run::Waiting | Run::Failed(_) | Run::Exited(_), None) => {}
        }
    }
    let alive = listing.sandboxes.iter().any(|sandbox| sandbox.id == uid && sandbox.alive);
    if matches!(state.sandbox, Sandbox::Ready { .. }) && !alive {
        facts.push(Fact::SandboxLost);
    }
    facts
}

/// Whether a container of the pod is being started.
pub(super) fn is_starting(uid: &str, listing: &Listing) -> bool {
    let mut containers = listing.containers.iter().filter(|container| container.sandbox == uid);
    containers.any(|container| matches!(container.state, ContainerState::Starting))
}

/// A run that the last agent did not live to write down. One that has not begun is none yet.
fn unwritten(name: &str, attempt: u32, found: &Container) -> Vec<Fact> {
    match found.state {
        ContainerState::Starting | ContainerState::Failed(_) => return Vec::new(),
        ContainerState::Running(_) | ContainerState::Exited(_) => {}
    }
    let started = Fact::Started {
        container: name.to_owned(),
        id: found.id.clone(),
        image_id: found.labels.get(LABEL_IMAGE).cloned().unwrap_or_default(),
        stop_signal: found.labels.get(LABEL_STOP_SIGNAL).and_then(|text| text.parse().ok()),
    };
    std::iter::once(started).chain(ended(name, attempt, found)).collect()
}

fn ended(name: &str, attempt: u32, found: &Container) -> Option<Fact> {
    match &found.state {
        ContainerState::Starting | ContainerState::Running(_) => None,
        ContainerState::Exited(exit) => Some(exited(name, attempt, process_end(exit))),
        ContainerState::Failed(_) => Some(exited(name, attempt, lost())),
    }
}

fn exited(name: &str, attempt: u32, end: ProcessEnd) -> Fact {
    Fact::Exited { container: name.to_owned(), attempt, end }
}

fn lost() -> ProcessEnd {
    ProcessEnd {
        exit_code: EXIT_KILLED,
        signal: None,
        oom_killed: false,
        message: Some("the container was lost while nobody watched it".to_owned()),
        ..ProcessEnd::default()
    }
}

/// The runtime's words in ours.
pub(crate) fn process_end(exit: &Exit) -> ProcessEnd {
    ProcessEnd {
        exit_code: exit.code,
        signal: exit.signal,
        oom_killed: exit.oom_killed,
        message: exit.unobserved.then(|| "nobody saw how the container ended".to_owned()),
        started_at: Some(exit.started_at),
        finished_at: Some(exit.finished_at),
    }
}

#[cfg(test)]
mod tests;
