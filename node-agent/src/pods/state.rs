//! What the agent knows of a pod, and how each fact changes it. Pure: the facts and the time come in.
//!
//! The state is plain data: it is written to the pod's checkpoint, and the next agent goes on from it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::pods::backoff::retry_pause;
use crate::pods::desired::Desired;
use crate::probes::{Kind, Timing, Verdict};

mod container;
mod fact;

use container::SIGKILL;
pub use container::{Container, EXIT_NOT_STARTED, Exit, Hook, Run, Running, Stop, StopStage};
pub use fact::{Fact, ProcessEnd, StartFailure};

/// Exit code of a process that SIGKILL ended.
pub const EXIT_KILLED: i32 = 128 + 9;

/// Everything that the agent knows of one pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PodState {
    /// When this node first saw the pod.
    pub accepted_at: Option<Timestamp>,
    /// The pod's volumes.
    pub volumes: Volumes,
    /// What its containers share: namespaces and the address.
    pub sandbox: Sandbox,
    /// By container name; absent is as good as waiting.
    pub containers: BTreeMap<String, Container>,
    /// Set once the end has begun.
    pub ending: Option<Ending>,
    /// Whether this node's own service tables may use the pod.
    pub endpoint: Endpoint,
    /// Something that could not be removed yet.
    pub removal: Option<Failure>,
    /// Everything of it was taken down.
    pub gone: bool,
}

/// Where the pod's volumes are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Volumes {
    /// Not made yet, or removed.
    #[default]
    Absent,
    /// They could not be made.
    Failed(Failure),
    /// Made, with the content that [`Desired::volumes_content`] stood for.
    Ready(u64),
}

/// Where the sandbox is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Sandbox {
    /// Nothing is known: nothing was tried yet, or what there was is lost. Something of it may be there all the
    /// same, and has to be removed before the pod is gone.
    #[default]
    Unknown,
    /// It was removed, with all its containers and its address.
    Removed,
    /// It could not be made.
    Failed(Failure),
    /// Made; the address is absent while it is not known.
    Ready {
        /// The pod's address.
        ip: Option<IpAddr>,
    },
}

/// Something that failed and is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// One word, as Kubernetes says it.
    pub reason: String,
    /// For the user.
    pub message: String,
    /// In a row.
    pub failures: u32,
    /// Not before.
    pub retry_at: Timestamp,
}

/// Whether this node's own service tables may use the pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Endpoint {
    /// As the control plane's table says.
    #[default]
    Unsaid,
    /// We said that it may.
    Up,
    /// We said that it may not, whatever the control plane's table says.
    Down,
}

/// The pod's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// When it began.
    pub since: Timestamp,
    /// The pod was ready: requests may still be on their way to it.
    pub was_ready: bool,
}

impl PodState {
    /// The container's state; one that is not known waits.
    #[must_use]
    pub fn container(&self, name: &str) -> Container {
        self.containers.get(name).cloned().unwrap_or_default()
    }

    /// The run of this container, if it runs.
    #[must_use]
    pub fn running(&self, name: &str) -> Option<&Running> {
        match self.containers.get(name).map(|container| &container.run) {
            Some(Run::Running(running)) => Some(running),
            Some(Run::Waiting | Run::Failed(_) | Run::Exited(_)) | None => None,
        }
    }

    /// Whether any container runs.
    #[must_use]
    pub fn any_running(&self) -> bool {
        self.containers.keys().any(|name| self.running(name).is_some())
    }

