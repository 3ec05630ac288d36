//! What must hold: after every change that is made, and once the trouble is over.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use control_plane::controllers::endpoint_slice::SERVICE_NAME;
use control_plane::controllers::owner;
use control_plane::controllers::pods::{is_active, node_name};
use control_plane::controllers::replica_set::owned_pods;
use control_plane::scheduler::{self, Cluster};
use control_plane::snapshot::{Key, Snapshot, Stored};
use control_plane::store::Event;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use manifests::Kind;
use manifests::pod::{Resources, is_ready, is_terminal, requests};

use crate::node::Node;

/// Who made a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    User,
    Manager,
    Node,
}

/// How long a decision may have been under way: so long it may still go by what was asked for before.
const WINDOW: SignedDuration = SignedDuration::from_secs(1);
/// The same while the control plane is stopped or its store refuses or stalls, with the longest backoff after it.
const WINDOW_HELD_UP: SignedDuration = SignedDuration::from_secs(12);

/// What was seen so far, as far as it must be remembered.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    removed: HashSet<String>,
    /// By Deployment: what was allowed lately.
    promises: BTreeMap<String, Vec<(Timestamp, Promise)>>,
    last_fault: Option<Timestamp>,
    last_hold_up: Option<Timestamp>,
}

/// What a Deployment's strategy promises.
#[derive(Debug, Clone, Copy)]
struct Promise {
    most: usize,
    least: usize,
}

impl Invariants {
    /// Something went wrong by itself.
    pub(crate) fn note_fault(&mut self, now: Timestamp) {
        self.last_fault = Some(now);
    }

    /// Decisions are held up from now on for a few seconds.
    pub(crate) fn note_hold_up(&mut self, now: Timestamp) {
        self.last_hold_up = Some(now);
    }

    fn window(&self, now: Timestamp) -> SignedDuration {
        let is_held_up = self.last_hold_up.is_some_and(|at| now.duration_since(at) <= WINDOW_HELD_UP);
        if is_held_up { WINDOW_HELD_UP } else { WINDOW }
    }

    /// What must hold after a change.
    pub(crate) fn check(
        &mut self,
        snapshot: &Snapshot,
        event: &Event,
        cause: Cause,
        now: Timestamp,
    ) -> Result<(), String> {
        self.nothing_deleted_comes_back(event)?;
        generations_are_sane(event)?;
        match event.key.kind {
            Kind::Pod => {
                if let Some((stored, pod)) =
                    event.new.as_ref().and_then(|new| Some((new, new.typed::<Pod>()?)))
                {
                    room_on_nodes_is_never_exceeded(snapshot, node_name(pod))?;
                    no_address_is_used_twice(snapshot, stored, pod)?;
                }
                self.rollouts_keep_their_promise(snapshot, event, cause, now)?;
            }
            Kind::Deployment => self.remember_promise(event, now),
            Kind::Service => no_cluster_address_is_used_twice(snapshot, event)?,
            Kind::Namespace
            | Kind::Node
            | Kind::ReplicaSet
            | Kind::EndpointSlice
            | Kind::ConfigMap
            | Kind::Secret
            | Kind::ServiceAccount
            | Kind::Ingress
            | Kind::Event
            | Kind::Lease => {}
        }
        Ok(())
    }

    fn nothing_deleted_comes_back(&mut self, event: &Event) -> Result<(), String> {
        let uid = event.object.uid().to_string();
        let Some(new) = &event.new else {
            self.removed.insert(uid);
            return Ok(());
        };
        if self.removed.contains(&uid) {
            return Err(format!("nothing deleted comes back: {} was gone", event.key));
        }
        let Some(old) = event.old.as_ref().filter(|old| old.uid() == new.uid()) else { return Ok(()) };
        if old.is_deleting() && !new.is_deleting() {
            return Err(format!("nothing deleted comes back: {} was on its way out", event.key));
        }
        let node = |stored: &Stored| stored.object().str_at(&["spec", "nodeName"]).map(str::to_owned);
        if event.key.kind == Kind::Pod && node(old).is_some() && node(old) != node(new) {
            return Err(format!("a bound pod stays where it is: {} moved", event.key));
        }
        Ok(())
    }

    fn remember_promise(&mut self, event: &Event, now: Timestamp) {
        let (Some(new), Some(old)) = (&event.new, event.old.as_ref().or(event.new.as_ref())) else { return };
        let promises = self.promises.entry(new.uid().to_string()).or_default();
        // What held until now counts for as long as a decision may have been under way.
        promises.extend(old.typed().and_then(promise).map(|promise| (now, promise)));
        promises.retain(|(at, _)| now.duration_since(*at) <= WINDOW_HELD_UP);
    }

