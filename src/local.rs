//! A whole cluster on this machine: a control plane, a front, and nodes that are hosts in miniature.
//!
//! `up` starts its processes and `down` ends them; between the two nobody is in charge here. Each command finds out
//! anew what lives, from pid files and from the kernel.

pub(crate) mod config;
pub(crate) mod down;
pub(crate) mod layout;
pub(crate) mod lock;
mod mounts;
pub(crate) mod process;
pub(crate) mod processes;
pub(crate) mod readiness;
pub(crate) mod status;
pub(crate) mod underlay;
pub(crate) mod up;
