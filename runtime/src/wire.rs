//! Frames on a unix stream socket: a length, a JSON body, and file descriptors beside the first byte.
//! Blocking; knows nothing of what the bodies mean.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use serde::{Serialize, de::DeserializeOwned};

/// The longest body. A pod's environment may be large (the kernel takes 2 MiB); more than this is a mistake.
pub(crate) const FRAME_MAX_BYTES: usize = 8 << 20;

/// The most descriptors beside one frame: stdin, stdout, stderr, one terminal or exit pipe.
pub(crate) const FDS_MAX: usize = 4;

/// What can be wrong with a frame.
#[derive(Debug, thiserror::Error)]
#[expect(clippy::error_impl_error, reason = "read with its module: `wire::Error`, as `io::Error`")]
pub enum Error {
    /// The other side closed the socket.
    #[error("the other side closed the connection")]
    Closed,
    /// The socket failed.
    #[error("socket failed")]
    Io(#[source] io::Error),
    /// A length above the limit.
    #[error("frame of {length} bytes is longer than {FRAME_MAX_BYTES}")]
    TooLong {
        /// What was announced.
        length: usize,
    },
    /// A body that is not what was expected.
    #[error("malformed frame")]
    Malformed(#[source] serde_json::Error),
}

/// Sends one frame with its descriptors.
pub(crate) fn send<T: Serialize>(stream: &UnixStream, body: &T, fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
    let body = serde_json::to_vec(body).map_err(Error::Malformed)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= FRAME_MAX_BYTES);
    let length = length.ok_or(Error::TooLong { length: body.len() })?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend_from_slice(&body);
    let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &rights[..0] } else { &rights[..] };
    let sent = sendmsg::<UnixAddr>(
        stream.as_raw_fd(),
        &[IoSlice::new(&frame)],
        control,
        MsgFlags::MSG_NOSIGNAL,
        None,
    );
    let sent = sent.map_err(|errno| Error::Io(errno.into()))?;
    (&*stream).write_all(&frame[sent..]).map_err(Error::Io)
}

/// Receives one frame and the descriptors that came with it. Every descriptor is close-on-exec.
pub(crate) fn receive<T: DeserializeOwned>(stream: &UnixStream) -> Result<(T, Vec<OwnedFd>), Error> {
    let mut header = [0u8; 4];
    let (got, fds) = crate::sys::socket::receive_with_fds(stream, &mut [IoSliceMut::new(&mut header)])
        .map_err(|errno| Error::Io(errno.into()))?;
    if got == 0 {
        return Err(Error::Closed);
    }
    (&*stream).read_exact(&mut header[got..]).map_err(closed_or_io)?;
    let length = u32::from_le_bytes(header) as usize;
    if length > FRAME_MAX_BYTES {
        return Err(Error::TooLong { length });
    }
    let mut body = vec![0u8; length];
    (&*stream).read_exact(&mut body).map_err(closed_or_io)?;
    Ok((serde_json::from_slice(&body).map_err(Error::Malformed)?, fds))
}

fn closed_or_io(source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::UnexpectedEof { Error::Closed } else { Error::Io(source) }
}
