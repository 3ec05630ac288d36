//! Containers: started by a monitor each, followed through its reports, removed by a chore.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use oci_spec::runtime::Spec;

use super::chores::{Errand, Then, remove_folder};
use super::{CONTAINERS_MAX, ContainerEntry, Launcher, exists, in_use, io_failed, monitor, not_found};
use crate::cgroup::Cgroup;
use crate::monitor::Monitor;
use crate::plan::plan_launch;
use crate::protocol::{
    Container, ContainerSpec, ContainerState, Event, Exit, Failure, Listing, Reply, Seccomp, Stats, Writable,
};
use crate::seccomp::Program;
use crate::state::{self, ContainerRecord, StateRecord};
use crate::{clock, defaults, sys, wire};

/// The exit code of a program that could not be started, as Kubernetes tells it.
const NEVER_RAN: i32 = 128;

impl Launcher {
    pub(super) fn start(&mut self, asker: u64, spec: ContainerSpec) -> Result<(), Failure> {
        if self.containers.contains_key(&spec.id) {
            return Err(exists("container", &spec.id));
        }
        if self.containers.len() >= CONTAINERS_MAX {
            return Err(Failure::Limit { limit: format!("CONTAINERS_MAX {CONTAINERS_MAX}") });
        }
        let program = self.filter(&spec.spec, spec.seccomp)?;
        let plan = plan_launch(&spec, program, &self.layout)?;
        let group = self.sandboxes.get(&spec.sandbox).filter(|entry| !entry.removing);
        let group = group.ok_or_else(|| not_found("sandbox", &spec.sandbox))?;
        let sandbox = group.process.as_ref().ok_or_else(|| not_found("sandbox", &spec.sandbox))?;
        let cgroup = format!("{}/{}", self.group_path(&group.spec), spec.id);
        let record = ContainerRecord { spec, cgroup };
        let folder = self.record_container(&record)?;
        let (ours, theirs) =
            UnixStream::pair().map_err(|error| io_failed("make a channel".into(), &error))?;
        let child = sys::process::spawn(CloneFlags::empty(), None, || {
            let (spec, cgroup) = (&record.spec, &record.cgroup);
            Monitor {
                spec,
                plan: &plan,
                layout: &self.layout,
                cgroup,
                folder: &folder,
                sandbox,
                report: theirs,
            }
            .run()
        })
        .map_err(|errno| {
            let _ = remove_folder(&self.state.container(&record.spec.id));
            Failure::Step { step: "fork the monitor".into(), errno: errno as i32 }
        })?;
        let entry = ContainerEntry {
            state: ContainerState::Starting,
            monitor: Some(child.pidfd),
            init: None,
            report: Some(ours),
            asker: Some(asker),
            removing: false,
            record,
        };
        self.containers.insert(entry.record.spec.id.clone(), entry);
        Ok(())
    }

    /// The compiled system call filter of a process that `spec` describes.
    pub(super) fn filter(&mut self, spec: &Spec, wanted: Seccomp) -> Result<Option<Program>, Failure> {
        match wanted {
            Seccomp::Default => {
                let sets = spec.process().as_ref().and_then(|process| process.capabilities().as_ref());
                let bounding = sets.and_then(|sets| sets.bounding().as_ref());
                let mut names: Vec<String> = bounding
                    .into_iter()
                    .flatten()
                    .map(|name| caps::to_canonical(&name.to_string()))
                    .collect();
                names.sort();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                self.seccomp.program(&defaults::seccomp(&names)).map(Some)
            }
            Seccomp::Spec => {
                let profile = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
                profile.map(|profile| self.seccomp.program(profile)).transpose()
            }
        }
    }

