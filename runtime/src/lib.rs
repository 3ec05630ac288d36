//! One container: image, sandbox, namespaces, cgroups, seccomp.
//!
//! The room speaks OCI and knows neither Kubernetes' words nor tokio. Its face is small:
//! [`launcher::run`] is the whole of the launcher process, [`client`] is how another process talks to it,
//! [`protocol`] holds the plain types that cross between the two, [`defaults`] is the isolation that a container
//! gets when nobody says otherwise, [`doctor`] says what the kernel lacks, [`image`] makes and unpacks images.
//!
//! `unsafe` lives in `sys` and nowhere else.

mod accounts;
mod cgroup;
pub mod client;
mod clock;
mod confine;
pub mod defaults;
pub mod doctor;
mod exec;
pub mod image;
pub mod launcher;
mod log;
mod monitor;
mod plan;
pub mod protocol;
mod rootfs;
mod sandbox;
mod seccomp;
mod setup;
mod state;
mod sys;
mod wire;
