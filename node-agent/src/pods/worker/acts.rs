//! Carries single actions out on the machine.

use std::fs;
use std::io;
use std::time::Duration;

use k8s_openapi::api::core::v1::LifecycleHandler;
use runtime::protocol::Failure;

use super::{Event, Worker};
use crate::pods::decide::PodAction;
use crate::pods::sandbox;
use crate::pods::start::{self, Order, container_id};
use crate::pods::state::{Fact, StartFailure};
use crate::probes::dial::{self, DialError, Target};
use crate::probes::{Kind, Timing};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
/// A hook that takes longer is given up; the pod's own grace usually ends it before.
const HOOK_TIMEOUT: Duration = Duration::from_secs(600);

impl Worker {
    /// Does it; the fact is what came of it, unless that comes as an event.
    pub(super) async fn carry_out(&mut self, action: PodAction) -> Option<Fact> {
        match action {
            PodAction::BeginEnding => None,
            PodAction::EndpointDown => {
                self.set_endpoint(false).await;
                None
            }
            PodAction::EndpointUp => {
                self.set_endpoint(true).await;
                None
            }
            PodAction::PrepareVolumes => Some(self.prepare_volumes().await),
            PodAction::CreateSandbox => Some(match sandbox::create(&self.host, &self.desired.pod).await {
                Ok(ip) => Fact::SandboxReady(Some(ip)),
                Err(error) => Fact::SandboxFailed(crate::chain(&error)),
            }),
            PodAction::RemoveSandbox => Some(match sandbox::remove(&self.host, &self.pod.uid).await {
                Ok(()) => Fact::SandboxRemoved,
                Err(error) => Fact::RemovalFailed(crate::chain(&error)),
            }),
            PodAction::RemoveVolumes => Some(self.remove_volumes().await),
            PodAction::ReportGone => Some(self.report_gone()),
            PodAction::Start { container, attempt } => Some(self.start(container, attempt).await),
            PodAction::Terminate(container) => self.terminate(&container).await,
            PodAction::Kill(container) => self.signal(&container, SIGKILL).await,
            PodAction::PreStop(container) => self.pre_stop(container),
            PodAction::PostStart(container) => self.post_start(container),
            PodAction::Probe(container, kind) => self.probe(container, kind),
        }
    }

    async fn set_endpoint(&self, up: bool) {
        if let Some(ip) = self.state.ip() {
            self.host.set_endpoint(ip, up).await;
        }
    }

    async fn prepare_volumes(&self) -> Fact {
        let wanted = self.desired.volumes_content;
        let (volumes, pod, content) = (self.paths.volumes(), self.desired.pod.clone(), self.content.clone());
        match tokio::task::spawn_blocking(move || volumes.prepare(&pod, &content)).await {
            Ok(Ok(())) => Fact::VolumesReady(wanted),
            Ok(Err(error)) => Fact::VolumesFailed(crate::chain(&error)),
            Err(error) => Fact::VolumesFailed(crate::chain(&error)),
        }
    }

    async fn remove_volumes(&self) -> Fact {
        let (volumes, pod) = (self.paths.volumes(), self.desired.pod.clone());
        match tokio::task::spawn_blocking(move || volumes.remove(&pod)).await {
            Ok(Ok(())) => Fact::VolumesRemoved,
            Ok(Err(error)) => Fact::RemovalFailed(crate::chain(&error)),
            Err(error) => Fact::RemovalFailed(crate::chain(&error)),
        }
    }

