//! What all workers share: the machine, as far as pods are concerned.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use runtime::image::Store;

use crate::net::Net;
use crate::outbox::Outbox;
use crate::pods::directory::Directory;
use crate::pods::launcher::Launcher;
use crate::pods::paths::{LOGS, PODS, PodPaths};
use crate::spec::Facts;

/// The machine, as far as pods are concerned.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) node_name: String,
    pub(crate) node_address: IpAddr,
    pub(crate) state_dir: PathBuf,
    /// On a tmpfs.
    pub(crate) memory_dir: PathBuf,
    pub(crate) cpu_milli: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) cluster_domain: String,
    pub(crate) launcher: Launcher,
    pub(crate) images: Store,
    pub(crate) net: Net,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) directory: Directory,
}

/// The directory for what must not touch the disk could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a tmpfs at {}", path.display())]
pub struct MemoryDirError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// A directory on the disk for what belongs to pods could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make {} private", path.display())]
pub struct StateDirError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

impl Host {
    pub(crate) fn paths(&self, pod: &Pod) -> PodPaths {
        PodPaths::new(&self.memory_dir, &self.state_dir, pod)
    }

    pub(crate) fn facts(&self, pod_ip: Option<IpAddr>) -> Facts {
        Facts {
            pod_ip,
            host_ip: self.node_address,
            node_name: self.node_name.clone(),
            node_cpu_milli: self.cpu_milli,
            node_memory_bytes: self.memory_bytes,
        }
    }

    /// Lets this node's own service tables use an address, or not; failures only cost what the control plane's
    /// next table mends.
    pub(crate) async fn set_endpoint(&self, ip: IpAddr, up: bool) {
        let Some(ip) = v4(ip) else { return };
        let done =
            if up { self.net.local_endpoint_up(ip).await } else { self.net.local_endpoint_down(ip).await };
        if let Err(error) = done {
            tracing::warn!(%ip, up, error = crate::chain(&error), "this node's service tables do not follow");
        }
    }
}

pub(crate) fn v4(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

/// A directory on a tmpfs: `run_dir/memory`, with a tmpfs of its own unless it lies on one already.
pub(crate) fn memory_dir(run_dir: &Path) -> Result<PathBuf, MemoryDirError> {
    let path = run_dir.join("memory");
    make(&path).map_err(|source| MemoryDirError { path: path.clone(), source })?;
    Ok(path)
}

/// Makes the folders on the disk that hold what belongs to pods: nobody else on the machine looks inside, also
/// when they were made by somebody less careful.
pub(crate) fn make_private(state_dir: &Path) -> Result<(), StateDirError> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    for name in [PODS, LOGS] {
        let path = state_dir.join(name);
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&path);
        made.and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)))
            .map_err(|source| StateDirError { path, source })?;
    }
    Ok(())
}

fn make(path: &Path) -> Result<(), std::io::Error> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if statfs(path)?.filesystem_type() != TMPFS_MAGIC {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some("mode=0700"))?;
    }
    Ok(())
}

/// The machine's processors in milli-CPUs, and its memory.
pub(crate) fn capacity() -> (u64, u64) {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = nix::sys::sysinfo::sysinfo().map_or(0, |info| info.ram_total());
    (u64::try_from(cpus).unwrap_or(1) * 1000, memory)
}
