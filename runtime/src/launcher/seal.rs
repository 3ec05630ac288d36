//! Keeping containers away from our own executable.
//!
//! A hostile image can name `/proc/self/exe` as its program or as its interpreter: what is executed inside is then
//! *our* file, and whoever is inside can open it through `/proc` and write to it once it is no longer busy
//! (CVE-2019-5736). So the launcher first executes itself again from a read-only mount of its own file, which is
//! attached nowhere: whoever finds the file through one of our processes finds it on that mount.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::fexecve;

use super::Error;
use crate::sys::mount::{MOUNT_ATTR_RDONLY, MountAttributes, clone_tree, set_attributes};

const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// Tells the second execution that it is the second: it must not try a third time.
const MARK: &str = "MINIKUBE_ISH_LAUNCHER_SEALED=1";

/// Returns in a process whose executable cannot be written to through it.
pub(super) fn seal() -> Result<(), Error> {
    let failed = |source| Error::Kernel { what: "execute from a read-only mount", source };
    if is_readonly().map_err(failed)? {
        // The kernel names a process that was executed by descriptor after the descriptor.
        let _ = nix::sys::prctl::set_name(c"mki-launcher");
        return Ok(());
    }
    let (name, value) = MARK.split_once('=').unwrap_or((MARK, ""));
    if std::env::var_os(name).is_some_and(|found| found.to_str() == Some(value)) {
        return Err(failed(Errno::EROFS));
    }
    let Err(errno) = execute_again();
    Err(failed(errno))
}

fn is_readonly() -> Result<bool, Errno> {
    let own =
        File::open(OWN_EXECUTABLE).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    Ok(fstatvfs(own.as_fd())?.flags().contains(FsFlags::ST_RDONLY))
}

fn execute_again() -> Result<std::convert::Infallible, Errno> {
    let own = nix::fcntl::open(OWN_EXECUTABLE, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    let readonly = clone_tree(&own, false)?;
    set_attributes(&readonly, MountAttributes { set: MOUNT_ATTR_RDONLY, propagation: 0 }, false)?;
    let arguments = std::env::args_os().filter_map(|argument| CString::new(argument.into_vec()).ok());
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        let mut entry = name.into_vec();
        entry.push(b'=');
        entry.extend(value.into_vec());
        CString::new(entry).ok()
    });
    let environment: Vec<CString> = environment.chain(CString::new(MARK).ok()).collect();
    fexecve(&readonly, &arguments.collect::<Vec<_>>(), &environment)
}
