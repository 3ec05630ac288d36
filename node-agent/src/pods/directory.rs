//! Which pods and containers are on this node right now, for sessions: written by the workers, read by anyone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All pods of this node, by uid. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pods: Arc<Mutex<BTreeMap<String, Entry>>>,
}

/// One pod.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) ip: Option<IpAddr>,
    /// By name; the first of the pod's own is the one that is meant when none is named.
    pub(crate) containers: BTreeMap<String, ContainerEntry>,
    pub(crate) default_container: String,
}

/// One container.
#[derive(Clone, Debug)]
pub(crate) struct ContainerEntry {
    /// The runtime's id, while it runs.
    pub(crate) running_id: Option<String>,
    /// The log of the newest run, and of the one before.
    pub(crate) log: Option<PathBuf>,
    pub(crate) previous_log: Option<PathBuf>,
}

impl Directory {
    pub(crate) fn set(&self, uid: &str, entry: Entry) {
        self.lock().insert(uid.to_owned(), entry);
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// The pod; one that is asked for without a uid is found by its name.
    pub(crate) fn find(&self, pod: &proto::PodRef) -> Option<Entry> {
        let pods = self.lock();
        if !pod.uid.is_empty() {
            return pods.get(&pod.uid).cloned();
        }
        pods.values().find(|entry| entry.namespace == pod.namespace && entry.name == pod.name).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
