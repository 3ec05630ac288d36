//! The control plane: its state survives its crashes, what it knows of streams and of pending works does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use control_plane::change::Change;
use control_plane::controllers::Facts;
use control_plane::controllers::node::Signal;
use control_plane::manager::{Agenda, Attention, Batch, nodes_changed};
use control_plane::registry::{Context, Settings, Status};
use control_plane::snapshot::Snapshot;
use control_plane::store::{Event, Outcome, State};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use manifests::{Kind, Object};
use rand::rngs::StdRng;
use serde_json::Value;

use crate::node::{Down, PodName, Up};

/// The control plane.
#[derive(Debug)]
pub(crate) struct Control {
    /// What is on disk.
    pub(crate) state: State,
    /// What dies with the process; `None` while it is down.
    pub(crate) process: Option<Process>,
    settings: Settings,
    /// By how much its clock is wrong.
    clock: SignedDuration,
}

/// A running control plane.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) agenda: Agenda,
    /// Whether a round is under way or planned.
    pub(crate) is_deciding: bool,
    attention: Attention,
    /// Since when the agenda goes by the present clock.
    began: Timestamp,
    signals: BTreeMap<String, Signal>,
    /// The nodes that have a stream, and the pods that each was told of.
    streams: BTreeMap<String, BTreeSet<String>>,
}

/// What came of a change, what happened, and what the nodes are to be told of it.
pub(crate) type Applied = (Outcome, Option<Arc<Event>>, Vec<(String, Down)>);

impl Control {
    /// A cluster that nobody has used yet.
    pub(crate) fn new() -> Self {
        Self {
            state: State::new(),
            process: None,
            settings: Settings::default(),
            clock: SignedDuration::ZERO,
        }
    }

    /// Starts the process; it looks at everything there is.
    pub(crate) fn start(&mut self, now: Timestamp) {
        let now = now + self.clock;
        let mut process = Process {
            agenda: Agenda::default(),
            is_deciding: false,
            attention: Attention::new(now),
            began: now,
            signals: BTreeMap::new(),
            streams: BTreeMap::new(),
        };
        process.agenda.plan_full_pass(self.state.snapshot(), now);
        self.process = Some(process);
    }

    /// Somebody sets the clock.
    pub(crate) fn set_clock(&mut self, seconds: i64) {
        self.clock += SignedDuration::from_secs(seconds);
    }

    /// The real time of what the control plane's clock says.
    pub(crate) fn real(&self, said: Timestamp, now: Timestamp) -> Timestamp {
        now + said.duration_since(now + self.clock).max(SignedDuration::ZERO)
    }

    /// Notes the time, and begins again should it have been away.
    pub(crate) fn note(&mut self, now: Timestamp) {
        let now = now + self.clock;
        let Some(process) = &mut self.process else { return };
        process.attention.note(now);
        if process.attention.since() != process.began && !process.is_deciding {
            process.began = process.attention.since();
            process.agenda = Agenda::default();
            process.agenda.plan_full_pass(self.state.snapshot(), now);
        }
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        self.state.snapshot()
    }

    /// Makes one change. Returns what happened, and what the nodes are to be told of it.
    pub(crate) fn apply(
        &mut self,
        change: Change,
        now: Timestamp,
        rng: &mut StdRng,
    ) -> Result<Applied, Status> {
        let mut context = Context { now: now + self.clock, random: rng, settings: &self.settings };
        let (event, outcome) = self.state.apply(change, &mut context)?;
        let mut told = Vec::new();
        if let (Some(event), Some(process)) = (&event, &mut self.process) {
            process.agenda.observe(event, self.state.snapshot());
            process.tell(event, &mut told);
        }
        Ok((outcome, event, told))
    }

    /// One round of the manager: what is to be committed.
    pub(crate) fn decide(&mut self, now: Timestamp, rng: &mut StdRng) -> Option<Batch> {
        self.note(now);
        let process = self.process.as_mut()?;
        let health = process.attention.health(process.signals.clone());
        let facts = Facts { now: now + self.clock, node_health: Arc::new(health), front: None };
        Some(process.agenda.decide(self.state.snapshot(), &facts, rng))
    }