    /// The widest of what a Deployment promised lately.
    fn promise(&self, stored: &Stored, deployment: &Deployment, now: Timestamp) -> Option<Promise> {
        let lately = self.promises.get(&**stored.uid()).into_iter().flatten();
        let lately =
            lately.filter(|(at, _)| now.duration_since(*at) <= self.window(now)).map(|(_, promise)| *promise);
        lately
            .chain(promise(deployment))
            .reduce(|a, b| Promise { most: a.most.max(b.most), least: a.least.min(b.least) })
    }

    /// No pod is made beyond the surge; none that serves is taken below what must be available.
    fn rollouts_keep_their_promise(
        &self,
        snapshot: &Snapshot,
        event: &Event,
        cause: Cause,
        now: Timestamp,
    ) -> Result<(), String> {
        let Some((stored, deployment)) = deployment_of(snapshot, &event.object) else { return Ok(()) };
        let Some(promise) = self.promise(stored, deployment, now) else { return Ok(()) };
        let pods: Vec<&Pod> = pods_of(snapshot, stored).filter(|pod| is_active(pod)).collect();
        if event.old.is_none() && pods.len() > promise.most {
            return Err(format!(
                "surge is respected: {} has {} pods, at most {}",
                stored.key(),
                pods.len(),
                promise.most
            ));
        }
        let was_serving = |old: &Stored| !old.is_deleting() && old.typed().is_some_and(is_ready);
        let is_asked_to_go = event.new.as_ref().is_some_and(|new| new.is_deleting());
        let is_given_up = is_asked_to_go && event.old.as_ref().is_some_and(|old| was_serving(old));
        let is_troubled =
            self.last_fault.is_some_and(|at| now.duration_since(at) < SignedDuration::from_secs(4));
        if cause != Cause::Manager || !is_given_up || is_troubled || is_going(snapshot, stored, &event.object)
        {
            return Ok(());
        }
        let available = pods.iter().filter(|pod| is_ready(pod)).count();
        if available < promise.least {
            return Err(format!(
                "unavailability is respected: {} was given up and left {available} of {}, at least {}",
                event.key,
                stored.key(),
                promise.least
            ));
        }
        Ok(())
    }

    /// What is not yet as it was asked for; `None` if everything is.
    pub(crate) fn unsettled(&self, snapshot: &Snapshot, nodes: &[Node]) -> Option<String> {
        let going = snapshot.iter().find(|object| object.is_deleting());
        if let Some(object) = going {
            return Some(format!("what was deleted is gone: {} is not", object.key()));
        }
        snapshot
            .all::<NodeObject>()
            .find_map(|(stored, node)| unready_node(stored, node))
            .or_else(|| {
                snapshot.all::<Deployment>().find_map(|(stored, it)| unfinished(snapshot, stored, it))
            })
            .or_else(|| snapshot.all::<Pod>().find_map(|(stored, pod)| idle_pod(snapshot, stored, pod)))
            .or_else(|| {
                snapshot.all::<Service>().find_map(|(stored, it)| wrong_endpoints(snapshot, stored, it))
            })
            .or_else(|| snapshot.iter().find_map(|object| garbage(snapshot, object)))
            .or_else(|| nodes.iter().find_map(|node| strangers(snapshot, node)))
    }
}

fn generations_are_sane(event: &Event) -> Result<(), String> {
    let (Some(old), Some(new)) = (&event.old, &event.new) else { return Ok(()) };
    let (before, after) = (old.object().generation(), new.object().generation());
    if old.uid() == new.uid() && after < before {
        return Err(format!("generations only rise: {} went from {before} to {after}", event.key));
    }
    let observed = new.object().i64_at(&["status", "observedGeneration"]).unwrap_or_default();
    if event.key.kind != Kind::Pod && observed > after {
        return Err(format!(
            "nobody observes the future: {} has generation {after}, observed {observed}",
            event.key
        ));
    }
    Ok(())
}

