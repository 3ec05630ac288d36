//! A cluster's background processes: started, found again, ended.
//!
//! A process is its pid and its start time, so that a pid which the kernel has given to somebody else is never
//! taken for ours.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A log that has grown beyond this is begun anew at the next start; the last one is kept.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// How much of a log is shown when its process did not start.
const LOG_LINES_SHOWN: usize = 8;

/// A process that was started and may live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// In clock ticks since the machine booted: `proc_pid_stat(5)`, field 22.
    start_ticks: u64,
}

impl Process {
    /// The process that a pid file speaks of, if it still lives.
    pub(crate) fn find(pid_file: &Path) -> Option<Self> {
        let process: Self = serde_json::from_slice(&fs::read(pid_file).ok()?).ok()?;
        process.lives().then_some(process)
    }

    fn of(pid: i32) -> Option<Self> {
        start_ticks(pid).map(|start_ticks| Self { pid, start_ticks })
    }

    pub(crate) fn lives(&self) -> bool {
        start_ticks(self.pid) == Some(self.start_ticks)
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid)).ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(pages * 4096)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if self.lives() {
            match kill(Pid::from_raw(self.pid), signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => tracing::warn!(pid = self.pid, %error, "cannot signal"),
            }
        }
    }

    /// Asks it to end, waits, and ends it if it does not.
    ///
    /// # Errors
    /// When it lives on all the same.
    pub(crate) async fn end(&self, patience: Duration) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM);
        if self.gone_within(patience).await {
            return Ok(());
        }
        self.signal(Signal::SIGKILL);
        let gone = self.gone_within(patience).await;
        anyhow::ensure!(gone, "process {} does not end, not even when it is killed", self.pid);
        Ok(())
    }

    /// A process that is no child of ours cannot be waited for by the kernel without a pidfd: look now and then.
    async fn gone_within(&self, patience: Duration) -> bool {
        const LOOK_EVERY: Duration = Duration::from_millis(5);
        let looks = patience.as_millis() / LOOK_EVERY.as_millis();
        for _ in 0..looks {
            if !self.lives() {
                return true;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        !self.lives()
    }
}

/// `None` for a process that does not exist or is a zombie.
fn start_ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may itself hold spaces and parentheses.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// What a background process is started with.
#[derive(Debug)]
pub(crate) struct Start {
    /// Its name, for people.
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) log: PathBuf,
    pub(crate) pid_file: PathBuf,
}

impl Start {
    /// The command, with its output tied to the log and to us.
    ///
    /// # Errors
    /// When the log cannot be written, or our own executable is gone.
    pub(crate) fn command(&self) -> anyhow::Result<Command> {
        let log = open_log(&self.log).with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut command = Command::new(std::env::current_exe().context("our own executable is gone")?);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .current_dir("/");
        Ok(command)
    }

    /// Waits until the process says that it is ready (one line on its standard output) and notes its pid.
    ///
    /// # Errors
    /// When it ends before it is ready: its last words are in the error.
    pub(crate) fn wait_ready(&self, mut child: Child) -> anyhow::Result<Process> {
        let pid = i32::try_from(child.id()).expect("pids fit");
        let output = child.stdout.take().expect("command: the output is piped");
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        let ready = matches!(read, Ok(length) if length > 0);
        let process = Process::of(pid).filter(|_| ready);
        let Some(process) = process else {
            let _ = child.wait();
            let log = self.log.display();
            return Err(anyhow!("{} did not start:\n{}(more in {log})", self.name, last_words(&self.log)));
        };
        let text = serde_json::to_vec(&process).expect("plain data serializes");
        fs::write(&self.pid_file, text)
            .with_context(|| format!("cannot write {}", self.pid_file.display()))?;
        Ok(process)
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    if fs::metadata(path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().append(true).create(true).open(path)
}

fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LOG_LINES_SHOWN);
    lines[first..].iter().map(|line| format!("  {line}\n")).collect()
}
