//! Talking to a launcher: [`Client`] asks, [`Events`] listens, [`Execution`] is one process started in a container.
//! Everything blocks, with named deadlines; what can be waited for has a descriptor. Knows nothing of containers.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;

use crate::protocol::{
    ContainerSpec, Event, ExecOutcome, ExecSpec, Exit, Failure, Listing, Reply, Request, Sandbox,
    SandboxSpec, Started, Stats,
};
use crate::setup::open_null;
use crate::wire;

/// How long one request may take before the launcher is taken for dead. Far above any real one: it covers deleting
/// a large writable layer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a request got no good answer.
#[derive(Debug, thiserror::Error)]
#[expect(clippy::error_impl_error, reason = "read with its module: `client::Error`, as `io::Error`")]
pub enum Error {
    /// Nobody listens there.
    #[error("cannot reach the launcher at {path:?}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The connection broke or said something odd: connect again, then `list`.
    #[error("lost the launcher")]
    Wire(#[from] wire::Error),
    /// The launcher answered something else than what was asked.
    #[error("the launcher gave an unexpected answer")]
    Unexpected,
    /// The launcher said no.
    #[error(transparent)]
    Refused(Failure),
    /// The executed process' monitor vanished without a word.
    #[error("the monitor of the executed process died")]
    ExecLost,
}

impl Error {
    /// The launcher's own reason, if it gave one.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        if let Self::Refused(failure) = self { Some(failure) } else { None }
    }
}

/// One connection for requests, one at a time. For several at once, open several.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects to the launcher that listens on `socket`.
    pub fn connect(socket: &Path) -> Result<Self, Error> {
        Ok(Self { stream: connect(socket)? })
    }

    /// Makes the namespaces of a group. Its network is empty: the caller wires it through [`Sandbox::netns_path`].
    pub fn create_sandbox(&mut self, spec: &SandboxSpec) -> Result<Sandbox, Error> {
        let reply = self.ask(&Request::CreateSandbox(Box::new(spec.clone())))?;
        if let Reply::Sandbox(sandbox) = reply { Ok(sandbox) } else { Err(refused(reply)) }
    }

    /// Ends a sandbox whose containers are all removed, and its cgroup.
    pub fn remove_sandbox(&mut self, id: &str) -> Result<(), Error> {
        self.ask_done(&Request::RemoveSandbox { id: id.into() })
    }

    /// Starts a container; returns when its program has been executed.
    pub fn start(&mut self, spec: ContainerSpec) -> Result<Started, Error> {
        let reply = self.ask(&Request::Start(Box::new(spec)))?;
        if let Reply::Started(started) = reply { Ok(started) } else { Err(refused(reply)) }
    }

    /// Sends a signal to a container's first process. `SIGKILL` ends every process inside, without exception.
    pub fn signal(&mut self, id: &str, signal: i32) -> Result<(), Error> {
        self.ask_done(&Request::Signal { id: id.into(), signal })
    }

    /// Forgets a container that has ended or failed, with its cgroup, its writable layer and its exit. The log stays.
    pub fn remove(&mut self, id: &str) -> Result<(), Error> {
        self.ask_done(&Request::Remove { id: id.into() })
    }

    /// Everything that is not removed.
    pub fn list(&mut self) -> Result<Listing, Error> {
        let reply = self.ask(&Request::List)?;
        if let Reply::Listing(listing) = reply { Ok(listing) } else { Err(refused(reply)) }
    }

    /// What a running container uses.
    pub fn stats(&mut self, id: &str) -> Result<Stats, Error> {
        let reply = self.ask(&Request::Stats { id: id.into() })?;
        if let Reply::Stats(stats) = reply { Ok(stats) } else { Err(refused(reply)) }
    }

    /// Runs one more process in a container. With `spec.terminal` the given descriptors are ignored and
    /// [`Execution::terminal`] is the way in and out; without, the process gets `stdio`.
    pub fn exec(&mut self, spec: &ExecSpec, stdio: &ExecStdio) -> Result<Execution, Error> {
        let null = open_null(OFlag::O_RDWR).map_err(|errno| wire::Error::Io(errno.into()))?;
        let fds = [&stdio.stdin, &stdio.stdout, &stdio.stderr];
        let fds = fds.map(|fd| fd.as_ref().map_or(null.as_fd(), AsFd::as_fd));
        wire::send(&self.stream, &Request::Exec(spec.clone()), &fds)?;
        let (reply, mut fds) = wire::receive(&self.stream)?;
        let Reply::Executed { pid } = reply else { return Err(refused(reply)) };
        if fds.is_empty() {
            return Err(Error::Unexpected);
        }
        let outcome = fds.remove(0);
        Ok(Execution { pid, outcome, terminal: fds.pop() })
    }

    /// Ends the launcher. With `kill`, everything it started is killed and its cgroups and state are removed first;
    /// without, containers go on and the next launcher on the same state directory adopts them.
    pub fn shutdown(&mut self, kill: bool) -> Result<(), Error> {
        self.ask_done(&Request::Shutdown { kill })
    }

    fn ask(&mut self, request: &Request) -> Result<Reply, Error> {
        wire::send(&self.stream, request, &[])?;
        Ok(wire::receive(&self.stream)?.0)
    }

    fn ask_done(&mut self, request: &Request) -> Result<(), Error> {
        let reply = self.ask(request)?;
        if let Reply::Done = reply { Ok(()) } else { Err(refused(reply)) }
    }
}

