//! Mounts below a folder: found in the kernel's own list, taken away from the innermost outwards.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::mount::{MntFlags, umount2};

#[cfg(test)]
mod tests;

/// Takes away every mount below `folder`, and at it.
///
/// # Errors
/// When the kernel's list cannot be read, or it keeps a mount.
pub(super) fn unmount_below(folder: &Path) -> anyhow::Result<()> {
    let mountinfo = fs::read("/proc/self/mountinfo").context("cannot read the list of mounts")?;
    for mount in mounts_below(folder, &mountinfo) {
        umount2(&mount, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
            .with_context(|| format!("cannot unmount {}", mount.display()))?;
    }
    Ok(())
}

/// Later mounts come first: they may lie on earlier ones.
fn mounts_below(folder: &Path, mountinfo: &[u8]) -> Vec<PathBuf> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4)).map(unescape);
    let mut below: Vec<PathBuf> = points.filter(|point| point.starts_with(folder)).collect();
    below.reverse();
    below
}

/// Space, tab, newline and backslash are written in octal: `proc_pid_mountinfo(5)`.
fn unescape(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = rest
            .get(1..4)
            .filter(|_| first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(first));
        rest = if octal.is_some() { &rest[4..] } else { tail };
    }
    PathBuf::from(OsString::from_vec(bytes))
}
