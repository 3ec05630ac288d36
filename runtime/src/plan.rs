//! From an OCI spec to the steps that make the container, as data. Pure: what the host is like comes in as an
//! argument, and carrying the steps out is `setup`'s and `confine`'s.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use caps::{Capability, CapsHashSet};
use oci_spec::runtime::{Capabilities, LinuxCapabilities, PosixRlimitType, Process, Spec};

use crate::cgroup::Layout;
use crate::protocol::{ContainerSpec, ExecSpec, Failure, WindowSize, Writable};
use crate::seccomp::Program;

pub(crate) use mounts::{Bind, Filesystem};

mod mounts;
#[cfg(test)]
mod tests;

/// The most image layers. The kernel's own limit is 500; the options of a mount are one page.
pub(crate) const LAYERS_MAX: usize = 128;

/// The longest host name, from uts_namespaces(7).
pub(crate) const HOSTNAME_MAX_BYTES: usize = 64;

/// The longest id; it becomes a directory's name.
pub(crate) const ID_MAX_BYTES: usize = 128;

/// How a container is made: its file systems step by step, then its process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LaunchPlan {
    pub(crate) steps: Vec<Step>,
    pub(crate) process: ProcessPlan,
}

/// One step, carried out by the container's first process before it becomes the user's program.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Enter the sandbox's net, ipc and uts namespaces. Before any mount: sysfs shows the network of its mounter.
    JoinSandbox,
    /// Let no mount made from here on reach the host.
    StopPropagation,
    /// The overlay of image layers and the writable layer.
    MountRoot { layers: Vec<PathBuf>, writable: Writable },
    /// A new file system.
    MountFilesystem(Filesystem),
    /// A part of the host.
    Bind(Bind),
    /// A device of the host, by its name in `/dev`.
    Device(&'static str),
    /// A directory, unless it is there; it may fail, for whoever needs it will say so better.
    MakeDirectory(PathBuf),
    /// A symbolic link.
    Symlink { at: PathBuf, to: PathBuf },
    /// Wait until the parent has put this process into its cgroup. As late as can be: joining takes the kernel long.
    AwaitCgroup,
    /// See the container's own cgroup as the root of all. After joining it.
    NewCgroupNamespace,
    /// A terminal from the container's own devpts; its master goes to the monitor.
    OpenTerminal,
    /// Hide a kernel file or directory, if it is there.
    Mask(PathBuf),
    /// Make a kernel file or directory read-only, if it is there.
    MakeReadonly(PathBuf),
    /// Make the root itself read-only. After every mount point has been made.
    MakeRootReadonly,
    /// Make the root the root, and let go of the host's.
    EnterRoot,
}

/// What a process is and may do; the same for a container's first process and for one executed later.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProcessPlan {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) cwd: PathBuf,
    pub(crate) user: UserPlan,
    pub(crate) umask: Option<u32>,
    pub(crate) capabilities: CapabilityPlan,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: Option<Program>,
    pub(crate) rlimits: Vec<Rlimit>,
    pub(crate) oom_score_adj: Option<i32>,
    /// Its terminal's size, if it has one.
    pub(crate) terminal: Option<WindowSize>,
}

/// Who the process runs as.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum UserPlan {
    /// By number.
    Ids { uid: u32, gid: u32, additional_gids: Vec<u32> },
    /// As an image names it (`user`, `user:group`, `1000:group`, …), to be looked up in the container's own
    /// `/etc/passwd` and `/etc/group`.
    Named { name: String, additional_gids: Vec<u32> },
}

