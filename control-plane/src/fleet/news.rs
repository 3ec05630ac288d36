//! What the fleet is to be told after a change of the store. Pure.
//!
//! Level-triggered: an event only says *which* objects to look at; what is said is computed from the whole snapshot.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Pod};
use manifests::Kind;
use proto::node_command::Command;
use proto::{AssignmentsComplete, Peer, Peers, PodRef, RouteTable};
use serde_json::Value;

use super::assignments::{assignment, pod_ref, references};
use super::routes::routes;
use super::services::{Services, service_of};
use crate::snapshot::{Key, Snapshot, Stored};

#[cfg(test)]
mod tests;

/// One change of the store, as the fleet needs to know it: what was there and what is there now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changed<'a> {
    /// Before; `None` for a new object.
    pub(super) old: Option<&'a Stored>,
    /// After; `None` for a deleted one.
    pub(super) new: Option<&'a Stored>,
}

/// Something to say.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum News {
    /// To one node.
    Node(String, Command),
    /// To every node.
    Nodes(Command),
    /// To every front.
    Fronts(RouteTable),
}

/// What the fleet has been told so far of what concerns all of it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    services: Services,
    routes: RouteTable,
    peers: Peers,
}

impl Ledger {
    /// A ledger that knows all of the snapshot.
    #[must_use]
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut ledger = Self::default();
        let services: Vec<Key> = snapshot.list(Kind::Service).map(|stored| stored.key().clone()).collect();
        ledger.services.refresh(snapshot, &services);
        ledger.routes = routes(snapshot, &ledger.services, 1);
        ledger.peers = peers(snapshot);
        ledger
    }

    /// Everything that a node is to know, for a stream that has heard nothing yet.
    #[must_use]
    pub(super) fn everything_for(&self, snapshot: &Snapshot, node: &str) -> Vec<Command> {
        let mut commands =
            vec![Command::Peers(self.peers.clone()), Command::Services(self.services.complete())];
        let pods = snapshot.pods_on(node).filter_map(|(stored, _)| assignment(snapshot, stored));
        commands.extend(pods.map(Command::Assignment));
        commands.push(Command::AssignmentsComplete(AssignmentsComplete {}));
        commands
    }

    /// The routes, for a front that has heard nothing yet.
    #[must_use]
    pub(super) fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// What is to be said after these changes, all of which the snapshot contains.
    pub(super) fn news<'a>(
        &mut self,
        snapshot: &Snapshot,
        changes: impl IntoIterator<Item = Changed<'a>>,
    ) -> Vec<News> {
        let dirty = Dirty::of(changes);
        let mut news: Vec<News> =
            dirty.gone.into_iter().map(|(node, pod)| News::Node(node, Command::Forget(pod))).collect();
        let referring = dirty.references.iter().flat_map(|key| pods_referring(snapshot, key));
        let pods: BTreeSet<Key> = dirty.pods.into_iter().chain(referring).collect();
        news.extend(pods.iter().filter_map(|key| assign(snapshot, key)));
        let services = self.services.refresh(snapshot, &dirty.services);
        let routes_may_differ = services.is_some() || dirty.routes;
        news.extend(services.map(|table| News::Nodes(Command::Services(table))));
        if dirty.nodes {
            news.extend(self.refresh_peers(snapshot));
        }
        if routes_may_differ {
            news.extend(self.refresh_routes(snapshot));
        }
        news
    }

    fn refresh_peers(&mut self, snapshot: &Snapshot) -> Option<News> {
        let peers = peers(snapshot);
        if peers == self.peers {
            return None;
        }
        self.peers.clone_from(&peers);
        Some(News::Nodes(Command::Peers(peers)))
    }

    fn refresh_routes(&mut self, snapshot: &Snapshot) -> Option<News> {
        let routes = routes(snapshot, &self.services, self.routes.generation);
        if routes == self.routes {
            return None;
        }
        self.routes = RouteTable { generation: self.routes.generation + 1, ..routes };
        Some(News::Fronts(self.routes.clone()))
    }
}