    /// Takes in what became of a round.
    pub(crate) fn settle(&mut self, batch: Batch, refusals: Vec<Option<Status>>, now: Timestamp) {
        if let Some(process) = &mut self.process {
            process.agenda.settle(batch, refusals, self.state.snapshot(), now + self.clock);
            process.is_deciding = false;
        }
    }

    /// Takes in that a round came to nothing.
    pub(crate) fn abandon(&mut self, batch: Batch) {
        if let Some(process) = &mut self.process {
            process.agenda.abandon(batch, self.state.snapshot());
            process.is_deciding = false;
        }
    }

    /// A stream of the node was opened: everything that is its own is sent.
    pub(crate) fn connect(&mut self, node: &str, now: Timestamp) -> Vec<Down> {
        let Some(process) = &mut self.process else { return Vec::new() };
        process.signals.insert(node.to_owned(), Signal::Heard(now + self.clock));
        nodes_changed(self.state.snapshot(), |work| process.agenda.add(work));
        let pods: Vec<(&Arc<_>, &Pod)> = self.state.snapshot().pods_on(node).collect();
        let told = pods.iter().map(|(stored, _)| stored.uid().to_string()).collect();
        process.streams.insert(node.to_owned(), told);
        let assignments = pods.into_iter().map(|(_, pod)| Down::Assign(Box::new(pod.clone())));
        assignments.chain([Down::Complete]).collect()
    }

    /// The stream of a node was seen to end.
    pub(crate) fn disconnect(&mut self, node: &str, now: Timestamp) {
        let Some(process) = &mut self.process else { return };
        if process.streams.remove(node).is_some() {
            process.signals.insert(node.to_owned(), Signal::Lost(now + self.clock));
            nodes_changed(self.state.snapshot(), |work| process.agenda.add(work));
        }
    }

    /// The change that a node's report asks for, as `fleet::reports` has it: a node speaks of its own pods only.
    pub(crate) fn hear(&mut self, node: &str, report: &Up, now: Timestamp) -> Option<Change> {
        let process = self.process.as_mut()?;
        process.signals.insert(node.to_owned(), Signal::Heard(now + self.clock));
        match report {
            Up::Heartbeat => None,
            Up::Status(pod, status) => {
                self.is_own(node, pod)?;
                let mut object = Object::new(Kind::Pod, &pod.namespace, &pod.name);
                object.set(&["metadata", "uid"], pod.uid.as_str());
                object.set(&["status"], serde_json::to_value(status).unwrap_or(Value::Null));
                Some(Change::UpdateStatus(object))
            }
            Up::Gone(pod) => {
                self.is_own(node, pod)?;
                Some(Change::delete_now(pod.key(), pod.uid.as_str().into()))
            }
        }
    }

    fn is_own(&self, node: &str, pod: &PodName) -> Option<()> {
        let stored = self.snapshot().get(&pod.key())?;
        let bound_to = stored.object().str_at(&["spec", "nodeName"]);
        (**stored.uid() == *pod.uid && bound_to == Some(node)).then_some(())
    }
}

impl Process {
    /// What the pod's node is to be told of an event.
    fn tell(&mut self, event: &Event, told: &mut Vec<(String, Down)>) {
        if event.key.kind != Kind::Pod {
            return;
        }
        let node = event.object.object().str_at(&["spec", "nodeName"]).unwrap_or_default().to_owned();
        let Some(pods) = self.streams.get_mut(&node) else { return };
        let uid = event.object.uid().to_string();
        let Some(new) = &event.new else {
            pods.remove(&uid);
            return told.push((node, Down::Forget(uid)));
        };
        let is_news = |part: &str| {
            event.old.as_ref().is_none_or(|old| old.object().0.get(part) != new.object().0.get(part))
        };
        let is_marked = event.old.as_ref().is_none_or(|old| old.is_deleting() != new.is_deleting());
        if let Some(pod) = new.typed::<Pod>().filter(|_| !pods.contains(&uid) || is_news("spec") || is_marked)
        {
            pods.insert(uid);
            told.push((node, Down::Assign(Box::new(pod.clone()))));
        }
    }
}
