//! `index.json`: which name means which manifest. An OCI image index, so that other tools can read the store.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use oci_spec::image::{Descriptor, ImageIndex, ImageIndexBuilder};

use super::{Store, StoreError, WORK, open_lock};
use crate::image::reference::Reference;

/// The full name, as containerd and Docker annotate it.
pub(in crate::image) const NAME_ANNOTATION: &str = "io.containerd.image.name";
/// The name or only the tag, as the OCI specification annotates it.
pub(in crate::image) const REF_NAME_ANNOTATION: &str = "org.opencontainers.image.ref.name";

const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

impl Store {
    pub(super) fn write_layout(&self) -> Result<(), StoreError> {
        let path = self.root.join("oci-layout");
        // Another process that opens the store may be clearing away drafts, such as ours.
        let _lock = self.lock_shared()?;
        match fs::read(&path) {
            Ok(content) if content == LAYOUT.as_bytes() => Ok(()),
            Ok(_) => self.replace(&path, LAYOUT.as_bytes()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.replace(&path, LAYOUT.as_bytes()),
            Err(source) => Err(StoreError::Io { action: "read", path, source }),
        }
    }

    /// All names in order, each with its manifest.
    pub(super) fn read_index(&self) -> Result<Vec<(Reference, Descriptor)>, StoreError> {
        let path = self.root.join("index.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StoreError::Io { action: "read", path, source }),
        };
        let index: ImageIndex = serde_json::from_slice(&bytes).map_err(|source| StoreError::Damaged {
            what: "index",
            path,
            source,
        })?;
        let mut names = Vec::with_capacity(index.manifests().len());
        for descriptor in index.manifests() {
            let name = descriptor.annotations().as_ref().and_then(|all| all.get(NAME_ANNOTATION));
            if let Some(name) = name {
                names.push((name.parse::<Reference>()?, descriptor.clone()));
            }
        }
        names.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(names)
    }

    /// Gives names their manifests; whoever had one of these names before loses it.
    pub(in crate::image) fn name(&self, names: Vec<(Reference, Descriptor)>) -> Result<(), StoreError> {
        self.edit_index(|index| {
            for (reference, descriptor) in names {
                index.retain(|(known, _)| *known != reference);
                index.push((reference, descriptor));
            }
        })
    }

    /// Takes a name away. Says whether it was there.
    pub(super) fn unname(&self, reference: &Reference) -> Result<bool, StoreError> {
        let mut found = false;
        self.edit_index(|index| {
            let before = index.len();
            index.retain(|(known, _)| known != reference);
            found = index.len() < before;
        })?;
        Ok(found)
    }

    fn edit_index(&self, edit: impl FnOnce(&mut Vec<(Reference, Descriptor)>)) -> Result<(), StoreError> {
        let lock_path = self.root.join("index.lock");
        let lock = open_lock(&lock_path)?;
        lock.lock().map_err(StoreError::io("lock", &lock_path))?;
        let mut index = self.read_index()?;
        edit(&mut index);
        index.sort_by(|(left, _), (right, _)| left.cmp(right));
        let manifests: Vec<Descriptor> =
            index.into_iter().map(|(reference, descriptor)| annotated(&reference, descriptor)).collect();
        let document = ImageIndexBuilder::default()
            .schema_version(oci_spec::image::SCHEMA_VERSION)
            .manifests(manifests)
            .build()
            .expect("every required field of the index is given");
        let bytes = serde_json::to_vec_pretty(&document).expect("an index of plain texts is JSON");
        self.replace(&self.root.join("index.json"), &bytes)
    }

    /// The old content or the new, whenever the power goes.
    fn replace(&self, path: &Path, content: &[u8]) -> Result<(), StoreError> {
        let fail = || StoreError::io("write", path);
        let mut file = tempfile::NamedTempFile::new_in(self.root.join(WORK)).map_err(fail())?;
        file.write_all(content).map_err(fail())?;
        file.as_file().sync_all().map_err(fail())?;
        file.persist(path).map_err(|error| error.error).map_err(fail())?;
        sync_directory(&self.root)
    }
}

/// Makes renames within `directory` durable.
pub(super) fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", directory))
}

fn annotated(reference: &Reference, mut descriptor: Descriptor) -> Descriptor {
    let name = reference.to_string();
    let tag = reference.tag().unwrap_or_default().to_owned();
    descriptor.set_annotations(Some(HashMap::from([
        (NAME_ANNOTATION.to_owned(), name),
        (REF_NAME_ANNOTATION.to_owned(), tag),
    ])));
    descriptor
}
