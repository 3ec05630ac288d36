//! What anyone may ask of the store, as data: a user through the API, a controller, the scheduler, a node's report.
//!
//! Owns the words, not their meaning: `registry::apply` decides what a change does to a snapshot, or why it is
//! refused.

use std::fmt;
use std::sync::Arc;

use manifests::Object;

use crate::snapshot::Key;

/// One change. Each is atomic and says itself what must still hold for it to make sense.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new object. `metadata.generateName` asks for a name; status, uid, and what else is the server's are ignored.
    Create(Object),
    /// The object anew, all but its status. Refused as a conflict if `metadata.resourceVersion` (or `metadata.uid`)
    /// is set and is no longer current. Without finalizers left, an object that is being deleted is gone after it.
    Update(Object),
    /// The status alone of the object, with the same preconditions.
    UpdateStatus(Object),
    /// Puts a pod on a node. Refused if the pod is bound, deleted or another one, or if the node has no room for it.
    Bind {
        /// The pod.
        pod: Key,
        /// Its uid.
        uid: Arc<str>,
        /// The node's name.
        node: Arc<str>,
    },
    /// Asks an object to go. It stays, with a deletionTimestamp, for as long as it has finalizers, or, for a pod that
    /// is bound to a node, until its node says that it is gone (or the grace asked for is 0).
    Delete {
        /// The object.
        key: Key,
        /// What must still hold.
        preconditions: Preconditions,
        /// `None`: as the object says itself. 0: without waiting for its node.
        grace_period_seconds: Option<i64>,
        /// What becomes of its dependents.
        propagation: Propagation,
    },
    /// Takes one finalizer off an object, if it is there; the object goes with its last one. For a Namespace
    /// `kubernetes` means the one in `spec.finalizers`.
    Finalize {
        /// The object.
        key: Key,
        /// Its uid: another object of the same name is left alone.
        uid: Arc<str>,
        /// The finalizer's name.
        finalizer: Arc<str>,
    },
    /// Tells users that something happened. Told again, it raises the count of the event that is there.
    Record(EventIntent),
}

impl Change {
    /// The object that the change is about, if it is of a kind that we serve; the name is empty if the store is to
    /// make one.
    pub fn key(&self) -> Option<Key> {
        match self {
            Self::Create(object) | Self::Update(object) | Self::UpdateStatus(object) => Key::of(object),
            Self::Bind { pod, .. } => Some(pod.clone()),
            Self::Delete { key, .. } | Self::Finalize { key, .. } => Some(key.clone()),
            Self::Record(intent) => Some(intent.regarding.clone()),
        }
    }

    /// Deletes an object in the background, if it still is the one with this uid.
    pub fn delete(key: Key, uid: Arc<str>) -> Self {
        let preconditions = Preconditions { uid: Some(uid), resource_version: None };
        Self::Delete { key, preconditions, grace_period_seconds: None, propagation: Propagation::Background }
    }

    /// Deletes a pod at once, without asking its node, if it still is the one with this uid.
    pub fn delete_now(key: Key, uid: Arc<str>) -> Self {
        let preconditions = Preconditions { uid: Some(uid), resource_version: None };
        Self::Delete {
            key,
            preconditions,
            grace_period_seconds: Some(0),
            propagation: Propagation::Background,
        }
    }
}

/// What must hold of an object for it to be deleted; what is `None` is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// Its uid.
    pub uid: Option<Arc<str>>,
    /// Its `metadata.resourceVersion`.
    pub resource_version: Option<u64>,
}

/// What becomes of the dependents of an object that is deleted (`DeleteOptions.propagationPolicy`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Propagation {
    /// The object goes at once; its dependents are collected afterwards.
    #[default]
    Background,
    /// The object waits, by the finalizer `foregroundDeletion`, for the dependents that block its deletion.
    Foreground,
    /// The dependents stay and lose their reference to it, by the finalizer `orphan`.
    Orphan,
}

impl Propagation {
    /// The finalizer that makes the garbage collector carry it out, if it takes one.
    pub fn finalizer(self) -> Option<&'static str> {
        match self {
            Self::Background => None,
            Self::Foreground => Some("foregroundDeletion"),
            Self::Orphan => Some("orphan"),
        }
    }
}

/// Something that a user would ask about, not yet an Event: the registry finds or makes the one that it counts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventIntent {
    /// The object that it happened to.
    pub regarding: Key,
    /// That object's uid.
    pub uid: Arc<str>,
    /// The part of the object, e.g. `spec.containers{payment}`; empty for the whole.
    pub field_path: String,
    /// Normal or Warning.
    pub severity: Severity,
    /// One word in CamelCase, e.g. `FailedScheduling`.
    pub reason: String,
    /// One sentence for people.
    pub message: String,
    /// Who noticed, e.g. `deployment-controller`.
    pub component: &'static str,
    /// The node that it happened on; empty if on none.
    pub host: String,
}

/// `type` of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// Somebody may want to look.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        })
    }
}
