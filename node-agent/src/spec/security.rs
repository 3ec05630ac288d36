//! What a container may do: the runtime's defaults, less what the pod drops, plus what it is granted. Pure.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{Container, Pod, SeccompProfile};
use oci_spec::runtime::{Capability, Spec};
use runtime::protocol::Seccomp;

/// A security context that cannot be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecurityError {
    /// No capability of Linux.
    #[error("{name} is not a capability; an example of one is NET_ADMIN")]
    UnknownCapability {
        /// As the pod says it.
        name: String,
    },
    /// Profiles of the node are not supported.
    #[error("seccomp profile type {type_} is not supported; RuntimeDefault and Unconfined are")]
    SeccompType {
        /// As the pod says it.
        type_: String,
    },
}

/// Applies the container's security context; returns its filter of system calls.
///
/// # Errors
/// When a capability or a profile is unknown.
pub fn apply(spec: &mut Spec, pod: &Pod, container: &Container) -> Result<Seccomp, SecurityError> {
    let context = container.security_context.clone().unwrap_or_default();
    let privileged = context.privileged == Some(true);
    let granted = if privileged {
        all_capabilities()
    } else {
        let said = context.capabilities.unwrap_or_default();
        capabilities(said.add.as_deref().unwrap_or_default(), said.drop.as_deref().unwrap_or_default())?
    };
    // CAP_SYS_ADMIN could undo no_new_privs' purpose anyway; Kubernetes lets these two off it.
    let escalates = privileged
        || granted.contains(&Capability::SysAdmin)
        || context.allow_privilege_escalation.unwrap_or(true);
    if let Some(process) = spec.process_mut() {
        process
            .set_capabilities(Some(runtime::defaults::capability_sets(granted)))
            .set_no_new_privileges(Some(!escalates));
    }
    if let Some(root) = spec.root_mut() {
        root.set_readonly(Some(context.read_only_root_filesystem == Some(true)));
    }
    if privileged {
        lay_bare(spec);
        return Ok(Seccomp::Spec);
    }
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    seccomp(context.seccomp_profile.as_ref().or(of_pod.and_then(|pod| pod.seccomp_profile.as_ref())))
}

/// A privileged container sees the kernel as the host does.
fn lay_bare(spec: &mut Spec) {
    if let Some(linux) = spec.linux_mut() {
        linux.set_masked_paths(None).set_readonly_paths(None);
    }
    for mount in spec.mounts_mut().iter_mut().flatten() {
        if matches!(mount.typ().as_deref(), Some("sysfs" | "cgroup")) {
            for option in mount.options_mut().iter_mut().flatten().filter(|option| *option == "ro") {
                "rw".clone_into(option);
            }
        }
    }
}

/// Safe by default: a pod that says nothing is filtered.
fn seccomp(profile: Option<&SeccompProfile>) -> Result<Seccomp, SecurityError> {
    match profile.map(|profile| profile.type_.as_str()) {
        None | Some("RuntimeDefault") => Ok(Seccomp::Default),
        Some("Unconfined") => Ok(Seccomp::Spec),
        Some(type_) => Err(SecurityError::SeccompType { type_: type_.to_owned() }),
    }
}

fn capabilities(add: &[String], drop: &[String]) -> Result<HashSet<Capability>, SecurityError> {
    let mut granted = runtime::defaults::capabilities();
    if drop.iter().any(|name| is_all(name)) {
        granted.clear();
    }
    if add.iter().any(|name| is_all(name)) {
        granted = all_capabilities();
    }
    for name in drop.iter().filter(|name| !is_all(name)) {
        granted.remove(&capability(name)?);
    }
    for name in add.iter().filter(|name| !is_all(name)) {
        granted.insert(capability(name)?);
    }
    Ok(granted)
}

fn is_all(name: &str) -> bool {
    name.eq_ignore_ascii_case("all")
}

fn capability(name: &str) -> Result<Capability, SecurityError> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    short.parse().map_err(|_| SecurityError::UnknownCapability { name: name.to_owned() })
}

fn all_capabilities() -> HashSet<Capability> {
    use Capability as C;
    HashSet::from([
        C::AuditControl,
        C::AuditRead,
        C::AuditWrite,
        C::BlockSuspend,
        C::Bpf,
        C::CheckpointRestore,
        C::Chown,
        C::DacOverride,
        C::DacReadSearch,
        C::Fowner,
        C::Fsetid,
        C::IpcLock,
        C::IpcOwner,
        C::Kill,
        C::Lease,
        C::LinuxImmutable,
        C::MacAdmin,
        C::MacOverride,
        C::Mknod,
        C::NetAdmin,
        C::NetBindService,
        C::NetBroadcast,
        C::NetRaw,
        C::Perfmon,
        C::Setgid,
        C::Setfcap,
        C::Setpcap,
        C::Setuid,
        C::SysAdmin,
        C::SysBoot,
        C::SysChroot,
        C::SysModule,
        C::SysNice,
        C::SysPacct,
        C::SysPtrace,
        C::SysRawio,
        C::SysResource,
        C::SysTime,
        C::SysTtyConfig,
        C::Syslog,
        C::WakeAlarm,
    ])
}
