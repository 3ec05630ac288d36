//! Receiving descriptors over a unix socket.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};

use crate::wire::FDS_MAX;

/// Reads once into `buffers`; returns the bytes read and the descriptors that came beside them.
pub(crate) fn receive_with_fds(
    stream: &UnixStream,
    buffers: &mut [IoSliceMut<'_>],
) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut control = nix::cmsg_space!([i32; FDS_MAX]);
    let message =
        recvmsg::<UnixAddr>(stream.as_raw_fd(), buffers, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = part {
            // SAFETY: the kernel has just installed these descriptors for us and nobody else knows of them.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, fds))
}
