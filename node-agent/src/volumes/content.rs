//! What is in a pod's volumes: the files of its ConfigMaps, Secrets and of the downward API. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Pod, Volume, VolumeProjection};

use crate::assignment::References;
use crate::spec::Facts;
use crate::spec::env::data_of;
use crate::spec::field::{self, FieldError};

const MODE_DEFAULT: u32 = 0o644;
const MODE_MASK: u32 = 0o777;

/// The content of all of a pod's volumes that have any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    volumes: BTreeMap<String, Files>,
}

/// A volume's files, by their path in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Files {
    /// Relative, without `..`.
    pub by_path: BTreeMap<String, FileContent>,
}

/// One file.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FileContent {
    /// Permission bits.
    pub mode: u32,
    /// Its bytes; may be secret.
    pub bytes: Vec<u8>,
}

/// Content that cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ContentError {
    /// What the volume is made of is not there (yet).
    #[error("volume {volume}: {kind} {name:?} not found")]
    ReferenceMissing {
        /// The volume.
        volume: String,
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// It is there and lacks a key that the volume names.
    #[error("volume {volume}: {kind} {name:?} has no key {key}")]
    KeyMissing {
        /// The volume.
        volume: String,
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// A path that would leave the volume.
    #[error("volume {volume}: path {path:?} must be relative and must not contain ..")]
    BadPath {
        /// The volume.
        volume: String,
        /// The path.
        path: String,
    },
    /// A field of the downward API that cannot be read.
    #[error("volume {volume}")]
    Field {
        /// The volume.
        volume: String,
        /// Why.
        #[source]
        source: FieldError,
    },
    /// A kind of volume that this node does not have.
    #[error(
        "volume {volume} is of a kind that is not supported; emptyDir, configMap, secret, hostPath, projected and downwardAPI are"
    )]
    Unsupported {
        /// The volume.
        volume: String,
    },
}

/// Never shows the bytes.
impl fmt::Debug for FileContent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes, mode {:o}", self.bytes.len(), self.mode)
    }
}

impl Content {
    /// The files of a volume that has content of its own.
    #[must_use]
    pub fn files_of(&self, volume: &str) -> Option<&Files> {
        self.volumes.get(volume)
    }

    /// Differs when the content does.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.volumes.hash(&mut hasher);
        hasher.finish()
    }

    /// The content of a pod's volumes.
    ///
    /// # Errors
    /// When something is missing that is not optional, or makes no sense.
    pub fn of(pod: &Pod, references: &References, facts: &Facts) -> Result<Self, ContentError> {
        let mut volumes = BTreeMap::new();
        for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let maker = Maker { volume: &volume.name, pod, references, facts };
            if let Some(files) = maker.volume(volume)? {
                volumes.insert(volume.name.clone(), files);
            }
        }
        Ok(Self { volumes })
    }
}

impl Files {
    /// Differs when the files do.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// A ConfigMap or Secret as a source of files.
struct Source<'a> {
    kind: &'static str,
    name: &'a str,
    items: Option<&'a [KeyToPath]>,
    optional: Option<bool>,
}

struct Maker<'a> {
    volume: &'a str,
    pod: &'a Pod,
    references: &'a References,
    facts: &'a Facts,
}

impl Maker<'_> {
    fn volume(&self, volume: &Volume) -> Result<Option<Files>, ContentError> {
        let mut files = Files::default();
        if let Some(map) = &volume.config_map {
            let source = source("configmap", &map.name, map.items.as_deref(), map.optional);
            self.add_data(&mut files, &source, map.default_mode)?;
        } else if let Some(secret) = &volume.secret {
            let name = secret.secret_name.as_deref().unwrap_or_default();
            let source = source("secret", name, secret.items.as_deref(), secret.optional);
            self.add_data(&mut files, &source, secret.default_mode)?;
        } else if let Some(downward) = &volume.downward_api {
            self.add_fields(&mut files, downward.items.as_deref(), downward.default_mode)?;
        } else if let Some(projected) = &volume.projected {
            for source in projected.sources.iter().flatten() {
                self.add_projection(&mut files, source, projected.default_mode)?;
            }
        } else if volume.empty_dir.is_some() || volume.host_path.is_some() {
            return Ok(None);
        } else {
            return Err(ContentError::Unsupported { volume: self.volume.to_owned() });
        }
        Ok(Some(files))
    }

    fn add_projection(
        &self,
        files: &mut Files,
        projection: &VolumeProjection,
        mode: Option<i32>,
    ) -> Result<(), ContentError> {
        if let Some(map) = &projection.config_map {
            self.add_data(files, &source("configmap", &map.name, map.items.as_deref(), map.optional), mode)?;
        }
        if let Some(secret) = &projection.secret {
            self.add_data(
                files,
                &source("secret", &secret.name, secret.items.as_deref(), secret.optional),
                mode,
            )?;
        }
        if let Some(downward) = &projection.downward_api {
            self.add_fields(files, downward.items.as_deref(), mode)?;
        }
        Ok(())
    }

    fn add_data(
        &self,
        files: &mut Files,
        source: &Source<'_>,
        mode: Option<i32>,
    ) -> Result<(), ContentError> {
        let &Source { kind, name, items, optional } = source;
        let Some(mut data) = data_of(kind, name, self.references) else {
            if optional == Some(true) {
                return Ok(());
            }
            let (volume, name) = (self.volume.to_owned(), name.to_owned());
            return Err(ContentError::ReferenceMissing { volume, kind, name });
        };
        let Some(items) = items else {
            return data.into_iter().try_for_each(|(key, bytes)| self.add(files, &key, bytes, mode));
        };
        for item in items {
            match data.remove(&item.key) {
                Some(bytes) => self.add(files, &item.path, bytes, item.mode.or(mode))?,
                None if optional == Some(true) => {}
                None => {
                    let (volume, name, key) = (self.volume.to_owned(), name.to_owned(), item.key.clone());
                    return Err(ContentError::KeyMissing { volume, kind, name, key });
                }
            }
        }
        Ok(())
    }

    fn add_fields(
        &self,
        files: &mut Files,
        items: Option<&[DownwardAPIVolumeFile]>,
        mode: Option<i32>,
    ) -> Result<(), ContentError> {
        for item in items.unwrap_or_default() {
            let value = match (&item.field_ref, &item.resource_field_ref) {
                (Some(selector), _) => field::field(self.pod, self.facts, selector),
                (None, Some(selector)) => field::resource(self.pod, None, self.facts, selector),
                (None, None) => Ok(String::new()),
            };
            let value =
                value.map_err(|source| ContentError::Field { volume: self.volume.to_owned(), source })?;
            self.add(files, &item.path, value.into_bytes(), item.mode.or(mode))?;
        }
        Ok(())
    }

    fn add(
        &self,
        files: &mut Files,
        path: &str,
        bytes: Vec<u8>,
        mode: Option<i32>,
    ) -> Result<(), ContentError> {
        let parts_ok = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        // A first part of `..data` would be taken for our own bookkeeping.
        if !parts_ok || path.starts_with("..") || path.contains('\0') {
            return Err(ContentError::BadPath { volume: self.volume.to_owned(), path: path.to_owned() });
        }
        let mode = mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(MODE_DEFAULT) & MODE_MASK;
        files.by_path.insert(path.to_owned(), FileContent { mode, bytes });
        Ok(())
    }
}

fn source<'a>(
    kind: &'static str,
    name: &'a str,
    items: Option<&'a [KeyToPath]>,
    optional: Option<bool>,
) -> Source<'a> {
    Source { kind, name, items, optional }
}
