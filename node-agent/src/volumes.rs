//! A pod's volumes on this node: where they are, how they are made, kept up to date and removed.
//!
//! What comes from ConfigMaps, Secrets and the downward API lies on a tmpfs and never touches the disk; emptyDirs
//! lie on the disk unless they ask for memory; hostPaths are the host's own. What is in a volume is decided purely
//! by `content`; paths inside volumes that containers write to are only followed through `subpath`.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, HostPathVolumeSource, Pod, Volume};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::volumes::content::{Content, Files};

pub mod content;
pub mod subpath;
mod write;

/// Where one pod's volumes are.
#[derive(Clone, Debug)]
pub struct VolumeRoots {
    /// On the disk.
    pub disk: PathBuf,
    /// On a tmpfs.
    pub memory: PathBuf,
}

/// A volume that could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The kernel refused.
    #[error("volume {volume}: cannot {action} {}", path.display())]
    Io {
        /// Its name.
        volume: String,
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The host has something else there, or nothing.
    #[error("volume {volume}: hostPath type check failed: {} is not a {wanted}", path.display())]
    HostPathType {
        /// Its name.
        volume: String,
        /// The host's path.
        path: PathBuf,
        /// What it should be.
        wanted: String,
    },
    /// A size that is none.
    #[error("volume {volume}: sizeLimit {text:?} is not an amount")]
    BadSize {
        /// Its name.
        volume: String,
        /// What it says.
        text: String,
    },
}

impl VolumeRoots {
    /// Where a volume of the pod can be mounted from.
    #[must_use]
    pub fn path_of(&self, volume: &Volume) -> PathBuf {
        if let Some(host) = &volume.host_path {
            return PathBuf::from(&host.path);
        }
        let on_disk = volume.empty_dir.as_ref().is_some_and(|empty| !in_memory(empty));
        if on_disk { self.disk.join(&volume.name) } else { self.memory.join(&volume.name) }
    }

    /// Makes what is missing and brings the content of the others up to date. May be repeated.
    ///
    /// # Errors
    /// At the first volume that cannot be made.
    pub fn prepare(&self, pod: &Pod, content: &Content) -> Result<(), VolumeError> {
        let Some(spec) = &pod.spec else { return Ok(()) };
        let group = spec.security_context.as_ref().and_then(|context| context.fs_group);
        let group = group.and_then(|group| u32::try_from(group).ok());
        for volume in spec.volumes.iter().flatten() {
            let path = self.path_of(volume);
            if let Some(empty) = &volume.empty_dir {
                make_empty(&volume.name, &path, empty, group)?;
            } else if let Some(host) = &volume.host_path {
                check_host_path(&volume.name, host)?;
            } else if let Some(files) = content.files_of(&volume.name) {
                write_files(&volume.name, &path, files, group)?;
            }
        }
        Ok(())
    }

    /// Removes the pod's volumes with everything in them. May be repeated.
    ///
    /// # Errors
    /// When something is still in use.
    pub fn remove(&self, pod: &Pod) -> Result<(), VolumeError> {
        for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            if volume.empty_dir.as_ref().is_some_and(in_memory) {
                // Not mounted, or not there: then there is nothing to undo.
                let _ = umount2(&self.memory.join(&volume.name), MntFlags::MNT_DETACH);
            }
        }
        for root in [&self.memory, &self.disk] {
            match fs::remove_dir_all(root) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("(all)", "remove", root)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

fn io_error(volume: &str, action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VolumeError {
    let (volume, path) = (volume.to_owned(), path.to_owned());
    move |source| VolumeError::Io { volume, action, path, source }
}

fn in_memory(empty: &EmptyDirVolumeSource) -> bool {
    empty.medium.as_deref() == Some("Memory")
}

fn make_empty(
    name: &str,
    path: &Path,
    empty: &EmptyDirVolumeSource,
    group: Option<u32>,
) -> Result<(), VolumeError> {
    if path.try_exists().map_err(io_error(name, "look at", path))? {
        return Ok(());
    }
    let size = empty.size_limit.as_ref().map(|limit| {
        manifests::quantity::bytes(&limit.0)
            .map_err(|_| VolumeError::BadSize { volume: name.to_owned(), text: limit.0.clone() })
    });
    let size = size.transpose()?;
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error(name, "create", path))?;
    if in_memory(empty) {
        let options = size.map_or_else(|| "mode=0777".to_owned(), |bytes| format!("mode=0777,size={bytes}"));
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some(options.as_str()))
            .map_err(|errno| io_error(name, "mount a tmpfs at", path)(errno.into()))?;
    }
    // Containers of any user share it; with a group, what they make in it belongs to the group.
    let mode = if group.is_some() { 0o2777 } else { 0o777 };
    chown(path, None, group).map_err(io_error(name, "give to its group", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(io_error(name, "open up", path))
}

fn write_files(name: &str, path: &Path, files: &Files, group: Option<u32>) -> Result<(), VolumeError> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(io_error(name, "create", path))?;
    write::replace(path, files, group).map_err(io_error(name, "write the files of", path))
}

/// Makes or checks what the pod says about a path of the host's.
fn check_host_path(name: &str, host: &HostPathVolumeSource) -> Result<(), VolumeError> {
    let path = Path::new(&host.path);
    let wanted = host.type_.as_deref().unwrap_or_default();
    match wanted {
        "DirectoryOrCreate" => {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(path)
                .map_err(io_error(name, "create", path))?;
        }
        "FileOrCreate" => {
            let opened = fs::OpenOptions::new().create(true).append(true).open(path);
            opened.map_err(io_error(name, "create", path))?;
        }
        _ => {}
    }
    let kind = match fs::metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(source) => return Err(io_error(name, "look at", path)(source)),
    };
    let fits = match wanted {
        "Directory" | "DirectoryOrCreate" => kind.is_dir(),
        "File" | "FileOrCreate" => kind.is_file(),
        "Socket" => kind.is_socket(),
        "CharDevice" => kind.is_char_device(),
        "BlockDevice" => kind.is_block_device(),
        _ => true,
    };
    if fits {
        return Ok(());
    }
    Err(VolumeError::HostPathType {
        volume: name.to_owned(),
        path: path.to_owned(),
        wanted: wanted.trim_end_matches("OrCreate").to_lowercase(),
    })
}

#[cfg(test)]
mod tests;
