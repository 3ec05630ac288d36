//! One task per pod: it owns the pod's state, asks `decide` what to do, does it, and says what came of it.
//!
//! What takes long (probes, hooks) runs beside and comes back as an event; the rest is done in order, so that no
//! two steps of one pod ever overlap.
//!
//!     event ──▶ state.learn ──▶ decide ──▶ actions ──▶ state.learn … ──▶ nothing to do ──▶ wait

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodStatus;
use proto::PodRef;
use runtime::client::Client;
use runtime::protocol::Listing;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::assignment::{Assignment, References};
use crate::clock;
use crate::pods::checkpoint;
use crate::pods::decide::{begin, decide, over_before};
use crate::pods::desired::Desired;
use crate::pods::directory::{ContainerEntry, Entry};
use crate::pods::host::Host;
use crate::pods::launcher::LauncherError;
use crate::pods::paths::PodPaths;
use crate::pods::state::{Fact, PodState, Run};
use crate::pods::status::derive_status;
use crate::probes;
use crate::spec::env;
use crate::volumes::content::Content;

mod acts;
pub(crate) mod reconcile;
mod says;

/// Events that may wait for one pod.
const EVENTS_MAX: usize = 256;
/// Without an event or a deadline, a pod is looked at again after so long: nothing is missed for ever.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// The pause before a start that is under way is looked at again, and how often that is done.
const STARTING_PAUSE: Duration = Duration::from_millis(10);
const STARTING_LOOKS_MAX: u32 = 500;
/// After so many passes in a row the worker first looks at its events.
const PASSES_MAX: usize = 32;

/// Everything that a worker is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// The pod's object, or what it refers to, changed.
    Assigned(Box<Assignment>),
    /// End without grace.
    Forgotten,
    /// Look at what the launcher has: things may have happened that nobody told.
    Look,
    /// Something became known.
    Fact(Fact),
    /// A probe was answered, or not; then the message says why.
    Probed(Fact, Option<String>),
}

/// Where to send a worker's events.
pub(crate) type Mailbox = mpsc::Sender<Event>;

/// The owner of one pod.
#[derive(Debug)]
pub(crate) struct Worker {
    host: Arc<Host>,
    paths: PodPaths,
    pod: PodRef,
    desired: Desired,
    references: References,
    content: Content,
    state: PodState,
    saved: Option<PodState>,
    status: Option<PodStatus>,
    /// What an earlier agent said last.
    said_before: Option<PodStatus>,
    inbox: mpsc::Receiver<Event>,
    mailbox: Mailbox,
}

impl Worker {
    /// A worker for a pod that was just assigned, or that an earlier agent left.
    pub(crate) fn new(host: Arc<Host>, assignment: Assignment, state: PodState) -> (Self, Mailbox) {
        let (mailbox, inbox) = mpsc::channel(EVENTS_MAX);
        let metadata = &assignment.pod.metadata;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let pod = PodRef {
            namespace: text(&metadata.namespace),
            name: text(&metadata.name),
            uid: text(&metadata.uid),
        };
        let paths = host.paths(&assignment.pod);
        let said_before = checkpoint::load_status(&paths);
        let mut worker = Self {
            paths,
            host,
            pod,
            desired: Desired::new(assignment.pod.clone()),
            references: References::default(),
            content: Content::default(),
            state,
            saved: None,
            status: None,
            said_before,
            inbox,
            mailbox: mailbox.clone(),
        };
        worker.assigned(assignment);
        let desired = worker.desired.clone();
        worker.state.resume(&desired);
        (worker, mailbox)
    }

    /// Keeps the pod until nothing of it is left, and returns its uid; or until the agent ends.
    pub(crate) async fn run(mut self) -> String {
        self.state.accepted_at.get_or_insert(clock::now());
        // What an earlier agent wrote down may be old: a worker that is to look does so before its first step.
        self.take_waiting().await;
        loop {
            let wake_at = self.act().await;
            if self.state.gone {
                break;
            }
            let pause = wake_at.map_or(LOOK_AGAIN, |at| until(at, clock::now()));
            tokio::select! {
                event = self.inbox.recv() => match event {
                    Some(event) => self.take(event).await,
                    None => break,
                },
                () = sleep(pause) => {}
            }
            self.take_waiting().await;
        }
        self.host.directory.remove(&self.pod.uid);
        self.pod.uid
    }

    /// Does what is to be done, until there is nothing to do before the returned time.
    async fn act(&mut self) -> Option<Timestamp> {
        for _ in 0..PASSES_MAX {
            let now = clock::now();
            let plan = decide(&self.desired, &self.state, now);
            self.publish(now);
            if plan.actions.is_empty() {
                self.save();
                return plan.wake_at;
            }
            for action in plan.actions {
                tracing::debug!(pod = self.pod.name, ?action, "acts");
                begin(&mut self.state, &self.desired, &action, clock::now());
                if let Some(fact) = self.carry_out(action).await {
                    self.learn(fact);
                }
            }
        }
        Some(clock::now())
    }

