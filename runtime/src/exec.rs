//! One more process in a running container: a small process of its own enters the container's namespaces, is the
//! parent of the program, and writes how it ended on a pipe that the asker holds. If the asker goes away, so does
//! the program.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, fstat, major, minor};
use nix::unistd::setsid;
use serde::{Deserialize, Serialize};

use crate::cgroup::{Cgroup, Layout};
use crate::confine::{Stdio, become_program};
use crate::monitor::{exit_of, let_go};
use crate::plan::ProcessPlan;
use crate::protocol::{ExecOutcome, Failure};
use crate::rootfs::Rootfs;
use crate::setup::{Word, await_leave, failed, io_errno};
use crate::{clock, sys, wire};

const NEVER_RAN: i32 = 127;

/// What it tells the launcher, once; a terminal's master comes beside.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    Executed { pid: i32 },
    Failed(Failure),
}

/// All that it needs.
#[derive(Debug)]
pub(crate) struct Execution<'a> {
    pub(crate) plan: &'a ProcessPlan,
    pub(crate) layout: &'a Layout,
    pub(crate) cgroup: &'a str,
    /// The container's first process.
    pub(crate) init: &'a OwnedFd,
    /// stdin, stdout, stderr; unused with a terminal.
    pub(crate) stdio: [OwnedFd; 3],
    /// Where its end is written.
    pub(crate) outcome: OwnedFd,
    pub(crate) report: UnixStream,
}

impl Execution<'_> {
    /// The whole life of the small process.
    pub(crate) fn run(self) -> i32 {
        let _ = nix::sys::prctl::set_name(c"mki-exec");
        let _ = setsid();
        let mut kept = vec![self.report.as_fd(), self.init.as_fd(), self.outcome.as_fd()];
        kept.extend(self.stdio.iter().map(AsFd::as_fd));
        if sys::process::close_others(&kept).is_err() {
            return NEVER_RAN;
        }
        let started_at = clock::now();
        match self.start() {
            Ok((child, terminal)) => {
                let terminal: Vec<_> = terminal.iter().map(AsFd::as_fd).collect();
                let report = Report::Executed { pid: child.pid.as_raw() };
                let told = wire::send(&self.report, &report, &terminal);
                // Only the program and the asker hold its streams from here on: each must see the other's end.
                let Self { stdio, outcome, report, .. } = self;
                drop((stdio, report));
                see_to_the_end(&child, outcome, started_at, told.is_err());
            }
            Err(failure) => drop(wire::send(&self.report, &Report::Failed(failure), &[])),
        }
        0
    }

    fn start(&self) -> Result<(sys::process::Child, Option<OwnedFd>), Failure> {
        let (ours, theirs) =
            UnixStream::pair().map_err(|error| failed("make a channel", io_errno(&error)))?;
        // A pid namespace is entered by children only.
        setns(self.init, CloneFlags::CLONE_NEWPID)
            .map_err(|errno| failed("enter the pid namespace", errno))?;
        let cgroup = Cgroup::new(self.layout, self.cgroup);
        let into = cgroup.for_clone();
        let child = sys::process::spawn(CloneFlags::empty(), into.as_ref().map(AsFd::as_fd), || {
            let failure = self.become_process(&theirs);
            let _ = wire::send(&theirs, &Word::Failed(failure), &[]);
            NEVER_RAN
        });
        let child = child.map_err(|errno| failed("clone the process", errno))?;
        drop(theirs);
        let heard = let_go(&child, &cgroup, self.plan.oom_score_adj, self.layout, &ours);
        match heard {
            Ok(terminal) => Ok((child, terminal)),
            Err(failure) => {
                drop(ours);
                let _ = sys::process::wait(&child.pidfd);
                Err(failure)
            }
        }
    }

    /// In the child: enters the container and becomes the program. Comes back only to say what failed.
    fn become_process(&self, channel: &UnixStream) -> Failure {
        let mut kept = vec![channel.as_fd(), self.init.as_fd()];
        kept.extend(self.stdio.iter().map(AsFd::as_fd));
        if let Err(errno) = sys::process::close_others(&kept) {
            return failed("close descriptors", errno);
        }
        let stdio = await_leave(channel).and_then(|()| self.enter(channel));
        match stdio {
            Ok(stdio) => become_program(self.plan, stdio, channel),
            Err(failure) => failure,
        }
    }

    fn enter(&self, channel: &UnixStream) -> Result<Stdio, Failure> {
        let namespaces = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWCGROUP;
        setns(self.init, namespaces).map_err(|errno| failed("enter the container", errno))?;
        if self.plan.terminal.is_none() {
            let copies = [&self.stdio[0], &self.stdio[1], &self.stdio[2]].map(OwnedFd::try_clone);
            let [Ok(stdin), Ok(stdout), Ok(stderr)] = copies else {
                return Err(failed("take stdin, stdout and stderr", Errno::EMFILE));
            };
            return Ok(Stdio::Three([stdin, stdout, stderr]));
        }
        let (master, slave) = open_terminal().map_err(|errno| failed("open a terminal", errno))?;
        wire::send(channel, &Word::Terminal, &[master.as_fd()])
            .map_err(|_| failed("hand the terminal over", Errno::EPIPE))?;
        Ok(Stdio::Terminal(slave))
    }
}

/// A terminal of the container's devpts. The container may have put something else there: what is not the kernel's
/// pty multiplexer is refused before anything is asked of it.
fn open_terminal() -> Result<(OwnedFd, OwnedFd), Errno> {
    let root = Rootfs::open(Path::new("/"))?;
    let path = Path::new("/dev/pts/ptmx");
    let stat = fstat(root.find(path)?)?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFCHR || (major(stat.st_rdev), minor(stat.st_rdev)) != (5, 2) {
        return Err(Errno::ENXIO);
    }
    let master = root.open_inside(path, OFlag::O_RDWR | OFlag::O_NOCTTY, Mode::empty())?;
    let slave = sys::terminal::peer(&master)?;
    Ok((master, slave))
}

/// Waits for the program's end and tells it; ends the program if nobody is left to tell.
fn see_to_the_end(child: &sys::process::Child, outcome: OwnedFd, started_at: jiff::Timestamp, unheard: bool) {
    if unheard || !ends_before_asker(child, &outcome) {
        let _ = sys::process::pidfd_signal(&child.pidfd, libc::SIGKILL);
    }
    let status = sys::process::wait(&child.pidfd);
    let exit = exit_of(status, 0, started_at, clock::now());
    if let Ok(text) = serde_json::to_vec(&ExecOutcome::Exited(exit)) {
        let _ = File::from(outcome).write_all(&text);
    }
}

/// Waits until the program ends (true) or the asker closes its end of the pipe (false).
fn ends_before_asker(child: &sys::process::Child, outcome: &OwnedFd) -> bool {
    loop {
        let mut waiting = [
            PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(outcome.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut waiting, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(_) => return false,
            Ok(_) => {}
        }
        if waiting[0].any().unwrap_or(false) {
            return true;
        }
        if waiting[1].revents().is_some_and(|events| !events.is_empty()) {
            return false;
        }
    }
}
