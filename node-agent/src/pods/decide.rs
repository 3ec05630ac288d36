//! The decision: what is to be done for a pod now, and when to look again. Pure: no clock, no IO.
//!
//! One full pass over everything known, tear down first, then set up. Whoever carries the actions out first
//! marks each as begun ([`begin`]), then does it, tells the state what came of it ([`PodState::learn`]), and asks
//! again, until there is nothing to do before [`Plan::wake_at`] or the next event.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Container as ContainerSpec;

use crate::pods::desired::Desired;
use crate::pods::state::{
    Container, Ending, Endpoint, Hook, PodState, Run, Running, Sandbox, Stop, StopStage, Volumes,
};
use crate::probes::{KINDS, Kind, Timing, Verdict};

/// A pod that was ready may still be sent requests by those who have not heard of its end yet: it goes on
/// serving for so long before it is asked to stop.
pub const DRAIN_PAUSE: SignedDuration = SignedDuration::from_millis(300);
/// Pods with less grace than this do not spend it on draining.
const DRAIN_GRACE_MIN: SignedDuration = SignedDuration::from_secs(2);
/// After a preStop hook that took all the grace, a container still gets so long to end by itself.
const GRACE_AFTER_HOOK: SignedDuration = SignedDuration::from_secs(2);
/// A process that survives SIGKILL is stuck in the kernel; it is killed again after so long.
const KILL_AGAIN: SignedDuration = SignedDuration::from_secs(2);
/// The pause before a signal that could not be sent is sent again.
const SEND_AGAIN: SignedDuration = SignedDuration::from_millis(200);

/// One thing to do. Containers are named as in the pod's spec.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodAction {
    /// The end begins.
    BeginEnding,
    /// Take the pod out of this node's service tables.
    EndpointDown,
    /// Let this node's service tables use the pod again.
    EndpointUp,
    /// Run the preStop hook.
    PreStop(String),
    /// Send the stop signal.
    Terminate(String),
    /// Send SIGKILL to everything in the container.
    Kill(String),
    /// Remove the sandbox with all its containers, and its place in the network.
    RemoveSandbox,
    /// Remove the volumes that live as long as the pod.
    RemoveVolumes,
    /// Tell the control plane that nothing is left.
    ReportGone,
    /// Make the volumes, or bring their content up to date.
    PrepareVolumes,
    /// Make the sandbox and give it an address.
    CreateSandbox,
    /// Start a container.
    Start {
        /// Its name.
        container: String,
        /// The number of this run: the restart count that it will have.
        attempt: u32,
    },
    /// Run the postStart hook.
    PostStart(String),
    /// Send a probe.
    Probe(String, Kind),
}

/// What to do now, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub actions: Vec<PodAction>,
    /// Without an event before it, there is nothing to do until then.
    pub wake_at: Option<Timestamp>,
}

/// Decides.
#[must_use]
pub fn decide(desired: &Desired, state: &PodState, now: Timestamp) -> Plan {
    let mut pass = Pass { desired, state, now, plan: Plan::default() };
    if state.gone {
        return pass.plan;
    }
    if desired.ends() || state.ending.is_some() {
        pass.tear_down();
    } else if !over_before(desired, state) {
        pass.set_up();
    }
    pass.plan
}

/// Whether the pod had ended before this node knew anything of it, for instance before its machine was started again:
/// a pod that has succeeded or failed is never run again.
#[must_use]
pub fn over_before(desired: &Desired, state: &PodState) -> bool {
    let phase = desired.pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let is_over = matches!(phase, Some("Succeeded" | "Failed"));
    is_over && state.containers.values().all(|container| *container == Container::default())
}

/// Marks an action as begun, so that the next pass does not ask for it again.
pub fn begin(state: &mut PodState, desired: &Desired, action: &PodAction, now: Timestamp) {
    match action {
        PodAction::BeginEnding => {
            state.ending = Some(Ending { since: now, was_ready: state.ready(desired) });
        }
        PodAction::EndpointDown => state.endpoint = Endpoint::Down,
        PodAction::EndpointUp => state.endpoint = Endpoint::Up,
        PodAction::PreStop(name) => mark_stop(state, name, StopStage::PreStop, now),
        PodAction::Terminate(name) => mark_stop(state, name, StopStage::Asked, now),
        PodAction::Kill(name) => mark_stop(state, name, StopStage::Killed(now), now),
        PodAction::PostStart(name) => {
            if let Some(running) = running_mut(state, name) {
                running.post_start = Hook::Running;
            }
        }
        PodAction::Probe(name, kind) => {
            if let Some(running) = running_mut(state, name) {
                running.probes.entry(*kind).or_default().in_flight = true;
            }
        }
        PodAction::RemoveSandbox
        | PodAction::RemoveVolumes
        | PodAction::ReportGone
        | PodAction::PrepareVolumes
        | PodAction::CreateSandbox
        | PodAction::Start { .. } => {}
    }
}

