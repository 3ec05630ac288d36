//! Network namespaces with names, as `ip netns` makes them: each a file in `/run/netns` that keeps it alive.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

const FOLDER: &str = "/run/netns";

/// Makes the namespace unless it is there, and opens it.
pub(super) fn create(name: &str) -> anyhow::Result<File> {
    let path = path(name);
    if is_mounted(&path)? {
        return open(name);
    }
    fs::create_dir_all(FOLDER).with_context(|| format!("cannot make {FOLDER}"))?;
    File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let made = std::thread::scope(|scope| {
        // A thread of its own: the namespace that it leaves behind is its own.
        scope.spawn(|| unshare(CloneFlags::CLONE_NEWNET).and_then(|()| keep(&path))).join()
    });
    made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        .with_context(|| format!("cannot make the network namespace {name}"))?;
    open(name)
}

/// Opens a namespace that is there.
pub(super) fn open(name: &str) -> anyhow::Result<File> {
    File::open(path(name)).with_context(|| format!("there is no network namespace {name}"))
}

/// Lets the namespace go; it ends with its last process.
pub(super) fn remove(name: &str) -> anyhow::Result<()> {
    let path = path(name);
    match umount2(&path, MntFlags::MNT_DETACH) {
        // Not mounted: left by a run that was killed in between.
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(errno) => return Err(errno).with_context(|| format!("cannot unmount {}", path.display())),
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The names that there are.
pub(super) fn list() -> anyhow::Result<Vec<String>> {
    let folder = match fs::read_dir(FOLDER) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {FOLDER}")),
    };
    let mut names = Vec::new();
    for entry in folder {
        names.extend(entry.with_context(|| format!("cannot read {FOLDER}"))?.file_name().into_string());
    }
    Ok(names)
}

/// Binds the thread's namespace to a file.
fn keep(path: &Path) -> nix::Result<()> {
    mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
}

/// Whether the file stands for a namespace, and is not what a killed run left.
fn is_mounted(path: &Path) -> anyhow::Result<bool> {
    match nix::sys::statfs::statfs(path) {
        Ok(found) => Ok(found.filesystem_type() == nix::sys::statfs::NSFS_MAGIC),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno).with_context(|| format!("cannot look at {}", path.display())),
    }
}

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}
