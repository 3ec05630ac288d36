//! A cluster without disk, wires or clocks: the store's state, the agenda, and nodes that do what they are told.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use manifests::{Kind, Object};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::{Agenda, Batch};
use crate::change::Change;
use crate::controllers::Facts;
use crate::controllers::node::{NodeHealth, Signal};
use crate::registry::{Context, Settings, Status};
use crate::snapshot::{Key, Snapshot, Stored, Typed};
use crate::store::{Event, Outcome, State};

/// Rounds after which a cluster that still has something to do is taken for one that never will be done.
const ROUNDS_MAX: usize = 2_000;

pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) agenda: Agenda,
    pub(crate) now: Timestamp,
    pub(crate) health: NodeHealth,
    /// Whether the store refuses what the manager decides, as on a disk that is full.
    pub(crate) refuse_all: bool,
    /// The pod whose bindings are refused.
    pub(crate) refused: Option<&'static str>,
    rng: StdRng,
    settings: Settings,
}

impl World {
    /// A cluster with these nodes, each of 4 CPUs and 8 GiB, alive and ready.
    pub(crate) fn new(nodes: &[&str]) -> Self {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let mut world = Self {
            state: State::new(),
            agenda: Agenda::default(),
            now,
            health: NodeHealth {
                listening_since: now - SignedDuration::from_hours(1),
                ..NodeHealth::default()
            },
            refuse_all: false,
            refused: None,
            rng: StdRng::seed_from_u64(1),
            settings: Settings::default(),
        };
        world.agenda.plan_full_pass(&Snapshot::default(), now);
        world.create(Object::new(Kind::Namespace, "", "default"));
        nodes.iter().for_each(|node| world.join(node));
        world.settle();
        world
    }

    pub(crate) fn join(&mut self, name: &str) {
        let mut node = Object::new(Kind::Node, "", name);
        node.set(&["metadata", "labels"], json!({"kubernetes.io/hostname": name}));
        node.set(&["status", "allocatable"], json!({"cpu": "4", "memory": "8Gi", "pods": "110"}));
        self.create(node);
        self.health.signals.insert(name.into(), Signal::Heard(Timestamp::MAX));
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.state.snapshot().clone()
    }

    pub(crate) fn try_apply(&mut self, change: Change) -> Result<Outcome, Status> {
        let mut context = Context { now: self.now, random: &mut self.rng, settings: &self.settings };
        let (event, outcome) = self.state.apply(change, &mut context)?;
        self.observe(event);
        Ok(outcome)
    }

    pub(crate) fn apply(&mut self, change: Change) -> Arc<Stored> {
        let outcome = self.try_apply(change).unwrap_or_else(|refusal| panic!("refused: {}", refusal.message));
        Arc::clone(outcome.stored())
    }

    pub(crate) fn create(&mut self, object: Object) -> Arc<Stored> {
        self.apply(Change::Create(object))
    }

    fn observe(&mut self, event: Option<Arc<Event>>) {
        if let Some(event) = event {
            self.agenda.observe(&event, self.state.snapshot());
        }
    }

    /// One round of the manager. Returns whether anything was decided.
    pub(crate) fn round(&mut self) -> bool {
        let mut batch = self.decide();
        if batch.is_empty() {
            return false;
        }
        let changes = std::mem::take(&mut batch.changes);
        let refusals = changes.into_iter().map(|change| self.commit(change)).collect();
        self.agenda.settle(batch, refusals, self.state.snapshot(), self.now);
        true
    }

    /// One round of the manager whose commit the store does not even try.
    pub(crate) fn abandon_round(&mut self) {
        let batch = self.decide();
        self.agenda.abandon(batch, self.state.snapshot());
    }

    fn decide(&mut self) -> Batch {
        let facts = Facts { now: self.now, node_health: Arc::new(self.health.clone()), front: None };
        let snapshot = self.snapshot();
        self.agenda.decide(&snapshot, &facts, &mut self.rng)
    }

    fn commit(&mut self, change: Change) -> Option<Status> {
        let is_refused = |pod: &Key| self.refused.is_some_and(|name| *pod.name == *name);
        if self.refuse_all || matches!(&change, Change::Bind { pod, .. } if is_refused(pod)) {
            return Some(Status::unavailable("the disk is full"));
        }
        self.try_apply(change).err()
    }