/// Whether every container has ended for good: the pod has succeeded or failed.
#[must_use]
pub fn finished(desired: &Desired, state: &PodState) -> bool {
    let ended = |spec: &ContainerSpec| ended_for_good(desired, state, &spec.name);
    init_failed(desired, state)
        || (!desired.containers().is_empty() && desired.containers().iter().all(ended))
}

/// Whether an init container failed that is not tried again.
#[must_use]
pub fn init_failed(desired: &Desired, state: &PodState) -> bool {
    desired.init_containers().iter().any(|spec| match &state.container(&spec.name).run {
        Run::Exited(exit) => {
            exit.exit_code != 0 && !desired.restart_policy(&spec.name).restarts(exit.exit_code)
        }
        Run::Waiting | Run::Failed(_) | Run::Running(_) => false,
    })
}

/// Whether every init container has done its part: plain ones succeeded, sidecars started.
#[must_use]
pub fn initialized(desired: &Desired, state: &PodState) -> bool {
    // Containers proper are only ever started after that; a sidecar that restarts later changes nothing.
    let begun = desired.containers().iter().any(|spec| state.container(&spec.name) != Container::default());
    begun || desired.init_containers().iter().all(|spec| init_done(desired, state, spec))
}

fn init_done(desired: &Desired, state: &PodState, spec: &ContainerSpec) -> bool {
    match state.container(&spec.name).run {
        Run::Running(running) => desired.is_sidecar(&spec.name) && running.started(spec),
        Run::Exited(exit) => exit.exit_code == 0 && !desired.is_sidecar(&spec.name),
        Run::Waiting | Run::Failed(_) => false,
    }
}

fn ended_for_good(desired: &Desired, state: &PodState, name: &str) -> bool {
    match state.container(name).run {
        Run::Exited(exit) => !desired.restart_policy(name).restarts(exit.exit_code),
        Run::Waiting | Run::Failed(_) | Run::Running(_) => false,
    }
}

fn running_mut<'a>(state: &'a mut PodState, name: &str) -> Option<&'a mut Running> {
    match state.containers.get_mut(name).map(|container| &mut container.run) {
        Some(Run::Running(running)) => Some(running),
        Some(Run::Waiting | Run::Failed(_) | Run::Exited(_)) | None => None,
    }
}

fn mark_stop(state: &mut PodState, name: &str, stage: StopStage, now: Timestamp) {
    if let Some(running) = running_mut(state, name) {
        let since = running.stop.map_or(now, |stop| stop.since);
        running.stop = Some(Stop { since, stage });
    }
}

/// A time that is later by a pause; the end of time is late enough for anything.
fn later(time: Timestamp, pause: SignedDuration) -> Timestamp {
    time.checked_add(pause).unwrap_or(Timestamp::MAX)
}

/// One pass over everything known of a pod.
struct Pass<'a> {
    desired: &'a Desired,
    state: &'a PodState,
    now: Timestamp,
    plan: Plan,
}

