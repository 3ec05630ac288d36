//! What the kernel and the machine must offer, checked one by one. Only looks; changes nothing that lasts.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use crate::cgroup::Layout;
use crate::launcher::read_layout;
use crate::sys;

#[cfg(test)]
mod tests;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What, in a few words, e.g. `cgroup memory controller`.
    pub name: String,
    /// How it is.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What would make it right; empty if it is.
    pub remedy: String,
}

/// How a [`Check`] came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Ok,
    /// Works, with less.
    Degraded,
    /// Containers cannot run.
    Missing,
}

/// The oldest kernel with every call that we make; mount_setattr(2) is the youngest.
const KERNEL_MIN: (u32, u32) = (5, 12);

const NAMESPACES: [&str; 6] = ["pid", "mnt", "net", "ipc", "uts", "cgroup"];

/// Without these a container cannot be limited.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// Looks at everything.
#[must_use]
pub fn checks() -> Vec<Check> {
    let mut checks = vec![root(), kernel(&read("/proc/sys/kernel/osrelease"))];
    checks.push(namespaces());
    checks.push(overlay());
    checks.extend(cgroups(read_layout().as_ref()));
    checks.push(seccomp(&read("/proc/self/status")));
    checks.push(nftables());
    checks.push(raising_limits(&read("/proc/self/status")));
    checks
}

fn root() -> Check {
    if nix::unistd::geteuid().is_root() {
        return ok("root", "running as root");
    }
    missing("root", "not running as root", "run the command with sudo")
}

fn kernel(release: &str) -> Check {
    let (major, minor) = KERNEL_MIN;
    let mut numbers = release.split(['.', '-']).map(|number| number.trim().parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= KERNEL_MIN {
        return ok("kernel", &format!("Linux {}", release.trim()));
    }
    let remedy = format!("use a kernel of {major}.{minor} or later");
    missing("kernel", &format!("Linux {} is too old", release.trim()), &remedy)
}

fn namespaces() -> Check {
    let lacking: Vec<&str> = NAMESPACES
        .into_iter()
        .filter(|name| !Path::new("/proc/self/ns").join(name).try_exists().unwrap_or(false))
        .collect();
    if lacking.is_empty() {
        return ok("namespaces", &NAMESPACES.join(", "));
    }
    let remedy = "use a kernel built with CONFIG_NAMESPACES and its options";
    missing("namespaces", &format!("the kernel lacks: {}", lacking.join(", ")), remedy)
}

/// Asks the kernel, which may have it as a module that nobody has needed yet; only root may ask.
fn overlay() -> Check {
    match sys::mount::probe_filesystem(c"overlay") {
        Err(Errno::EPERM) => filesystem("overlay", &read("/proc/filesystems")),
        answer => known_filesystem("overlay", answer.is_ok()),
    }
}

fn filesystem(kind: &str, known: &str) -> Check {
    known_filesystem(kind, known.lines().any(|line| line.split_whitespace().last() == Some(kind)))
}

fn known_filesystem(kind: &str, known: bool) -> Check {
    if known {
        return ok(kind, &format!("the kernel knows {kind}"));
    }
    let remedy = format!("run `modprobe {kind}`, or use a kernel that has it");
    missing(kind, &format!("the kernel does not know {kind}"), &remedy)
}

fn cgroups(layout: Option<&Layout>) -> Vec<Check> {
    let Some(layout) = layout else {
        return vec![missing("cgroups", "no hierarchy is mounted", "mount -t cgroup2 none /sys/fs/cgroup")];
    };
    let kind = match layout {
        Layout::V2 { .. } => "v2",
        Layout::V1 { unified: Some(_), .. } => "hybrid (v1 with v2 beside it)",
        Layout::V1 { unified: None, .. } => "v1",
    };
    let mut checks = vec![ok("cgroups", kind)];
    let present = layout.controllers();
    checks.extend(CONTROLLERS.into_iter().map(|controller| {
        let name = format!("cgroup {controller}");
        if present.iter().any(|found| found == controller) {
            return ok(&name, "can be limited");
        }
        let remedy =
            format!("enable the {controller} controller (kernel option, or cgroup_enable={controller})");
        missing(&name, "cannot be limited", &remedy)
    }));
    checks
}

fn seccomp(status: &str) -> Check {
    if status.lines().any(|line| line.starts_with("Seccomp:")) {
        return ok("seccomp", "system calls can be filtered");
    }
    missing("seccomp", "system calls cannot be filtered", "use a kernel with CONFIG_SECCOMP_FILTER")
}

/// Asks for the netlink protocol that nftables speaks on.
fn nftables() -> Check {
    let opened =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter);
    match opened {
        Ok(_) => ok("nftables", "the kernel answers on netlink"),
        Err(Errno::EPROTONOSUPPORT) => {
            missing("nftables", "the kernel does not know netfilter", "run `modprobe nf_tables`")
        }
        Err(errno) => missing("nftables", errno.desc(), "run as root on a kernel with nf_tables"),
    }
}

/// CAP_SYS_RESOURCE: without it a container's open files are limited to what we have, and the least likely to be
/// killed for memory is as likely as any.
fn raising_limits(status: &str) -> Check {
    const SYS_RESOURCE: u64 = 1 << 24;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    if effective & SYS_RESOURCE != 0 {
        return ok("raising limits", "resource limits can be raised");
    }
    Check {
        name: "raising limits".into(),
        status: Status::Degraded,
        detail: "resource limits of containers cannot be above our own".into(),
        remedy: "grant CAP_SYS_RESOURCE".into(),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn ok(name: &str, detail: &str) -> Check {
    Check { name: name.into(), status: Status::Ok, detail: detail.into(), remedy: String::new() }
}

fn missing(name: &str, detail: &str, remedy: &str) -> Check {
    Check { name: name.into(), status: Status::Missing, detail: detail.into(), remedy: remedy.into() }
}
