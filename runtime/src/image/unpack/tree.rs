//! The directory that a layer becomes, reached through descriptors only.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{
    FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstatat, futimens, makedev, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, linkat, mkfifoat, symlinkat, unlinkat};
use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};

use super::UnpackError;
use crate::image::entries::{Head, LayerPath};

const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
const OPAQUE_VALUE: &[u8] = b"y";
/// Parents that no entry speaks of.
const IMPLIED_MODE: Mode = Mode::from_bits_truncate(0o755);

pub(super) struct Tree<'root> {
    root: BorrowedFd<'root>,
    /// The parent of the entry before: tars are sorted, so it is mostly this one's too.
    recent: Option<(Vec<OsString>, OwnedFd)>,
    /// Times of directories are set last, because making their children changes them.
    times: Vec<(LayerPath, i64)>,
}

/// What is already at a name.
enum Existing {
    Nothing,
    Whiteout,
    Directory,
    Other,
}

impl<'root> Tree<'root> {
    pub(super) fn new(root: BorrowedFd<'root>) -> Self {
        Self { root, recent: None, times: Vec::new() }
    }

    pub(super) fn directory(&mut self, head: &Head) -> Result<(), UnpackError> {
        let directory = match head.path.split_last() {
            None => open_directory(self.root, OsStr::new(".")),
            Some((name, parents)) => {
                let parent = self.parent(&head.path, parents)?;
                make_directory(parent.as_fd(), name)
            }
        };
        let directory = directory.map_err(refused(&head.path, "make the folder"))?;
        give_attributes(directory.as_fd(), head)?;
        self.times.push((head.path.clone(), head.mtime));
        Ok(())
    }

    pub(super) fn file(
        &mut self,
        head: &Head,
        size: u64,
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        let (parent, name) = self.clear_place(head)?;
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let how = OpenHow::new().flags(flags).mode(Mode::S_IRUSR | Mode::S_IWUSR).resolve(beneath());
        let made = openat2(parent.as_fd(), name, how).map_err(refused(&head.path, "make the file"))?;
        let mut file = File::from(made);
        copy(head, size, content, &mut file)?;
        give_attributes(file.as_fd(), head)?;
        let time = TimeSpec::new(head.mtime, 0);
        futimens(&file, &time, &time).map_err(refused(&head.path, "set the time"))
    }

    pub(super) fn symlink(&mut self, head: &Head, target: &OsStr) -> Result<(), UnpackError> {
        let (parent, name) = self.clear_place(head)?;
        symlinkat(target, parent.as_fd(), name).map_err(refused(&head.path, "make the symbolic link"))?;
        give_owner_and_time(parent.as_fd(), name, head)
    }

    pub(super) fn fifo(&mut self, head: &Head) -> Result<(), UnpackError> {
        let (parent, name) = self.clear_place(head)?;
        let mode = Mode::from_bits_truncate(head.mode & 0o777);
        mkfifoat(parent.as_fd(), name, mode).map_err(refused(&head.path, "make the fifo"))?;
        give_owner_and_time(parent.as_fd(), name, head)
    }

    pub(super) fn hard_link(&mut self, head: &Head, target: &LayerPath) -> Result<(), UnpackError> {
        let missing = || UnpackError::HardLink { path: head.path.to_string(), target: target.to_string() };
        let (target_name, target_parents) = target.split_last().ok_or_else(missing)?;
        let from = walk(self.root, target_parents).map_err(|_| missing())?;
        match existing(from.as_fd(), target_name) {
            Ok(Existing::Other) => {}
            Ok(Existing::Nothing | Existing::Whiteout | Existing::Directory) => return Err(missing()),
            Err(errno) => return Err(refused(&head.path, "look at the hard link's target")(errno)),
        }
        if head.path == *target {
            return Ok(());
        }
        let (parent, name) = self.clear_place(head)?;
        let linked = linkat(from.as_fd(), target_name, parent.as_fd(), name, AtFlags::empty());
        match linked {
            // Making room for the link took its target away.
            Err(Errno::ENOENT) => Err(missing()),
            other => other.map_err(refused(&head.path, "make the hard link")),
        }
    }

    /// Hides what lower layers have at this path; what this layer has there stays.
    pub(super) fn whiteout(&mut self, head: &Head) -> Result<(), UnpackError> {
        let (name, parents) = head.path.split_last().expect("a whiteout hides a name");
        let parent = self.parent(&head.path, parents)?;
        let placed = match existing(parent.as_fd(), name) {
            Ok(Existing::Nothing) => {
                let nothing = makedev(0, 0);
                mknodat(parent.as_fd(), name, SFlag::S_IFCHR, Mode::empty(), nothing)
            }
            Ok(Existing::Directory) => {
                open_directory(parent.as_fd(), name).and_then(|directory| make_opaque(directory.as_fd()))
            }
            Ok(Existing::Whiteout | Existing::Other) => Ok(()),
            Err(errno) => Err(errno),
        };
        placed.map_err(refused(&head.path, "place the whiteout"))
    }

