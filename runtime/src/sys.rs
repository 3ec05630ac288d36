//! The one room of `unsafe`: system calls that nix does not wrap, forking, and descriptors that the kernel hands us.
//! Each function is a thin safe shell around one call; nothing here decides.

#![expect(
    unsafe_code,
    reason = "this module and its children are where the crate talks to the kernel directly"
)]

pub(crate) mod mount;
pub(crate) mod process;
pub(crate) mod seccomp;
pub(crate) mod socket;
pub(crate) mod terminal;
