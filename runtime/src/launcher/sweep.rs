//! Ending what a launcher made when no launcher is left to do it.

use super::{Error, check_cgroup_root, read_layout};
use crate::cgroup::Cgroup;

/// Kills every process below a launcher's cgroup and removes the cgroups. Monitors end by themselves once their
/// containers have. Nothing there is nothing to do.
///
/// # Errors
/// When there are no cgroups at all, the path is not one, or the kernel keeps a cgroup.
pub fn sweep(cgroup_root: &str) -> Result<(), Error> {
    check_cgroup_root(cgroup_root)?;
    let layout = read_layout().ok_or(Error::NoCgroups)?;
    let root = Cgroup::new(&layout, cgroup_root);
    root.kill();
    root.remove().map_err(Error::Sweep)?;
    root.remove_empty_parents();
    Ok(())
}
