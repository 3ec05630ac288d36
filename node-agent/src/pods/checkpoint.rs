//! What the next agent needs to go on from: the assignment and the state of each pod, on a tmpfs, because
//! containers do not outlive a reboot and Secrets must not touch the disk.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodStatus, Secret};
use serde::{Deserialize, Serialize};

use crate::assignment::{Assignment, References};
use crate::pods::paths::PodPaths;
use crate::pods::state::PodState;

/// A checkpoint that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    /// The file system.
    #[error("cannot {action} checkpoint {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It does not hold what was written.
    #[error("checkpoint {} is damaged", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct SavedAssignment {
    pod: Pod,
    config_maps: Vec<ConfigMap>,
    secrets: Vec<Secret>,
}

/// Remembers what was assigned.
pub(crate) fn save_assignment(paths: &PodPaths, assignment: &Assignment) -> Result<(), CheckpointError> {
    let saved = SavedAssignment {
        pod: assignment.pod.clone(),
        config_maps: assignment.references.config_maps.values().cloned().collect(),
        secrets: assignment.references.secrets.values().cloned().collect(),
    };
    save(&paths.assignment(), &saved)
}

/// Remembers how far the pod is.
pub(crate) fn save_state(paths: &PodPaths, state: &PodState) -> Result<(), CheckpointError> {
    save(&paths.state(), state)
}

/// Remembers what was said of the pod, for the times at which its conditions changed.
pub(crate) fn save_status(paths: &PodPaths, status: &PodStatus) -> Result<(), CheckpointError> {
    save(&paths.status(), status)
}

/// What was last said of the pod; losing it costs only times.
pub(crate) fn load_status(paths: &PodPaths) -> Option<PodStatus> {
    load(&paths.status()).ok()
}

/// All pods that were remembered; what is damaged is reported and left out.
pub(crate) fn load_all(memory_root: &Path) -> Vec<(Assignment, PodState)> {
    let Ok(entries) = fs::read_dir(memory_root.join("pods")) else { return Vec::new() };
    let folders = entries.filter_map(Result::ok).map(|entry| entry.path());
    folders
        .filter_map(|folder| match load_one(&folder) {
            Ok(found) => Some(found),
            Err(error) => {
                tracing::warn!(error = crate::chain(&error), "a pod is not taken over");
                None
            }
        })
        .collect()
}

fn load_one(folder: &Path) -> Result<(Assignment, PodState), CheckpointError> {
    let saved: SavedAssignment = load(&folder.join("assignment.json"))?;
    let state = match load(&folder.join("state.json")) {
        // The agent ended before the pod's first step.
        Err(CheckpointError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            PodState::default()
        }
        other => other?,
    };
    let named = |name: &Option<String>| name.clone().unwrap_or_default();
    let references = References {
        config_maps: saved.config_maps.into_iter().map(|map| (named(&map.metadata.name), map)).collect(),
        secrets: saved.secrets.into_iter().map(|secret| (named(&secret.metadata.name), secret)).collect(),
    };
    Ok((Assignment { pod: saved.pod, references }, state))
}

fn load<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, CheckpointError> {
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    serde_json::from_slice(&bytes)
        .map_err(|source| CheckpointError::Damaged { path: path.to_owned(), source })
}

/// Appears whole or not at all. A tmpfs has no disk to wait for.
fn save<T: Serialize>(path: &Path, value: &T) -> Result<(), CheckpointError> {
    let next = path.with_extension("next");
    let bytes = serde_json::to_vec(value)
        .map_err(|source| CheckpointError::Damaged { path: path.to_owned(), source })?;
    if let Some(parent) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(io_error("make room for", path))?;
    }
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&next)
        .and_then(|mut file| file.write_all(&bytes));
    written.and_then(|()| fs::rename(&next, path)).map_err(io_error("write", path))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io { action, path, source }
}