/// A connection that is told what happens. Open it *before* the first [`Client::list`], and nothing is missed.
#[derive(Debug)]
pub struct Events {
    stream: UnixStream,
}

impl Events {
    /// Connects to the launcher that listens on `socket` and subscribes.
    pub fn connect(socket: &Path) -> Result<Self, Error> {
        let stream = connect(socket)?;
        wire::send(&stream, &Request::Subscribe, &[])?;
        let reply = wire::receive(&stream)?.0;
        if let Reply::Done = reply { Ok(Self { stream }) } else { Err(refused(reply)) }
    }

    /// The next event. Blocks until there is one: wait for [`AsFd::as_fd`] to be readable first, or use a thread.
    /// An error means that the launcher is gone (or that this subscriber was too slow): connect again, then `list`.
    pub fn next_event(&mut self) -> Result<Event, Error> {
        self.stream.set_read_timeout(None).map_err(wire::Error::Io)?;
        Ok(wire::receive(&self.stream)?.0)
    }
}

impl AsFd for Events {
    /// Readable when an event is pending or the launcher is gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The descriptors of an executed process without a terminal.
#[derive(Debug, Default)]
pub struct ExecStdio {
    /// `/dev/null` if `None`.
    pub stdin: Option<OwnedFd>,
    /// `/dev/null` if `None`.
    pub stdout: Option<OwnedFd>,
    /// `/dev/null` if `None`.
    pub stderr: Option<OwnedFd>,
}

/// A process that was started in a container. Dropping it kills the process.
#[derive(Debug)]
pub struct Execution {
    /// The process, as seen from the host.
    pub pid: i32,
    /// The master side of its terminal, if it was given one: read, write and resize it.
    pub terminal: Option<OwnedFd>,
    outcome: OwnedFd,
}

impl Execution {
    /// Waits for the end of the process. Blocks: wait for [`AsFd::as_fd`] to be readable first, or use a thread.
    pub fn wait(self) -> Result<Exit, Error> {
        let mut text = Vec::new();
        File::from(self.outcome).read_to_end(&mut text).map_err(wire::Error::Io)?;
        if text.is_empty() {
            return Err(Error::ExecLost);
        }
        match serde_json::from_slice(&text).map_err(wire::Error::Malformed)? {
            ExecOutcome::Exited(exit) => Ok(exit),
            ExecOutcome::Failed(failure) => Err(Error::Refused(failure)),
        }
    }
}

impl AsFd for Execution {
    /// Readable when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.outcome.as_fd()
    }
}

fn connect(socket: &Path) -> Result<UnixStream, Error> {
    let connected = UnixStream::connect(socket).and_then(|stream| {
        stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
        stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
        Ok(stream)
    });
    connected.map_err(|source| Error::Connect { path: socket.into(), source })
}

fn refused(reply: Reply) -> Error {
    if let Reply::Failed(failure) = reply { Error::Refused(failure) } else { Error::Unexpected }
}
