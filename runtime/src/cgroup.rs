//! One control group, whatever the machine's layout: make, limit, join, look, kill, remove.
//!
//! On v1 and hybrid machines one group is a directory in several hierarchies; `cgroups-rs` makes them and sets the
//! limits. Joining, killing and removing are ours: they are on the way of every start and end, and must be certain.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use cgroups_rs::fs::cgroup::Cgroup as Directories;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::cpuset::CpuSetController;
use cgroups_rs::fs::hierarchies::{V1, V2};
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Hierarchy, MaxValue};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

pub(crate) use layout::Layout;

pub(crate) mod layout;
mod usage;

/// How often an emptying group is looked at again, and how long that goes on: 2 s in all. A killed process leaves
/// its group a moment after it is seen to be dead; one that hangs in the kernel must not hang us.
const RETRY_PAUSE: Duration = Duration::from_millis(2);
const RETRIES_MAX: u32 = 1000;

/// What went wrong with a control group.
#[derive(Debug, thiserror::Error)]
#[expect(clippy::error_impl_error, reason = "read with its module: `cgroup::Error`, as `io::Error`")]
pub enum Error {
    /// Not made.
    #[error("cannot create cgroup {path}")]
    Create {
        /// Relative to the hierarchies' roots.
        path: String,
        /// From cgroups-rs.
        #[source]
        source: cgroups_rs::fs::error::Error,
    },
    /// Not made, in the v2 hierarchy beside the v1 ones.
    #[error("cannot create {path:?}")]
    CreateUnified {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Not limited.
    #[error("cannot set {limit} of cgroup {path}")]
    Limit {
        /// Which limit.
        limit: &'static str,
        /// Relative to the hierarchies' roots.
        path: String,
        /// From cgroups-rs.
        #[source]
        source: cgroups_rs::fs::error::Error,
    },
    /// Not joined.
    #[error("cannot join {path:?}")]
    Join {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Not removed.
    #[error("cannot remove {path:?}")]
    Remove {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What the kernel said, as a number.
    pub(crate) fn errno(&self) -> i32 {
        let io = match self {
            Self::Create { source, .. } | Self::Limit { source, .. } => {
                std::error::Error::source(source).and_then(|cause| cause.downcast_ref::<io::Error>())
            }
            Self::CreateUnified { source, .. } | Self::Join { source, .. } | Self::Remove { source, .. } => {
                Some(source)
            }
        };
        io.and_then(io::Error::raw_os_error).unwrap_or(libc::EIO)
    }
}

/// A control group by its path relative to the hierarchies' roots. It need not exist.
#[derive(Clone, Debug)]
pub(crate) struct Cgroup<'a> {
    layout: &'a Layout,
    path: String,
}

impl<'a> Cgroup<'a> {
    pub(crate) fn new(layout: &'a Layout, path: impl Into<String>) -> Self {
        Self { layout, path: path.into() }
    }

    /// Its directories, one per hierarchy.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        self.layout.roots().map(|root| root.join(&self.path)).collect()
    }

    /// Makes it, with its parents, and sets what `resources` asks for.
    pub(crate) fn create(&self, resources: Option<&LinuxResources>) -> Result<(), Error> {
        let hierarchy: Box<dyn Hierarchy> =
            if self.layout.is_v2() { Box::new(V2::new()) } else { Box::new(V1::new()) };
        let controllers = self.layout.controllers();
        let directories =
            Directories::new_with_specified_controllers(hierarchy, &self.path, Some(controllers))
                .map_err(|source| Error::Create { path: self.path.clone(), source })?;
        if let Some(unified) = self.layout.unified_beside_v1() {
            let path = unified.join(&self.path);
            fs::create_dir_all(&path).map_err(|source| Error::CreateUnified { path, source })?;
        }
        let Some(resources) = resources else { return Ok(()) };
        self.limit_memory(&directories, resources.memory().as_ref())?;
        self.limit_cpu(&directories, resources.cpu().as_ref())?;
        self.limit_pids(&directories, resources)
    }

    fn limit_memory(&self, directories: &Directories, memory: Option<&LinuxMemory>) -> Result<(), Error> {
        let Some(memory) = memory else { return Ok(()) };
        let Some(controller) = directories.controller_of::<MemController>() else { return Ok(()) };
        if let Some(limit) = memory.limit() {
            controller.set_limit(limit).map_err(self.limit_error("memory limit"))?;
            // Without this the kernel would swap where the user asked for a limit. Kernels without swap accounting
            // have no such file; then there is nothing to forbid.
            let swap = layout::swap_value(limit, memory.swap(), self.layout.is_v2());
            let _ = controller.set_memswap_limit(swap);
        }
        if self.layout.is_v2() {
            // A container that lost one process to the kernel is seldom whole: all of it goes, and is restarted.
            let _ = fs::write(self.layout.memory_root().join(&self.path).join("memory.oom.group"), "1");
        }
        if let Some(reservation) = memory.reservation() {
            controller.set_soft_limit(reservation).map_err(self.limit_error("memory reservation"))?;
        }
        Ok(())
    }

    fn limit_cpu(&self, directories: &Directories, cpu: Option<&LinuxCpu>) -> Result<(), Error> {
        let Some(cpu) = cpu else { return Ok(()) };
        if let Some(controller) = directories.controller_of::<CpuController>() {
            if let Some(shares) = cpu.shares() {
                let shares = if self.layout.is_v2() { layout::weight_of_shares(shares) } else { shares };
                controller.set_shares(shares).map_err(self.limit_error("cpu shares"))?;
            }
            if let Some(period) = cpu.period() {
                controller.set_cfs_period(period).map_err(self.limit_error("cpu period"))?;
            }
            if let Some(quota) = cpu.quota() {
                controller.set_cfs_quota(quota).map_err(self.limit_error("cpu quota"))?;
            }
        }
        if let Some(controller) = directories.controller_of::<CpuSetController>() {
            if let Some(cpus) = cpu.cpus() {
                controller.set_cpus(cpus).map_err(self.limit_error("cpuset cpus"))?;
            }
            if let Some(mems) = cpu.mems() {
                controller.set_mems(mems).map_err(self.limit_error("cpuset mems"))?;
            }
        }
        Ok(())
    }

    fn limit_pids(&self, directories: &Directories, resources: &LinuxResources) -> Result<(), Error> {
        let Some(pids) = resources.pids() else { return Ok(()) };
        let Some(controller) = directories.controller_of::<PidController>() else { return Ok(()) };
        let limit = if pids.limit() > 0 { MaxValue::Value(pids.limit()) } else { MaxValue::Max };
        controller.set_pid_max(limit).map_err(self.limit_error("pids limit"))
    }

    fn limit_error(&self, limit: &'static str) -> impl FnOnce(cgroups_rs::fs::error::Error) -> Error {
        let path = self.path.clone();
        move |source| Error::Limit { limit, path, source }
    }

    /// Puts a process inside, in every hierarchy. The first write after a pause costs a kernel grace period on v1
    /// (~12 ms), so callers let the process do other things meanwhile.
    pub(crate) fn join(&self, pid: Pid) -> Result<(), Error> {
        for directory in self.directories() {
            let path = directory.join("cgroup.procs");
            fs::write(&path, pid.to_string()).map_err(|source| Error::Join { path: directory, source })?;
        }
        Ok(())
    }

    /// Puts a process inside a group `leaf` below, where it can be found and killed, in one hierarchy only: it is
    /// not limited there.
    pub(crate) fn register(&self, leaf: &str, pid: Pid) -> Result<(), Error> {
        let Some(directory) = self.directories().into_iter().next() else { return Ok(()) };
        let path = directory.join(leaf);
        let entered =
            fs::create_dir_all(&path).and_then(|()| fs::write(path.join("cgroup.procs"), pid.to_string()));
        entered.map_err(|source| Error::Join { path, source })
    }

    /// On v2 machines, a descriptor for clone3 to put a child straight inside.
    pub(crate) fn for_clone(&self) -> Option<OwnedFd> {
        let root = self.layout.v2_root()?;
        fs::File::open(root.join(&self.path)).ok().map(OwnedFd::from)
    }

    /// Kills every process inside, and below, and waits until none is left or the limit is reached.
    pub(crate) fn kill(&self) {
        for _ in 0..RETRIES_MAX {
            let directories = self.directories();
            let killed = directories.iter().map(|directory| kill_once(directory)).sum::<usize>();
            if killed == 0 {
                return;
            }
            thread::sleep(RETRY_PAUSE);
        }
    }

    /// Signals every process inside, and below, once and without waiting: for who must not wait. What forks out of the
    /// way meanwhile is left to a later [`Self::kill`], except where the kernel kills a group as a whole.
    pub(crate) fn kill_at_once(&self) {
        for directory in self.directories() {
            kill_once(&directory);
        }
    }

    /// Removes it and everything below it. Its processes must be dead or dying.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        self.directories().iter().try_for_each(|directory| remove_tree(directory))
    }

