//! Where everything of one pod lies on the node. The names come from a checked assignment.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use crate::volumes::VolumeRoots;

/// The folders below the state directory that hold a folder per pod.
pub(crate) const PODS: &str = "pods";
pub(crate) const LOGS: &str = "logs";

/// The directories of one pod.
#[derive(Clone, Debug)]
pub(crate) struct PodPaths {
    /// On a tmpfs: checkpoint, files, volumes that are not to touch the disk.
    pub(crate) memory: PathBuf,
    /// On the disk: emptyDirs, writable layers.
    pub(crate) disk: PathBuf,
    /// Logs, by container.
    pub(crate) logs: PathBuf,
}

impl PodPaths {
    pub(crate) fn new(memory_root: &Path, state_dir: &Path, pod: &Pod) -> Self {
        let metadata = &pod.metadata;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let uid = text(&metadata.uid);
        let full_name = format!("{}_{}_{uid}", text(&metadata.namespace), text(&metadata.name));
        Self {
            memory: memory_root.join("pods").join(&uid),
            disk: state_dir.join(PODS).join(&uid),
            logs: state_dir.join(LOGS).join(full_name),
        }
    }

    pub(crate) fn volumes(&self) -> VolumeRoots {
        VolumeRoots { disk: self.disk.join("volumes"), memory: self.memory.join("volumes") }
    }

    /// One of the files that every container of the pod finds.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.memory.join("etc").join(name)
    }

    /// Where a sub-path of a volume is mounted while a container starts.
    pub(crate) fn sub_path(&self, container: &str, number: usize) -> PathBuf {
        self.memory.join("subpaths").join(format!("{container}.{number}"))
    }

    pub(crate) fn assignment(&self) -> PathBuf {
        self.memory.join("assignment.json")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.memory.join("state.json")
    }

    pub(crate) fn status(&self) -> PathBuf {
        self.memory.join("status.json")
    }

    pub(crate) fn log(&self, container: &str, attempt: u32) -> PathBuf {
        self.logs.join(container).join(format!("{attempt}.log"))
    }

    pub(crate) fn writable(&self, container: &str, attempt: u32) -> PathBuf {
        self.disk.join("writable").join(format!("{container}.{attempt}"))
    }
}
