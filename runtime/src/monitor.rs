//! The small process that stands behind each container: forked from the launcher, parent of the container's first
//! process, keeper of its log and of its exit. It needs nobody: the launcher and the agent may die and come back.
//!
//!     set up ──▶ running ──▶ exited        each written to `state.json` before anybody is told
//!         └────▶ failed

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, getpid, pipe2, setsid};
use serde::{Deserialize, Serialize};

use crate::cgroup::{Cgroup, Layout};
use crate::confine::{Stdio, become_program};
use crate::plan::LaunchPlan;
use crate::protocol::{ContainerSpec, ContainerState, Exit, Failure, Started};
use crate::setup::{Setup, Word, failed, io_errno, open_null};
use crate::state::{self, ProcessRef, StateRecord};
use crate::{clock, sys, wire};

use output::Output;

mod output;

/// Exit code of a process that could not become the user's program; nobody reads it.
const NEVER_RAN: i32 = 127;

/// What a monitor tells its launcher, if that still lives.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// A descriptor for the first process comes beside.
    Started(Started),
    Failed(Failure),
    Exited(Exit),
}

/// All that a monitor needs.
#[derive(Debug)]
pub(crate) struct Monitor<'a> {
    pub(crate) spec: &'a ContainerSpec,
    pub(crate) plan: &'a LaunchPlan,
    pub(crate) layout: &'a Layout,
    pub(crate) cgroup: &'a str,
    /// The container's folder.
    pub(crate) folder: &'a Path,
    pub(crate) sandbox: &'a OwnedFd,
    pub(crate) report: UnixStream,
}

/// A container that runs.
#[derive(Debug)]
struct Running {
    init: sys::process::Child,
    output: Output,
    started: Started,
    reserved: Option<File>,
    /// Held for as long as the container lives.
    _layers: Vec<File>,
}

/// The ends of a container's stdio that stay with the monitor, and those that go.
#[derive(Debug)]
struct Wiring {
    inside: Option<[OwnedFd; 3]>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    /// Held so that a reader of stdin waits instead of seeing its end.
    stdin: Option<OwnedFd>,
}

/// Takes a shared lock (`flock(2)`) on each layer: whoever keeps layers removes none that is locked, and the lock
/// lives and dies with this process, whatever becomes of launcher and agent.
fn pin(layers: &[PathBuf]) -> Result<Vec<File>, Failure> {
    let pin = |path: &PathBuf| {
        let layer = File::open(path)?;
        layer.lock_shared()?;
        Ok(layer)
    };
    let missing = |path: &Path, error: &std::io::Error| Failure::LayerMissing {
        path: path.to_owned(),
        errno: io_errno(error) as i32,
    };
    layers.iter().map(|path| pin(path).map_err(|error| missing(path, &error))).collect()
}

