//! The last part of a launch, the same for a container's first process and for one executed later: from a process
//! inside the container's namespaces, with all our rights, to the user's program with only its own. The order is
//! the kernel's: each line needs a right that a later one gives up.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use caps::{CapSet, CapsHashSet};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{AccessFlags, Gid, Uid, access, chdir, execve, fchown, setsid};

use crate::plan::{CapabilityPlan, ProcessPlan, Rlimit};
use crate::protocol::Failure;
use crate::setup::failed;
use crate::{accounts, sys};

/// What the process gets as its stdin, stdout and stderr.
#[derive(Debug)]
pub(crate) enum Stdio {
    /// Three descriptors of ours.
    Three([OwnedFd; 3]),
    /// The container's side of a terminal.
    Terminal(OwnedFd),
}

/// Becomes the program that `plan` names. Comes back only to say on `channel` what failed; every other descriptor
/// above 2 is closed then.
pub(crate) fn become_program(plan: &ProcessPlan, stdio: Stdio, channel: &UnixStream) -> Failure {
    match prepare(plan, stdio, channel) {
        Ok(env) => execute(plan, &env),
        Err(failure) => failure,
    }
}

fn prepare(plan: &ProcessPlan, stdio: Stdio, channel: &UnixStream) -> Result<Vec<String>, Failure> {
    setsid().map_err(|errno| failed("start a session", errno))?;
    let user = accounts::resolve(&plan.user)?;
    take_stdio(plan, &stdio, user.uid, user.gid)?;
    plan.rlimits.iter().try_for_each(set_rlimit)?;
    if let Some(mask) = plan.umask {
        umask(Mode::from_bits_truncate(mask));
    }
    drop_bounding(&plan.capabilities.bounding)?;
    if plan.no_new_privileges {
        prctl::set_no_new_privs().map_err(|errno| failed("give up new privileges", errno))?;
    } else {
        // Without no_new_privs only a privileged process may load a filter, so it must come before the user changes;
        // the profile then has to allow what follows, as the default one does.
        load_filter(plan)?;
    }
    prctl::set_keepcaps(true).map_err(|errno| failed("keep capabilities", errno))?;
    sys::process::become_user(user.uid, user.gid, &user.additional_gids)
        .map_err(|errno| failed(format!("become user {}:{}", user.uid, user.gid), errno))?;
    set_capabilities(&plan.capabilities, user.uid)?;
    // From here on names are the user's, and `/proc/self/fd/3/..` is one (CVE-2024-21626): closing at the exec would
    // be too late even for the program's own name. The channel is a socket, which leads nowhere.
    std::mem::forget(stdio);
    sys::process::close_others(&[channel.as_fd()]).map_err(|errno| failed("close descriptors", errno))?;
    enter_directory(&plan.cwd)
        .map_err(|errno| Failure::WorkingDirectory { path: plan.cwd.clone(), errno: errno as i32 })?;
    sys::process::reset_signals().map_err(|errno| failed("reset signals", errno))?;
    if plan.no_new_privileges {
        load_filter(plan)?;
    }
    Ok(with_home(&plan.env, &user.home))
}

/// Enters `cwd`, which must lie below our root: a directory of the host would be a way out.
fn enter_directory(cwd: &Path) -> Result<(), Errno> {
    chdir(cwd)?;
    if sys::process::is_below_root()? { Ok(()) } else { Err(Errno::EXDEV) }
}

fn take_stdio(plan: &ProcessPlan, stdio: &Stdio, uid: u32, gid: u32) -> Result<(), Failure> {
    let name = |errno| failed("set up stdin, stdout and stderr", errno);
    match stdio {
        Stdio::Three(three) => {
            for (fd, target) in three.iter().zip(0..) {
                sys::process::put_at(fd, target).map_err(name)?;
                // A pipe belongs to who made it; the user must be able to open /dev/stdout again.
                let _ = is_pipe(fd).then(|| fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))));
            }
        }
        Stdio::Terminal(terminal) => {
            sys::terminal::make_controlling(terminal).map_err(name)?;
            if let Some(size) = plan.terminal {
                sys::terminal::resize(terminal, size).map_err(name)?;
            }
            let _ = fchown(terminal, Some(Uid::from_raw(uid)), None);
            (0..3).try_for_each(|target| sys::process::put_at(terminal, target)).map_err(name)?;
        }
    }
    Ok(())
}

