//! A sandbox: one waiting process that holds the net, ipc and uts namespaces which the containers of a group share.
//! It executes nothing and wakes for nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::unistd::{getpid, pause, sethostname, setsid};

use crate::cgroup::Cgroup;
use crate::plan::{HOSTNAME_MAX_BYTES, bad, check_id};
use crate::protocol::{Failure, SandboxSpec};
use crate::setup::{failed, io_errno};
use crate::{sys, wire};

#[cfg(test)]
mod tests;

/// Kernel parameters that belong to the namespaces of a sandbox; any other would change the host.
const NAMESPACED: [&str; 5] = ["net.", "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."];

/// Says what does not make sense in `spec`.
pub(crate) fn check(spec: &SandboxSpec) -> Result<(), Failure> {
    check_id("id", &spec.id)?;
    check_id("cgroup", &spec.cgroup)?;
    if spec.hostname.len() > HOSTNAME_MAX_BYTES || spec.hostname.contains('\0') {
        return Err(bad("hostname", format!("must be at most {HOSTNAME_MAX_BYTES} bytes")));
    }
    for name in spec.sysctls.keys() {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let inside = NAMESPACED.iter().any(|prefix| name.starts_with(prefix));
        if !plain || name.contains("..") || !inside || (spec.host_network && name.starts_with("net.")) {
            return Err(bad("sysctls", format!("{name:?} does not belong to a sandbox's namespaces")));
        }
    }
    Ok(())
}

/// Makes the waiting process and its namespaces; returns when they are as `spec` says. `group` exists already.
pub(crate) fn create(spec: &SandboxSpec, group: &Cgroup<'_>) -> Result<sys::process::Child, Failure> {
    let mut namespaces = CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if !spec.host_network {
        namespaces |= CloneFlags::CLONE_NEWNET;
    }
    let (ours, theirs) = UnixStream::pair().map_err(|error| failed("make a channel", io_errno(&error)))?;
    let child = sys::process::spawn(namespaces, None, || hold(spec, group, &theirs))
        .map_err(|errno| failed("clone the sandbox", errno))?;
    drop(theirs);
    match wire::receive::<Result<(), Failure>>(&ours) {
        Ok((Ok(()), _)) => Ok(child),
        Ok((Err(failure), _)) => {
            let _ = sys::process::wait(&child.pidfd);
            Err(failure)
        }
        Err(_) => {
            let _ = sys::process::wait(&child.pidfd);
            Err(Failure::MonitorDied { id: spec.id.clone() })
        }
    }
}

/// In the child: sets the namespaces up, then waits for the signal that ends it.
fn hold(spec: &SandboxSpec, group: &Cgroup<'_>, channel: &UnixStream) -> i32 {
    let outcome = settle(spec, channel);
    let told = wire::send(channel, &outcome, &[]);
    if outcome.is_err() || told.is_err() || sys::process::close_others(&[]).is_err() {
        return 1;
    }
    // Only so that a sweep of the cgroups finds us. Nobody waits for it: the first write to a cgroup takes the
    // kernel long, and the group's first container then joins quickly.
    if let Err(error) = group.register("sandbox", getpid()) {
        tracing::warn!(sandbox = spec.id, error = &error as &dyn std::error::Error, "not registered");
    }
    loop {
        pause();
    }
}

fn settle(spec: &SandboxSpec, channel: &UnixStream) -> Result<(), Failure> {
    let _ = nix::sys::prctl::set_name(c"mki-sandbox");
    setsid().map_err(|errno| failed("start a session", errno))?;
    sys::process::close_others(&[channel.as_fd()]).map_err(|errno| failed("close descriptors", errno))?;
    sys::process::reset_signals().map_err(|errno| failed("reset signals", errno))?;
    sethostname(&spec.hostname).map_err(|errno| failed("set the host name", errno))?;
    set_sysctls(&spec.sysctls)
}

/// The kernel shows each process its own namespaces' parameters under /proc/sys.
fn set_sysctls(sysctls: &BTreeMap<String, String>) -> Result<(), Failure> {
    for (name, value) in sysctls {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        fs::write(path, value).map_err(|error| {
            let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            failed(format!("set {name}"), errno)
        })?;
    }
    Ok(())
}
