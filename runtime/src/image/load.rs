//! Images from outside: OCI image layouts (a folder, or a tar of one) and `docker save` archives.
//!
//! Nothing is believed: every blob is checked against its digest and its size, every layer against its diff id.
//! Names appear last and all at once: a refused archive leaves nothing that has a name.

mod archive;
mod docker;
mod layout;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use oci_spec::image::{Descriptor, ImageConfiguration};

use super::blob::digest_of;
use super::limits::Limits;
use super::reference::{Reference, ReferenceError};
use super::store::{Store, StoreError, Workspace};
use super::unpack::UnpackError;
use archive::Archive;

/// How to load.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The name for an image that carries none itself.
    pub name: Option<String>,
    /// What is accepted.
    pub limits: Limits,
}

/// Why an archive was refused. Names are those of files within the archive.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store said no: disk, a hostile layer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive cannot be opened or looked into.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The archive's own tar.
    #[error("cannot read the archive")]
    Archive {
        /// Why not.
        #[source]
        source: UnpackError,
    },
    /// Neither of the formats.
    #[error(
        "this is neither an OCI image layout (no index.json) nor a docker save archive (no manifest.json)"
    )]
    NotAnImage,
    /// A document speaks of a file that is not there.
    #[error("{name} is missing in the archive")]
    Missing {
        /// The file.
        name: String,
    },
    /// A manifest that nobody would write.
    #[error("{name} is larger than {limit} bytes")]
    DocumentTooLarge {
        /// The file.
        name: String,
        /// [`Limits::manifest_bytes`]
        limit: u64,
    },
    /// A document that does not say what it must.
    #[error("{name} cannot be understood")]
    Document {
        /// The file.
        name: String,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// Other bytes than promised.
    #[error("{name} has digest {actual}, not {expected}")]
    DigestMismatch {
        /// The file.
        name: String,
        /// In the document that refers to it.
        expected: String,
        /// Of its bytes.
        actual: String,
    },
    /// More or fewer bytes than promised.
    #[error("{name} has {actual} bytes, not {expected}")]
    SizeMismatch {
        /// The file.
        name: String,
        /// In the document that refers to it.
        expected: u64,
        /// What is there.
        actual: u64,
    },
    /// Manifest and configuration must speak of the same layers.
    #[error("{name} has {diff_ids} layers, its manifest {layers}")]
    LayerCount {
        /// The configuration.
        name: String,
        /// In the manifest.
        layers: usize,
        /// In the configuration.
        diff_ids: usize,
    },
    /// Nothing that overlayfs could stack.
    #[error("{name} has more than {limit} layers")]
    TooManyLayers {
        /// The configuration.
        name: String,
        /// [`Limits::layers`]
        limit: usize,
    },
    /// Too much for one archive.
    #[error("more than {limit} images in one archive")]
    TooManyImages {
        /// [`Limits::images`]
        limit: usize,
    },
    /// An index of indexes of indexes.
    #[error("indexes are nested deeper than {limit}")]
    IndexTooDeep {
        /// [`Limits::index_depth`]
        limit: usize,
    },
    /// For other machines.
    #[error("no image for linux/{architecture} here, only for {offered}")]
    NoPlatform {
        /// This machine's.
        architecture: String,
        /// What there is.
        offered: String,
    },
    /// An artifact, a chart, a signature.
    #[error("{digest} is a {media_type}, not an image")]
    MediaType {
        /// Of the blob.
        digest: String,
        /// As the index says.
        media_type: String,
    },
    /// Another algorithm than SHA-256.
    #[error("digest {digest} is not supported: only sha256 is")]
    DigestUnsupported {
        /// As the document has it.
        digest: String,
    },
    /// Nothing to know it by.
    #[error("the image {digest} carries no name: say which with --name")]
    Unnamed {
        /// Of its manifest.
        digest: String,
    },
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] ReferenceError),
}

