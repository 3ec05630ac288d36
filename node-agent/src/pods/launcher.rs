//! The launcher, asked from asynchronous code. Its client blocks; each question runs on a thread for such, over one
//! of a few connections that are kept.

use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::client::{Client, Error, Events, ExecStdio};
use runtime::protocol::{Event, ExecSpec, Exit};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::wait::waitable;

/// How many questions may be under way at once.
const CONNECTIONS_MAX: usize = 8;
/// How many commands may be brought into containers at once. They have turns of their own: probes must not wait
/// behind starts and removals, nor these behind probes.
const EXECS_MAX: usize = 8;
/// How long a launcher that was just started may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(10);
const START_PAUSE: Duration = Duration::from_millis(5);

/// The way to the launcher. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    socket: PathBuf,
    command: Vec<String>,
    idle: Mutex<Vec<Client>>,
    turns: Arc<Semaphore>,
    exec_turns: Arc<Semaphore>,
}

/// Why the launcher could not be asked, or said no.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// It said no, or was lost.
    #[error(transparent)]
    Client(#[from] Error),
    /// None runs and none could be started.
    #[error("cannot start the launcher {command:?}")]
    Spawn {
        /// The command line.
        command: Vec<String>,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// One was started and does not answer.
    #[error("the launcher {command:?} does not answer at {}", socket.display())]
    Silent {
        /// The command line.
        command: Vec<String>,
        /// Where it should.
        socket: PathBuf,
    },
    /// The agent is shutting down.
    #[error("the agent is shutting down")]
    Stopped,
    /// A descriptor could not be waited for.
    #[error("cannot wait for a process in a container")]
    Wait(#[source] std::io::Error),
    /// A process in a container took too long and was killed.
    #[error("timed out after {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl LauncherError {
    /// The launcher's own reason, if it gave one.
    #[must_use]
    pub fn failure(&self) -> Option<&runtime::protocol::Failure> {
        if let Self::Client(error) = self { error.failure() } else { None }
    }
}

impl Launcher {
    pub(crate) fn new(socket: PathBuf, command: Vec<String>) -> Self {
        let turns = |max| Arc::new(Semaphore::new(max));
        let (turns, exec_turns) = (turns(CONNECTIONS_MAX), turns(EXECS_MAX));
        Self { inner: Arc::new(Inner { socket, command, idle: Mutex::default(), turns, exec_turns }) }
    }

    /// Asks one thing. A connection that broke is not used again; the question is not repeated, for nobody knows
    /// whether it was heard.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Client) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, LauncherError> {
        self.ask_in_turn(&self.inner.turns, question).await
    }

    async fn ask_in_turn<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        question: impl FnOnce(&mut Client) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, LauncherError> {
        let turn = Arc::clone(turns).acquire_owned().await.map_err(|_| LauncherError::Stopped)?;
        let inner = Arc::clone(&self.inner);
        let asked = tokio::task::spawn_blocking(move || {
            // Whoever asked may have stopped waiting; the question is under way until it is answered.
            let _turn = turn;
            let mut client = match inner.take_idle() {
                Some(client) => client,
                None => Client::connect(&inner.socket)?,
            };
            let answer = question(&mut client);
            if !matches!(answer, Err(Error::Wire(_) | Error::Connect { .. } | Error::Unexpected)) {
                inner.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
            }
            answer
        });
        Ok(asked.await.map_err(|_| LauncherError::Stopped)??)
    }

    /// Runs a command in a container to its end, with nothing to read and its output thrown away.
    pub(crate) async fn run(
        &self,
        container: &str,
        argv: Vec<String>,
        limit: Duration,
    ) -> Result<Exit, LauncherError> {
        let spec = ExecSpec { container: container.to_owned(), argv, ..ExecSpec::default() };
        let turns = &self.inner.exec_turns;
        let execution =
            self.ask_in_turn(turns, move |client| client.exec(&spec, &ExecStdio::default())).await?;
        let ended = waitable(execution.as_fd()).map_err(LauncherError::Wait)?;
        // Dropping the execution kills its process.
        timeout(limit, ended.readable())
            .await
            .map_err(|_| LauncherError::TimedOut(limit))?
            .map_err(LauncherError::Wait)?
            .retain_ready();
        Ok(execution.wait()?)
    }

    /// Subscribes to the launcher's events, starting one if none answers. From then on every event goes to `news`;
    /// the channel closes when the launcher is lost.
    pub(crate) async fn subscribe(&self, news: mpsc::Sender<Event>) -> Result<(), LauncherError> {
        let inner = Arc::clone(&self.inner);
        let events = tokio::task::spawn_blocking(move || inner.connect_or_start())
            .await
            .map_err(|_| LauncherError::Stopped)??;
        std::thread::Builder::new()
            .name("launcher-events".to_owned())
            .spawn(move || forward(events, &news))
            .map_err(|source| LauncherError::Spawn { command: Vec::new(), source })?;
        Ok(())
    }
}

fn forward(mut events: Events, news: &mpsc::Sender<Event>) {
    while let Ok(event) = events.next_event() {
        if news.blocking_send(event).is_err() {
            return;
        }
    }
}

impl Inner {
    fn take_idle(&self) -> Option<Client> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn connect_or_start(&self) -> Result<Events, LauncherError> {
        // What was connected to an earlier launcher is of no use.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if let Ok(events) = Events::connect(&self.socket) {
            return Ok(events);
        }
        self.start()?;
        let tries = START_TIMEOUT.as_millis() / START_PAUSE.as_millis();
        for _ in 0..tries {
            if let Ok(events) = Events::connect(&self.socket) {
                return Ok(events);
            }
            std::thread::sleep(START_PAUSE);
        }
        Err(LauncherError::Silent { command: self.command.clone(), socket: self.socket.clone() })
    }

    /// The launcher outlives the agent: signals to the agent's group do not reach it.
    fn start(&self) -> Result<(), LauncherError> {
        let failed = |source| LauncherError::Spawn { command: self.command.clone(), source };
        let (program, arguments) = self.command.split_first().ok_or_else(|| {
            failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, "the command line is empty"))
        })?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        // Whenever it ends, it must not stay a zombie.
        std::thread::Builder::new()
            .name("launcher-reaper".to_owned())
            .spawn(move || child.wait())
            .map_err(failed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