impl Monitor<'_> {
    /// The monitor's whole life.
    pub(crate) fn run(self) -> i32 {
        let _ = nix::sys::prctl::set_name(c"mki-monitor");
        let _ = setsid();
        let kept = [self.report.as_fd(), self.sandbox.as_fd()];
        if sys::process::close_others(&kept).is_err() {
            return NEVER_RAN;
        }
        let cgroup = Cgroup::new(self.layout, self.cgroup);
        match self.start(&cgroup) {
            Ok(running) => self.watch(running, &cgroup),
            Err(failure) => {
                cgroup.kill();
                self.record(None, ContainerState::Failed(failure.clone()), None);
                let _ = wire::send(&self.report, &Report::Failed(failure), &[]);
            }
        }
        if let Err(error) = cgroup.remove() {
            tracing::warn!(
                container = self.spec.id,
                error = &error as &dyn std::error::Error,
                "cgroup stays"
            );
        }
        0
    }

    fn start(&self, cgroup: &Cgroup<'_>) -> Result<Running, Failure> {
        self.record(None, ContainerState::Starting, None);
        let layers = pin(&self.spec.lower_dirs)?;
        let reserved = state::reserve(self.folder, "state.json");
        let reserved = reserved.map_err(|error| failed("reserve room for the exit", io_errno(&error)))?;
        let resources = self.spec.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
        cgroup
            .create(resources)
            .map_err(|error| failed(error.to_string(), Errno::from_raw(error.errno())))?;
        let mut wiring = self.wire()?;
        let (ours, theirs) =
            UnixStream::pair().map_err(|error| failed("make a channel", io_errno(&error)))?;
        let init = self.clone_init(cgroup, &mut wiring, &theirs)?;
        drop((theirs, wiring.inside.take()));
        let terminal = let_go(&init, cgroup, self.plan.process.oom_score_adj, self.layout, &ours)?;
        let started = Started { pid: init.pid.as_raw(), started_at: clock::now() };
        self.record(Some(init.pid), ContainerState::Running(started.clone()), None);
        let _ = wire::send(&self.report, &Report::Started(started.clone()), &[init.pidfd.as_fd()]);
        let output =
            Output::new(self.spec.log.clone(), terminal.or(wiring.stdout), wiring.stderr, wiring.stdin);
        Ok(Running { init, output, started, reserved: Some(reserved), _layers: layers })
    }

    fn clone_init(
        &self,
        cgroup: &Cgroup<'_>,
        wiring: &mut Wiring,
        channel: &UnixStream,
    ) -> Result<sys::process::Child, Failure> {
        let namespaces = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
        let into = cgroup.for_clone();
        let mount_point = self.folder.join("rootfs");
        let inside = wiring.inside.take();
        sys::process::spawn(namespaces, into.as_ref().map(AsFd::as_fd), || {
            let failure = self.become_init(channel, &mount_point, inside);
            let _ = wire::send(channel, &Word::Failed(failure), &[]);
            NEVER_RAN
        })
        .map_err(|errno| failed("clone the first process", errno))
    }

    /// In the child: does all that the plan says. Comes back only to say what failed.
    fn become_init(&self, channel: &UnixStream, mount_point: &Path, inside: Option<[OwnedFd; 3]>) -> Failure {
        // The layers, the cgroup, the reports: nothing of the monitor's is the container's.
        let mut kept = vec![channel.as_fd(), self.sandbox.as_fd()];
        kept.extend(inside.iter().flatten().map(AsFd::as_fd));
        if let Err(errno) = sys::process::close_others(&kept) {
            return failed("close descriptors", errno);
        }
        let terminal = match Setup::new(self.sandbox, channel, mount_point).run(&self.plan.steps) {
            Ok(terminal) => terminal,
            Err(failure) => return failure,
        };
        match (terminal, inside) {
            (Some(terminal), _) => become_program(&self.plan.process, Stdio::Terminal(terminal), channel),
            (None, Some(three)) => become_program(&self.plan.process, Stdio::Three(three), channel),
            (None, None) => failed("find stdin, stdout and stderr", Errno::EBADF),
        }
    }

    fn wire(&self) -> Result<Wiring, Failure> {
        if self.plan.process.terminal.is_some() {
            return Ok(Wiring { inside: None, stdout: None, stderr: None, stdin: None });
        }
        let name = |errno| failed("make stdin, stdout and stderr", errno);
        let (stdin, held) = if self.spec.stdin {
            let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(name)?;
            (read, Some(write))
        } else {
            (open_null(OFlag::O_RDONLY).map_err(name)?, None)
        };
        if self.spec.log.is_none() {
            let out = open_null(OFlag::O_WRONLY).map_err(name)?;
            let err = out.try_clone().map_err(|error| name(io_errno(&error)))?;
            return Ok(Wiring { inside: Some([stdin, out, err]), stdout: None, stderr: None, stdin: held });
        }
        let (stdout, out) = pipe2(OFlag::O_CLOEXEC).map_err(name)?;
        let (stderr, err) = pipe2(OFlag::O_CLOEXEC).map_err(name)?;
        Ok(Wiring {
            inside: Some([stdin, out, err]),
            stdout: Some(stdout),
            stderr: Some(stderr),
            stdin: held,
        })
    }

    /// Keeps the log until the container has ended, then keeps and tells how.
    fn watch(&self, mut running: Running, cgroup: &Cgroup<'_>) {
        running.output.pump(&running.init.pidfd);
        let status = sys::process::wait(&running.init.pidfd);
        let finished_at = clock::now();
        // The kernel has ended every process inside before it let the first one go: no writer is left.
        running.output.drain();
        let exit = exit_of(status, cgroup.oom_kills(), running.started.started_at, finished_at);
        let record = ContainerState::Exited(exit.clone());
        self.record(Some(running.init.pid), record, running.reserved.take());
        let _ = wire::send(&self.report, &Report::Exited(exit), &[]);
    }

    fn record(&self, init: Option<Pid>, state: ContainerState, reserved: Option<File>) {
        let Some(monitor) = ProcessRef::of(getpid()) else { return };
        let record = StateRecord { monitor, init: init.and_then(ProcessRef::of), state };
        let written = match reserved {
            Some(file) => state::write_reserved(file, self.folder, "state.json", &record),
            None => state::write(self.folder, "state.json", &record),
        };
        if let Err(error) = written {
            tracing::error!(
                container = self.spec.id,
                error = &error as &dyn std::error::Error,
                "state not kept"
            );
        }
    }
}

