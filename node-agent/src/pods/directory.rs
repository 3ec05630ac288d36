//! Which pods and containers are on this node right now, for sessions: written by the workers, read and watched by
//! anyone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use proto::PodRef;
use tokio::sync::watch;

/// All pods of this node, by uid.
pub(crate) type Entries = BTreeMap<String, Entry>;

/// Where the pods are written. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    pods: Arc<watch::Sender<Entries>>,
}

/// One pod.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// By name.
    pub(crate) containers: BTreeMap<String, ContainerEntry>,
    /// The one that is meant when none is named.
    pub(crate) default_container: String,
}

/// One container.
#[derive(Clone, Debug)]
pub(crate) struct ContainerEntry {
    /// The runtime's id, while it runs.
    pub(crate) running_id: Option<String>,
    /// The log of the newest run.
    pub(crate) log: Option<PathBuf>,
    /// The log of the run before.
    pub(crate) previous_log: Option<PathBuf>,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self { pods: Arc::new(watch::Sender::new(Entries::new())) }
    }

    pub(crate) fn set(&self, uid: &str, entry: Entry) {
        self.pods.send_modify(|pods| {
            pods.insert(uid.to_owned(), entry);
        });
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.pods.send_modify(|pods| {
            pods.remove(uid);
        });
    }

    pub(crate) fn find(&self, pod: &PodRef) -> Option<Entry> {
        find(&self.pods.borrow(), pod).map(|(_, entry)| entry.clone())
    }

    pub(crate) fn uid_of(&self, pod: &PodRef) -> Option<String> {
        find(&self.pods.borrow(), pod).map(|(uid, _)| uid.clone())
    }

    /// Tells of every change.
    pub(crate) fn watch(&self) -> watch::Receiver<Entries> {
        self.pods.subscribe()
    }
}

/// The pod; one that is asked for without a uid is found by its name.
pub(crate) fn find<'a>(pods: &'a Entries, pod: &PodRef) -> Option<(&'a String, &'a Entry)> {
    if !pod.uid.is_empty() {
        return pods.get_key_value(&pod.uid);
    }
    pods.iter().find(|(_, entry)| entry.namespace == pod.namespace && entry.name == pod.name)
}