/// Loads what `reader` gives: a tar, plain or compressed by gzip or zstd. Returns the names, in order.
pub fn load(store: &Store, reader: impl Read, options: &LoadOptions) -> Result<Vec<Reference>, LoadError> {
    let workspace = store.begin()?;
    let archive = Archive::spool(reader, &workspace, &options.limits)?;
    Loading { workspace, archive, options }.run(store)
}

/// Loads a file as [`load`] does, or an OCI image layout that is a folder.
pub fn load_path(store: &Store, path: &Path, options: &LoadOptions) -> Result<Vec<Reference>, LoadError> {
    let fail = |source| LoadError::Io { action: "open", path: path.to_owned(), source };
    let file = File::open(path).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_dir() {
        return load(store, file, options);
    }
    let workspace = store.begin()?;
    Loading { workspace, archive: Archive::Folder(file), options }.run(store)
}

/// One archive on its way into the store.
struct Loading<'a> {
    workspace: Workspace<'a>,
    archive: Archive,
    options: &'a LoadOptions,
}

/// An image whose blobs are in the store, and what it wants to be called.
struct Loaded {
    names: Vec<Reference>,
    manifest: Descriptor,
}

impl Loading<'_> {
    fn run(mut self, store: &Store) -> Result<Vec<Reference>, LoadError> {
        let mut index = Vec::new();
        for loaded in self.images()? {
            for name in self.names(loaded.names, &loaded.manifest)? {
                index.push((name, loaded.manifest.clone()));
            }
        }
        let mut names: Vec<Reference> = index.iter().map(|(name, _)| name.clone()).collect();
        store.name(index)?;
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// A docker save archive since Docker 25 is an OCI layout as well, whose names may be nothing but tags:
    /// the layout is taken where it names its images, otherwise Docker's own manifest where there is one.
    fn images(&mut self) -> Result<Vec<Loaded>, LoadError> {
        let has_docker = self.archive.has("manifest.json")?;
        if self.archive.has("index.json")? && (!has_docker || self.layout_is_named()?) {
            self.layout_images()
        } else if has_docker {
            self.docker_images()
        } else {
            Err(LoadError::NotAnImage)
        }
    }

    fn names(&self, own: Vec<Reference>, manifest: &Descriptor) -> Result<Vec<Reference>, LoadError> {
        match (&self.options.name, own.is_empty()) {
            (_, false) => Ok(own),
            (Some(name), true) => Ok(vec![name.parse()?]),
            (None, true) => Err(LoadError::Unnamed { digest: manifest.digest().to_string() }),
        }
    }

    /// A document and its digest, which must be `expected` where that is known.
    fn document(&self, name: &str, expected: Option<&str>) -> Result<Vec<u8>, LoadError> {
        let bytes = self.archive.read(name, self.options.limits.manifest_bytes)?;
        let actual = digest_of(&bytes);
        match expected {
            Some(expected) if expected != actual => Err(LoadError::DigestMismatch {
                name: name.to_owned(),
                expected: expected.to_owned(),
                actual,
            }),
            _ => Ok(bytes),
        }
    }

    /// The diff ids of an image with so many layers.
    fn diff_ids(&self, name: &str, config: &[u8], layers: usize) -> Result<Vec<String>, LoadError> {
        let config: ImageConfiguration = parse(name, config)?;
        let diff_ids = config.rootfs().diff_ids().clone();
        if diff_ids.len() != layers {
            return Err(LoadError::LayerCount { name: name.to_owned(), layers, diff_ids: diff_ids.len() });
        }
        if layers > self.options.limits.layers {
            return Err(LoadError::TooManyLayers {
                name: name.to_owned(),
                limit: self.options.limits.layers,
            });
        }
        Ok(diff_ids)
    }
}

fn parse<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, LoadError> {
    serde_json::from_slice(bytes).map_err(|source| LoadError::Document { name: name.to_owned(), source })
}

#[cfg(test)]
mod tests;
