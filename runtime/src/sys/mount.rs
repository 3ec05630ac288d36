//! The descriptor-based mount calls (Linux 5.2 and 5.12) that nix does not wrap.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

// From linux/mount.h; libc does not have them for this target.
const FSOPEN_CLOEXEC: u32 = 1;
const OPEN_TREE_CLONE: u32 = 1;
const OPEN_TREE_CLOEXEC: u32 = libc::O_CLOEXEC.cast_unsigned();
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
pub(crate) const MOUNT_ATTR_RDONLY: u64 = 0x01;
pub(crate) const MOUNT_ATTR_NOSUID: u64 = 0x02;
pub(crate) const MOUNT_ATTR_NODEV: u64 = 0x04;
pub(crate) const MOUNT_ATTR_NOEXEC: u64 = 0x08;

/// struct mount_attr of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Which mount attributes to set, as in mount_setattr(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountAttributes {
    pub(crate) set: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`; 0 leaves it.
    pub(crate) propagation: u64,
}

/// Asks the kernel for a file system by name, which loads its module if there is one; `ENODEV` if it has none.
pub(crate) fn probe_filesystem(kind: &std::ffi::CStr) -> Result<(), Errno> {
    // SAFETY: the name is a C string that outlives the call.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    // SAFETY: the kernel has just installed this descriptor and nobody else knows of it.
    drop(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).map_err(|_| Errno::EOVERFLOW)?) });
    Ok(())
}

/// A detached copy of the mount at `source` (an `O_PATH` descriptor will do), with its submounts if `recursive`.
pub(crate) fn clone_tree(source: impl AsFd, recursive: bool) -> Result<OwnedFd, Errno> {
    let recursive = if recursive { libc::AT_RECURSIVE } else { 0 };
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (libc::AT_EMPTY_PATH | recursive).cast_unsigned();
    // SAFETY: the path is an empty string with its terminator; the kernel works on the descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, source.as_fd().as_raw_fd(), c"".as_ptr(), flags) };
    let fd = i32::try_from(Errno::result(fd)?).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: the kernel has just installed this descriptor and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a detached mount onto the file or directory behind `target`.
pub(crate) fn attach(mount: impl AsFd, target: impl AsFd) -> Result<(), Errno> {
    let (mount, target) = (mount.as_fd().as_raw_fd(), target.as_fd().as_raw_fd());
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are empty strings with their terminators; the kernel works on the descriptors.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_move_mount, mount, c"".as_ptr(), target, c"".as_ptr(), flags)
    })
    .map(drop)
}

/// Changes the attributes of the mount behind `mount`, and of those below it if `recursive`.
pub(crate) fn set_attributes(
    mount: impl AsFd,
    attributes: MountAttributes,
    recursive: bool,
) -> Result<(), Errno> {
    let request = MountAttr {
        attr_set: attributes.set,
        attr_clr: 0,
        propagation: attributes.propagation,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty string, and the struct outlives the call with its size given.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const request,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}