    /// Runs until nothing more follows from what there is.
    pub(crate) fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if !self.round() && self.agenda.next_due().is_none_or(|due| due > self.now) {
                return;
            }
        }
        panic!("the controllers do not come to rest");
    }

    /// Lets time pass, with everything that falls due in it.
    pub(crate) fn pass(&mut self, seconds: i64) {
        let until = self.now + SignedDuration::from_secs(seconds);
        while let Some(due) = self.agenda.next_due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.settle();
        }
        self.now = until;
        self.settle();
    }

    /// What the nodes do: bound pods become ready, pods that were asked to go are gone. Returns whether any did.
    pub(crate) fn run_nodes(&mut self) -> bool {
        let snapshot = self.snapshot();
        let mut any = false;
        for (stored, pod) in
            snapshot.all::<Pod>().filter(|(_, pod)| !crate::controllers::pods::node_name(pod).is_empty())
        {
            if stored.is_deleting() {
                self.apply(Change::delete_now(stored.key().clone(), stored.uid().clone()));
                any = true;
            } else if !manifests::pod::is_ready(pod) {
                self.set_ready(stored.key(), true);
                any = true;
            }
        }
        any
    }

    /// Runs controllers and nodes until both are done.
    pub(crate) fn run(&mut self) {
        self.settle();
        while self.run_nodes() {
            self.settle();
        }
    }

    /// What a node does to one pod, if there is anything to do: the first one from a place on.
    pub(crate) fn run_one_pod(&mut self, from: usize) -> bool {
        let snapshot = self.snapshot();
        let is_open = |stored: &Stored, pod: &Pod| {
            let is_bound = !crate::controllers::pods::node_name(pod).is_empty();
            is_bound && (stored.is_deleting() || !manifests::pod::is_ready(pod))
        };
        let open: Vec<_> = snapshot.all::<Pod>().filter(|(stored, pod)| is_open(stored, pod)).collect();
        if open.is_empty() {
            return false;
        }
        let (stored, _) = open[from % open.len()];
        if stored.is_deleting() {
            self.apply(Change::delete_now(stored.key().clone(), stored.uid().clone()));
        } else {
            self.set_ready(stored.key(), true);
        }
        true
    }

    pub(crate) fn set_ready(&mut self, key: &Key, is_ready: bool) {
        let mut pod = self.state.snapshot().get(key).expect("the pod is there").object().clone();
        let octets = self.state.snapshot().revision().to_be_bytes();
        pod.set(&["status", "phase"], "Running");
        pod.set(&["status", "podIP"], format!("10.0.{}.{}", octets[6], octets[7]));
        let status = if is_ready { "True" } else { "False" };
        let at = Timestamp::from_second(self.now.as_second()).expect("a time").to_string();
        pod.set(
            &["status", "conditions"],
            json!([{"type": "Ready", "status": status, "lastTransitionTime": at}]),
        );
        self.apply(Change::UpdateStatus(pod));
    }

    pub(crate) fn find<T: Typed + Clone>(&self, name: &str) -> Option<T> {
        let namespace = if T::KIND.info().namespaced { "default" } else { "" };
        self.state.snapshot().find::<T>(namespace, name).map(|(_, it)| it.clone())
    }

    pub(crate) fn all<T: Typed + Clone>(&self) -> Vec<T> {
        self.state.snapshot().all::<T>().map(|(_, it)| it.clone()).collect()
    }

    /// Changes an object as a user would.
    pub(crate) fn edit(
        &mut self,
        kind: Kind,
        name: &str,
        path: &[&str],
        value: impl Into<Value>,
    ) -> Arc<Stored> {
        let namespace = if kind.info().namespaced { "default" } else { "" };
        let mut object = self
            .state
            .snapshot()
            .get(&Key::new(kind, namespace, name))
            .expect("it is there")
            .object()
            .clone();
        object.set(path, value);
        self.apply(Change::Update(object))
    }

    pub(crate) fn delete(&mut self, kind: Kind, name: &str) {
        let namespace = if kind.info().namespaced { "default" } else { "" };
        let key = Key::new(kind, namespace, name);
        let uid = self.state.snapshot().get(&key).expect("it is there").uid().clone();
        self.apply(Change::delete(key, uid));
    }

    pub(crate) fn events(&self, reason: &str) -> Vec<String> {
        let events = self
            .state
            .snapshot()
            .list(Kind::Event)
            .filter(|event| event.object().str_at(&["reason"]) == Some(reason));
        events.map(|event| event.object().str_at(&["message"]).unwrap_or_default().to_owned()).collect()
    }
}

/// A Deployment of pods labelled `app: NAME` that ask for 100m and 64Mi.
pub(crate) fn deployment(name: &str, replicas: u32) -> Object {
    let mut object = Object::new(Kind::Deployment, "default", name);
    object.set(&["metadata", "labels"], json!({"app": name}));
    object.set(
        &["spec"],
        json!({
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template(name),
        }),
    );
    object
}

/// A Service that selects `app: NAME`, port 80 to the port named `http`.
pub(crate) fn service(name: &str) -> Object {
    let mut object = Object::new(Kind::Service, "default", name);
    object.set(&["spec"], json!({"selector": {"app": name}, "ports": [{"port": 80, "targetPort": "http"}]}));
    object
}

pub(crate) fn template(app: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [{
            "name": "main",
            "image": "supermarket/payment:1",
            "ports": [{"containerPort": 8080, "name": "http"}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
        }]},
    })
}
