//! What takes long and must not hold the loop: a forked process does it, its end is waited for like any other event.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;

use super::Launcher;
use crate::cgroup::{Cgroup, Layout};
use crate::protocol::{Failure, Reply};
use crate::sys;

/// How long a killed process may take to end before the chore goes on without it.
const END_WAIT_MS: u16 = 10_000;

/// A chore under way.
#[derive(Debug)]
pub(super) struct Chore {
    pub(super) process: OwnedFd,
    asker: Option<u64>,
    then: Then,
}

/// What to do when it is done.
#[derive(Debug)]
pub(super) enum Then {
    ForgetContainer(String),
    ForgetSandbox(String),
}

/// Removing something: in this order.
#[derive(Debug)]
pub(super) struct Errand<'a> {
    pub(super) kill: Option<&'a OwnedFd>,
    pub(super) await_end: Option<&'a OwnedFd>,
    pub(super) cgroup: Option<String>,
    pub(super) layer: Option<PathBuf>,
    pub(super) folder: PathBuf,
}

impl Errand<'_> {
    /// Does it in a process of its own.
    pub(super) fn fork(self, layout: &Layout, asker: Option<u64>, then: Then) -> Result<Chore, Failure> {
        let child = sys::process::spawn(CloneFlags::empty(), None, || {
            let _ = nix::sys::prctl::set_name(c"mki-chore");
            let kept: Vec<_> = self.kill.iter().chain(&self.await_end).map(AsFd::as_fd).collect();
            let closed = sys::process::close_others(&kept);
            i32::from(closed.is_err() || self.carry_out(layout).is_err())
        });
        let child =
            child.map_err(|errno| Failure::Step { step: "fork a chore".into(), errno: errno as i32 })?;
        Ok(Chore { process: child.pidfd, asker, then })
    }

    fn carry_out(&self, layout: &Layout) -> io::Result<()> {
        if let Some(process) = self.kill {
            let _ = sys::process::pidfd_signal(process, libc::SIGKILL);
            await_end(process);
        }
        if let Some(process) = self.await_end {
            await_end(process);
        }
        if let Some(path) = &self.cgroup {
            let cgroup = Cgroup::new(layout, path.clone());
            // The monitor that would have seen to this may have been killed.
            cgroup.kill();
            let removed = cgroup.remove();
            removed.map_err(|error| io::Error::from_raw_os_error(error.errno()))?;
        }
        self.layer.iter().try_for_each(|layer| remove_layer(layer))?;
        remove_folder(&self.folder)
    }
}

/// Waits until the process behind `process` has ended, whoever's child it is.
pub(super) fn await_end(process: &OwnedFd) {
    let _ = poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], PollTimeout::from(END_WAIT_MS));
}

/// Removes a writable layer: what a launch has made in the folder that it was given, and the folder if nothing else
/// is in it. The path came from outside; a wrong one must not cost anybody's files.
pub(super) fn remove_layer(folder: &Path) -> io::Result<()> {
    remove_folder(&folder.join("upper"))?;
    remove_folder(&folder.join("work"))?;
    match fs::remove_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
            Ok(())
        }
        other => other,
    }
}

pub(super) fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Launcher {
    pub(super) fn add_chore(&mut self, chore: Chore) {
        let number = self.number();
        self.chores.insert(number, chore);
    }

    pub(super) fn chore_ended(&mut self, number: u64) {
        let Some(chore) = self.chores.remove(&number) else { return };
        let done = matches!(sys::process::wait(&chore.process), Ok(nix::sys::wait::WaitStatus::Exited(_, 0)));
        let what = match chore.then {
            Then::ForgetContainer(id) => {
                if done {
                    self.containers.remove(&id);
                } else if let Some(entry) = self.containers.get_mut(&id) {
                    entry.removing = false;
                }
                format!("remove container {id:?}")
            }
            Then::ForgetSandbox(id) => {
                if done {
                    self.forget_sandbox(&id);
                } else if let Some(entry) = self.sandboxes.get_mut(&id) {
                    entry.removing = false;
                }
                format!("remove sandbox {id:?}")
            }
        };
        let Some(asker) = chore.asker else { return };
        let failed = Reply::Failed(Failure::Step { step: what, errno: libc::EBUSY });
        self.reply(asker, if done { &Reply::Done } else { &failed });
    }

    fn forget_sandbox(&mut self, id: &str) {
        self.sandbox_ended(id);
        self.sandboxes.remove(id);
    }
}