    /// The pod's address.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self.sandbox {
            Sandbox::Ready { ip } => ip,
            Sandbox::Unknown | Sandbox::Removed | Sandbox::Failed(_) => None,
        }
    }

    /// Whether the container may get requests: it runs, has started, and its readiness probe, if any, passed.
    #[must_use]
    pub fn container_ready(&self, desired: &Desired, name: &str) -> bool {
        let (Some(running), Some(spec)) = (self.running(name), desired.container(name)) else { return false };
        running.stop.is_none()
            && running.started(spec)
            && (Kind::Readiness.of(spec).is_none() || running.verdict(Kind::Readiness) == Verdict::Passed)
    }

    /// Whether every container that should run may get requests.
    #[must_use]
    pub fn ready(&self, desired: &Desired) -> bool {
        let sidecars = desired.init_containers().iter().filter(|spec| desired.is_sidecar(&spec.name));
        !desired.containers().is_empty()
            && desired
                .containers()
                .iter()
                .chain(sidecars)
                .all(|spec| self.container_ready(desired, &spec.name))
    }

    /// Takes in a fact.
    pub fn learn(&mut self, desired: &Desired, fact: Fact, now: Timestamp) {
        match fact {
            Fact::VolumesReady(content) => self.volumes = Volumes::Ready(content),
            Fact::VolumesFailed(message) => self.volumes = Volumes::Failed(self.volumes.failed(message, now)),
            Fact::VolumesRemoved => {
                self.volumes = Volumes::Absent;
                self.removal = None;
            }
            Fact::SandboxReady(ip) => self.sandbox = Sandbox::Ready { ip },
            Fact::SandboxFailed(message) => self.sandbox = Sandbox::Failed(self.sandbox.failed(message, now)),
            Fact::SandboxRemoved => {
                self.removal = None;
                self.end_all("removed with the pod", now);
                self.sandbox = Sandbox::Removed;
            }
            Fact::RemovalFailed(message) => {
                let before = self.removal.as_ref().map_or(0, |failure| failure.failures);
                self.removal = Some(Failure::after(before, "FailedKillPod", message, now));
            }
            Fact::SandboxLost => {
                self.end_all("the sandbox ended", now);
                self.sandbox = Sandbox::Unknown;
            }
            Fact::Started { container, id, image_id, stop_signal } => {
                self.entry(container).started(id, image_id, stop_signal, now);
            }
            Fact::StartFailed { container, failure } => self.entry(container).start_failed(failure, now),
            Fact::Exited { container, attempt, end } => {
                if let Some(container) = self.attempt(&container, attempt) {
                    container.exited(end, now);
                }
            }
            Fact::Probed { container, attempt, kind, passed } => {
                self.probed(desired, &container, attempt, (kind, passed), now);
            }
            Fact::PostStartDone { container, attempt, succeeded } => {
                if let Some(running) = self.run(&container, attempt) {
                    running.post_start = Hook::Done;
                    if !succeeded && running.stop.is_none() {
                        running.stop = Some(Stop { since: now, stage: StopStage::PreStopDone });
                    }
                }
            }
            Fact::SignalFailed { container, attempt } => {
                if let Some(stop) = self.run(&container, attempt).and_then(|running| running.stop.as_mut()) {
                    stop.stage = StopStage::NotSent(now);
                }
            }
            Fact::PreStopDone { container, attempt } => {
                if let Some(Stop { stage: stage @ StopStage::PreStop, .. }) =
                    self.run(&container, attempt).and_then(|running| running.stop.as_mut())
                {
                    *stage = StopStage::PreStopDone;
                }
            }
            Fact::ImagesChanged => self.retry_images(now),
            Fact::Reported => self.gone = true,
        }
    }

    /// Forgets containers that the pod does not name (any more), and what only the last agent was waiting for.
    pub fn resume(&mut self, desired: &Desired) {
        let known: BTreeSet<&str> = desired.all_containers().map(|spec| spec.name.as_str()).collect();
        self.containers.retain(|name, _| known.contains(name.as_str()));
        for container in self.containers.values_mut() {
            let Run::Running(running) = &mut container.run else { continue };
            if running.post_start == Hook::Running {
                running.post_start = Hook::Done;
            }
            if let Some(Stop { stage: stage @ StopStage::PreStop, .. }) = &mut running.stop {
                *stage = StopStage::PreStopDone;
            }
        }
    }

    fn entry(&mut self, name: String) -> &mut Container {
        self.containers.entry(name).or_default()
    }

    /// The container, if it is still at this run.
    fn attempt(&mut self, name: &str, attempt: u32) -> Option<&mut Container> {
        self.containers.get_mut(name).filter(|container| container.restarts == attempt)
    }

    fn run(&mut self, name: &str, attempt: u32) -> Option<&mut Running> {
        match &mut self.attempt(name, attempt)?.run {
            Run::Running(running) => Some(running),
            Run::Waiting | Run::Failed(_) | Run::Exited(_) => None,
        }
    }

    fn probed(
        &mut self,
        desired: &Desired,
        name: &str,
        attempt: u32,
        (kind, passed): (Kind, bool),
        now: Timestamp,
    ) {
        let probe = desired.container(name).and_then(|spec| kind.of(spec));
        let (Some(probe), Some(running)) = (probe, self.run(name, attempt)) else { return };
        running.probes.entry(kind).or_default().learn(kind, &Timing::of(probe), passed, now);
    }

    /// No container outlives its sandbox.
    fn end_all(&mut self, why: &str, now: Timestamp) {
        for container in self.containers.values_mut() {
            let end = ProcessEnd {
                exit_code: EXIT_KILLED,
                signal: Some(SIGKILL),
                message: Some(why.to_owned()),
                ..ProcessEnd::default()
            };
            container.exited(end, now);
        }
    }

    fn retry_images(&mut self, now: Timestamp) {
        for container in self.containers.values_mut() {
            if let Run::Failed(failure) = &mut container.run
                && matches!(failure.reason.as_str(), "ErrImagePull" | "ImagePullBackOff")
            {
                failure.retry_at = now;
            }
        }
    }
}

impl Volumes {
    fn failed(&self, message: String, now: Timestamp) -> Failure {
        let before = match self {
            Self::Failed(failure) => failure.failures,
            Self::Absent | Self::Ready(_) => 0,
        };
        Failure::after(before, "FailedMount", message, now)
    }
}

impl Sandbox {
    fn failed(&self, message: String, now: Timestamp) -> Failure {
        let before = match self {
            Self::Failed(failure) => failure.failures,
            Self::Unknown | Self::Removed | Self::Ready { .. } => 0,
        };
        Failure::after(before, "FailedCreatePodSandBox", message, now)
    }
}

impl Failure {
    fn after(before: u32, reason: &str, message: String, now: Timestamp) -> Self {
        let failures = before.saturating_add(1);
        let retry_at = now.checked_add(retry_pause(failures)).unwrap_or(Timestamp::MAX);
        Self { reason: reason.to_owned(), message, failures, retry_at }
    }
}
