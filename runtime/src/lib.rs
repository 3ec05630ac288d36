//! One container: image, sandbox, namespaces, cgroups, seccomp.
//!
//! The room speaks OCI and knows neither Kubernetes' words nor tokio. Its face is small:
//! [`launcher::run`] is the whole of the launcher process, [`client`] is how another process talks to it,
//! [`protocol`] holds the plain types that cross between the two, [`defaults`] is the isolation that a container
//! gets when nobody says otherwise, [`doctor`] says what the kernel lacks, [`image`] makes and unpacks images.
//!
//! `unsafe` lives in `sys` and nowhere else.

mod accounts;
mod confine;
mod setup;
mod clock;
mod log;
mod monitor;
mod state;
mod exec;
mod sandbox;
mod cgroup;
pub mod client;
pub mod defaults;
pub mod doctor;
pub mod image;
pub mod launcher;
mod plan;
pub mod protocol;
mod rootfs;
mod seccomp;
mod sys;
mod wire;