fn room_on_nodes_is_never_exceeded(snapshot: &Snapshot, node: &str) -> Result<(), String> {
    let Some((_, object)) = snapshot.find::<NodeObject>("", node) else { return Ok(()) };
    let allocatable = object.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let pods: Vec<&Pod> =
        snapshot.pods_on(node).map(|(_, pod)| pod).filter(|pod| !is_terminal(pod)).collect();
    let used = pods
        .iter()
        .filter_map(|pod| pod.spec.as_ref())
        .map(requests)
        .fold(Resources::default(), Resources::plus);
    let most = allocatable.and_then(|all| all.get("pods")?.0.parse().ok()).unwrap_or(110);
    if used.fits(Resources::of(allocatable)) && pods.len() <= most {
        return Ok(());
    }
    Err(format!("room on nodes is never exceeded: {node} holds {} pods that ask for {used:?}", pods.len()))
}

fn no_address_is_used_twice(snapshot: &Snapshot, stored: &Stored, pod: &Pod) -> Result<(), String> {
    let ip = |pod: &Pod| pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    let Some(own) = ip(pod).filter(|_| is_active(pod)) else { return Ok(()) };
    let mut others = snapshot.pods_on(node_name(pod)).filter(|(other, _)| other.key() != stored.key());
    match others.find(|(_, other)| is_active(other) && ip(other).as_ref() == Some(&own)) {
        Some((other, _)) => {
            Err(format!("no address is used twice: {own} by {} and {}", stored.key(), other.key()))
        }
        None => Ok(()),
    }
}

fn no_cluster_address_is_used_twice(snapshot: &Snapshot, event: &Event) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let services =
        snapshot.list(Kind::Service).filter_map(|service| service.object().str_at(&["spec", "clusterIP"]));
    match services.filter(|ip| *ip != "None" && !ip.is_empty()).find(|ip| !seen.insert(*ip)) {
        Some(ip) => Err(format!("no address is used twice: cluster IP {ip}, after {}", event.key)),
        None => Ok(()),
    }
}

// -------------------------------------------------------------------- rollouts

fn promise(deployment: &Deployment) -> Option<Promise> {
    let spec = &deployment.spec;
    let rolling = spec.strategy.as_ref()?.rolling_update.as_ref()?;
    let number = |amount: &Option<IntOrString>| match amount {
        Some(IntOrString::Int(count)) => usize::try_from(*count).unwrap_or_default(),
        Some(IntOrString::String(_)) | None => 0,
    };
    let replicas = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or_default();
    let (surge, unavailable) = (number(&rolling.max_surge), number(&rolling.max_unavailable));
    Some(Promise { most: replicas + surge, least: replicas.saturating_sub(unavailable) })
}

fn deployment_of<'a>(snapshot: &'a Snapshot, pod: &Stored) -> Option<(&'a Stored, &'a Deployment)> {
    let set = owner_of(snapshot, pod)?;
    let stored = owner_of(snapshot, set)?;
    Some((stored, stored.typed::<Deployment>()?))
}

/// Whoever manages an object, if that is still the one that did.
fn owner_of<'a>(snapshot: &'a Snapshot, object: &Stored) -> Option<&'a Stored> {
    let reference = owner::controller(object.meta())?;
    let owner = snapshot.get(&owner::key(reference, &object.key().namespace)?)?;
    (**owner.uid() == *reference.uid).then_some(owner)
}

fn pods_of<'a>(snapshot: &'a Snapshot, deployment: &'a Stored) -> impl Iterator<Item = &'a Pod> {
    let sets = snapshot.dependents(deployment.uid()).filter(|set| set.key().kind == Kind::ReplicaSet);
    sets.flat_map(|set| owned_pods(snapshot, set)).map(|(_, pod)| pod)
}

/// Whether the pod goes because something above it does, or because its node is gone.
fn is_going(snapshot: &Snapshot, deployment: &Stored, pod: &Stored) -> bool {
    let namespace = Key::new(Kind::Namespace, "", pod.key().namespace.clone());
    let node = pod.typed::<Pod>().map(node_name).unwrap_or_default();
    let is_deleting = |key: &Key| snapshot.get(key).is_none_or(|object| object.is_deleting());
    let set = owner_of(snapshot, pod);
    deployment.is_deleting()
        || is_deleting(&namespace)
        || set.is_none_or(Stored::is_deleting)
        || snapshot
            .find::<NodeObject>("", node)
            .is_none_or(|(_, node)| control_plane::controllers::node::is_unreachable(node))
}

// -------------------------------------------------------------------- once the trouble is over

fn unready_node(stored: &Stored, node: &NodeObject) -> Option<String> {
    let taints =
        node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).is_some_and(|taints| !taints.is_empty());
    taints.then(|| format!("nodes that are heard of are ready: {} is not", stored.key()))
}

