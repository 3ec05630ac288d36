//! The control plane: keeps what is wanted, decides what is to be done about it, and says so to the fleet.
//!
//! One way through it, whoever asks: a [`change::Change`] is given its meaning by `registry`, made durable by
//! `store`, seen by `controllers` and `scheduler` as an immutable [`snapshot::Snapshot`], and carried to the
//! nodes by `fleet`. It never sees a container.

#![forbid(unsafe_code)]

pub mod api;
pub mod change;
pub mod controllers;
mod clock;
pub mod fleet;
pub mod pki;
pub mod registry;
pub mod snapshot;
pub mod store;