/// The five sets of capabilities(7).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CapabilityPlan {
    pub(crate) bounding: CapsHashSet,
    pub(crate) effective: CapsHashSet,
    pub(crate) permitted: CapsHashSet,
    pub(crate) inheritable: CapsHashSet,
    pub(crate) ambient: CapsHashSet,
}

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rlimit {
    pub(crate) resource: nix::sys::resource::Resource,
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// Plans a container. `seccomp` is its compiled filter, `layout` the host's control groups.
pub(crate) fn plan_launch(
    container: &ContainerSpec,
    seccomp: Option<Program>,
    layout: &Layout,
) -> Result<LaunchPlan, Failure> {
    check_id("id", &container.id)?;
    if container.lower_dirs.is_empty() || container.lower_dirs.len() > LAYERS_MAX {
        return Err(bad("lower_dirs", format!("must be 1 to {LAYERS_MAX} directories")));
    }
    let process = plan_process(&container.spec, seccomp)?;
    let steps = plan_steps(container, process.terminal.is_some(), layout)?;
    Ok(LaunchPlan { steps, process })
}

fn plan_steps(container: &ContainerSpec, terminal: bool, layout: &Layout) -> Result<Vec<Step>, Failure> {
    let mut steps = vec![
        Step::JoinSandbox,
        Step::StopPropagation,
        Step::MountRoot { layers: container.lower_dirs.clone(), writable: container.writable.clone() },
    ];
    // Those that show the cgroup wait until it is joined; everything else is done meanwhile.
    let (late, early): (Vec<_>, Vec<_>) = container.spec.mounts().iter().flatten().partition(|mount| {
        mount.typ().as_deref() == Some("cgroup") || mount.destination().starts_with("/sys/fs/cgroup")
    });
    for mount in early {
        steps.extend(mounts::plan_mount(mount, layout)?);
    }
    if terminal {
        steps.push(Step::OpenTerminal);
    }
    steps.extend([Step::AwaitCgroup, Step::NewCgroupNamespace]);
    for mount in late {
        steps.extend(mounts::plan_mount(mount, layout)?);
    }
    if let Some(linux) = container.spec.linux() {
        steps.extend(linux.masked_paths().iter().flatten().map(|path| Step::Mask(path.into())));
        steps.extend(linux.readonly_paths().iter().flatten().map(|path| Step::MakeReadonly(path.into())));
    }
    if let Some(process) = container.spec.process() {
        // An image may name a working directory that none of its layers has.
        steps.push(Step::MakeDirectory(process.cwd().clone()));
    }
    if container.spec.root().as_ref().and_then(oci_spec::runtime::Root::readonly) == Some(true) {
        steps.push(Step::MakeRootReadonly);
    }
    steps.push(Step::EnterRoot);
    Ok(steps)
}

/// Plans the process that `spec` describes.
pub(crate) fn plan_process(spec: &Spec, seccomp: Option<Program>) -> Result<ProcessPlan, Failure> {
    let process = spec.process().as_ref().ok_or_else(|| bad("spec.process", "is missing"))?;
    let args = process.args().clone().unwrap_or_default();
    check_args("spec.process.args", &args)?;
    let env = process.env().clone().unwrap_or_default();
    check_env("spec.process.env", &env)?;
    if !process.cwd().is_absolute() {
        return Err(bad("spec.process.cwd", "must be an absolute path"));
    }
    let size = process.console_size().map(|size| WindowSize {
        columns: u16::try_from(size.width()).unwrap_or(u16::MAX),
        rows: u16::try_from(size.height()).unwrap_or(u16::MAX),
    });
    Ok(ProcessPlan {
        args,
        env,
        cwd: process.cwd().clone(),
        user: plan_user(process),
        umask: process.user().umask(),
        capabilities: process.capabilities().as_ref().map(plan_capabilities).unwrap_or_default(),
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        seccomp,
        rlimits: plan_rlimits(process)?,
        oom_score_adj: process.oom_score_adj(),
        terminal: process
            .terminal()
            .unwrap_or(false)
            .then(|| size.unwrap_or(WindowSize { columns: 80, rows: 24 })),
    })
}

/// Plans one more process, confined as the container's own is.
pub(crate) fn plan_exec(
    spec: &Spec,
    exec: &ExecSpec,
    seccomp: Option<Program>,
) -> Result<ProcessPlan, Failure> {
    let mut plan = plan_process(spec, seccomp)?;
    check_args("argv", &exec.argv)?;
    check_env("env", &exec.env)?;
    plan.args.clone_from(&exec.argv);
    plan.env.extend(exec.env.iter().cloned());
    if let Some(cwd) = &exec.cwd {
        plan.cwd.clone_from(cwd);
    }
    if let Some(user) = &exec.user {
        plan.user =
            UserPlan::Ids { uid: user.uid, gid: user.gid, additional_gids: user.additional_gids.clone() };
    }
    plan.terminal = exec.terminal;
    Ok(plan)
}

fn plan_user(process: &Process) -> UserPlan {
    let user = process.user();
    let additional_gids = user.additional_gids().clone().unwrap_or_default();
    match user.username() {
        Some(name) if !name.is_empty() => UserPlan::Named { name: name.clone(), additional_gids },
        _ => UserPlan::Ids { uid: user.uid(), gid: user.gid(), additional_gids },
    }
}

fn plan_capabilities(sets: &LinuxCapabilities) -> CapabilityPlan {
    CapabilityPlan {
        bounding: capabilities(sets.bounding().as_ref()),
        effective: capabilities(sets.effective().as_ref()),
        permitted: capabilities(sets.permitted().as_ref()),
        inheritable: capabilities(sets.inheritable().as_ref()),
        ambient: capabilities(sets.ambient().as_ref()),
    }
}

fn capabilities(set: Option<&Capabilities>) -> CapsHashSet {
    let names = set.into_iter().flatten().map(|capability| caps::to_canonical(&capability.to_string()));
    names.filter_map(|name| name.parse::<Capability>().ok()).collect::<HashSet<_>>()
}

fn plan_rlimits(process: &Process) -> Result<Vec<Rlimit>, Failure> {
    let limits = process.rlimits().iter().flatten();
    limits
        .map(|limit| {
            let (soft, hard) = (limit.soft(), limit.hard());
            if soft > hard {
                return Err(bad("spec.process.rlimits", format!("{}: soft is above hard", limit.typ())));
            }
            Ok(Rlimit { resource: resource(limit.typ()), soft, hard })
        })
        .collect()
}

fn resource(kind: PosixRlimitType) -> nix::sys::resource::Resource {
    use nix::sys::resource::Resource;
    match kind {
        PosixRlimitType::RlimitCpu => Resource::RLIMIT_CPU,
        PosixRlimitType::RlimitFsize => Resource::RLIMIT_FSIZE,
        PosixRlimitType::RlimitData => Resource::RLIMIT_DATA,
        PosixRlimitType::RlimitStack => Resource::RLIMIT_STACK,
        PosixRlimitType::RlimitCore => Resource::RLIMIT_CORE,
        PosixRlimitType::RlimitRss => Resource::RLIMIT_RSS,
        PosixRlimitType::RlimitNproc => Resource::RLIMIT_NPROC,
        PosixRlimitType::RlimitNofile => Resource::RLIMIT_NOFILE,
        PosixRlimitType::RlimitMemlock => Resource::RLIMIT_MEMLOCK,
        PosixRlimitType::RlimitAs => Resource::RLIMIT_AS,
        PosixRlimitType::RlimitLocks => Resource::RLIMIT_LOCKS,
        PosixRlimitType::RlimitSigpending => Resource::RLIMIT_SIGPENDING,
        PosixRlimitType::RlimitMsgqueue => Resource::RLIMIT_MSGQUEUE,
        PosixRlimitType::RlimitNice => Resource::RLIMIT_NICE,
        PosixRlimitType::RlimitRtprio => Resource::RLIMIT_RTPRIO,
        PosixRlimitType::RlimitRttime => Resource::RLIMIT_RTTIME,
    }
}

/// An id becomes the name of a directory and of a cgroup: one plain path component.
pub(crate) fn check_id(field: &str, id: &str) -> Result<(), Failure> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if id.is_empty() || id.len() > ID_MAX_BYTES || !id.bytes().all(plain) || id.starts_with('.') {
        return Err(bad(field, format!("must be 1 to {ID_MAX_BYTES} letters, digits, '.', '_' or '-'")));
    }
    Ok(())
}

