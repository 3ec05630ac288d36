//! Netlink, synchronously: a socket, batches of requests, and their acknowledgements.
//!
//! Owns the transport only: sequence numbers, one datagram per batch, the kernel's replies. What the messages
//! mean is said in `link` (rtnetlink) and `nft` (nfnetlink). A netlink socket belongs to the network namespace
//! that its thread was in when it was opened, wherever it is used later: [`in_netns`] makes one inside.
//! Every answer comes from the kernel at once, so nothing here waits for anybody else's work.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::SocketAddr;
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

/// Offset and size of `struct nlmsghdr`.
pub(crate) const HEADER_BYTES: usize = 16;
pub(crate) const NLM_F_REQUEST: u16 = 0x1;
pub(crate) const NLM_F_ACK: u16 = 0x4;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
pub(crate) const NLM_F_DUMP: u16 = 0x300;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// One batch must fit the socket's send buffer: 20,000 endpoints are about 8 MiB.
const SEND_BUFFER_BYTES: usize = 64 << 20;
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// The kernel answers before `send` returns; this only keeps a lost answer from stopping us for ever.
const REPLY_TIMEOUT_S: i64 = 10;
const DATAGRAM_BYTES: usize = 64 << 10;

/// Which of the kernel's netlink families a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Links, addresses, routes, neighbours: rtnetlink(7).
    Route,
    /// nf_tables and conntrack.
    Netfilter,
}