fn is_pipe(fd: impl AsFd) -> bool {
    nix::sys::stat::fstat(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFIFO)
}

/// Sets a limit; where we may not raise it, as high as we may.
fn set_rlimit(limit: &Rlimit) -> Result<(), Failure> {
    let name = |errno| failed(format!("set {:?}", limit.resource), errno);
    match setrlimit(limit.resource, limit.soft, limit.hard) {
        Err(Errno::EPERM) => {
            let (_, hard) = getrlimit(limit.resource).map_err(name)?;
            let hard = hard.min(limit.hard);
            setrlimit(limit.resource, limit.soft.min(hard), hard).map_err(name)
        }
        other => other.map_err(name),
    }
}

fn drop_bounding(kept: &CapsHashSet) -> Result<(), Failure> {
    let supported = caps::runtime::thread_all_supported();
    let dropped = supported.difference(kept);
    dropped
        .into_iter()
        .try_for_each(|&capability| caps::drop(None, CapSet::Bounding, capability))
        .map_err(|_| failed("drop capabilities from the bounding set", Errno::last()))
}

/// The order keeps each set within what the kernel allows at that moment: inheritable while all is permitted,
/// permitted after effective, ambient last (it is bounded by both).
fn set_capabilities(plan: &CapabilityPlan, uid: u32) -> Result<(), Failure> {
    let own = caps::read(None, CapSet::Permitted).map_err(|_| failed("read capabilities", Errno::last()))?;
    let within = |set: &CapsHashSet| -> CapsHashSet { set.intersection(&own).copied().collect() };
    // A program of another user than root loses these at exec anyway; without them it cannot even try before.
    let ambient = within(&plan.ambient);
    let permitted = if uid == 0 { within(&plan.permitted) } else { ambient.clone() };
    let effective = permitted.intersection(&plan.effective).copied().collect();
    let steps = [
        (CapSet::Inheritable, within(&plan.inheritable)),
        (CapSet::Effective, effective),
        (CapSet::Permitted, permitted),
        (CapSet::Ambient, ambient),
    ];
    for (set, value) in steps {
        caps::set(None, set, &value)
            .map_err(|_| failed(format!("set {set:?} capabilities"), Errno::last()))?;
    }
    Ok(())
}

fn load_filter(plan: &ProcessPlan) -> Result<(), Failure> {
    let Some(program) = &plan.seccomp else { return Ok(()) };
    sys::seccomp::load(program).map_err(|errno| failed("load the seccomp filter", errno))
}

fn with_home(env: &[String], home: &str) -> Vec<String> {
    let mut env = env.to_vec();
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        env.push(format!("HOME={home}"));
    }
    env
}

/// execvp(3) with the *container's* environment: each directory of its `PATH` in turn.
fn execute(plan: &ProcessPlan, env: &[String]) -> Failure {
    let command = plan.args[0].clone();
    let args: Vec<CString> = plan.args.iter().filter_map(|arg| CString::new(arg.as_str()).ok()).collect();
    let environment: Vec<CString> =
        env.iter().filter_map(|entry| CString::new(entry.as_str()).ok()).collect();
    let mut refused = Errno::ENOENT;
    for candidate in candidates(&command, env) {
        let Ok(path) = CString::new(candidate) else { continue };
        let Err(errno) = execve(&path, &args, &environment);
        // The file itself may be there, and what it asks for to interpret it may not.
        let absent = matches!(errno, Errno::ENOENT | Errno::ENOTDIR)
            && access(path.as_c_str(), AccessFlags::F_OK).is_err();
        if errno == Errno::EACCES {
            refused = errno;
        } else if !absent {
            return Failure::CommandNotExecutable { command, errno: errno as i32 };
        }
    }
    if refused == Errno::ENOENT {
        return Failure::CommandNotFound { command };
    }
    Failure::CommandNotExecutable { command, errno: refused as i32 }
}

fn candidates(command: &str, env: &[String]) -> Vec<String> {
    if command.contains('/') {
        return vec![command.into()];
    }
    let path = env.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    let path = path.unwrap_or(crate::defaults::PATH.trim_start_matches("PATH="));
    let directories = path.split(':').map(|directory| if directory.is_empty() { "." } else { directory });
    directories.map(|directory| Path::new(directory).join(command).display().to_string()).collect()
}