fn check_args(field: &str, args: &[String]) -> Result<(), Failure> {
    match args.first() {
        None => Err(bad(field, "must name a program")),
        Some(program) if program.is_empty() => Err(bad(field, "must name a program")),
        Some(_) if args.iter().any(|arg| arg.contains('\0')) => Err(bad(field, "must not contain NUL")),
        Some(_) => Ok(()),
    }
}

fn check_env(field: &str, env: &[String]) -> Result<(), Failure> {
    let fine = |entry: &String| !entry.contains('\0') && entry.find('=').is_some_and(|at| at > 0);
    match env.iter().find(|entry| !fine(entry)) {
        // The value may be a secret: only the name is told.
        Some(entry) => {
            let name = entry.split('=').next().unwrap_or_default();
            Err(bad(field, format!("{name:?} is not NAME=value")))
        }
        None => Ok(()),
    }
}

/// A path that a spec gives inside the container: absolute, without NUL.
fn check_inside(field: &str, path: &Path) -> Result<(), Failure> {
    if !path.is_absolute() || path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(bad(field, format!("{path:?} must be an absolute path")));
    }
    Ok(())
}

pub(crate) fn bad(field: &str, reason: impl Into<String>) -> Failure {
    Failure::BadSpec { field: field.into(), reason: reason.into() }
}
