//! What a user would ask about, as events.

use proto::{Event, PodRef};

use super::Worker;
use crate::pods::host::Host;
use crate::pods::state::{Fact, StartFailure};
use crate::probes::KINDS;

impl Host {
    /// Something went wrong with a pod or, when one is named, with a container.
    pub(crate) fn warn(&self, pod: &PodRef, container: &str, reason: &str, message: &str) {
        self.event(pod, container, "Warning", reason, message);
    }

    fn event(&self, pod: &PodRef, container: &str, type_: &str, reason: &str, message: &str) {
        let field_path =
            if container.is_empty() { String::new() } else { format!("spec.containers{{{container}}}") };
        self.outbox.event(Event {
            pod: Some(pod.clone()),
            field_path,
            r#type: type_.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        });
    }
}

impl Worker {
    pub(super) fn warn(&self, container: &str, reason: &str, message: &str) {
        self.host.warn(&self.pod, container, reason, message);
    }

    fn inform(&self, container: &str, reason: &str, message: &str) {
        self.host.event(&self.pod, container, "Normal", reason, message);
    }

    pub(super) fn killing(&self, container: &str, signal: i32) {
        self.inform(container, "Killing", &format!("Stopping container {container} (signal {signal})"));
    }

    /// Says a fact, if it is one that a user would ask about.
    pub(super) fn say(&self, fact: &Fact) {
        match fact {
            Fact::VolumesFailed(message) => self.warn("", "FailedMount", message),
            Fact::SandboxFailed(message) => self.warn("", "FailedCreatePodSandBox", message),
            Fact::RemovalFailed(message) => self.warn("", "FailedKillPod", message),
            Fact::SandboxLost => {
                self.warn("", "SandboxChanged", "Pod sandbox ended, it will be killed and re-created.")
            }
            Fact::Started { container, .. } => self.say_started(container),
            Fact::StartFailed { container, failure } => self.say_start_failed(container, failure),
            Fact::Exited { container, attempt, end } => {
                let stopped = self.state.running(container).is_some_and(|running| running.stop.is_some());
                if end.exit_code != 0 && !stopped && self.state.container(container).restarts == *attempt {
                    self.say_exited(container, end);
                }
            }
            Fact::VolumesReady(_)
            | Fact::VolumesRemoved
            | Fact::SandboxReady(_)
            | Fact::SandboxRemoved
            | Fact::Probed { .. }
            | Fact::PostStartDone { .. }
            | Fact::PreStopDone { .. }
            | Fact::SignalFailed { .. }
            | Fact::ImagesChanged
            | Fact::Reported => {}
        }
    }

    fn say_started(&self, container: &str) {
        let image = self.desired.container(container).and_then(|spec| spec.image.clone()).unwrap_or_default();
        self.inform(container, "Pulled", &format!("Container image \"{image}\" already present on machine"));
        self.inform(container, "Created", &format!("Created container: {container}"));
        self.inform(container, "Started", &format!("Started container {container}"));
        if self.state.container(container).next_attempt() == 0 {
            self.say_skipped_probes(container);
        }
    }

    /// Once, at the first run.
    fn say_skipped_probes(&self, container: &str) {
        let Some(spec) = self.desired.container(container) else { return };
        for kind in KINDS.into_iter().filter(|kind| kind.is_skipped(spec)) {
            let probe = kind.name();
            let message =
                format!("{probe} probe is skipped: only httpGet over HTTP, tcpSocket and exec are sent");
            self.warn(container, "ProbeSkipped", &message);
        }
    }

    fn say_start_failed(&self, container: &str, failure: &StartFailure) {
        match failure {
            StartFailure::Retry { message, .. } => self.warn(container, "Failed", message),
            StartFailure::Process { message } => {
                self.warn(container, "Failed", message);
                self.say_back_off(container);
            }
        }
    }

    fn say_exited(&self, container: &str, end: &crate::pods::state::ProcessEnd) {
        if end.oom_killed {
            self.warn(container, "OOMKilling", &format!("Container {container} ran out of its memory limit"));
        }
        self.say_back_off(container);
    }

    fn say_back_off(&self, container: &str) {
        // The pause that this exit will lead to is the state's to know; what is said is that there is a loop.
        if self.state.container(container).restarts > 0 {
            self.warn(container, "BackOff", &format!("Back-off restarting failed container {container}"));
        }
    }
}
