//! The launcher process: one thread, one loop, all of a node's containers. It forks monitors and sandboxes, answers
//! clients, and keeps nothing that is not on disk as well: it may be killed at any moment, and the next one on the
//! same state directory goes on (`adopt`).
//!
//! Requests are answered in turn. What takes long is done by a forked process whose end the loop waits for.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::stat::{Mode, umask};

use crate::cgroup::{self, Layout};
use crate::protocol::{ContainerState, Event, Failure, Reply, Request, SandboxSpec};
use crate::seccomp::Cache;
use crate::state::{ContainerRecord, StateDir};
use crate::{monitor, sys, wire};

mod adopt;
mod chores;
mod containers;
mod executions;
mod sandboxes;
mod seal;
mod shutdown;
mod sweep;

pub use sweep::sweep;

/// The most connections at once: an agent needs a handful.
const CLIENTS_MAX: usize = 64;

/// The most containers of one launcher, the ended ones included.
const CONTAINERS_MAX: usize = 4096;

/// How long one client may keep the loop waiting, in the middle of a request or of reading an answer. All clients
/// are root's own; one that hangs is dropped and connects again.
const CLIENT_PATIENCE: Duration = Duration::from_secs(2);

/// What a launcher needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen: a unix socket of mode 0600. A stale one is replaced. Its directory must exist.
    pub socket: PathBuf,
    /// Where sandboxes, containers and exits are recorded; made if missing. Only one launcher may use it at a time.
    pub state_dir: PathBuf,
    /// The cgroup under which everything is made, relative to each hierarchy's root, e.g. `minikube-ish/demo/node-1`.
    pub cgroup_root: String,
}

