//! Paths inside volumes that containers write to. A container may put a link anywhere; the kernel resolves the
//! path as if the volume were the root directory (`openat2(2)`, RESOLVE_IN_ROOT), so no link leads out of it
//! (CVE-2017-1002101, CVE-2021-25741). The descriptor is what gets mounted, not the path.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, mkdirat};

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

/// A place in a volume, held open.
#[derive(Debug)]
pub struct Held(OwnedFd);

impl Held {
    /// A path under which other processes of root can open it, as long as `self` lives.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()))
    }
}

/// Opens `sub_path` of the volume at `root`; directories that are missing are made.
///
/// # Errors
/// When it is no path inside the volume, or the kernel refuses.
pub fn open(root: &Path, sub_path: &str) -> Result<Held, SubPathError> {
    let bad = || SubPathError::Bad { path: sub_path.to_owned() };
    let parts: Vec<&OsStr> = Path::new(sub_path)
        .components()
        .map(|part| if let Component::Normal(name) = part { Some(name) } else { None })
        .collect::<Option<_>>()
        .ok_or_else(bad)?;
    if parts.is_empty() || parts.len() > DEPTH_MAX {
        return Err(bad());
    }
    walk(root, &parts).map(Held).map_err(|source| SubPathError::Open { path: sub_path.to_owned(), source })
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