/// A Deployment is as it says, unless there is no room for it.
fn unfinished(snapshot: &Snapshot, stored: &Stored, deployment: &Deployment) -> Option<String> {
    let wanted = usize::try_from(deployment.spec.replicas.unwrap_or(1)).unwrap_or_default();
    let pods: Vec<&Pod> = pods_of(snapshot, stored).filter(|pod| is_active(pod)).collect();
    if pods.iter().any(|pod| node_name(pod).is_empty()) {
        // Whether it rightly waits for room is looked at with the pod itself.
        return None;
    }
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    let sets = snapshot.all_in::<ReplicaSet>(&stored.key().namespace);
    let active = sets.filter(|(set, it)| {
        owner::is_controlled_by(set.meta(), stored) && it.spec.replicas.unwrap_or_default() > 0
    });
    let (active, observed) = (active.count(), stored.object().i64_at(&["status", "observedGeneration"]));
    let said = stored.object().i64_at(&["status", "availableReplicas"]).unwrap_or_default();
    let is_done = pods.len() == wanted
        && ready == wanted
        && active == usize::from(wanted > 0)
        && observed == Some(stored.object().generation())
        && usize::try_from(said) == Ok(wanted);
    (!is_done).then(|| {
        format!(
            "deployments become what they say: {} wants {wanted}, has {} pods, {ready} ready, {active} active sets, \
             says {said} available, observed {observed:?} of {}",
            stored.key(),
            pods.len(),
            stored.object().generation()
        )
    })
}

/// A pod runs on a node, unless none has room for it.
fn idle_pod(snapshot: &Snapshot, stored: &Stored, pod: &Pod) -> Option<String> {
    if !node_name(pod).is_empty() {
        let waits = || format!("bound pods become ready: {} is not", stored.key());
        return (!is_ready(pod) && !is_terminal(pod)).then(waits);
    }
    let needs = pod.spec.as_ref().map(requests).unwrap_or_default();
    let cluster = Cluster::of(snapshot);
    let has_room = |node: &&scheduler::NodeView| needs.fits(node.free()) && node.pods() < node.pods_max;
    let node = cluster.nodes().iter().find(has_room)?;
    Some(format!("pods that fit are bound: {} would fit on {}", stored.key(), node.name))
}

fn wrong_endpoints(snapshot: &Snapshot, stored: &Stored, service: &Service) -> Option<String> {
    let selector = service.spec.as_ref()?.selector.as_ref()?;
    let serves = |pod: &Stored| selector.iter().all(|(key, value)| pod.object().label(key) == Some(value));
    let pods = snapshot.all_in::<Pod>(&stored.key().namespace);
    let wanted: BTreeSet<String> = pods
        .filter(|(stored, pod)| serves(stored) && is_ready(pod) && is_active(pod))
        .filter_map(|(_, pod)| pod.status.as_ref()?.pod_ip.clone())
        .collect();
    let slices = snapshot.all_in::<EndpointSlice>(&stored.key().namespace);
    let own = slices.filter(|(slice, _)| slice.object().label(SERVICE_NAME) == Some(&stored.key().name));
    let endpoints = own.flat_map(|(_, slice)| slice.endpoints.iter().flatten());
    let ready =
        endpoints.filter(|it| it.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true));
    let found: BTreeSet<String> = ready.flat_map(|endpoint| endpoint.addresses.clone()).collect();
    (wanted != found)
        .then(|| format!("endpoints are the ready pods: {} has {found:?}, not {wanted:?}", stored.key()))
}

fn garbage(snapshot: &Snapshot, object: &Stored) -> Option<String> {
    let owners = object.meta().owner_references.as_deref().unwrap_or_default();
    let is_gone = |uid: &str, key: Key| snapshot.get(&key).is_none_or(|owner| **owner.uid() != *uid);
    let mut keys =
        owners.iter().filter_map(|it| Some((it.uid.as_str(), owner::key(it, &object.key().namespace)?)));
    keys.any(|(uid, key)| is_gone(uid, key))
        .then(|| format!("nothing outlives its owner: {} does", object.key()))
}

/// Nodes keep what is theirs and nothing else.
fn strangers(snapshot: &Snapshot, node: &Node) -> Option<String> {
    let name = crate::simulation::name(node.index);
    let wanted: BTreeSet<String> =
        snapshot.pods_on(&name).map(|(stored, _)| stored.uid().to_string()).collect();
    let kept = node.kept();
    (wanted != kept).then(|| format!("nodes keep what is theirs: {name} keeps {kept:?}, not {wanted:?}"))
}