    /// Removes the parents that nobody else uses, up to the hierarchies' roots.
    pub(crate) fn remove_empty_parents(&self) {
        for root in self.layout.roots() {
            let parents =
                Path::new(&self.path).ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
            for parent in parents {
                // Refused while a neighbour is inside, which is as it should be.
                let _ = fs::remove_dir(root.join(parent));
            }
        }
    }
}

/// Signals everything in `directory` and below; says how many there were.
fn kill_once(directory: &Path) -> usize {
    let below: usize = subdirectories(directory).iter().map(|below| kill_once(below)).sum();
    // Atomic where the kernel has it: nothing can fork out of the way.
    let _ = fs::write(directory.join("cgroup.kill"), "1");
    let pids = processes(directory);
    for pid in &pids {
        let _ = kill(*pid, Signal::SIGKILL);
    }
    below + pids.len()
}

fn processes(directory: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw).collect()
}

fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let entries = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    entries.map(|entry| entry.path()).collect()
}

fn remove_tree(directory: &Path) -> Result<(), Error> {
    for below in subdirectories(directory) {
        remove_tree(&below)?;
    }
    let mut tries = 0;
    loop {
        match fs::remove_dir(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && tries < RETRIES_MAX => tries += 1,
            Err(source) => return Err(Error::Remove { path: directory.into(), source }),
        }
        thread::sleep(RETRY_PAUSE);
    }
}
