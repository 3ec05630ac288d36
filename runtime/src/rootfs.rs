//! A root file system by its descriptor. Every path inside is resolved by the kernel as if that were the root
//! (`RESOLVE_IN_ROOT`): a symbolic link in an image can point nowhere else.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, mkdirat};

const DIRECTORY_MODE: Mode = Mode::from_bits_truncate(0o755);
const FILE_MODE: Mode = Mode::from_bits_truncate(0o644);

/// An open root.
#[derive(Debug)]
pub(crate) struct Rootfs {
    root: OwnedFd,
}

impl Rootfs {
    /// Opens the directory at `path` on the host.
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self { root: nix::fcntl::open(path, flags, Mode::empty())? })
    }

    /// A handle on what is at `path` inside.
    pub(crate) fn find(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open_inside(path, OFlag::O_PATH, Mode::empty())
    }

    /// Opens what is at `path` inside for use.
    pub(crate) fn open_inside(&self, path: &Path, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(mode)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
        openat2(&self.root, path, how)
    }

    /// Makes the directory at `path` inside, and its parents, unless it is there.
    pub(crate) fn make_directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        if let Ok(found) = self.find(path) {
            return Ok(found);
        }
        let mut reached = PathBuf::from("/");
        for name in normal(path) {
            let parent = self.find(&reached)?;
            reached.push(name);
            match self.find(&reached) {
                Ok(_) => {}
                Err(Errno::ENOENT) => mkdirat(&parent, name, DIRECTORY_MODE)?,
                Err(errno) => return Err(errno),
            }
        }
        self.find(&reached)
    }

    /// Makes an empty file at `path` inside, and its parents, unless something is there.
    pub(crate) fn make_file(&self, path: &Path) -> Result<OwnedFd, Errno> {
        if let Ok(found) = self.find(path) {
            return Ok(found);
        }
        self.make_directory(path.parent().unwrap_or(Path::new("/")))?;
        self.open_inside(path, OFlag::O_CREAT | OFlag::O_WRONLY, FILE_MODE)?;
        self.find(path)
    }

    /// Makes a symbolic link at `path` inside; what is there already stays.
    pub(crate) fn make_symlink(&self, path: &Path, to: &Path) -> Result<(), Errno> {
        let parent = self.make_directory(path.parent().unwrap_or(Path::new("/")))?;
        let name = path.file_name().ok_or(Errno::EINVAL)?;
        match nix::unistd::symlinkat(to, &parent, name) {
            Err(Errno::EEXIST) => Ok(()),
            other => other,
        }
    }
}

impl AsFd for Rootfs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// The path that leads to what `fd` is, for calls that take only paths. Needs the host's `/proc`.
pub(crate) fn path_of(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// The names in `path`, with `..` taken lexically: these are directories that we make ourselves.
fn normal(path: &Path) -> Vec<&OsStr> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => drop(names.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    names
}