/// Puts a fresh process where it belongs, lets it go on, and listens until it has become the user's program; gives
/// back its terminal's master. If it has died meanwhile, its own last word is the reason, not our failing on it.
pub(crate) fn let_go(
    child: &sys::process::Child,
    cgroup: &Cgroup<'_>,
    oom_score_adj: Option<i32>,
    layout: &Layout,
    channel: &UnixStream,
) -> Result<Option<OwnedFd>, Failure> {
    match admit(child.pid, cgroup, oom_score_adj, layout) {
        Ok(()) => {
            let _ = wire::send(channel, &(), &[]);
            hear_out(channel)
        }
        Err(failure) => {
            let _ = sys::process::pidfd_signal(&child.pidfd, libc::SIGKILL);
            hear_out(channel).and(Err(failure))
        }
    }
}

/// Puts a fresh process into its cgroup (on v2 it was cloned into it) and makes it likelier or less likely to be
/// killed for memory. From outside: the container's own `/proc` is not to be trusted with either.
fn admit(pid: Pid, cgroup: &Cgroup<'_>, oom_score_adj: Option<i32>, layout: &Layout) -> Result<(), Failure> {
    if let Some(score) = oom_score_adj {
        // Lowering it needs CAP_SYS_RESOURCE, which not every machine gives even to root; then it stays as it is.
        let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string());
    }
    if layout.is_v2() {
        return Ok(());
    }
    cgroup.join(pid).map_err(|error| failed(error.to_string(), Errno::from_raw(error.errno())))
}

/// Listens until the process has become the user's program, or says why not.
fn hear_out(channel: &UnixStream) -> Result<Option<OwnedFd>, Failure> {
    let mut terminal = None;
    loop {
        match wire::receive(channel) {
            Ok((Word::Terminal, mut fds)) => terminal = fds.pop(),
            Ok((Word::Failed(failure), _)) => return Err(failure),
            Err(wire::Error::Closed) => return Ok(terminal),
            Err(_) => return Err(failed("hear from the first process", Errno::EPROTO)),
        }
    }
}

/// How a process ended.
pub(crate) fn exit_of(
    status: Result<WaitStatus, Errno>,
    oom_kills: u64,
    started_at: Timestamp,
    finished_at: Timestamp,
) -> Exit {
    let (code, signal) = match status {
        Ok(WaitStatus::Exited(_, code)) => (code, None),
        Ok(WaitStatus::Signaled(_, signal, _)) => (128 + signal as i32, Some(signal as i32)),
        // Ended by a real-time signal, for which nix has no name.
        Err(_) | Ok(_) => (128 + Signal::SIGKILL as i32, Some(Signal::SIGKILL as i32)),
    };
    let oom_killed = oom_kills > 0 && code != 0;
    Exit { code, signal, oom_killed, started_at, finished_at, unobserved: status.is_err() }
}
