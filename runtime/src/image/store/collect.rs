//! Taking away: names, and then whatever no name leads to.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use oci_spec::image::Descriptor;

use super::{BLOBS, LAYERS, Reference, Store, StoreError, WORK};
use crate::image::blob::sha256_hex;

/// What removing a name did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// What the disk got back.
    pub freed_bytes: u64,
    /// The store was in use; what is garbage now will be collected by whoever next removes an image.
    pub deferred: bool,
}

/// What must stay: the hexadecimal names of blobs and of layers.
#[derive(Default)]
struct Referenced {
    blobs: BTreeSet<String>,
    layers: BTreeSet<String>,
}

impl Store {
    /// Takes a name away, then every blob and layer that no name leads to any more.
    /// A layer that a container uses stays until the next collection.
    pub fn remove(&self, name: &str) -> Result<Removal, StoreError> {
        let reference: Reference = name.parse()?;
        if reference.digest().is_some() && reference.tag().is_none() {
            return self.remove_digest(&reference);
        }
        if !self.unname(&reference)? {
            return Err(StoreError::NotFound { name: reference.to_string() });
        }
        self.collect()
    }

    /// `repository@digest`: every name of the repository that means this manifest.
    fn remove_digest(&self, reference: &Reference) -> Result<Removal, StoreError> {
        let means = |(known, descriptor): &(Reference, Descriptor)| {
            known.registry() == reference.registry()
                && known.repository() == reference.repository()
                && Some(descriptor.digest().as_ref()) == reference.digest()
        };
        let names: Vec<_> = self.read_index()?.into_iter().filter(means).collect();
        if names.is_empty() {
            return Err(StoreError::NotFound { name: reference.to_string() });
        }
        for (known, _) in names {
            self.unname(&known)?;
        }
        self.collect()
    }

    /// Collects everything that no name leads to, unless somebody is adding or looking up right now.
    pub fn collect(&self) -> Result<Removal, StoreError> {
        let Some(_lock) = self.try_lock_exclusive()? else {
            return Ok(Removal { freed_bytes: 0, deferred: true });
        };
        let mut freed_bytes = self.clear_work()?;
        let referenced = self.referenced()?;
        for path in children(&self.root.join(BLOBS))? {
            if !is_named(&path, &referenced.blobs) {
                freed_bytes += size_of(&path)?;
                fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
            }
        }
        for path in children(&self.layers)? {
            if !is_named(&path, &referenced.layers) {
                freed_bytes += self.remove_layer(&path)?;
            }
        }
        for path in children(&self.root.join(LAYERS))? {
            // Nobody who used layers of an earlier boot is still there.
            if path != self.layers {
                freed_bytes += self.remove_layer(&path)?;
            }
        }
        Ok(Removal { freed_bytes, deferred: false })
    }

    /// What killed processes left: their work, and with it what they had already moved to its place. And the layers
    /// of earlier boots.
    pub(super) fn collect_leftovers(&self) -> Result<(), StoreError> {
        let leftovers = !children(&self.root.join(WORK))?.is_empty();
        let earlier_boots = children(&self.root.join(LAYERS))?.len() > 1;
        if !leftovers && !earlier_boots {
            return Ok(());
        }
        match self.collect() {
            Ok(_) => Ok(()),
            // A damaged document must not keep the store from being opened, and nothing was removed for it.
            Err(error @ (StoreError::Damaged { .. } | StoreError::DigestMismatch { .. })) => {
                tracing::warn!(%error, root = %self.root.display(), "garbage is not collected");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn clear_work(&self) -> Result<u64, StoreError> {
        let mut freed_bytes = 0;
        for path in children(&self.root.join(WORK))? {
            freed_bytes += size_of(&path)?;
            let is_directory = fs::symlink_metadata(&path).map_err(StoreError::io("read", &path))?.is_dir();
            let removed = if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(StoreError::io("remove", &path))?;
        }
        Ok(freed_bytes)
    }

    fn referenced(&self) -> Result<Referenced, StoreError> {
        let mut referenced = Referenced::default();
        for (_, descriptor) in self.read_index()? {
            let (manifest, config) = self.documents(&descriptor)?;
            let blobs = manifest.layers().iter().chain([manifest.config(), &descriptor]);
            referenced.blobs.extend(blobs.filter_map(|blob| hex_name(blob.digest().as_ref())));
            referenced.layers.extend(config.rootfs().diff_ids().iter().filter_map(|id| hex_name(id)));
        }
        Ok(referenced)
    }

    /// Through `tmp/`, so that a half removed layer is never taken for a whole one.
    fn remove_layer(&self, path: &Path) -> Result<u64, StoreError> {
        let directory = File::open(path).map_err(StoreError::io("open", path))?;
        match directory.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(0),
            Err(fs::TryLockError::Error(source)) => {
                return Err(StoreError::Io { action: "lock", path: path.to_owned(), source });
            }
        }
        let name = path.file_name().expect("a child of a directory has a name");
        let doomed = self.root.join(WORK).join(name);
        fs::rename(path, &doomed).map_err(StoreError::io("move away", path))?;
        let freed_bytes = size_of(&doomed)?;
        fs::remove_dir_all(&doomed).map_err(StoreError::io("remove", &doomed))?;
        Ok(freed_bytes)
    }
}

fn hex_name(digest: &str) -> Option<String> {
    sha256_hex(digest).map(str::to_owned)
}

fn is_named(path: &Path, names: &BTreeSet<String>) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| names.contains(name))
}

fn children(folder: &Path) -> Result<Vec<std::path::PathBuf>, StoreError> {
    let entries = fs::read_dir(folder).map_err(StoreError::io("read", folder))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(StoreError::io("read", folder))).collect()
}

/// What the disk holds for `path` and everything below it, without following links.
fn size_of(path: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    let mut pending = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(StoreError::Io { action: "read", path, source }),
        };
        bytes += metadata.blocks() * 512;
        if metadata.is_dir() {
            pending.extend(children(&path)?);
        }
    }
    Ok(bytes)
}
