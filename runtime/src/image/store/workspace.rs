//! Adding to the store: everything is made in `tmp/` first, and appears by rename.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use super::index::sync_directory;
use super::{BLOBS, Store, StoreError, WORK};
use crate::image::blob::{Hashing, digest_of};
use crate::image::compression::Decoder;
use crate::image::limits::Limits;
use crate::image::unpack::{self, UnpackError};

/// One piece of work on the store. While it lives nothing is collected; when it ends its folder goes.
#[derive(Debug)]
pub(in crate::image) struct Workspace<'store> {
    store: &'store Store,
    folder: TempDir,
    _lock: File,
}

impl Store {
    pub(in crate::image) fn begin(&self) -> Result<Workspace<'_>, StoreError> {
        let lock = self.lock_shared()?;
        let work = self.root.join(WORK);
        let folder = TempDir::new_in(&work).map_err(StoreError::io("create a folder in", &work))?;
        Ok(Workspace { store: self, folder, _lock: lock })
    }
}

impl Workspace<'_> {
    /// A file of its own, on the store's own file system.
    pub(in crate::image) fn file(&self) -> Result<NamedTempFile, StoreError> {
        NamedTempFile::new_in(self.folder.path())
            .map_err(StoreError::io("create a file in", self.folder.path()))
    }

    /// Stores a document; returns its digest.
    pub(in crate::image) fn add_document(&self, bytes: &[u8]) -> Result<String, StoreError> {
        let digest = digest_of(bytes);
        let mut file = self.file()?;
        file.write_all(bytes).map_err(StoreError::io("write", file.path()))?;
        self.adopt(file, &digest)?;
        Ok(digest)
    }

    /// A blob to be written.
    pub(in crate::image) fn blob(&self) -> Result<Hashing<NamedTempFile>, StoreError> {
        self.file().map(Hashing::new)
    }

    /// Stores a blob that was written; returns its digest and size.
    pub(in crate::image) fn add_blob(
        &self,
        blob: Hashing<NamedTempFile>,
    ) -> Result<(String, u64), StoreError> {
        let size = blob.count();
        let (file, digest) = blob.finish();
        self.adopt(file, &digest)?;
        Ok((digest, size))
    }

    /// Moves a finished file to its place. The caller has verified that its bytes have this digest.
    pub(in crate::image) fn adopt(&self, file: NamedTempFile, digest: &str) -> Result<(), StoreError> {
        let path = self.store.blob_path(digest)?;
        file.as_file().sync_all().map_err(StoreError::io("sync", file.path()))?;
        file.persist(&path).map_err(|error| error.error).map_err(StoreError::io("create", &path))?;
        sync_directory(&self.store.root.join(BLOBS))
    }

    /// As [`Self::adopt`], for a file of this workspace that is still needed: one more name for it.
    pub(in crate::image) fn adopt_copy(&self, file: &Path, digest: &str) -> Result<(), StoreError> {
        let path = self.store.blob_path(digest)?;
        File::open(file).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", file))?;
        match fs::hard_link(file, &path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(StoreError::Io { action: "create", path, source: error })
            }
            _ => sync_directory(&self.store.root.join(BLOBS)),
        }
    }

    /// Unpacks a stored layer, unless it is unpacked already. Its plain tar must have the digest `diff_id`.
    pub(in crate::image) fn unpack_layer(
        &self,
        digest: &str,
        diff_id: &str,
        limits: &Limits,
    ) -> Result<(), StoreError> {
        let target = self.store.layer_path(diff_id)?;
        if target.try_exists().map_err(StoreError::io("look for", &target))? {
            return Ok(());
        }
        let made = self.folder.path().join("layer");
        fs::create_dir(&made).map_err(StoreError::io("create", &made))?;
        // Whatever the umask is: it may become the root of a container that does not run as root.
        let open_to_all = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&made, open_to_all).map_err(StoreError::io("set the mode of", &made))?;
        let unpacked = self.unpack_into(&made, digest, diff_id, limits);
        let placed = unpacked.and_then(|()| place_layer(&made, &target));
        if made.try_exists().map_err(StoreError::io("look for", &made))? {
            fs::remove_dir_all(&made).map_err(StoreError::io("remove", &made))?;
        }
        placed
    }

    fn unpack_into(
        &self,
        into: &Path,
        digest: &str,
        diff_id: &str,
        limits: &Limits,
    ) -> Result<(), StoreError> {
        let blob = self.store.blob_path(digest)?;
        let file = File::open(&blob).map_err(StoreError::io("open", &blob))?;
        let directory = File::open(into).map_err(StoreError::io("open", into))?;
        let fail = |source| StoreError::Unpack { digest: digest.to_owned(), source };
        let plain = Decoder::new(file).map_err(|source| fail(UnpackError::Read { source }))?;
        let actual = unpack::unpack(plain, &directory, limits).map_err(fail)?;
        if actual == diff_id {
            Ok(())
        } else {
            Err(fail(UnpackError::DiffId { expected: diff_id.to_owned(), actual }))
        }
    }
}

fn place_layer(made: &Path, target: &Path) -> Result<(), StoreError> {
    match fs::rename(made, target) {
        Ok(()) => Ok(()),
        // Another process was quicker; by the same digest it is the same layer.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) =>
        {
            Ok(())
        }
        Err(source) => Err(StoreError::Io { action: "create", path: PathBuf::from(target), source }),
    }
}
