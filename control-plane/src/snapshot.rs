//! The whole state of the cluster at one revision: immutable, shared, and free to take.
//!
//! Owns how objects are keyed, found and parsed. Knows nothing of how they get here: the store builds the next
//! snapshot from the one before and publishes it, and everybody else only reads.
//!
//! Besides the objects it keeps two indexes, which are functions of the objects alone: pods by node, and
//! dependents by the uid of their owner.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use imbl::OrdMap;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use manifests::{Kind, Object};
use serde::de::DeserializeOwned;

#[cfg(test)]
mod tests;

/// Where an object lives. Ordered by kind, then namespace, then name, so that listing a kind, or a namespace of a
/// kind, is one range. The namespace of a cluster-wide object is empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind of the object.
    pub kind: Kind,
    /// Empty for kinds that live in no namespace.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

impl Key {
    /// The key of an object in a namespace, or of a cluster-wide one if `namespace` is empty.
    pub fn new(kind: Kind, namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    /// The key of the object that this document describes, if its kind is one that we serve. The name may be empty
    /// still, when the server is to make one.
    pub fn of(object: &Object) -> Option<Self> {
        let kind = object.kind()?;
        let namespace = if kind.info().namespaced { object.namespace().unwrap_or_default() } else { "" };
        Some(Self::new(kind, namespace, object.name()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind, self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// A type of `k8s-openapi` that we keep objects of.
pub trait Typed: DeserializeOwned + Send + Sync + 'static {
    /// The kind of all objects of this type.
    const KIND: Kind;
}

macro_rules! typed {
    ($($type:ident),*) => { $(impl Typed for $type { const KIND: Kind = Kind::$type; })* };
}
typed!(
    ConfigMap,
    Deployment,
    EndpointSlice,
    Event,
    Ingress,
    Lease,
    Namespace,
    Node,
    Pod,
    ReplicaSet,
    Secret,
    Service,
    ServiceAccount
);

/// One version of one object. Parsed into its type when somebody first asks, and then kept.
pub struct Stored {
    key: Key,
    uid: Arc<str>,
    revision: u64,
    object: Object,
    meta: OnceLock<ObjectMeta>,
    typed: OnceLock<Option<Box<dyn Any + Send + Sync>>>,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("key", &self.key)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl Stored {
    /// An object as it was committed at `revision`; its `metadata.resourceVersion` already says so.
    pub fn new(key: Key, object: Object, revision: u64) -> Self {
        let uid = object.uid().into();
        Self { key, uid, revision, object, meta: OnceLock::new(), typed: OnceLock::new() }
    }

    /// Where it lives.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Which of all objects that ever had this key it is.
    pub fn uid(&self) -> &Arc<str> {
        &self.uid
    }

    /// The revision of the store that wrote it; its `metadata.resourceVersion`.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The document, as the API serves it.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// Its metadata, of whatever kind it is.
    pub fn meta(&self) -> &ObjectMeta {
        self.meta.get_or_init(|| self.object.metadata())
    }

    /// The object as its type: `None` if it is of another kind, or if it cannot be read as that type.
    pub fn typed<T: Typed>(&self) -> Option<&T> {
        if self.key.kind != T::KIND {
            return None;
        }
        let parse = || self.object.parse::<T>().ok().map(|it| Box::new(it) as Box<dyn Any + Send + Sync>);
        self.typed.get_or_init(parse).as_ref()?.downcast_ref()
    }

    /// Whether it has been asked to go and waits for its node or its finalizers.
    pub fn is_deleting(&self) -> bool {
        self.object.is_terminating()
    }

    /// The node that a pod is bound to: empty if it is bound to none, `None` if this is no pod.
    fn node(&self) -> Option<&str> {
        (self.key.kind == Kind::Pod).then(|| self.object.str_at(&["spec", "nodeName"]).unwrap_or_default())
    }

    fn owner_uids(&self) -> impl Iterator<Item = &str> {
        let owners = self.object.list_at(&["metadata", "ownerReferences"]);
        owners.iter().filter_map(|owner| owner["uid"].as_str())
    }
}

/// Everything at one revision. A clone costs a few reference counts.
#[derive(Clone, Default)]
pub struct Snapshot {
    revision: u64,
    objects: OrdMap<Key, Arc<Stored>>,
    pods_by_node: Index,
    dependents: Index,
}

/// Term to the objects that have it; a term without objects is absent.
type Index = OrdMap<Arc<str>, OrdMap<Key, Arc<Stored>>>;

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("revision", &self.revision)
            .field("objects", &self.objects.len())
            .finish()
    }
}

/// Reading.
impl Snapshot {
    /// The revision of the last change that is part of it; 0 for the empty one.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many objects there are, of all kinds.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is no object at all.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The object at a key.
    pub fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.objects.get(key)
    }

    /// The object of a type and name, as its type.
    pub fn find<T: Typed>(&self, namespace: &str, name: &str) -> Option<(&Arc<Stored>, &T)> {
        let stored = self.get(&Key::new(T::KIND, namespace, name))?;
        Some((stored, stored.typed()?))
    }

    /// All objects of all kinds, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.objects.values()
    }

    /// All objects of a kind, by namespace and name.
    pub fn list(&self, kind: Kind) -> impl Iterator<Item = &Arc<Stored>> {
        self.from(Key::new(kind, "", "")).take_while(move |stored| stored.key.kind == kind)
    }

    /// All objects of a kind in a namespace, by name.
    pub fn list_namespaced(&self, kind: Kind, namespace: &str) -> impl Iterator<Item = &Arc<Stored>> {
        let first = Key::new(kind, namespace, "");
        let namespace = Arc::clone(&first.namespace);
        self.from(first)
            .take_while(move |stored| stored.key.kind == kind && stored.key.namespace == namespace)
    }

    /// All objects of a type, with their typed value.
    pub fn all<T: Typed>(&self) -> impl Iterator<Item = (&Arc<Stored>, &T)> {
        self.list(T::KIND).filter_map(|stored| Some((stored, stored.typed()?)))
    }

    /// All objects of a type in a namespace, with their typed value.
    pub fn all_in<T: Typed>(&self, namespace: &str) -> impl Iterator<Item = (&Arc<Stored>, &T)> {
        self.list_namespaced(T::KIND, namespace).filter_map(|stored| Some((stored, stored.typed()?)))
    }

    /// The pods bound to a node; with an empty name, the pods bound to none.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = (&Arc<Stored>, &Pod)> {
        find(&self.pods_by_node, node).filter_map(|stored| Some((stored, stored.typed()?)))
    }

