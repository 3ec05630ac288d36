//! What is kept on disk about sandboxes and containers, so that no death of a launcher loses any of it. Each file
//! has one writer at a time and is replaced as a whole.
//!
//!     <state_dir>/sandboxes/<id>/sandbox.json       by the launcher
//!     <state_dir>/containers/<id>/container.json    by the launcher, once
//!     <state_dir>/containers/<id>/state.json        by the container's monitor
//!     <state_dir>/containers/<id>/rootfs/           where the container's root is mounted, in its own namespace

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::protocol::{ContainerSpec, ContainerState, SandboxSpec};
use crate::sys;

/// What is set aside for the last state of a container, so that a disk that is full by then cannot lose its exit.
const RESERVED_BYTES: i64 = 4096;

/// A process, safe against its number being used again: the number and when it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessRef {
    pub(crate) pid: i32,
    /// In clock ticks since boot, field 22 of proc_pid_stat(5).
    pub(crate) start_ticks: u64,
}

impl ProcessRef {
    /// The process that has `pid` now.
    pub(crate) fn of(pid: Pid) -> Option<Self> {
        Some(Self { pid: pid.as_raw(), start_ticks: start_ticks(pid.as_raw())? })
    }

    /// A descriptor for it, if it still lives. The descriptor is taken first and the start compared after: it then
    /// is of that very process.
    pub(crate) fn open(self) -> Option<OwnedFd> {
        let pidfd = sys::process::pidfd_open(Pid::from_raw(self.pid)).ok()?;
        (start_ticks(self.pid) == Some(self.start_ticks)).then_some(pidfd)
    }
}

fn start_ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, spaces and parentheses included.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    // A zombie has ended, whatever its number says.
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// `sandbox.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SandboxRecord {
    pub(crate) spec: SandboxSpec,
    pub(crate) process: ProcessRef,
}

/// `container.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) spec: ContainerSpec,
    /// Relative to the hierarchies' roots.
    pub(crate) cgroup: String,
}

/// `state.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StateRecord {
    pub(crate) monitor: ProcessRef,
    pub(crate) init: Option<ProcessRef>,
    pub(crate) state: ContainerState,
}

/// The folders of a launcher.
#[derive(Clone, Debug)]
pub(crate) struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// Makes what is missing. Specs hold environments, and these hold secrets: nobody else may look.
    pub(crate) fn create(root: &Path) -> io::Result<Self> {
        for folder in [root.into(), root.join("sandboxes"), root.join("containers")] {
            DirBuilder::new().mode(0o700).recursive(true).create(folder)?;
        }
        Ok(Self { root: root.into() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn sandbox(&self, id: &str) -> PathBuf {
        self.root.join("sandboxes").join(id)
    }

    pub(crate) fn container(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }

    pub(crate) fn sandboxes(&self) -> io::Result<Vec<String>> {
        names(&self.root.join("sandboxes"))
    }

    pub(crate) fn containers(&self) -> io::Result<Vec<String>> {
        names(&self.root.join("containers"))
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Replaces `folder/name` as a whole: a reader sees the old text or the new.
pub(crate) fn write<T: Serialize>(folder: &Path, name: &str, value: &T) -> io::Result<()> {
    let fresh = folder.join(format!("{name}.new"));
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    fs::rename(fresh, folder.join(name))
}

/// Sets disk space aside for one later [`write_reserved`].
pub(crate) fn reserve(folder: &Path, name: &str) -> io::Result<File> {
    let path = folder.join(format!("{name}.reserved"));
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    nix::fcntl::posix_fallocate(&file, 0, RESERVED_BYTES)?;
    Ok(file)
}

/// Like [`write`], into the space that [`reserve`] set aside.
pub(crate) fn write_reserved<T: Serialize>(
    mut file: File,
    folder: &Path,
    name: &str,
    value: &T,
) -> io::Result<()> {
    let text = serde_json::to_vec(value)?;
    file.write_all(&text)?;
    file.set_len(text.len() as u64)?;
    fs::rename(folder.join(format!("{name}.reserved")), folder.join(name))
}

pub(crate) fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(folder.join(name))?)?)
}
