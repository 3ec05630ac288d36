//! One `up` or `down` of a cluster at a time.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::layout::Layout;

const OTHERS_MAY_WRITE: u32 = 0o022;

/// Held until dropped, or until the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Flock<File>,
}

/// Refuses a folder in which somebody else could change what root is going to trust.
fn check_owner(folder: &Path) -> anyhow::Result<()> {
    let found =
        fs::symlink_metadata(folder).with_context(|| format!("cannot look at {}", folder.display()))?;
    let is_ours = found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw();
    if !is_ours || found.mode() & OTHERS_MAY_WRITE != 0 {
        bail!(
            "{}: it must be a folder that belongs to root and that nobody else may write to",
            folder.display()
        );
    }
    Ok(())
}

/// Makes the state folder, if need be, and takes the cluster's lock.
///
/// # Errors
/// When somebody else holds it, or the folder cannot be written.
pub(crate) fn take(layout: &Layout) -> anyhow::Result<Lock> {
    let state = layout.state();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .with_context(|| format!("cannot make {}", state.display()))?;
    check_owner(state)?;
    let path = layout.lock();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => Ok(Lock { _file: file }),
        Err((_, Errno::EWOULDBLOCK)) => {
            bail!("another `up` or `down` of cluster {:?} is at work: wait for it", layout.cluster())
        }
        Err((_, error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}
