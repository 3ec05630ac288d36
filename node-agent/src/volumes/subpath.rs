//! Paths inside volumes that containers write to. A container may put a link anywhere; the kernel resolves the
//! path as if the volume were the root directory (`openat2(2)`, RESOLVE_IN_ROOT), so no link leads out of it
//! (CVE-2017-1002101, CVE-2021-25741). The descriptor is what gets mounted, not the path: first to a place where
//! only the agent can go, because the launcher's processes have mount namespaces of their own and cannot mount
//! from a descriptor of ours; and from there into the container, which keeps it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};

/// The deepest sub-path.
const DEPTH_MAX: usize = 64;

/// A sub-path that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SubPathError {
    /// It is absolute, has `..`, or is too deep.
    #[error("subPath {path:?} must be relative, without .., and at most {DEPTH_MAX} deep")]
    Bad {
        /// As the pod says it.
        path: String,
    },
    /// The kernel refused.
    #[error("cannot open subPath {path:?} of its volume")]
    Open {
        /// As the pod says it.
        path: String,
        /// Why.
        #[source]
        source: Errno,
    },
}

/// A place in a volume, mounted where only the agent can go, until it is dropped.
#[derive(Debug)]
pub struct Held {
    mounted_at: PathBuf,
}

impl Held {
    /// Where it can be mounted from.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.mounted_at.clone()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        release(&self.mounted_at);
    }
}

/// Takes away what `hold` put there, also that of an earlier agent; what a container has of it, it keeps.
fn release(place: &Path) {
    let _ = umount2(place, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
    let _ = fs::remove_file(place).or_else(|_| fs::remove_dir(place));
}

/// Opens `sub_path` of the volume at `root` and mounts it at `place`; directories that are missing are made.
///
/// # Errors
/// When it is no path inside the volume, or the kernel refuses.
pub fn hold(root: &Path, sub_path: &str, place: &Path) -> Result<Held, SubPathError> {
    let bad = || SubPathError::Bad { path: sub_path.to_owned() };
    let parts: Vec<&OsStr> = Path::new(sub_path)
        .components()
        .map(|part| if let Component::Normal(name) = part { Some(name) } else { None })
        .collect::<Option<_>>()
        .ok_or_else(bad)?;
    if parts.is_empty() || parts.len() > DEPTH_MAX {
        return Err(bad());
    }
    let failed = |source| SubPathError::Open { path: sub_path.to_owned(), source };
    let opened = walk(root, &parts).map_err(failed)?;
    mount_at(&opened, place).map_err(failed)?;
    Ok(Held { mounted_at: place.to_owned() })
}

fn mount_at(opened: &OwnedFd, place: &Path) -> Result<(), Errno> {
    release(place);
    let io = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or_default());
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).map_err(io)?;
    }
    if SFlag::from_bits_truncate(fstat(opened)?.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR {
        fs::create_dir(place).map_err(io)?;
    } else {
        fs::File::create_new(place).map_err(io)?;
    }
    let source = format!("/proc/self/fd/{}", opened.as_raw_fd());
    mount(Some(source.as_str()), place, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
}

fn walk(root: &Path, parts: &[&OsStr]) -> Result<OwnedFd, Errno> {
    let root = openat2(AT_FDCWD, root, OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC))?;
    let mut reached = PathBuf::new();
    let mut parent = open_in(&root, Path::new("."))?;
    for part in parts {
        reached.push(part);
        parent = match open_in(&root, &reached) {
            Err(Errno::ENOENT) => {
                match mkdirat(&parent, *part, Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(errno),
                }
                open_in(&root, &reached)?
            }
            other => other?,
        };
    }
    Ok(parent)
}

fn open_in(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(root, path, how)
}
