//! Making, watching and signalling processes: clone3(2), pidfds, and what a child must shed before it executes
//! a stranger's program.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// From linux/sched.h; libc's own constant does not fit its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// How many signals there are, and the bytes of a set of them, as the kernel counts.
const SIGNAL_MAX: i32 = 64;
const SIGNAL_SET_BYTES: usize = 8;

/// The longest path that the kernel gives, its end included (`PATH_MAX`).
const PATH_MAX_BYTES: usize = 4096;

/// The exit code of a child whose body panicked.
const PANICKED: i32 = 70;

/// A process that this one has made.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
}

/// Forks into new `namespaces` (and, on cgroup v2, straight into `cgroup`); the child runs `body` and exits with
/// what it returns. The caller's process must have one thread only: the child may then allocate and lock freely.
pub(crate) fn spawn(
    namespaces: CloneFlags,
    cgroup: Option<BorrowedFd<'_>>,
    body: impl FnOnce() -> i32,
) -> Result<Child, Errno> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is a plain struct of integers, for which all zeroes is valid and means "nothing asked".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from(namespaces.bits().cast_unsigned()) | libc::CLONE_PIDFD.cast_unsigned() as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD.unsigned_abs().into();
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd().unsigned_abs().into();
    }
    // SAFETY: args outlives the call and its size is given; no stack is passed, so this behaves like fork(2): the
    // child has its own copy of all memory. There is one thread, so no lock can be held by a thread that is gone.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) };
    match Errno::result(pid)? {
        0 => {
            let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(PANICKED);
            // SAFETY: _exit never returns and runs no destructor of state that the child shares with its parent.
            unsafe { libc::_exit(code) }
        }
        pid => {
            // SAFETY: with CLONE_PIDFD the kernel has installed this descriptor for the parent alone.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Child { pid: Pid::from_raw(i32::try_from(pid).map_err(|_| Errno::EOVERFLOW)?), pidfd })
        }
    }
}

/// A descriptor for a process that exists already; it becomes readable when the process ends.
pub(crate) fn pidfd_open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: takes two integers, returns a descriptor or an error.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: the kernel has just installed this descriptor, close-on-exec, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).map_err(|_| Errno::EOVERFLOW)?) })
}

/// Sends `signal` (a number, so that real-time signals can be sent) to exactly the process behind `pidfd`.
pub(crate) fn pidfd_signal(pidfd: impl AsFd, signal: i32) -> Result<(), Errno> {
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: a null siginfo asks the kernel to fill it in as kill(2) does.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    Errno::result(sent).map(drop)
}

/// Waits for a child's end and takes its status.
pub(crate) fn wait(pidfd: impl AsFd) -> Result<WaitStatus, Errno> {
    loop {
        match waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Closes every descriptor from 3 up except `kept`.
pub(crate) fn close_others(kept: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut kept: Vec<u32> =
        kept.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).filter(|&fd| fd > 2).collect();
    kept.sort_unstable();
    let mut from = 3;
    for fd in kept {
        if fd > from {
            close_range(from, fd - 1, 0)?;
        }
        from = fd + 1;
    }
    close_range(from, u32::MAX, 0)
}

/// Whether the working directory lies below our root. The kernel's own answer: libc's `getcwd` looks for another way
/// when the kernel says `(unreachable)`.
pub(crate) fn is_below_root() -> Result<bool, Errno> {
    let mut path = [0u8; PATH_MAX_BYTES];
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    Errno::result(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) })?;
    Ok(path.starts_with(b"/"))
}
fn close_range(first: u32, last: u32, flags: u32) -> Result<(), Errno> {
    // SAFETY: takes integers. Owners of the closed descriptors are never dropped: callers live in a forked child
    // that ends by _exit or exec.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(drop)
}

/// Puts every signal back to its default and blocks none: what is ignored (as Rust ignores SIGPIPE) or blocked
/// would stay so across the exec.
pub(crate) fn reset_signals() -> Result<(), Errno> {
    // The kernel's struct sigaction of any architecture, all zeroes: SIG_DFL without flags. The raw call, because
    // libc keeps two real-time signals from us that whoever started us may have ignored.
    let default = [0u64; 4];
    for signal in (1..=SIGNAL_MAX).filter(|&signal| signal != libc::SIGKILL && signal != libc::SIGSTOP) {
        let (new, old) = (default.as_ptr(), std::ptr::null_mut::<u64>());
        // SAFETY: `new` points to at least as many readable bytes as the kernel's struct has; the default disposition
        // runs no code of ours.
        Errno::result(unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, new, old, SIGNAL_SET_BYTES) })?;
    }
    nix::sys::signal::SigSet::empty().thread_set_mask()
}

/// Stays alive when the terminal that we were started from goes away.
pub(crate) fn ignore_hangup() -> Result<(), Errno> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) }.map(drop)
}

/// Makes descriptor `target` (0, 1 or 2) the same as `fd`.
pub(crate) fn put_at(fd: impl AsFd, target: RawFd) -> Result<(), Errno> {
    let fd = fd.as_fd().as_raw_fd();
    if fd == target {
        // SAFETY: clears the close-on-exec flag of a descriptor that the caller holds.
        return Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }).map(drop);
    }
    // SAFETY: 0, 1 and 2 are owned by nobody in Rust's sense; replacing them is what the caller asks for.
    Errno::result(unsafe { libc::dup2(fd, target) }).map(drop)
}

/// setgroups, setresgid, setresuid by raw calls: one thread needs none of libc's broadcasting to others.
pub(crate) fn become_user(uid: u32, gid: u32, additional_gids: &[u32]) -> Result<(), Errno> {
    // SAFETY: the pointer and length describe a live slice of gid_t.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_setgroups, additional_gids.len(), additional_gids.as_ptr())
    })?;
    // SAFETY: takes integers.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    // SAFETY: takes integers.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}
