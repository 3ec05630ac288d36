//! Replaces the files of a volume all at once, so that no reader ever sees some old and some new ones.
//!
//! Kubernetes' layout (`pkg/volume/util/atomic_writer.go`):
//!
//!     ..0123456789abcdef/key    the files
//!     ..data                    -> ..0123456789abcdef, replaced by rename
//!     key                       -> ..data/key
//!
//! Containers mount these volumes read-only, so nobody but the agent can put a link in the way of a path here.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, fchown, symlink};
use std::path::Path;

use crate::volumes::content::Files;

const DATA: &str = "..data";
const DATA_NEXT: &str = "..data_next";

/// Makes `files` the content of the volume at `root`.
pub(super) fn replace(root: &Path, files: &Files, group: Option<u32>) -> io::Result<()> {
    let current = format!("..{:016x}", files.fingerprint());
    if fs::read_link(root.join(DATA)).is_ok_and(|target| target == Path::new(&current)) {
        return Ok(());
    }
    let folder = root.join(&current);
    remove_all(&folder)?;
    fs::create_dir(&folder)?;
    for (path, file) in &files.by_path {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let file_mode = if group.is_some() { file.mode | (file.mode & 0o600) >> 3 } else { file.mode };
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        out.write_all(&file.bytes)?;
        settle(&out, file_mode, group)?;
    }
    remove_file(&root.join(DATA_NEXT))?;
    symlink(&current, root.join(DATA_NEXT))?;
    fs::rename(root.join(DATA_NEXT), root.join(DATA))?;
    link_names(root, files)?;
    remove_others(root, &current, files)
}

/// The umask has no say in the mode.
fn settle(file: &File, mode: u32, group: Option<u32>) -> io::Result<()> {
    if group.is_some() {
        fchown(file, None, group)?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))
}

fn names(files: &Files) -> BTreeSet<&str> {
    files.by_path.keys().filter_map(|path| path.split('/').next()).collect()
}

fn link_names(root: &Path, files: &Files) -> io::Result<()> {
    for name in names(files) {
        match symlink(Path::new(DATA).join(name), root.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn remove_others(root: &Path, current: &str, files: &Files) -> io::Result<()> {
    let names = names(files);
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let kept = name.to_str().is_some_and(|name| name == DATA || name == current || names.contains(name));
        if kept {
            continue;
        }
        if entry.file_type()?.is_dir() { remove_all(&entry.path())? } else { remove_file(&entry.path())? }
    }
    Ok(())
}

fn remove_all(folder: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(folder))
}

fn remove_file(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_file(path))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