/// Why a launcher could not start or go on.
#[derive(Debug, thiserror::Error)]
#[expect(clippy::error_impl_error, reason = "read with its module: `launcher::Error`, as `io::Error`")]
pub enum Error {
    /// It forks, and nothing forks in a process that has threads.
    #[error("the launcher's process has {threads} threads; it must be started as the only one")]
    Threads {
        /// How many there are.
        threads: usize,
    },
    /// Only root can make containers here.
    #[error("the launcher must run as root")]
    NotRoot,
    /// What another launcher left could not be removed.
    #[error("cannot remove what a launcher left")]
    Sweep(#[source] cgroup::Error),
    /// There are no control groups.
    #[error("no cgroup hierarchy is mounted")]
    NoCgroups,
    /// The path of the root cgroup is not a relative path of plain names.
    #[error("{path:?} is not a relative cgroup path")]
    CgroupRoot {
        /// As configured.
        path: String,
    },
    /// The state directory cannot be used.
    #[error("cannot use state directory {path:?}")]
    State {
        /// As configured.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Another launcher lives.
    #[error("another launcher uses {path:?}")]
    InUse {
        /// The state directory.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error("cannot listen on {path:?}")]
    Listen {
        /// As configured.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel does not let us wait, or protect ourselves.
    #[error("cannot {what}")]
    Kernel {
        /// What failed.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
}

/// The whole life of a launcher process: returns after a `shutdown` request. Call it first thing in a fresh process,
/// before any thread exists: it forks.
pub fn run(config: &Config) -> Result<(), Error> {
    check_process()?;
    seal::seal()?;
    settle()?;
    let layout = read_layout().ok_or(Error::NoCgroups)?;
    check_cgroup_root(&config.cgroup_root)?;
    let state_error = |source| Error::State { path: config.state_dir.clone(), source };
    let state = StateDir::create(&config.state_dir).map_err(state_error)?;
    let _lock = lock(&state)?;
    let mut launcher = Launcher {
        config: config.clone(),
        layout,
        listener: listen(&config.socket)?,
        clients: BTreeMap::new(),
        sandboxes: BTreeMap::new(),
        containers: BTreeMap::new(),
        executions: BTreeMap::new(),
        chores: BTreeMap::new(),
        seccomp: Cache::default(),
        next_number: 0,
        ended: false,
        state,
    };
    launcher.adopt().map_err(state_error)?;
    launcher.serve()
}

fn check_process() -> Result<(), Error> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let threads = fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads != 1 {
        return Err(Error::Threads { threads });
    }
    // A terminal that closes must not take containers with it. Already leading a session is as good.
    let _ = nix::unistd::setsid();
    Ok(())
}

/// What every fork inherits until it executes. A process inside a container must not reach our memory or our
/// descriptors through /proc while one of ours is still on its way in (CVE-2016-9962).
fn settle() -> Result<(), Error> {
    // What is made for a container is for its users to enter, whatever umask we were started with.
    umask(Mode::from_bits_truncate(0o022));
    sys::process::ignore_hangup()
        .map_err(|source| Error::Kernel { what: "ignore a terminal's end", source })?;
    // Each container takes a few descriptors. As many as may be; containers have their own limit from their spec.
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    raised.map_err(|source| Error::Kernel { what: "raise the limit of open files", source })?;
    nix::sys::prctl::set_dumpable(false)
        .map_err(|source| Error::Kernel { what: "hide from containers", source })
}

/// The layout of this machine's control groups.
pub(crate) fn read_layout() -> Option<Layout> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    cgroup::layout::layout(&mountinfo, &controllers)
}

fn check_cgroup_root(path: &str) -> Result<(), Error> {
    let plain = path.split('/').all(|name| crate::plan::check_id("cgroup_root", name).is_ok());
    if plain { Ok(()) } else { Err(Error::CgroupRoot { path: path.into() }) }
}

/// A POSIX lock: unlike flock(2)'s it is not inherited by the processes that we fork and that outlive us.
fn lock(state: &StateDir) -> Result<fs::File, Error> {
    let state_error = |source| Error::State { path: state.root().into(), source };
    let file = fs::File::create(state.root().join("launcher.lock")).map_err(state_error)?;
    let whole = libc::flock {
        l_type: libc::F_WRLCK.try_into().unwrap_or_default(),
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETLK(&whole)) {
        Ok(_) => Ok(file),
        Err(Errno::EAGAIN | Errno::EACCES) => Err(Error::InUse { path: state.root().into() }),
        Err(errno) => Err(state_error(errno.into())),
    }
}

fn listen(socket: &Path) -> Result<UnixListener, Error> {
    // We hold the state's lock: whoever made this socket is gone.
    let _ = fs::remove_file(socket);
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(socket);
    umask(before);
    bound.map_err(|source| Error::Listen { path: socket.into(), source })
}

/// Everything that the launcher has in hand.
#[derive(Debug)]
struct Launcher {
    config: Config,
    layout: Layout,
    state: StateDir,
    listener: UnixListener,
    clients: BTreeMap<u64, Client>,
    sandboxes: BTreeMap<String, SandboxEntry>,
    containers: BTreeMap<String, ContainerEntry>,
    executions: BTreeMap<u64, ExecutionEntry>,
    chores: BTreeMap<u64, chores::Chore>,
    seccomp: Cache,
    next_number: u64,
    ended: bool,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    subscribed: bool,
}

#[derive(Debug)]
struct SandboxEntry {
    spec: SandboxSpec,
    pid: i32,
    /// The waiting process; none once it is dead.
    process: Option<OwnedFd>,
    removing: bool,
}

#[derive(Debug)]
struct ContainerEntry {
    record: ContainerRecord,
    state: ContainerState,
    /// Its monitor, while that lives.
    monitor: Option<OwnedFd>,
    /// Its first process, while that runs.
    init: Option<OwnedFd>,
    /// Where its monitor reports, if this launcher forked it.
    report: Option<UnixStream>,
    /// Who waits for its start.
    asker: Option<u64>,
    removing: bool,
}

#[derive(Debug)]
struct ExecutionEntry {
    process: OwnedFd,
    report: Option<UnixStream>,
    asker: u64,
    outcome: Option<OwnedFd>,
}

/// Whose descriptor is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Listener,
    Client(u64),
    Report(String),
    Monitor(String),
    Sandbox(String),
    ExecutionReport(u64),
    Execution(u64),
    Chore(u64),
}

impl Launcher {
    fn serve(mut self) -> Result<(), Error> {
        while !self.ended {
            for source in self.wait()? {
                self.handle(source);
            }
        }
        let _ = fs::remove_file(&self.config.socket);
        Ok(())
    }

    fn wait(&self) -> Result<Vec<Source>, Error> {
        let sources = self.sources();
        let mut waiting: Vec<PollFd<'_>> =
            sources.iter().map(|(_, fd)| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(source) => return Err(Error::Kernel { what: "wait for events", source }),
        }
        let ready = waiting.iter().map(|fd| fd.any().unwrap_or(false)).collect::<Vec<_>>();
        Ok(sources
            .into_iter()
            .zip(ready)
            .filter(|(_, ready)| *ready)
            .map(|((source, _), _)| source)
            .collect())
    }

    fn sources(&self) -> Vec<(Source, BorrowedFd<'_>)> {
        let mut sources = vec![(Source::Listener, self.listener.as_fd())];
        for (id, entry) in &self.containers {
            let report = entry.report.as_ref().map(|fd| (Source::Report(id.clone()), fd.as_fd()));
            let monitor = entry.monitor.as_ref().map(|fd| (Source::Monitor(id.clone()), fd.as_fd()));
            sources.extend(report.into_iter().chain(monitor));
        }
        for (id, entry) in &self.sandboxes {
            sources.extend(entry.process.as_ref().map(|fd| (Source::Sandbox(id.clone()), fd.as_fd())));
        }
        for (number, entry) in &self.executions {
            let report = entry.report.as_ref().map(|fd| (Source::ExecutionReport(*number), fd.as_fd()));
            sources.extend(report.into_iter().chain([(Source::Execution(*number), entry.process.as_fd())]));
        }
        sources.extend(
            self.chores.iter().map(|(number, chore)| (Source::Chore(*number), chore.process.as_fd())),
        );
        sources.extend(
            self.clients.iter().map(|(number, client)| (Source::Client(*number), client.stream.as_fd())),
        );
        sources
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Listener => self.accept(),
            Source::Client(number) => self.hear_client(number),
            Source::Report(id) => self.hear_monitor(&id),
            Source::Monitor(id) => self.monitor_ended(&id),
            Source::Sandbox(id) => self.sandbox_ended(&id),
            Source::ExecutionReport(number) => self.hear_execution(number),
            Source::Execution(number) => self.execution_ended(number),
            Source::Chore(number) => self.chore_ended(number),
        }
    }

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        let root = getsockopt(&stream, sockopt::PeerCredentials).is_ok_and(|peer| peer.uid() == 0);
        let patient = stream
            .set_read_timeout(Some(CLIENT_PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(CLIENT_PATIENCE)));
        if !root || patient.is_err() || self.clients.len() >= CLIENTS_MAX {
            tracing::warn!(root, clients = self.clients.len(), "connection refused");
            return;
        }
        let number = self.number();
        self.clients.insert(number, Client { stream, subscribed: false });
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn hear_client(&mut self, number: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        match wire::receive::<Request>(&client.stream) {
            Ok((Request::Subscribe, _)) => {
                client.subscribed = true;
                self.reply(number, &Reply::Done);
            }
            Ok((request, fds)) => {
                if let Some(reply) = self.answer(number, request, fds) {
                    self.reply(number, &reply);
                }
            }
            Err(error) => {
                if !matches!(error, wire::Error::Closed) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "client dropped");
                }
                self.clients.remove(&number);
            }
        }
    }

    /// The answer, if it can be given now.
    fn answer(&mut self, asker: u64, request: Request, fds: Vec<OwnedFd>) -> Option<Reply> {
        let answered = match request {
            Request::CreateSandbox(spec) => {
                self.create_sandbox(*spec).map(|sandbox| Some(Reply::Sandbox(sandbox)))
            }
            Request::RemoveSandbox { id } => self.remove_sandbox(asker, &id).map(|()| None),
            Request::Start(spec) => self.start(asker, *spec).map(|()| None),
            Request::Signal { id, signal } => self.signal(&id, signal).map(|()| Some(Reply::Done)),
            Request::Remove { id } => self.remove(asker, &id).map(|()| None),
            Request::Exec(spec) => self.execute(asker, &spec, fds).map(|()| None),
            Request::List => Ok(Some(Reply::Listing(self.listing()))),
            Request::Stats { id } => self.stats(&id).map(|stats| Some(Reply::Stats(stats))),
            Request::Subscribe => Ok(Some(Reply::Done)),
            Request::Shutdown { kill } => {
                self.shut_down(kill);
                Ok(Some(Reply::Done))
            }
        };
        answered.unwrap_or_else(|failure| Some(Reply::Failed(failure)))
    }

    /// Whether the client was still there to be told.
    fn reply(&mut self, number: u64, reply: &Reply) -> bool {
        self.reply_with(number, reply, &[])
    }

    fn reply_with(&mut self, number: u64, reply: &Reply, fds: &[BorrowedFd<'_>]) -> bool {
        let Some(client) = self.clients.get(&number) else { return false };
        let told = wire::send(&client.stream, reply, fds).is_ok();
        if !told {
            self.clients.remove(&number);
        }
        told
    }

    /// Tells every subscriber. One that does not read is dropped: it will connect again and list.
    fn publish(&mut self, event: &Event) {
        self.clients.retain(|_, client| !client.subscribed || wire::send(&client.stream, event, &[]).is_ok());
    }
}

fn not_found(kind: &str, id: &str) -> Failure {
    Failure::NotFound { kind: kind.into(), id: id.into() }
}

fn exists(kind: &str, id: &str) -> Failure {
    Failure::AlreadyExists { kind: kind.into(), id: id.into() }
}

fn in_use(kind: &str, id: &str) -> Failure {
    Failure::InUse { kind: kind.into(), id: id.into() }
}

fn io_failed(step: String, error: &io::Error) -> Failure {
    Failure::Step { step, errno: error.raw_os_error().unwrap_or(libc::EIO) }
}

fn cgroup_failed(error: &cgroup::Error) -> Failure {
    Failure::Step { step: error.to_string(), errno: error.errno() }
}
