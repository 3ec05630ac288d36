//! Going on where an earlier launcher was killed: everything is read from disk, and every process is found again by
//! its number *and* its start.

use std::io;

use super::chores::remove_folder;
use super::containers::is_final;
use super::{ContainerEntry, Launcher, SandboxEntry};
use crate::protocol::{ContainerState, Failure};
use crate::state::{self, ContainerRecord, SandboxRecord, StateRecord};

impl Launcher {
    pub(super) fn adopt(&mut self) -> io::Result<()> {
        for id in self.state.sandboxes()? {
            self.adopt_sandbox(&id)?;
        }
        for id in self.state.containers()? {
            self.adopt_container(&id)?;
        }
        let (sandboxes, containers) = (self.sandboxes.len(), self.containers.len());
        tracing::info!(sandboxes, containers, "adopted");
        Ok(())
    }

    fn adopt_sandbox(&mut self, id: &str) -> io::Result<()> {
        let folder = self.state.sandbox(id);
        // Without its record it was never told to anybody.
        let Ok(record) = state::read::<SandboxRecord>(&folder, "sandbox.json") else {
            return remove_folder(&folder);
        };
        let (process, pid) = (record.process.open(), record.process.pid);
        self.sandboxes.insert(id.into(), SandboxEntry { spec: record.spec, pid, process, removing: false });
        Ok(())
    }

    fn adopt_container(&mut self, id: &str) -> io::Result<()> {
        let folder = self.state.container(id);
        let Ok(record) = state::read::<ContainerRecord>(&folder, "container.json") else {
            return remove_folder(&folder);
        };
        let known = state::read::<StateRecord>(&folder, "state.json").ok();
        let monitor = known.as_ref().and_then(|known| known.monitor.open());
        let init = known.as_ref().and_then(|known| known.init).and_then(|init| init.open());
        let state = known.map_or_else(
            || ContainerState::Failed(Failure::MonitorDied { id: id.into() }),
            |known| known.state,
        );
        let orphaned = monitor.is_none() && !is_final(&state);
        let init = init.filter(|_| !is_final(&state));
        let entry =
            ContainerEntry { record, state, monitor, init, report: None, asker: None, removing: false };
        self.containers.insert(id.into(), entry);
        if orphaned {
            // Between the two readings above the monitor may have written the end and gone.
            self.monitor_ended(id);
        }
        Ok(())
    }

    /// What an adopted monitor has written since. It reports to a launcher that is gone.
    pub(super) fn refresh_adopted(&mut self) {
        for (id, entry) in &mut self.containers {
            if entry.report.is_some() || entry.state != ContainerState::Starting {
                continue;
            }
            let Ok(known) = state::read::<StateRecord>(&self.state.container(id), "state.json") else {
                continue;
            };
            // An end is taken when its monitor goes, which is when it is told to everybody.
            if is_final(&known.state) {
                continue;
            }
            entry.init = known.init.and_then(crate::state::ProcessRef::open);
            entry.state = known.state;
        }
    }
}
