//! From assignments to running containers and back.
//!
//! What is to be done is decided purely (`decide`, from `desired` and `state`); `status` derives what is said
//! of a pod. One `worker` task owns each pod and carries the decisions out.

pub mod backoff;
pub mod decide;
pub mod desired;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod qos;
pub mod state;
pub mod status;
