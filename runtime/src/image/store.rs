//! The image store: one directory, used by many processes at once.
//!
//! ```text
//! ROOT/                       0700
//!   oci-layout, index.json    an OCI image layout: which name means which manifest
//!   blobs/sha256/HEX          manifests, configurations, layers as they came
//!   layers/BOOT/HEX/          layers unpacked since this boot, by the digest of their plain tar (diff id)
//!   tmp/                      work in progress; whatever is here when nobody works is a leftover
//!   store.lock                held shared by whoever adds or looks up, exclusively by the collection of garbage
//!   index.lock                held exclusively while index.json is replaced
//! ```
//!
//! Things appear by rename: a killed process leaves nothing but files in `tmp/`. Blobs are on the disk before they
//! appear. Layers are not: waiting for so many files can take seconds on a busy disk. What a power cut could have
//! torn is not trusted instead: after a boot, layers are unpacked anew from their blobs when they are first needed.
//! A layer stays as long as an [`Image`] that names it lives in any process (a shared lock on its directory).

mod collect;
mod index;
mod workspace;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest};

use super::blob::{digest_of, sha256_hex};
use super::limits::Limits;
use super::reference::{Reference, ReferenceError};
use super::unpack::{self, UnpackError};
pub use collect::Removal;
pub(super) use index::{NAME_ANNOTATION, REF_NAME_ANNOTATION};
pub(super) use workspace::Workspace;

const BLOBS: &str = "blobs/sha256";
const LAYERS: &str = "layers";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// As much of the boot's id as keeps paths short: overlayfs takes a page of them.
const BOOT_ID_LENGTH: usize = 8;
const WORK: &str = "tmp";

/// A directory of images. Cheap to clone; holds nothing open.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    /// Folder of the layers that were unpacked since this boot.
    layers: PathBuf,
}

/// What a container needs of an image. While it lives, in whatever process, its layers are not collected.
#[derive(Clone, Debug)]
pub struct Image {
    /// The full name under which it was found.
    pub name: String,
    /// `sha256:…` of the manifest.
    pub digest: String,
    /// How its author would run it.
    pub config: ImageConfig,
    /// Unpacked layers in the order of overlayfs' `lowerdir`: the topmost first.
    pub layers: Vec<PathBuf>,
    pins: Arc<Vec<File>>,
}

impl Image {
    /// Open directories of the layers, in the order of `layers`. Each holds a shared lock against collection:
    /// a duplicate of the descriptor in a process that outlives this one keeps the layer.
    #[must_use]
    pub fn pins(&self) -> &[File] {
        &self.pins
    }
}