    fn record_container(&self, record: &ContainerRecord) -> Result<std::path::PathBuf, Failure> {
        let folder = self.state.container(&record.spec.id);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder.join("rootfs"))
            .and_then(|()| state::write(&folder, "container.json", record))
            .map_err(|error| io_failed(format!("record container {:?}", record.spec.id), &error))?;
        Ok(folder)
    }

    /// Takes one report of a container's monitor.
    pub(super) fn hear_monitor(&mut self, id: &str) {
        let Some(entry) = self.containers.get_mut(id) else { return };
        let Some(report) = &entry.report else { return };
        match wire::receive(report) {
            Ok((monitor::Report::Started(started), mut fds)) => {
                entry.init = fds.pop();
                self.change_state(id, ContainerState::Running(started));
            }
            Ok((monitor::Report::Failed(failure), _)) => {
                self.change_state(id, ContainerState::Failed(failure))
            }
            Ok((monitor::Report::Exited(exit), _)) => self.change_state(id, ContainerState::Exited(exit)),
            Err(_) => entry.report = None,
        }
    }

    /// A monitor is gone. What it has left on disk says how; if that is nothing, it was killed.
    pub(super) fn monitor_ended(&mut self, id: &str) {
        while self.containers.get(id).is_some_and(|entry| entry.report.is_some()) {
            self.hear_monitor(id);
        }
        let Some(entry) = self.containers.get_mut(id) else { return };
        if let Some(monitor) = entry.monitor.take() {
            let _ = sys::process::wait(monitor);
        }
        if is_final(&entry.state) {
            return;
        }
        let folder = self.state.container(id);
        let recorded = state::read::<StateRecord>(&folder, "state.json").ok().map(|record| record.state);
        let state = match recorded.filter(is_final) {
            Some(state) => state,
            None => self.bury(id),
        };
        self.change_state(id, state);
    }

    /// Ends a container whose monitor was killed: nobody keeps its log or will see its exit.
    pub(super) fn bury(&self, id: &str) -> ContainerState {
        let Some(entry) = self.containers.get(id) else {
            return ContainerState::Failed(Failure::MonitorDied { id: id.into() });
        };
        tracing::error!(container = id, "the monitor was killed; ending the container");
        let cgroup = Cgroup::new(&self.layout, entry.record.cgroup.clone());
        // Its end takes all of its pid namespace along. Nothing is waited for here: removing it does that.
        if let Some(init) = &entry.init {
            let _ = sys::process::pidfd_signal(init, libc::SIGKILL);
        }
        cgroup.kill_at_once();
        let state = match &entry.state {
            ContainerState::Running(started) => ContainerState::Exited(Exit {
                code: 128 + libc::SIGKILL,
                signal: Some(libc::SIGKILL),
                oom_killed: cgroup.oom_kills() > 0,
                started_at: started.started_at,
                finished_at: clock::now(),
                unobserved: true,
            }),
            ContainerState::Starting => ContainerState::Failed(Failure::MonitorDied { id: id.into() }),
            ended @ (ContainerState::Exited(_) | ContainerState::Failed(_)) => ended.clone(),
        };
        let folder = self.state.container(id);
        if let Ok(record) = state::read::<StateRecord>(&folder, "state.json") {
            let _ = state::write(&folder, "state.json", &StateRecord { state: state.clone(), ..record });
        }
        state
    }

    /// Takes a container's new state: tells who waits for its start, and who listens for its end.
    pub(super) fn change_state(&mut self, id: &str, state: ContainerState) {
        let Some(entry) = self.containers.get_mut(id) else { return };
        entry.state = state.clone();
        let asker = entry.asker.take();
        match state {
            ContainerState::Starting => entry.asker = asker,
            ContainerState::Running(started) => {
                if let Some(asker) = asker {
                    self.reply(asker, &Reply::Started(started));
                }
            }
            ContainerState::Failed(failure) => {
                let told = asker.is_some_and(|asker| self.reply(asker, &Reply::Failed(failure)));
                if !told {
                    self.publish(&Event::Exited { id: id.into(), exit: never_ran() });
                }
            }
            ContainerState::Exited(exit) => {
                entry.init = None;
                self.publish(&Event::Exited { id: id.into(), exit });
            }
        }
    }

    pub(super) fn signal(&mut self, id: &str, signal: i32) -> Result<(), Failure> {
        let entry = self.containers.get(id).ok_or_else(|| not_found("container", id))?;
        let not_running = || Failure::NotRunning { id: id.into() };
        let init = entry.init.as_ref().ok_or_else(not_running)?;
        match sys::process::pidfd_signal(init, signal) {
            Ok(()) => Ok(()),
            Err(Errno::ESRCH) => Err(not_running()),
            Err(errno) => Err(Failure::Step { step: format!("send signal {signal}"), errno: errno as i32 }),
        }
    }

    pub(super) fn remove(&mut self, asker: u64, id: &str) -> Result<(), Failure> {
        let entry = self.containers.get(id).ok_or_else(|| not_found("container", id))?;
        if !is_final(&entry.state) || entry.removing {
            return Err(in_use("container", id));
        }
        let layer = match &entry.record.spec.writable {
            Writable::Directory(path) => Some(path.clone()),
            Writable::Memory { .. } => None,
        };
        let errand = Errand {
            kill: None,
            await_end: entry.monitor.as_ref(),
            cgroup: Some(entry.record.cgroup.clone()),
            layer,
            folder: self.state.container(id),
        };
        let chore = errand.fork(&self.layout, Some(asker), Then::ForgetContainer(id.into()))?;
        self.add_chore(chore);
        if let Some(entry) = self.containers.get_mut(id) {
            entry.removing = true;
        }
        Ok(())
    }

    pub(super) fn stats(&mut self, id: &str) -> Result<Stats, Failure> {
        let entry = self.containers.get(id).ok_or_else(|| not_found("container", id))?;
        if entry.init.is_none() {
            return Err(Failure::NotRunning { id: id.into() });
        }
        Ok(Cgroup::new(&self.layout, entry.record.cgroup.clone()).stats())
    }

    pub(super) fn listing(&mut self) -> Listing {
        self.refresh_adopted();
        let containers = self.containers.values().map(|entry| Container {
            id: entry.record.spec.id.clone(),
            sandbox: entry.record.spec.sandbox.clone(),
            state: entry.state.clone(),
            labels: entry.record.spec.labels.clone(),
        });
        Listing {
            containers: containers.collect(),
            sandboxes: self.sandboxes.values().map(super::SandboxEntry::told).collect(),
        }
    }
}

/// How a start that failed ends for those who did not ask for it.
fn never_ran() -> Exit {
    let now = clock::now();
    Exit {
        code: NEVER_RAN,
        signal: None,
        oom_killed: false,
        started_at: now,
        finished_at: now,
        unobserved: false,
    }
}

/// Nothing but removal follows.
pub(super) fn is_final(state: &ContainerState) -> bool {
    match state {
        ContainerState::Starting | ContainerState::Running(_) => false,
        ContainerState::Exited(_) | ContainerState::Failed(_) => true,
    }
}