impl Pass<'_> {
    fn act(&mut self, action: PodAction) {
        self.plan.actions.push(action);
    }

    /// True when the time has come; otherwise the plan wakes at it.
    fn due(&mut self, at: Timestamp) -> bool {
        if at > self.now {
            self.plan.wake_at = Some(self.plan.wake_at.map_or(at, |earlier| earlier.min(at)));
        }
        at <= self.now
    }

    // ------------------------------------------------------------------ tear down

    fn tear_down(&mut self) {
        let Some(ending) = self.state.ending else { return self.act(PodAction::BeginEnding) };
        if self.state.endpoint != Endpoint::Down {
            self.act(PodAction::EndpointDown);
        }
        let grace = self.desired.grace();
        if ending.was_ready && grace >= DRAIN_GRACE_MIN && !self.due(later(ending.since, DRAIN_PAUSE)) {
            return;
        }
        if self.state.any_running() {
            return self.stop_all(later(ending.since, grace), grace);
        }
        if !self.may_remove() {
            return;
        }
        if self.state.sandbox != Sandbox::Removed {
            return self.act(PodAction::RemoveSandbox);
        }
        if self.state.volumes != Volumes::Absent {
            return self.act(PodAction::RemoveVolumes);
        }
        self.act(PodAction::ReportGone);
    }

    /// The containers proper first; sidecars serve them to the end.
    fn stop_all(&mut self, kill_at: Timestamp, grace: SignedDuration) {
        let (desired, state) = (self.desired, self.state);
        let proper: Vec<&str> = state
            .containers
            .keys()
            .map(String::as_str)
            .filter(|name| !desired.is_sidecar(name) && state.running(name).is_some())
            .collect();
        let sidecars = state.containers.keys().map(String::as_str).filter(|name| desired.is_sidecar(name));
        let next = if proper.is_empty() || self.now >= kill_at { sidecars.collect() } else { Vec::new() };
        for name in proper.into_iter().chain(next) {
            if let Some(running) = state.running(name) {
                self.stop(name, running, kill_at, grace);
            }
        }
    }

    /// Brings one container nearer to its end: preStop, stop signal, SIGKILL.
    fn stop(&mut self, name: &str, running: &Running, kill_at: Timestamp, grace: SignedDuration) {
        let hook = self.has_pre_stop(name) && grace > SignedDuration::ZERO;
        match running.stop.map(|stop| stop.stage) {
            None if hook => self.act(PodAction::PreStop(name.to_owned())),
            None | Some(StopStage::PreStopDone) => self.ask_or_kill(name, grace),
            Some(StopStage::PreStop) => {
                if self.due(kill_at) {
                    self.ask_or_kill(name, grace);
                }
            }
            Some(StopStage::Asked) => {
                let hooked = if hook { GRACE_AFTER_HOOK } else { SignedDuration::ZERO };
                if self.due(later(kill_at, hooked)) {
                    self.act(PodAction::Kill(name.to_owned()));
                }
            }
            Some(StopStage::NotSent(at)) => {
                if self.due(later(at, SEND_AGAIN)) {
                    let left = if self.now < kill_at { grace } else { SignedDuration::ZERO };
                    self.ask_or_kill(name, left);
                }
            }
            Some(StopStage::Killed(at)) => {
                if self.due(later(at, KILL_AGAIN)) {
                    self.act(PodAction::Kill(name.to_owned()));
                }
            }
        }
    }

    fn ask_or_kill(&mut self, name: &str, grace: SignedDuration) {
        let name = name.to_owned();
        self.act(if grace > SignedDuration::ZERO {
            PodAction::Terminate(name)
        } else {
            PodAction::Kill(name)
        });
    }

    fn has_pre_stop(&self, name: &str) -> bool {
        let lifecycle = self.desired.container(name).and_then(|spec| spec.lifecycle.as_ref());
        lifecycle.is_some_and(|lifecycle| lifecycle.pre_stop.is_some())
    }

    // ------------------------------------------------------------------ set up

    fn set_up(&mut self) {
        if finished(self.desired, self.state) {
            return self.wind_up();
        }
        self.keep_endpoint();
        if !self.volumes() || !self.sandbox() {
            return;
        }
        let desired = self.desired;
        for spec in desired.init_containers() {
            let done = initialized(desired, self.state) || init_done(desired, self.state, spec);
            if desired.is_sidecar(&spec.name) || !done {
                self.container(spec);
            }
            if !done {
                return;
            }
        }
        for spec in desired.containers() {
            self.container(spec);
        }
    }

    /// Every container has ended for good: what they shared goes, their status and logs stay. Sidecars that
    /// still run are stopped first.
    fn wind_up(&mut self) {
        if self.state.endpoint != Endpoint::Down {
            self.act(PodAction::EndpointDown);
        }
        if self.state.any_running() {
            let grace = self.desired.grace();
            let since = self.state.containers.values().filter_map(|container| match &container.run {
                Run::Exited(exit) => Some(exit.finished_at),
                Run::Waiting | Run::Failed(_) | Run::Running(_) => None,
            });
            let since = since.max().unwrap_or(self.now);
            return self.stop_all(later(since, grace), grace);
        }
        if self.state.sandbox != Sandbox::Removed && self.may_remove() {
            self.act(PodAction::RemoveSandbox);
        }
    }

    /// After a failed removal the next try waits.
    fn may_remove(&mut self) -> bool {
        let retry_at = self.state.removal.as_ref().map(|failure| failure.retry_at);
        retry_at.is_none_or(|retry_at| self.due(retry_at))
    }

    /// Tells this node's service tables at once what the control plane will tell everyone a little later.
    fn keep_endpoint(&mut self) {
        match (self.state.ready(self.desired), self.state.endpoint) {
            (true, Endpoint::Unsaid | Endpoint::Down) => self.act(PodAction::EndpointUp),
            (false, Endpoint::Up) => self.act(PodAction::EndpointDown),
            (true, Endpoint::Up) | (false, Endpoint::Unsaid | Endpoint::Down) => {}
        }
    }

    fn volumes(&mut self) -> bool {
        let wanted = self.desired.volumes_content;
        let blocked = self.desired.volumes_blocked.is_some();
        match &self.state.volumes {
            Volumes::Ready(content) => {
                if *content != wanted && !blocked {
                    self.act(PodAction::PrepareVolumes);
                }
                true
            }
            _ if blocked => false,
            Volumes::Absent => {
                self.act(PodAction::PrepareVolumes);
                false
            }
            Volumes::Failed(failure) => {
                if self.due(failure.retry_at) {
                    self.act(PodAction::PrepareVolumes);
                }
                false
            }
        }
    }

    fn sandbox(&mut self) -> bool {
        match &self.state.sandbox {
            Sandbox::Ready { .. } => return true,
            Sandbox::Unknown | Sandbox::Removed => self.act(PodAction::CreateSandbox),
            Sandbox::Failed(failure) => {
                if self.due(failure.retry_at) {
                    self.act(PodAction::CreateSandbox);
                }
            }
        }
        false
    }

    fn container(&mut self, spec: &ContainerSpec) {
        let container = self.state.container(&spec.name);
        match &container.run {
            Run::Running(running) => self.keep(spec, running),
            Run::Waiting => self.start(spec, &container),
            Run::Failed(failure) => {
                if self.due(failure.retry_at) {
                    self.start(spec, &container);
                }
            }
            Run::Exited(exit) => {
                let restarts = self.desired.restart_policy(&spec.name).restarts(exit.exit_code);
                if restarts && self.due(later(exit.finished_at, container.backoff.pause())) {
                    self.start(spec, &container);
                }
            }
        }
    }

    fn start(&mut self, spec: &ContainerSpec, container: &Container) {
        if !self.desired.config_errors.contains_key(&spec.name) {
            let attempt = container.next_attempt();
            self.act(PodAction::Start { container: spec.name.clone(), attempt });
        }
    }

    /// Looks after a container that runs.
    fn keep(&mut self, spec: &ContainerSpec, running: &Running) {
        let failed = [Kind::Startup, Kind::Liveness]
            .into_iter()
            .find(|kind| kind.of(spec).is_some() && running.verdict(*kind) == Verdict::Failed);
        if running.stop.is_some() || failed.is_some() {
            let of_probe = failed.and_then(|kind| kind.of(spec)?.termination_grace_period_seconds);
            let grace = of_probe.map_or(self.desired.grace(), SignedDuration::from_secs);
            let since = running.stop.map_or(self.now, |stop| stop.since);
            return self.stop(&spec.name, running, later(since, grace), grace);
        }
        let post_start = spec.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.post_start.is_some());
        if post_start && running.post_start == Hook::Pending {
            self.act(PodAction::PostStart(spec.name.clone()));
        }
        self.probe(spec, running);
    }

    fn probe(&mut self, spec: &ContainerSpec, running: &Running) {
        for kind in KINDS {
            let Some(probe) = kind.of(spec) else { continue };
            let started =
                Kind::Startup.of(spec).is_none() || running.verdict(Kind::Startup) == Verdict::Passed;
            if started == (kind == Kind::Startup) {
                continue;
            }
            let progress = running.probes.get(&kind).cloned().unwrap_or_default();
            let due_at = progress.due_at(kind, &Timing::of(probe), running.started_at);
            if !progress.in_flight && self.due(due_at) {
                self.act(PodAction::Probe(spec.name.clone(), kind));
            }
        }
    }
}

#[cfg(test)]
mod tests;
