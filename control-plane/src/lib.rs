//! The control plane: keeps what is wanted, decides what is to be done about it, and says so to the fleet.
//!
//! One way through it, whoever asks: a [`change::Change`] is given its meaning by `registry`, made durable by
//! `store`, seen by `controllers` and `scheduler` as an immutable [`snapshot::Snapshot`], and carried to the
//! nodes by `fleet`. It never sees a container.

#![forbid(unsafe_code)]

pub mod api;
pub mod change;
mod clock;
pub mod controllers;
pub mod fleet;
mod kubeconfig;
pub mod manager;
pub mod pki;
mod process;
pub mod registry;
pub mod scheduler;
pub mod snapshot;
pub mod store;

pub use process::{Config, ControlPlaneError, run};
