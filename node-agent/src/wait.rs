//! Descriptors that can be waited for.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use tokio::io::unix::AsyncFd;

/// Lets tokio wait for what a descriptor refers to, through a duplicate of it.
#[expect(
    deprecated,
    reason = "its successor is unsafe for types that may close their descriptor; OwnedFd does not"
)]
pub(crate) fn waitable(descriptor: BorrowedFd<'_>) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(descriptor.try_clone_to_owned()?)
}