/// The part of the OCI image configuration that says how to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// Comes before any arguments.
    pub entrypoint: Vec<String>,
    /// Default arguments, or the whole command where there is no entrypoint.
    pub cmd: Vec<String>,
    /// `NAME=value`
    pub env: Vec<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`; empty: root.
    pub user: String,
    /// Empty: `/`.
    pub working_dir: String,
    /// e.g. `SIGQUIT`; none: SIGTERM.
    pub stop_signal: Option<String>,
    /// e.g. `8080/tcp`, sorted.
    pub exposed_ports: Vec<String>,
}

/// One line of a list of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSummary {
    /// The name that it is known by.
    pub reference: Reference,
    /// `sha256:…` of the manifest.
    pub digest: String,
    /// Manifest, configuration and layers as stored.
    pub size_bytes: u64,
    /// RFC 3339, as its author says.
    pub created: Option<String>,
    /// When it came into the store, in seconds since 1970.
    pub stored_at: i64,
}

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not a name at all.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// A good name that nothing here is known by.
    #[error("image {name} is not in the store")]
    NotFound {
        /// The full name.
        name: String,
    },
    /// The disk, permissions.
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
    /// A document of the store that is not what it must be.
    #[error("{what} {} is damaged", path.display())]
    Damaged {
        /// Index, manifest, configuration.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Bytes that do not match the digest that they are stored under.
    #[error("blob {expected} is damaged: its bytes have digest {actual}")]
    DigestMismatch {
        /// The name of the blob.
        expected: String,
        /// The digest of its bytes.
        actual: String,
    },
    /// Another algorithm than SHA-256.
    #[error("digest {digest} is not supported: only sha256 is")]
    DigestUnsupported {
        /// As the document has it.
        digest: String,
    },
    /// Manifest and configuration must speak of the same layers.
    #[error("image {digest}: the manifest has {layers} layers, the configuration {diff_ids}")]
    LayerCount {
        /// Of the manifest.
        digest: String,
        /// In the manifest.
        layers: usize,
        /// In the configuration.
        diff_ids: usize,
    },
    /// A layer that is not what its digest says, or is hostile.
    #[error("cannot unpack layer {digest}")]
    Unpack {
        /// Of the layer as stored.
        digest: String,
        /// Why not.
        #[source]
        source: UnpackError,
    },
}

impl StoreError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl Store {
    /// Opens the store at `root`, making it if need be, and clears away what killed processes left behind.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let path = Path::new(BOOT_ID);
        let boot = fs::read_to_string(path).map_err(StoreError::io("read", path))?;
        Self::open_since(root, boot.get(..BOOT_ID_LENGTH).unwrap_or("unknown"))
    }

    fn open_since(root: &Path, boot: &str) -> Result<Self, StoreError> {
        let layers = root.join(LAYERS).join(boot);
        let mut private = fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        for path in [root, &root.join(BLOBS), &layers, &root.join(WORK)] {
            private.create(path).map_err(StoreError::io("create", path))?;
        }
        fs::set_permissions(root, fs::Permissions::from_mode(0o700))
            .map_err(StoreError::io("protect", root))?;
        let store = Self { root: root.to_owned(), layers };
        store.write_layout()?;
        store.collect_leftovers()?;
        Ok(store)
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What a container needs of the image that is known as `name`.
    pub fn resolve(&self, name: &str) -> Result<Image, StoreError> {
        let reference: Reference = name.parse()?;
        let _lock = self.lock_shared()?;
        let descriptor = self.find(&reference)?;
        let (manifest, config) = self.documents(&descriptor)?;
        let mut layers = Vec::with_capacity(manifest.layers().len());
        let mut pins = Vec::with_capacity(manifest.layers().len());
        for (layer, diff_id) in manifest.layers().iter().zip(config.rootfs().diff_ids()).rev() {
            let path = self.layer_path(diff_id)?;
            let pin = self.pin(&path, layer, diff_id)?;
            let opaque = unpack::is_opaque(&pin).map_err(StoreError::io("read attributes of", &path))?;
            layers.push(path);
            pins.push(pin);
            // A layer whose root hides everything below it. Overlayfs does not ask its layers' roots.
            if opaque {
                break;
            }
        }
        Ok(Image {
            name: reference.to_string(),
            digest: descriptor.digest().to_string(),
            config: ImageConfig::from(&config),
            layers,
            pins: Arc::new(pins),
        })
    }

    /// Every name, in order.
    pub fn list(&self) -> Result<Vec<ImageSummary>, StoreError> {
        let _lock = self.lock_shared()?;
        let index = self.read_index()?;
        index.into_iter().map(|(reference, descriptor)| self.summary(reference, &descriptor)).collect()
    }

    fn summary(&self, reference: Reference, descriptor: &Descriptor) -> Result<ImageSummary, StoreError> {
        let (manifest, config) = self.documents(descriptor)?;
        let layers: u64 = manifest.layers().iter().map(Descriptor::size).fold(0, u64::saturating_add);
        let path = self.blob_path(descriptor.digest().as_ref())?;
        let metadata = fs::metadata(&path).map_err(StoreError::io("read", &path))?;
        Ok(ImageSummary {
            reference,
            digest: descriptor.digest().to_string(),
            size_bytes: descriptor.size().saturating_add(manifest.config().size()).saturating_add(layers),
            created: config.created().clone(),
            stored_at: std::os::unix::fs::MetadataExt::mtime(&metadata),
        })
    }

    /// The manifest behind a name. A name with a digest must match both its repository and the digest.
    fn find(&self, reference: &Reference) -> Result<Descriptor, StoreError> {
        let matches = |(known, descriptor): &(Reference, Descriptor)| match reference.digest() {
            None => known == reference,
            Some(digest) => {
                known.registry() == reference.registry()
                    && known.repository() == reference.repository()
                    && descriptor.digest().as_ref() == digest
            }
        };
        let found = self.read_index()?.into_iter().find(matches);
        found
            .map(|(_, descriptor)| descriptor)
            .ok_or_else(|| StoreError::NotFound { name: reference.to_string() })
    }

    fn documents(&self, descriptor: &Descriptor) -> Result<(ImageManifest, ImageConfiguration), StoreError> {
        let manifest: ImageManifest = self.read_document("manifest", descriptor.digest().as_ref())?;
        let config: ImageConfiguration =
            self.read_document("configuration", manifest.config().digest().as_ref())?;
        let (layers, diff_ids) = (manifest.layers().len(), config.rootfs().diff_ids().len());
        if layers != diff_ids {
            return Err(StoreError::LayerCount { digest: descriptor.digest().to_string(), layers, diff_ids });
        }
        Ok((manifest, config))
    }

    fn read_document<T: serde::de::DeserializeOwned>(
        &self,
        what: &'static str,
        digest: &str,
    ) -> Result<T, StoreError> {
        let path = self.blob_path(digest)?;
        let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
        let actual = digest_of(&bytes);
        if actual != digest {
            return Err(StoreError::DigestMismatch { expected: digest.to_owned(), actual });
        }
        serde_json::from_slice(&bytes).map_err(|source| StoreError::Damaged { what, path, source })
    }

    /// Opens a layer's directory under a shared lock; unpacks it first if it is not there since this boot.
    fn pin(&self, path: &Path, layer: &Descriptor, diff_id: &str) -> Result<File, StoreError> {
        if !path.try_exists().map_err(StoreError::io("look for", path))? {
            self.begin()?.unpack_layer(layer.digest().as_ref(), diff_id, &Limits::default())?;
        }
        let directory = File::open(path).map_err(StoreError::io("open", path))?;
        directory.lock_shared().map_err(StoreError::io("lock", path))?;
        Ok(directory)
    }

    fn blob_path(&self, digest: &str) -> Result<PathBuf, StoreError> {
        let hex =
            sha256_hex(digest).ok_or_else(|| StoreError::DigestUnsupported { digest: digest.to_owned() })?;
        Ok(self.root.join(BLOBS).join(hex))
    }

    fn layer_path(&self, diff_id: &str) -> Result<PathBuf, StoreError> {
        let hex = sha256_hex(diff_id)
            .ok_or_else(|| StoreError::DigestUnsupported { digest: diff_id.to_owned() })?;
        Ok(self.layers.join(hex))
    }

    /// Held while something is added or looked up: garbage is not collected meanwhile.
    fn lock_shared(&self) -> Result<File, StoreError> {
        let path = self.root.join("store.lock");
        let file = open_lock(&path)?;
        file.lock_shared().map_err(StoreError::io("lock", &path))?;
        Ok(file)
    }

    /// Nobody else uses the store, or `None`. Never waits: what is garbage now is garbage later.
    fn try_lock_exclusive(&self) -> Result<Option<File>, StoreError> {
        let path = self.root.join("store.lock");
        let file = open_lock(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(source)) => Err(StoreError::Io { action: "lock", path, source }),
        }
    }
}

fn open_lock(path: &Path) -> Result<File, StoreError> {
    File::options().create(true).truncate(false).write(true).open(path).map_err(StoreError::io("open", path))
}

impl From<&ImageConfiguration> for ImageConfig {
    fn from(configuration: &ImageConfiguration) -> Self {
        let Some(config) = configuration.config() else { return Self::default() };
        let mut exposed_ports = config.exposed_ports().clone().unwrap_or_default();
        exposed_ports.sort();
        Self {
            entrypoint: config.entrypoint().clone().unwrap_or_default(),
            cmd: config.cmd().clone().unwrap_or_default(),
            env: config.env().clone().unwrap_or_default(),
            user: config.user().clone().unwrap_or_default(),
            working_dir: config.working_dir().clone().unwrap_or_default(),
            stop_signal: config.stop_signal().clone(),
            exposed_ports,
        }
    }
}

#[cfg(test)]
mod tests;
