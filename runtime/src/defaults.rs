//! The isolation that a container gets when nobody says otherwise: the field's defaults (Docker's and containerd's),
//! as OCI data. Pure.

use std::collections::HashSet;
use std::path::PathBuf;

use oci_spec::runtime::{
    Capabilities, Capability, Linux, LinuxCapabilities, Mount, PosixRlimitBuilder, PosixRlimitType, Process,
    Root, Spec,
};

mod syscalls;

pub use syscalls::seccomp;

/// What a program finds in `PATH` when its image does not say.
pub const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Open files: the soft limit is what `select` can count to, the hard one what a busy server needs.
const NOFILE_SOFT: u64 = 1024;
const NOFILE_HARD: u64 = 524_288;

/// The bytes of `/dev/shm`, as Docker and containerd have it.
const SHM_LIMIT: &str = "size=65536k";

/// The capabilities of Docker and containerd. None of them reaches beyond the container's own namespaces.
#[must_use]
pub fn capabilities() -> Capabilities {
    HashSet::from([
        Capability::AuditWrite,
        Capability::Chown,
        Capability::DacOverride,
        Capability::Fowner,
        Capability::Fsetid,
        Capability::Kill,
        Capability::Mknod,
        Capability::NetBindService,
        Capability::NetRaw,
        Capability::Setfcap,
        Capability::Setgid,
        Capability::Setpcap,
        Capability::Setuid,
        Capability::SysChroot,
    ])
}

/// `wanted` as the five sets: a process of root has them all, one of another user gets them only by executing a
/// file that carries them. Nothing is inheritable or ambient (CVE-2022-24769).
#[must_use]
pub fn capability_sets(wanted: Capabilities) -> LinuxCapabilities {
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(wanted.clone()))
        .set_effective(Some(wanted.clone()))
        .set_permitted(Some(wanted))
        .set_inheritable(None)
        .set_ambient(None);
    sets
}

/// A spec with default mounts, masked and read-only paths, capabilities, rlimits and `no_new_privileges`; the caller
/// fills in `process` args, env, cwd, user, further mounts and `linux.resources`.
#[must_use]
pub fn spec() -> Spec {
    let rlimit = PosixRlimitBuilder::default()
        .typ(PosixRlimitType::RlimitNofile)
        .soft(NOFILE_SOFT)
        .hard(NOFILE_HARD)
        .build()
        .expect("every field has a default");
    let mut process = Process::default();
    process
        .set_args(None)
        .set_env(Some(vec![PATH.into()]))
        .set_capabilities(Some(capability_sets(capabilities())))
        .set_rlimits(Some(vec![rlimit]))
        .set_no_new_privileges(Some(true));
    let mut linux = Linux::default();
    linux
        .set_resources(None)
        .set_namespaces(None)
        .set_masked_paths(Some(masked_paths()))
        .set_readonly_paths(Some(readonly_paths()));
    let mut root = Root::default();
    root.set_path(PathBuf::from("rootfs")).set_readonly(Some(false));
    let mut spec = Spec::default();
    spec.set_root(Some(root))
        .set_process(Some(process))
        .set_linux(Some(linux))
        .set_mounts(Some(mounts()))
        .set_hostname(None);
    spec
}

/// The file systems that every program expects.
#[must_use]
pub fn mounts() -> Vec<Mount> {
    vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", SHM_LIMIT]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"]),
    ]
}

fn mount(destination: &str, typ: &str, source: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(PathBuf::from(destination))
        .set_typ(Some(typ.into()))
        .set_source(Some(PathBuf::from(source)))
        .set_options(Some(options.iter().map(|&option| option.into()).collect()));
    mount
}

/// Kernel files that tell about the host, or about other containers.
fn masked_paths() -> Vec<String> {
    let paths = [
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/sys/devices/virtual/powercap",
        "/sys/firmware",
    ];
    paths.map(String::from).to_vec()
}

/// Kernel files whose writing changes the host.
fn readonly_paths() -> Vec<String> {
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"].map(String::from).to_vec()
}