/// Which objects are to be looked at.
#[derive(Debug, Default)]
struct Dirty {
    pods: BTreeSet<Key>,
    gone: Vec<(String, PodRef)>,
    references: BTreeSet<Key>,
    services: BTreeSet<Key>,
    routes: bool,
    nodes: bool,
}

impl Dirty {
    fn of<'a>(changes: impl IntoIterator<Item = Changed<'a>>) -> Self {
        let mut dirty = Self::default();
        for changed in changes {
            dirty.add(changed);
        }
        dirty
    }

    fn add(&mut self, changed: Changed<'_>) {
        let Some(stored) = changed.new.or(changed.old) else { return };
        let key = stored.key();
        match key.kind {
            Kind::Pod => self.add_pod(changed),
            Kind::ConfigMap | Kind::Secret => drop(self.references.insert(key.clone())),
            Kind::Service => {
                self.routes = true;
                self.services.insert(key.clone());
            }
            Kind::EndpointSlice => {
                let both = [changed.old, changed.new].into_iter().flatten();
                self.services.extend(both.filter_map(service_of));
            }
            Kind::Ingress => self.routes = true,
            Kind::Node => self.nodes = true,
            Kind::Namespace
            | Kind::ReplicaSet
            | Kind::Deployment
            | Kind::ServiceAccount
            | Kind::Event
            | Kind::Lease => {}
        }
    }

    fn add_pod(&mut self, changed: Changed<'_>) {
        let replaced = |new: &Stored, old: &Stored| new.uid() != old.uid();
        if let Some(old) = changed.old
            && changed.new.is_none_or(|new| replaced(new, old))
            && let Some(node) = bound_to(old)
        {
            self.gone.push((node.to_owned(), pod_ref(old)));
        }
        if let Some(new) = changed.new
            && bound_to(new).is_some()
            && changed.old.is_none_or(|old| replaced(new, old) || wanted(new) != wanted(old))
        {
            self.pods.insert(new.key().clone());
        }
    }
}

fn assign(snapshot: &Snapshot, key: &Key) -> Option<News> {
    let stored = snapshot.get(key)?;
    let node = bound_to(stored)?.to_owned();
    Some(News::Node(node, Command::Assignment(assignment(snapshot, stored)?)))
}

fn bound_to(pod: &Stored) -> Option<&str> {
    pod.object().str_at(&["spec", "nodeName"]).filter(|node| !node.is_empty())
}

/// What of a pod its node has to know: all but the status, which the node itself said.
fn wanted(pod: &Stored) -> BTreeMap<&str, &Value> {
    const METADATA: [&str; 4] = ["labels", "annotations", "deletionTimestamp", "deletionGracePeriodSeconds"];
    let metadata = METADATA.iter().filter_map(|name| Some((*name, pod.object().at(&["metadata", name])?)));
    metadata.chain(pod.object().at(&["spec"]).map(|spec| ("spec", spec))).collect()
}

/// The bound pods that refer to a ConfigMap or Secret.
fn pods_referring<'a>(snapshot: &'a Snapshot, key: &'a Key) -> impl Iterator<Item = Key> + 'a {
    snapshot
        .all_in::<Pod>(&key.namespace)
        .filter(|(stored, pod)| {
            bound_to(stored).is_some() && references(pod).contains(&(key.kind, &*key.name))
        })
        .map(|(stored, _)| stored.key().clone())
}

fn peers(snapshot: &Snapshot) -> Peers {
    let peer = |(stored, node): (&std::sync::Arc<Stored>, &Node)| {
        let addresses = node.status.as_ref()?.addresses.as_ref()?;
        let address = addresses.iter().find(|address| address.type_ == "InternalIP")?;
        Some(Peer {
            name: stored.key().name.to_string(),
            address: address.address.clone(),
            pod_cidr: node.spec.as_ref()?.pod_cidr.clone()?,
        })
    };
    Peers { peers: snapshot.all::<Node>().filter_map(peer).collect() }
}