    async fn take_waiting(&mut self) {
        while let Ok(event) = self.inbox.try_recv() {
            self.take(event).await;
        }
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Assigned(assignment) => self.assigned(*assignment),
            Event::Forgotten => self.desired.forgotten = true,
            Event::Look => self.reconcile().await,
            Event::Fact(fact) => self.learn(fact),
            Event::Probed(fact, message) => self.probed(fact, message),
        }
    }

    /// Asks for itself: a listing that was made for all workers could be older than this one's last step.
    async fn reconcile(&mut self) {
        let listing = match self.settled_listing().await {
            Ok(listing) => listing,
            // It is lost again; when it is back, we are told again.
            Err(error) => return tracing::warn!(error = crate::chain(&error), "the launcher is not heard"),
        };
        for fact in reconcile::facts(&self.pod.uid, &self.desired, &self.state, &listing) {
            self.learn(fact);
        }
    }

    /// A start that an earlier agent asked for may still be under way: it is over within milliseconds, and until
    /// then nobody knows whether it is a run.
    async fn settled_listing(&self) -> Result<Listing, LauncherError> {
        for _ in 0..STARTING_LOOKS_MAX {
            let listing = self.host.launcher.ask(Client::list).await?;
            if !reconcile::is_starting(&self.pod.uid, &listing) {
                return Ok(listing);
            }
            sleep(STARTING_PAUSE).await;
        }
        self.host.launcher.ask(Client::list).await
    }

    /// Failures that count are said; those that are expected while a container comes up are nobody's business.
    fn probed(&mut self, fact: Fact, message: Option<String>) {
        let Fact::Probed { container, kind, .. } = &fact else { return };
        let (container, kind) = (container.clone(), *kind);
        let failures = |worker: &Self| {
            let probes = worker.state.running(&container).map(|running| &running.probes);
            probes.and_then(|probes| probes.get(&kind)).map_or(0, probes::State::failures)
        };
        let before = failures(self);
        self.learn(fact);
        if let Some(message) = message
            && failures(self) > before
        {
            self.warn(&container, "Unhealthy", &message);
        }
    }

    fn learn(&mut self, fact: Fact) {
        self.say(&fact);
        self.state.learn(&self.desired, fact, clock::now());
    }

    fn assigned(&mut self, assignment: Assignment) {
        if let Err(error) = checkpoint::save_assignment(&self.paths, &assignment) {
            tracing::error!(
                pod = self.pod.name,
                error = crate::chain(&error),
                "the pod would not survive the agent"
            );
        }
        let Assignment { pod, references } = assignment;
        let facts = self.host.facts(self.state.ip());
        let mut desired = Desired { forgotten: self.desired.forgotten, ..Desired::new(pod) };
        desired.config_errors = desired
            .all_containers()
            .filter_map(|spec| {
                let error = env::environment(&desired.pod, spec, &references, &facts).err()?;
                Some((spec.name.clone(), crate::chain(&error)))
            })
            .collect::<BTreeMap<_, _>>();
        match Content::of(&desired.pod, &references, &facts) {
            Ok(content) => {
                desired.volumes_content = content.fingerprint();
                self.content = content;
            }
            Err(error) => desired.volumes_blocked = Some(crate::chain(&error)),
        }
        if let Some(message) = &desired.volumes_blocked {
            self.warn("", "FailedMount", message);
        }
        for (container, message) in &desired.config_errors {
            self.warn(container, "Failed", message);
        }
        self.desired = desired;
        self.references = references;
    }

    /// Tells the control plane and the sessions, if there is something new.
    fn publish(&mut self, now: Timestamp) {
        // Of a pod that was over before our time all has been said.
        if self.state.gone || over_before(&self.desired, &self.state) {
            return;
        }
        // What was said before this agent's time still says since when conditions hold.
        let previous =
            self.status.as_ref().or(self.said_before.as_ref()).or(self.desired.pod.status.as_ref());
        let status = derive_status(&self.desired, &self.state, self.host.node_address, previous, now);
        if self.status.as_ref() == Some(&status) {
            return;
        }
        self.host.directory.set(&self.pod.uid, self.entry());
        match serde_json::to_vec(&status) {
            Ok(bytes) => self.host.outbox.status(self.pod.clone(), Bytes::from(bytes)),
            Err(error) => tracing::error!(pod = self.pod.name, %error, "a status is not JSON"),
        }
        if let Err(error) = checkpoint::save_status(&self.paths, &status) {
            tracing::warn!(
                pod = self.pod.name,
                error = crate::chain(&error),
                "what was said is not remembered"
            );
        }
        self.status = Some(status);
    }

    fn entry(&self) -> Entry {
        let containers = self.desired.all_containers().map(|spec| {
            let container = self.state.container(&spec.name);
            let path = |attempt: u32| self.paths.log(&spec.name, attempt);
            let entry = ContainerEntry {
                running_id: self.state.running(&spec.name).map(|running| running.id.clone()),
                log: match container.run {
                    Run::Waiting => None,
                    Run::Failed(_) if container.previous.is_none() => None,
                    Run::Failed(_) => container.restarts.checked_sub(1).map(path),
                    Run::Running(_) | Run::Exited(_) => Some(path(container.restarts)),
                },
                previous_log: container.restarts.checked_sub(1).map(path),
            };
            (spec.name.clone(), entry)
        });
        Entry {
            namespace: self.pod.namespace.clone(),
            name: self.pod.name.clone(),
            containers: containers.collect(),
            default_container: self
                .desired
                .containers()
                .first()
                .map(|spec| spec.name.clone())
                .unwrap_or_default(),
        }
    }

    fn save(&mut self) {
        // What is gone leaves nothing behind, least of all a checkpoint.
        if self.state.gone || self.saved.as_ref() == Some(&self.state) {
            return;
        }
        match checkpoint::save_state(&self.paths, &self.state) {
            Ok(()) => self.saved = Some(self.state.clone()),
            Err(error) => {
                tracing::error!(
                    pod = self.pod.name,
                    error = crate::chain(&error),
                    "the pod's progress is not saved"
                );
            }
        }
    }
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default().min(LOOK_AGAIN)
}