    /// Hides everything that lower layers have in this directory.
    pub(super) fn opaque(&mut self, head: &Head) -> Result<(), UnpackError> {
        let directory = self.parent(&head.path, head.path.components())?;
        make_opaque(directory.as_fd()).map_err(refused(&head.path, "make the folder opaque"))
    }

    /// Sets the times of directories.
    pub(super) fn finish(self) -> Result<(), UnpackError> {
        for (path, mtime) in self.times.iter().rev() {
            // Replaced by something else since: then its time is set already.
            let Ok(directory) = walk(self.root, path.components()) else { continue };
            let time = TimeSpec::new(*mtime, 0);
            futimens(&directory, &time, &time).map_err(refused(path, "set the time"))?;
        }
        Ok(())
    }

    /// The entry's parent, and its name in it, with nothing there any more.
    fn clear_place<'head>(&mut self, head: &'head Head) -> Result<(OwnedFd, &'head OsStr), UnpackError> {
        let (name, parents) = head.path.split_last().expect("only directories may be the root");
        let parent = self.parent(&head.path, parents)?;
        let cleared = match existing(parent.as_fd(), name) {
            Ok(Existing::Nothing) => Ok(()),
            Ok(Existing::Whiteout | Existing::Other) => {
                unlinkat(parent.as_fd(), name, UnlinkatFlags::NoRemoveDir)
            }
            Ok(Existing::Directory) => {
                // It may be, or hold, the recent parent.
                self.recent = None;
                remove_directory(parent.as_fd(), name)
            }
            Err(errno) => Err(errno),
        };
        cleared.map_err(refused(&head.path, "replace what was there"))?;
        Ok((parent, name))
    }

    /// Opens a directory of the layer, making it and its parents if need be.
    fn parent(&mut self, path: &LayerPath, parents: &[OsString]) -> Result<OwnedFd, UnpackError> {
        if let Some((known, directory)) = &self.recent
            && known == parents
        {
            return directory.try_clone().map_err(|source| place_error(path, "open the folder", source));
        }
        let mut directory =
            open_directory(self.root, OsStr::new(".")).map_err(refused(path, "open the layer"))?;
        for (depth, name) in parents.iter().enumerate() {
            directory = match ensure_directory(directory.as_fd(), name) {
                Ok(child) => child,
                Err(Errno::ELOOP | Errno::ENOTDIR) => {
                    let parent = parents[..=depth].join(OsStr::new("/")).to_string_lossy().into_owned();
                    return Err(UnpackError::Parent { path: path.to_string(), parent: format!("/{parent}") });
                }
                Err(errno) => return Err(refused(path, "make its parent")(errno)),
            };
        }
        let kept = directory.try_clone().map_err(|source| place_error(path, "open the folder", source))?;
        self.recent = Some((parents.to_vec(), kept));
        Ok(directory)
    }
}

pub(super) fn is_opaque(directory: BorrowedFd<'_>) -> io::Result<bool> {
    let mut value = [0; 8];
    match fgetxattr(directory, OPAQUE_XATTR, &mut value[..]) {
        Ok(length) => Ok(&value[..length] == OPAQUE_VALUE),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn make_opaque(directory: BorrowedFd<'_>) -> nix::Result<()> {
    fsetxattr(directory, OPAQUE_XATTR, OPAQUE_VALUE, XattrFlags::empty())
        .map_err(|errno| Errno::from_raw(errno.raw_os_error()))
}

/// Nothing above the descriptor, no link of any kind, no other file system.
fn beneath() -> ResolveFlag {
    ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS
        | ResolveFlag::RESOLVE_NO_XDEV
}

fn open_directory(parent: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat2(parent, name, OpenHow::new().flags(flags).resolve(beneath()))
}

/// Opens directories one by one; makes none.
fn walk(root: BorrowedFd<'_>, components: &[OsString]) -> nix::Result<OwnedFd> {
    let mut directory = open_directory(root, OsStr::new("."))?;
    for name in components {
        directory = open_directory(directory.as_fd(), name)?;
    }
    Ok(directory)
}

/// A parent: opened if it is there, made if it is not.
fn ensure_directory(parent: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    match open_directory(parent, name) {
        Err(Errno::ENOENT) => {}
        // A whiteout of a parent, met before what replaces it.
        Err(Errno::ENOTDIR) if matches!(existing(parent, name)?, Existing::Whiteout) => {
            return replace_whiteout(parent, name);
        }
        other => return other,
    }
    make_directory(parent, name)
}

/// Makes a directory, or opens the one that is there. Anything else that was there goes.
fn make_directory(parent: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    match existing(parent, name)? {
        Existing::Directory => return open_directory(parent, name),
        Existing::Whiteout => return replace_whiteout(parent, name),
        Existing::Other => unlinkat(parent, name, UnlinkatFlags::NoRemoveDir)?,
        Existing::Nothing => {}
    }
    mkdirat(parent, name, IMPLIED_MODE)?;
    let directory = open_directory(parent, name)?;
    // Whatever the umask is.
    fchmod(&directory, IMPLIED_MODE)?;
    Ok(directory)
}

/// The layer hides what was below and has a directory there: an opaque one.
fn replace_whiteout(parent: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    unlinkat(parent, name, UnlinkatFlags::NoRemoveDir)?;
    let directory = make_directory(parent, name)?;
    make_opaque(directory.as_fd())?;
    Ok(directory)
}

fn existing(parent: BorrowedFd<'_>, name: &OsStr) -> nix::Result<Existing> {
    let stat = match fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::ENOENT) => return Ok(Existing::Nothing),
        Err(errno) => return Err(errno),
    };
    Ok(match kind_of(&stat) {
        SFlag::S_IFDIR => Existing::Directory,
        SFlag::S_IFCHR if stat.st_rdev == makedev(0, 0) => Existing::Whiteout,
        _ => Existing::Other,
    })
}

fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// Removes a directory and everything in it. Its depth is bounded by the limit on paths.
fn remove_directory(parent: BorrowedFd<'_>, name: &OsStr) -> nix::Result<()> {
    let mut directory = Dir::from_fd(open_directory(parent, name)?)?;
    let names: Vec<OsString> = directory
        .iter()
        .map(|entry| entry.map(|entry| file_name(entry.file_name())))
        .collect::<nix::Result<_>>()?;
    for child in names.iter().filter(|child| *child != "." && *child != "..") {
        match existing(directory.as_fd(), child)? {
            Existing::Directory => remove_directory(directory.as_fd(), child)?,
            Existing::Nothing => {}
            Existing::Whiteout | Existing::Other => {
                unlinkat(directory.as_fd(), child.as_os_str(), UnlinkatFlags::NoRemoveDir)?;
            }
        }
    }
    unlinkat(parent, name, UnlinkatFlags::RemoveDir)
}

fn file_name(name: &std::ffi::CStr) -> OsString {
    use std::os::unix::ffi::OsStrExt as _;
    OsStr::from_bytes(name.to_bytes()).to_owned()
}

fn copy(head: &Head, size: u64, content: &mut impl Read, file: &mut File) -> Result<(), UnpackError> {
    let mut buffer = [0; 64 * 1024];
    let mut copied = 0;
    loop {
        let count = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(UnpackError::Read { source }),
        };
        io::Write::write_all(file, &buffer[..count])
            .map_err(|source| place_error(&head.path, "write", source))?;
        copied += count as u64;
    }
    if copied < size {
        let missing_bytes = size - copied;
        return Err(UnpackError::Truncated { path: head.path.to_string(), missing_bytes });
    }
    Ok(())
}

/// In this order: a change of owner takes set-user-id bits and capabilities away.
fn give_attributes(object: BorrowedFd<'_>, head: &Head) -> Result<(), UnpackError> {
    let (uid, gid) = (Uid::from_raw(head.uid), Gid::from_raw(head.gid));
    fchown(object, Some(uid), Some(gid)).map_err(refused(&head.path, "set the owner"))?;
    fchmod(object, Mode::from_bits_truncate(head.mode)).map_err(refused(&head.path, "set the mode"))?;
    for (name, value) in &head.xattrs {
        match fsetxattr(object, name.as_str(), value, XattrFlags::empty()) {
            Ok(()) => {}
            // The store's file system has no such attributes.
            Err(rustix::io::Errno::OPNOTSUPP) => {
                tracing::debug!(path = %head.path, name, "attribute left out");
            }
            Err(errno) => return Err(place_error(&head.path, "set an attribute", errno.into())),
        }
    }
    Ok(())
}

fn give_owner_and_time(parent: BorrowedFd<'_>, name: &OsStr, head: &Head) -> Result<(), UnpackError> {
    let (uid, gid) = (Uid::from_raw(head.uid), Gid::from_raw(head.gid));
    fchownat(parent, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
        .map_err(refused(&head.path, "set the owner"))?;
    let time = TimeSpec::new(head.mtime, 0);
    utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink)
        .map_err(refused(&head.path, "set the time"))
}

fn refused(path: &LayerPath, action: &'static str) -> impl FnOnce(Errno) -> UnpackError {
    let path = path.to_string();
    move |errno| UnpackError::Place { path, action, source: errno.into() }
}

fn place_error(path: &LayerPath, action: &'static str, source: io::Error) -> UnpackError {
    UnpackError::Place { path: path.to_string(), action, source }
}