    /// Nothing may be left that the next agent would take for a pod.
    fn report_gone(&self) -> Fact {
        for folder in [&self.paths.memory, &self.paths.disk, &self.paths.logs] {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(folder = %folder.display(), %error, "something of a pod is left behind");
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.host.outbox.gone(self.pod.clone());
        Fact::Reported
    }

    async fn start(&self, container: String, attempt: u32) -> Fact {
        let Some(spec) = self.desired.container(&container).cloned() else {
            let failure = StartFailure::Process { message: "the pod has no such container".to_owned() };
            return Fact::StartFailed { container, failure };
        };
        let order = Box::new(Order {
            pod: self.desired.pod.clone(),
            container: spec,
            references: self.references.clone(),
            attempt,
            facts: self.host.facts(self.state.ip()),
        });
        let started = start::start(&self.host, order).await;
        if let Some(last) = attempt.checked_sub(1) {
            self.remove_later(container_id(&self.pod.uid, &container, last));
        }
        match started {
            Ok(started) => Fact::Started {
                container,
                id: started.id,
                image_id: started.image_id,
                stop_signal: started.stop_signal,
            },
            Err(failure) => Fact::StartFailed { container, failure },
        }
    }

    /// The run before is taken down when the new one runs: nobody waits for it.
    fn remove_later(&self, id: String) {
        let launcher = self.host.launcher.clone();
        tokio::spawn(async move {
            let removed = launcher
                .ask({
                    let id = id.clone();
                    move |client| client.remove(&id)
                })
                .await;
            match removed {
                Err(error) if !matches!(error.failure(), Some(Failure::NotFound { .. })) => {
                    tracing::warn!(id, error = crate::chain(&error), "a container that ended is not removed");
                }
                Ok(()) | Err(_) => {}
            }
        });
    }

    async fn terminate(&self, container: &str) -> Option<Fact> {
        let signal = self.state.running(container)?.stop_signal.unwrap_or(SIGTERM);
        self.signal(container, signal).await
    }

    /// The end itself comes as an event; one that ended already has sent it.
    async fn signal(&self, container: &str, signal: i32) -> Option<Fact> {
        let id = self.state.running(container)?.id.clone();
        let sent = self.host.launcher.ask(move |client| client.signal(&id, signal)).await;
        let Err(error) = sent else {
            self.killing(container, signal);
            return None;
        };
        if matches!(error.failure(), Some(Failure::NotRunning { .. } | Failure::NotFound { .. })) {
            return None;
        }
        let error = crate::chain(&error);
        tracing::warn!(pod = self.pod.name, container, signal, error, "a signal is not sent");
        let attempt = self.state.container(container).restarts;
        Some(Fact::SignalFailed { container: container.to_owned(), attempt })
    }

    fn target(&self, container: &str) -> Option<Target> {
        Some(Target {
            ip: self.state.ip(),
            container_id: self.state.running(container)?.id.clone(),
            spec: self.desired.container(container)?.clone(),
        })
    }

    fn pre_stop(&self, container: String) -> Option<Fact> {
        let attempt = self.state.container(&container).restarts;
        let done = Fact::PreStopDone { container: container.clone(), attempt };
        let Some(target) = self.target(&container) else { return Some(done) };
        let hook = target.spec.lifecycle.clone().and_then(|lifecycle| lifecycle.pre_stop);
        let Some(hook) = hook else { return Some(done) };
        let (host, mailbox, pod) = (self.host.clone(), self.mailbox.clone(), self.pod.clone());
        tokio::spawn(async move {
            if let Err(error) = run_hook(&host.launcher, &target, &hook).await {
                host.warn(&pod, &container, "FailedPreStopHook", &crate::chain(&error));
            }
            let _ = mailbox.send(Event::Fact(done)).await;
        });
        None
    }

    fn post_start(&self, container: String) -> Option<Fact> {
        let attempt = self.state.container(&container).restarts;
        let target = self.target(&container)?;
        let hook = target.spec.lifecycle.clone().and_then(|lifecycle| lifecycle.post_start)?;
        let (host, mailbox, pod) = (self.host.clone(), self.mailbox.clone(), self.pod.clone());
        tokio::spawn(async move {
            let result = run_hook(&host.launcher, &target, &hook).await;
            if let Err(error) = &result {
                host.warn(&pod, &container, "FailedPostStartHook", &crate::chain(error));
            }
            let fact = Fact::PostStartDone { container, attempt, succeeded: result.is_ok() };
            let _ = mailbox.send(Event::Fact(fact)).await;
        });
        None
    }

    fn probe(&self, container: String, kind: Kind) -> Option<Fact> {
        let attempt = self.state.container(&container).restarts;
        let target = self.target(&container)?;
        let probe = kind.of(&target.spec)?.clone();
        let limit = Duration::try_from(Timing::of(&probe).timeout).unwrap_or_default();
        let (host, mailbox) = (self.host.clone(), self.mailbox.clone());
        tokio::spawn(async move {
            let result = dial::dial(&target, &probe, limit, &host.launcher).await;
            let message = result
                .as_ref()
                .err()
                .map(|error| format!("{} probe failed: {}", kind.name(), crate::chain(error)));
            let fact = Fact::Probed { container, attempt, kind, passed: result.is_ok() };
            let _ = mailbox.send(Event::Probed(fact, message)).await;
        });
        None
    }
}

async fn run_hook(
    launcher: &crate::pods::launcher::Launcher,
    target: &Target,
    hook: &LifecycleHandler,
) -> Result<(), DialError> {
    if let Some(action) = &hook.exec {
        return dial::exec(target, action.command.clone().unwrap_or_default(), HOOK_TIMEOUT, launcher).await;
    }
    if let Some(action) = &hook.http_get {
        let asked = tokio::time::timeout(HOOK_TIMEOUT, dial::http_get(target, action)).await;
        return asked.map_err(|_| DialError::TimedOut(HOOK_TIMEOUT))?;
    }
    let Some(action) = &hook.sleep else { return Err(DialError::Unsupported) };
    let pause = Duration::from_secs(u64::try_from(action.seconds).unwrap_or(0)).min(HOOK_TIMEOUT);
    tokio::time::sleep(pause).await;
    Ok(())
}
