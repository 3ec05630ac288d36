//! Processes executed in running containers.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::unistd::pipe2;

use super::{ExecutionEntry, Launcher, io_failed, not_found};
use crate::exec::{Execution, Report};
use crate::plan::{bad, plan_exec};
use crate::protocol::{ExecSpec, Failure, Reply};
use crate::{sys, wire};

/// The most at once: probes of every container, and people's shells.
const EXECUTIONS_MAX: usize = 1024;

impl Launcher {
    pub(super) fn execute(&mut self, asker: u64, exec: &ExecSpec, fds: Vec<OwnedFd>) -> Result<(), Failure> {
        if self.executions.len() >= EXECUTIONS_MAX {
            return Err(Failure::Limit { limit: format!("EXECUTIONS_MAX {EXECUTIONS_MAX}") });
        }
        let id = &exec.container;
        let entry = self.containers.get(id).ok_or_else(|| not_found("container", id))?;
        let (spec, seccomp) = (entry.record.spec.spec.clone(), entry.record.spec.seccomp);
        let program = self.filter(&spec, seccomp)?;
        let plan = plan_exec(&spec, exec, program)?;
        let stdio = <[OwnedFd; 3]>::try_from(fds).map_err(|_| bad("stdio", "must be three descriptors"))?;
        let entry = self.containers.get(id).ok_or_else(|| not_found("container", id))?;
        let init = entry.init.as_ref().ok_or_else(|| Failure::NotRunning { id: id.clone() })?;
        let (ours, theirs) =
            UnixStream::pair().map_err(|error| io_failed("make a channel".into(), &error))?;
        let step = |errno| Failure::Step { step: "start an execution".into(), errno: errno as i32 };
        let (read, outcome) = pipe2(OFlag::O_CLOEXEC).map_err(step)?;
        let cgroup = &entry.record.cgroup;
        let child = sys::process::spawn(CloneFlags::empty(), None, || {
            Execution { plan: &plan, layout: &self.layout, cgroup, init, stdio, outcome, report: theirs }
                .run()
        });
        let process = child.map_err(step)?.pidfd;
        let number = self.number();
        let entry = ExecutionEntry { process, report: Some(ours), asker, outcome: Some(read) };
        self.executions.insert(number, entry);
        Ok(())
    }

    pub(super) fn hear_execution(&mut self, number: u64) {
        let Some(entry) = self.executions.get_mut(&number) else { return };
        let Some(report) = entry.report.take() else { return };
        let asker = entry.asker;
        let outcome = entry.outcome.take();
        match (wire::receive(&report), outcome) {
            (Ok((Report::Executed { pid }, terminal)), Some(outcome)) => {
                let fds: Vec<_> = std::iter::once(&outcome).chain(&terminal).map(AsFd::as_fd).collect();
                self.reply_with(asker, &Reply::Executed { pid }, &fds);
            }
            (Ok((Report::Failed(failure), _)), _) => {
                self.reply(asker, &Reply::Failed(failure));
            }
            (Err(_), _) | (Ok((Report::Executed { .. }, _)), None) => {
                let failure = Failure::Step { step: "execute a process".into(), errno: libc::ECHILD };
                self.reply(asker, &Reply::Failed(failure));
            }
        }
    }

    pub(super) fn execution_ended(&mut self, number: u64) {
        self.hear_execution(number);
        if let Some(entry) = self.executions.remove(&number) {
            let _ = sys::process::wait(&entry.process);
        }
    }
}
