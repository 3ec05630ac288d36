//! The control plane: keeps what is wanted, decides what is to be done about it, and says so to the fleet.
//!
//! One way through it, whoever asks: a [`change::Change`] is given its meaning by `registry`, made durable by
//! `store`, seen by `controllers` and `scheduler` as an immutable [`snapshot::Snapshot`], and carried to the
//! nodes by `fleet`. It never sees a container.

#![forbid(unsafe_code)]

pub mod change;
pub mod pki;
pub mod snapshot;
