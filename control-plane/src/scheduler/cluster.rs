//! The scheduler's own view of the cluster: each node, and what the pods on it have left of it.
//!
//! Built from a snapshot, and then kept up to date by the objects that change, so that a decision need not look at
//! every pod there is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use manifests::Kind;
use manifests::pod::{Resources, is_terminal, requests};

use super::demand;
use crate::controllers::{owner, pods};
use crate::snapshot::{Key, Snapshot, Stored};

/// Pods that a node takes if it does not say; Kubernetes' own default.
const PODS_PER_NODE: u64 = 110;

/// A node as the scheduler sees it.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// Its name.
    pub name: Arc<str>,
    /// What it shares out in all.
    pub allocatable: Resources,
    /// How many pods it takes.
    pub pods_max: u64,
    /// What its pods asked for.
    pub requested: Resources,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) taints: Vec<Taint>,
    pub(super) is_unschedulable: bool,
    pub(super) is_ready: bool,
    pub(super) placed: BTreeMap<Key, Placed>,
    /// How many of its pods belong to each owner.
    pub(super) owners: HashMap<Arc<str>, u32>,
}

/// A pod that is, or is assumed to be, on a node.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) pod: Arc<Stored>,
    requests: Resources,
    owner: Option<Arc<str>>,
}

/// All nodes, in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    nodes: Vec<NodeView>,
    /// Where each pod is placed: by the name of its node, which may not have joined yet.
    places: HashMap<Key, Arc<str>>,
}

impl Cluster {
    /// The view of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut cluster = Self::default();
        for (stored, node) in snapshot.all::<Node>() {
            cluster.set_node(snapshot, stored, node);
        }
        cluster
    }

    /// The nodes, by name.
    pub fn nodes(&self) -> &[NodeView] {
        &self.nodes
    }

    /// Takes in that an object changed: nodes and pods matter, others do not.
    pub fn observe(&mut self, snapshot: &Snapshot, key: &Key) {
        if key.kind == Kind::Node {
            match snapshot.find::<Node>("", &key.name) {
                Some((stored, node)) => self.set_node(snapshot, stored, node),
                None => self.remove_node(&key.name),
            }
        } else if key.kind == Kind::Pod {
            self.forget(key);
            let Some((stored, pod)) = snapshot.find::<Pod>(&key.namespace, &key.name) else { return };
            if let Ok(index) = self.position(pods::node_name(pod)) {
                self.assume(index, stored, pod);
            }
        }
    }

    /// Counts a pod as being on the node at `index`. A pod that has ended takes no room.
    pub(super) fn assume(&mut self, index: usize, stored: &Arc<Stored>, pod: &Pod) {
        self.forget(stored.key());
        if is_terminal(pod) {
            return;
        }
        let node = &mut self.nodes[index];
        self.places.insert(stored.key().clone(), Arc::clone(&node.name));
        node.place(stored, pod);
    }

    fn set_node(&mut self, snapshot: &Snapshot, stored: &Stored, node: &Node) {
        let mut view = NodeView::of(stored, node);
        match self.position(&view.name) {
            Ok(index) => {
                let old = &mut self.nodes[index];
                view.requested = old.requested;
                view.placed = std::mem::take(&mut old.placed);
                view.owners = std::mem::take(&mut old.owners);
                *old = view;
            }
            Err(index) => {
                let name = Arc::clone(&view.name);
                self.nodes.insert(index, view);
                snapshot.pods_on(&name).for_each(|(stored, pod)| self.assume(index, stored, pod));
            }
        }
    }

    fn remove_node(&mut self, name: &str) {
        let Ok(index) = self.position(name) else { return };
        let node = self.nodes.remove(index);
        node.placed.keys().for_each(|key| drop(self.places.remove(key)));
    }

    fn forget(&mut self, key: &Key) {
        let Some(node) = self.places.remove(key) else { return };
        if let Ok(index) = self.position(&node) {
            self.nodes[index].remove(key);
        }
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.nodes.binary_search_by(|node| (*node.name).cmp(name))
    }
}

impl NodeView {
    fn of(stored: &Stored, node: &Node) -> Self {
        let status = node.status.as_ref();
        let allocatable = status.and_then(|status| status.allocatable.as_ref());
        let pods_max = allocatable.and_then(|all| all.get("pods")?.0.parse().ok()).unwrap_or(PODS_PER_NODE);
        let mut conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
        Self {
            name: Arc::clone(&stored.key().name),
            allocatable: Resources::of(allocatable),
            pods_max,
            requested: Resources::default(),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).cloned().collect(),
            is_unschedulable: node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true),
            is_ready: conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True"),
            placed: BTreeMap::new(),
            owners: HashMap::new(),
        }
    }

    /// What is left of it.
    pub fn free(&self) -> Resources {
        self.allocatable.minus(self.requested)
    }

    /// How many pods it has.
    pub fn pods(&self) -> u64 {
        self.placed.len() as u64
    }

    fn place(&mut self, stored: &Arc<Stored>, pod: &Pod) {
        let requests = pod.spec.as_ref().map(requests).unwrap_or_default();
        let owner = owner::controller(&pod.metadata).map(|owner| Arc::from(owner.uid.as_str()));
        if let Some(owner) = &owner {
            *self.owners.entry(Arc::clone(owner)).or_default() += 1;
        }
        self.requested = self.requested.plus(requests);
        self.placed.insert(stored.key().clone(), Placed { pod: Arc::clone(stored), requests, owner });
    }

    fn remove(&mut self, key: &Key) {
        let Some(placed) = self.placed.remove(key) else { return };
        self.requested = self.requested.minus(placed.requests);
        if let Some(count) = placed.owner.and_then(|owner| self.owners.get_mut(&owner)) {
            *count -= 1;
        }
    }

    /// The ports of the node itself that its pods hold.
    pub(super) fn holds_port(&self, wanted: demand::HostPort) -> bool {
        let pods = self.placed.values().filter_map(|placed| placed.pod.typed::<Pod>());
        pods.flat_map(demand::host_ports).any(|held| held.clashes_with(wanted))
    }
}