/// Why a conversation with the kernel failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket could not be made.
    #[error("cannot open a netlink socket ({family:?})")]
    Open {
        /// The family that was asked for.
        family: Family,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// The request could not be sent.
    #[error("cannot send a netlink request of {bytes} bytes")]
    Send {
        /// Its size.
        bytes: usize,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// The answer did not come.
    #[error("cannot receive a netlink answer")]
    Receive(#[source] io::Error),
    /// The kernel refused one request of the batch.
    #[error("the kernel refused netlink request {index} of the batch")]
    Refused {
        /// Position in the batch, from 0.
        index: usize,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// The answer is not netlink.
    #[error("a netlink answer cannot be understood")]
    Malformed,
    /// The namespace could not be entered.
    #[error("cannot enter the network namespace")]
    Enter(#[source] io::Error),
}

impl NetlinkError {
    /// The kernel's errno where it refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } | Self::Send { source, .. } => source.raw_os_error(),
            Self::Open { .. } | Self::Receive(_) | Self::Malformed | Self::Enter(_) => None,
        }
    }
}

/// Runs `work` in a thread of its own inside the network namespace `netns`; the caller's thread stays where it is.
/// What the thread opens (netlink sockets, listeners) or starts (child processes) belongs to that namespace.
pub fn in_netns<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> Result<T, NetlinkError> {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            setns(netns, CloneFlags::CLONE_NEWNET).map_err(|errno| NetlinkError::Enter(errno.into()))?;
            Ok(work())
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// One netlink socket.
#[derive(Debug)]
pub struct Socket {
    socket: netlink_sys::Socket,
    sequence: u32,
}

impl Socket {
    /// Opens a socket in the thread's network namespace.
    pub fn open(family: Family) -> Result<Self, NetlinkError> {
        Self::connect(family).map_err(|source| NetlinkError::Open { family, source })
    }

    /// Opens a socket that works inside `netns`.
    pub fn open_in(netns: BorrowedFd<'_>, family: Family) -> Result<Self, NetlinkError> {
        in_netns(netns, || Self::open(family))?
    }

    fn connect(family: Family) -> io::Result<Self> {
        let protocol = match family {
            Family::Route => NETLINK_ROUTE,
            Family::Netfilter => NETLINK_NETFILTER,
        };
        let mut socket = netlink_sys::Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Acknowledgements without a copy of the request: a batch's answers stay small.
        socket.set_cap_ack(true)?;
        setsockopt(&socket.as_fd(), sockopt::ReceiveTimeout, &TimeVal::new(REPLY_TIMEOUT_S, 0))?;
        setsockopt(&socket.as_fd(), sockopt::SndBufForce, &SEND_BUFFER_BYTES)?;
        setsockopt(&socket.as_fd(), sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends the requests in one datagram and waits until the last is acknowledged. The kernel handles them in
    /// order; the first refusal is returned after all were tried (nf_tables: after the whole batch was undone).
    /// The last request must carry `NLM_F_ACK`.
    pub fn request(&mut self, batch: &mut [Vec<u8>]) -> Result<(), NetlinkError> {
        let Some(last_index) = batch.len().checked_sub(1) else { return Ok(()) };
        let first = self.send(batch)?;
        self.acknowledged(first, last_index)
    }

    /// As [`Socket::request`], with one more message after the last that is acknowledged.
    pub(crate) fn request_with_end(
        &mut self,
        batch: &mut Vec<Vec<u8>>,
        end: Vec<u8>,
    ) -> Result<(), NetlinkError> {
        let Some(last_index) = batch.len().checked_sub(1) else { return Ok(()) };
        batch.push(end);
        let first = self.send(batch)?;
        self.acknowledged(first, last_index)
    }

    /// Waits for the answer to the last message and returns the first refusal.
    fn acknowledged(&mut self, first: u32, last_index: usize) -> Result<(), NetlinkError> {
        let mut refusal = None;
        loop {
            for reply in self.receive()? {
                let Some(index) = reply.index_after(first, last_index) else { continue };
                if reply.kind != NLMSG_ERROR {
                    continue;
                }
                let errno = reply.errno()?;
                if errno != 0 && refusal.is_none() {
                    let source = io::Error::from_raw_os_error(errno);
                    refusal = Some(NetlinkError::Refused { index, source });
                }
                // A batch that could not be committed at all is answered for its first message only.
                if index == last_index || (index == 0 && errno != 0) {
                    return refusal.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// Asks for objects and returns the messages that describe them, headers included. The request carries either
    /// `NLM_F_DUMP` (all there are) or `NLM_F_ACK` (the one that it names).
    pub fn query(&mut self, request: Vec<u8>) -> Result<Vec<Vec<u8>>, NetlinkError> {
        let first = self.send(&mut [request])?;
        let mut found = Vec::new();
        loop {
            for reply in self.receive()? {
                if reply.index_after(first, 0).is_none() {
                    continue;
                }
                match reply.kind {
                    NLMSG_DONE => return Ok(found),
                    NLMSG_ERROR => match reply.errno()? {
                        0 => return Ok(found),
                        errno => {
                            let source = io::Error::from_raw_os_error(errno);
                            return Err(NetlinkError::Refused { index: 0, source });
                        }
                    },
                    _ => found.push(reply.bytes),
                }
            }
        }
    }

    /// Numbers the messages and sends them as one datagram; returns the first number.
    fn send(&mut self, batch: &mut [Vec<u8>]) -> Result<u32, NetlinkError> {
        let first = self.sequence.wrapping_add(1);
        for message in batch.iter_mut() {
            self.sequence = self.sequence.wrapping_add(1);
            let length = u32::try_from(message.len()).map_err(|_| NetlinkError::Malformed)?;
            message[0..4].copy_from_slice(&length.to_ne_bytes());
            message[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
            message.resize(message.len().next_multiple_of(4), 0);
        }
        let datagram = batch.concat();
        self.socket
            .send(&datagram, 0)
            .map(|_| first)
            .map_err(|source| NetlinkError::Send { bytes: datagram.len(), source })
    }

    fn receive(&self) -> Result<Vec<Reply>, NetlinkError> {
        let mut buffer = Vec::with_capacity(DATAGRAM_BYTES);
        self.socket.recv(&mut buffer, 0).map_err(NetlinkError::Receive)?;
        split(&buffer)
    }
}

/// One message from the kernel.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    kind: u16,
    sequence: u32,
    bytes: Vec<u8>,
}

impl Reply {
    /// Which message of the batch this answers; `None` for an answer to an earlier batch.
    fn index_after(&self, first: u32, last_index: usize) -> Option<usize> {
        let index = usize::try_from(self.sequence.wrapping_sub(first)).ok()?;
        (index <= last_index).then_some(index)
    }

    fn errno(&self) -> Result<i32, NetlinkError> {
        let code = self.bytes.get(HEADER_BYTES..HEADER_BYTES + 4).ok_or(NetlinkError::Malformed)?;
        let code: [u8; 4] = code.try_into().map_err(|_| NetlinkError::Malformed)?;
        Ok(i32::from_ne_bytes(code).saturating_neg())
    }
}

/// Cuts one datagram into its messages.
fn split(mut datagram: &[u8]) -> Result<Vec<Reply>, NetlinkError> {
    let mut replies = Vec::new();
    while let Some((header, _)) = datagram.split_first_chunk::<HEADER_BYTES>() {
        let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, ..] = *header;
        let length =
            usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).map_err(|_| NetlinkError::Malformed)?;
        if length < HEADER_BYTES {
            return Err(NetlinkError::Malformed);
        }
        let bytes = datagram.get(..length).ok_or(NetlinkError::Malformed)?.to_vec();
        replies.push(Reply {
            kind: u16::from_ne_bytes([k0, k1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            bytes,
        });
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(replies)
}

#[cfg(test)]
mod tests;
