//! What follows from the state of the cluster: each controller looks at one object in one snapshot and says what
//! should change.
//!
//! Every controller here is a function of a snapshot, a key and the [`Facts`] that are not in the store: no clock, no
//! randomness, no IO. It computes from the whole current state, so that being asked once too often changes nothing,
//! and being asked late costs only time. Who is asked when is `manager`'s affair.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use serde_json::Value;

use crate::change::Change;
use crate::snapshot::{Key, Snapshot, Stored};

pub mod conditions;
pub mod deployment;
pub mod endpoint_slice;
pub mod events;
pub mod garbage;
pub mod load_balancer;
pub mod namespace;
pub mod node;
pub mod owner;
pub mod pod_gc;
pub mod pods;
pub mod replica_set;
pub mod stable;

/// What a controller wants done about one object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The changes, in the order in which they are to be made. Each stands by itself: should one be refused, the
    /// controller is asked again.
    pub changes: Vec<Change>,
    /// When to ask again although nothing happened, because time alone will have changed the answer.
    pub requeue_after: Option<Duration>,
    /// Why, in one line each, for logs and explanations.
    pub reasons: Vec<String>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Adds a change.
    pub fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Adds a change and why it is made.
    pub fn push_because(&mut self, change: Change, reason: impl Into<String>) {
        self.changes.push(change);
        self.reasons.push(reason.into());
    }

    /// Asks to be asked again after `wait`, or earlier if that was already wanted.
    pub fn requeue(&mut self, wait: Duration) {
        self.requeue_after = Some(self.requeue_after.map_or(wait, |sooner| sooner.min(wait)));
    }

    /// Takes in another plan's changes after its own.
    pub fn append(&mut self, other: Plan) {
        self.changes.extend(other.changes);
        self.reasons.extend(other.reasons);
        if let Some(wait) = other.requeue_after {
            self.requeue(wait);
        }
    }
}

/// What controllers know beside the snapshot.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The time.
    pub now: Timestamp,
    /// Who of the nodes lives.
    pub node_health: Arc<node::NodeHealth>,
    /// Where users reach the front; `None` while there is none.
    pub front: Option<Arc<str>>,
}

impl Facts {
    /// The facts when nothing is known but the time.
    pub fn at(now: Timestamp) -> Self {
        Self { now, node_health: Arc::default(), front: None }
    }
}

/// The controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Nodes' readiness, taints and evictions; asked about a Node.
    NodeLifecycle,
    /// Pods of nodes that are gone; asked about a Pod.
    PodGc,
    /// Endpoints of a Service.
    EndpointSlice,
    /// Pods of a ReplicaSet.
    ReplicaSet,
    /// ReplicaSets of a Deployment.
    Deployment,
    /// What a Service or Ingress says of its address.
    LoadBalancer,
    /// The end of a Namespace.
    Namespace,
    /// Owners and dependents; asked about either.
    Garbage,
    /// Old events; asked about nothing in particular.
    Events,
}

impl Controller {
    /// What the controller wants done about the object at `key`, which may no longer be there.
    pub fn reconcile(self, snapshot: &Snapshot, key: &Key, facts: &Facts) -> Plan {
        match self {
            Self::NodeLifecycle => node::reconcile(snapshot, key, facts),
            Self::PodGc => pod_gc::reconcile(snapshot, key, facts.now),
            Self::EndpointSlice => endpoint_slice::reconcile(snapshot, key),
            Self::ReplicaSet => replica_set::reconcile(snapshot, key, facts.now),
            Self::Deployment => deployment::reconcile(snapshot, key, facts.now),
            Self::LoadBalancer => load_balancer::reconcile(snapshot, key, facts.front.as_deref()),
            Self::Namespace => namespace::reconcile(snapshot, key, facts.now),
            Self::Garbage => garbage::reconcile(snapshot, key),
            Self::Events => events::expire(snapshot, facts.now),
        }
    }
}

/// A new status for an object. It is computed whole from a snapshot by the one controller that writes it, so that it
/// need not be refused because somebody changed something else; only another object of the same name is left alone.
fn status_update(object: &Stored, status: Value) -> Change {
    let mut updated = object.object().clone();
    updated.metadata_mut().remove("resourceVersion");
    updated.set(&["status"], status);
    Change::UpdateStatus(updated)
}
