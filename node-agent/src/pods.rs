//! From assignments to running containers and back.
//!
//! What is to be done is decided purely (`decide`, from `desired` and `state`); `status` derives what is said
//! of a pod. The `owner` knows which pods there are; one `worker` task owns each and carries the decisions out on
//! the `host`. Nothing here knows the control plane's stream.
//!
//!     Assignment ──▶ owner ──▶ worker: state ──▶ decide ──▶ actions ──▶ launcher, net, volumes
//!                      ▲                 ▲                     │
//!                      └─ launcher's events ───────────────────┘

pub mod backoff;
pub mod decide;
pub mod desired;
pub mod qos;
pub mod state;
pub mod status;

mod checkpoint;
pub(crate) mod directory;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod host;
mod images;
pub(crate) mod launcher;
mod owner;
mod paths;
mod sandbox;
mod start;
mod worker;

pub use host::{MemoryDirError, StateDirError};
pub use launcher::LauncherError;
pub use owner::{Command, Pods};
