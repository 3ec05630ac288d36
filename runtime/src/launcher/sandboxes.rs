//! Sandboxes: made at once, removed by a chore.

use std::fs;

use super::chores::{Errand, Then};
use super::{Launcher, SandboxEntry, cgroup_failed, exists, in_use, io_failed, not_found};
use crate::cgroup::Cgroup;
use crate::protocol::{Event, Failure, Sandbox, SandboxSpec};
use crate::state::{self, ProcessRef, SandboxRecord};
use crate::{sandbox, sys};

impl Launcher {
    pub(super) fn create_sandbox(&mut self, spec: SandboxSpec) -> Result<Sandbox, Failure> {
        sandbox::check(&spec)?;
        if self.sandboxes.contains_key(&spec.id) {
            return Err(exists("sandbox", &spec.id));
        }
        let cgroup = Cgroup::new(&self.layout, self.group_path(&spec));
        cgroup.create(spec.resources.as_ref()).map_err(|error| cgroup_failed(&error))?;
        let child = sandbox::create(&spec, &cgroup).inspect_err(|_| drop(cgroup.remove()))?;
        if let Err(failure) = self.record_sandbox(&spec, &child) {
            let _ = sys::process::pidfd_signal(&child.pidfd, libc::SIGKILL);
            let _ = sys::process::wait(&child.pidfd);
            let _ = cgroup.remove();
            return Err(failure);
        }
        let pid = child.pid.as_raw();
        let entry = SandboxEntry { spec, pid, process: Some(child.pidfd), removing: false };
        let created = entry.told();
        self.sandboxes.insert(created.id.clone(), entry);
        Ok(created)
    }

    fn record_sandbox(&self, spec: &SandboxSpec, child: &sys::process::Child) -> Result<(), Failure> {
        let process = ProcessRef::of(child.pid).ok_or(Failure::MonitorDied { id: spec.id.clone() })?;
        let folder = self.state.sandbox(&spec.id);
        fs::create_dir_all(&folder)
            .and_then(|()| {
                state::write(&folder, "sandbox.json", &SandboxRecord { spec: spec.clone(), process })
            })
            .map_err(|error| io_failed(format!("record sandbox {:?}", spec.id), &error))
    }

    pub(super) fn remove_sandbox(&mut self, asker: u64, id: &str) -> Result<(), Failure> {
        if self.containers.values().any(|container| container.record.spec.sandbox == id) {
            return Err(in_use("sandbox", id));
        }
        let entry = self.sandboxes.get(id).ok_or_else(|| not_found("sandbox", id))?;
        if entry.removing {
            return Err(in_use("sandbox", id));
        }
        let errand = Errand {
            kill: entry.process.as_ref(),
            await_end: None,
            cgroup: Some(self.group_path(&entry.spec)),
            layer: None,
            folder: self.state.sandbox(id),
        };
        let chore = errand.fork(&self.layout, Some(asker), Then::ForgetSandbox(id.into()))?;
        self.add_chore(chore);
        if let Some(entry) = self.sandboxes.get_mut(id) {
            entry.removing = true;
        }
        Ok(())
    }

    pub(super) fn sandbox_ended(&mut self, id: &str) {
        let Some(entry) = self.sandboxes.get_mut(id) else { return };
        if let Some(process) = entry.process.take() {
            // Not ours to reap if an earlier launcher forked it.
            let _ = sys::process::wait(process);
        }
        if !entry.removing {
            tracing::warn!(sandbox = id, "the sandbox's process died");
            self.publish(&Event::SandboxDied { id: id.into() });
        }
    }

    /// The group's cgroup, relative to the hierarchies' roots.
    pub(super) fn group_path(&self, spec: &SandboxSpec) -> String {
        format!("{}/{}", self.config.cgroup_root, spec.cgroup)
    }
}

impl SandboxEntry {
    pub(super) fn told(&self) -> Sandbox {
        let alive = self.process.is_some();
        let pid = if alive { self.pid } else { 0 };
        Sandbox { id: self.spec.id.clone(), pid, alive, labels: self.spec.labels.clone() }
    }
}