    /// The objects with an owner reference to this uid.
    pub fn dependents(&self, uid: &str) -> impl Iterator<Item = &Arc<Stored>> {
        find(&self.dependents, uid)
    }

    fn from(&self, first: Key) -> impl Iterator<Item = &Arc<Stored>> {
        self.objects.range(first..).map(|(_, stored)| stored)
    }
}

/// Writing, for the store alone: a reader's clone is never affected.
impl Snapshot {
    /// Puts an object in place of whatever had its key, and moves on to its revision.
    pub fn insert(&mut self, stored: Arc<Stored>) -> Option<Arc<Stored>> {
        self.revision = self.revision.max(stored.revision);
        let previous = self.objects.insert(stored.key.clone(), Arc::clone(&stored));
        if let Some(previous) = &previous {
            self.unindex(previous);
        }
        self.index(&stored);
        previous
    }

    /// Takes an object out at `revision`.
    pub fn remove(&mut self, key: &Key, revision: u64) -> Option<Arc<Stored>> {
        self.revision = self.revision.max(revision);
        let previous = self.objects.remove(key)?;
        self.unindex(&previous);
        Some(previous)
    }

    /// Moves on to a revision that changed no object that is kept, e.g. when a store is opened.
    pub fn set_revision(&mut self, revision: u64) {
        self.revision = self.revision.max(revision);
    }

    fn index(&mut self, stored: &Arc<Stored>) {
        if let Some(node) = stored.node() {
            add(&mut self.pods_by_node, node, stored);
        }
        for uid in stored.owner_uids() {
            add(&mut self.dependents, uid, stored);
        }
    }

    fn unindex(&mut self, stored: &Stored) {
        if let Some(node) = stored.node() {
            take(&mut self.pods_by_node, node, &stored.key);
        }
        for uid in stored.owner_uids() {
            take(&mut self.dependents, uid, &stored.key);
        }
    }
}

fn find<'a>(index: &'a Index, term: &str) -> impl Iterator<Item = &'a Arc<Stored>> + use<'a> {
    index.get(term).into_iter().flat_map(|objects| objects.values())
}

fn add(index: &mut Index, term: &str, stored: &Arc<Stored>) {
    match index.get_mut(term) {
        Some(objects) => drop(objects.insert(stored.key.clone(), Arc::clone(stored))),
        None => drop(index.insert(term.into(), OrdMap::unit(stored.key.clone(), Arc::clone(stored)))),
    }
}

fn take(index: &mut Index, term: &str, key: &Key) {
    let Some(objects) = index.get_mut(term) else { return };
    objects.remove(key);
    if objects.is_empty() {
        index.remove(term);
    }
}
