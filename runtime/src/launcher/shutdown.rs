//! The end of a launcher: either quietly, leaving everything to the next one, or with all that it made.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::Launcher;
use super::chores::{await_end, remove_folder, remove_layer};
use crate::cgroup::Cgroup;
use crate::protocol::Writable;
use crate::sys;

impl Launcher {
    pub(super) fn shut_down(&mut self, kill: bool) {
        self.ended = true;
        if kill {
            self.end_everything();
        }
    }

    /// No process, cgroup or file stays. In the order of dependence: programs, monitors, sandboxes, cgroups, files.
    fn end_everything(&mut self) {
        for entry in self.containers.values() {
            if let Some(init) = &entry.init {
                let _ = sys::process::pidfd_signal(init, libc::SIGKILL);
            }
        }
        let root = Cgroup::new(&self.layout, self.config.cgroup_root.clone());
        root.kill();
        let monitors = self.containers.values_mut().filter_map(|entry| entry.monitor.take());
        for process in
            monitors.chain(self.executions.values_mut().map(|entry| &entry.process).filter_map(copy))
        {
            await_end(&process);
            let _ = sys::process::wait(&process);
        }
        for chore in self.chores.values() {
            await_end(&chore.process);
        }
        for process in self.sandboxes.values_mut().filter_map(|entry| entry.process.take()) {
            let _ = sys::process::pidfd_signal(&process, libc::SIGKILL);
            await_end(&process);
            let _ = sys::process::wait(&process);
        }
        if let Err(error) = root.remove() {
            tracing::warn!(error = &error as &dyn std::error::Error, "cgroups stay");
        }
        root.remove_empty_parents();
        self.remove_files();
    }

    fn remove_files(&self) {
        let layers = self.containers.values().filter_map(|entry| match &entry.record.spec.writable {
            Writable::Directory(path) => Some(path.as_path()),
            Writable::Memory { .. } => None,
        });
        for layer in layers {
            warn_unless(remove_layer(layer), layer);
        }
        warn_unless(remove_folder(self.state.root()), self.state.root());
    }
}

fn warn_unless(removed: io::Result<()>, folder: &Path) {
    if let Err(error) = removed {
        tracing::warn!(?folder, error = &error as &dyn std::error::Error, "files stay");
    }
}

fn copy(fd: &OwnedFd) -> Option<OwnedFd> {
    fd.try_clone().ok()
}
