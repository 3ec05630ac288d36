//! The OCI image layout: `index.json` and `blobs/sha256/`.

use oci_spec::image::{Arch, Descriptor, ImageIndex, ImageManifest, MediaType, Os};

use super::{LoadError, Loaded, Loading, parse};
use crate::image::blob::sha256_hex;
use crate::image::reference::Reference;
use crate::image::store::{NAME_ANNOTATION, REF_NAME_ANNOTATION};

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

impl Loading<'_> {
    /// Whether every image of the layout says what it is called.
    pub(super) fn layout_is_named(&self) -> Result<bool, LoadError> {
        Ok(self.top_index()?.manifests().iter().all(|descriptor| own_name(descriptor).is_some()))
    }

    pub(super) fn layout_images(&mut self) -> Result<Vec<Loaded>, LoadError> {
        let index = self.top_index()?;
        if index.manifests().len() > self.options.limits.images {
            return Err(LoadError::TooManyImages { limit: self.options.limits.images });
        }
        let mut images = Vec::new();
        for (name, candidates) in by_name(index.manifests()) {
            let manifest = self.choose(&candidates, 0)?;
            self.import_image(&manifest)?;
            images.push(Loaded { names: name.into_iter().collect(), manifest });
        }
        Ok(images)
    }

    fn top_index(&self) -> Result<ImageIndex, LoadError> {
        parse("index.json", &self.document("index.json", None)?)
    }

    /// The manifest for this machine, through however many indexes.
    fn choose(&self, candidates: &[Descriptor], depth: usize) -> Result<Descriptor, LoadError> {
        if depth > self.options.limits.index_depth {
            return Err(LoadError::IndexTooDeep { limit: self.options.limits.index_depth });
        }
        let chosen = for_this_machine(candidates)?;
        if is_manifest(chosen.media_type()) {
            return Ok(Descriptor::new(MediaType::ImageManifest, chosen.size(), chosen.digest().clone()));
        }
        if !is_index(chosen.media_type()) {
            return Err(LoadError::MediaType {
                digest: chosen.digest().to_string(),
                media_type: chosen.media_type().to_string(),
            });
        }
        let (name, bytes) = self.described(chosen)?;
        let index: ImageIndex = parse(&name, &bytes)?;
        self.choose(index.manifests(), depth + 1)
    }

    fn import_image(&self, descriptor: &Descriptor) -> Result<(), LoadError> {
        let (name, bytes) = self.described(descriptor)?;
        let manifest: ImageManifest = parse(&name, &bytes)?;
        let (config_name, config) = self.described(manifest.config())?;
        let diff_ids = self.diff_ids(&config_name, &config, manifest.layers().len())?;
        for (layer, diff_id) in manifest.layers().iter().zip(&diff_ids) {
            let digest = layer.digest().to_string();
            let name = blob_name(layer)?;
            let blob = self.archive.import(&name, Some(&digest), &self.workspace)?;
            check_size(&name, layer.size(), blob.size)?;
            self.workspace.unpack_layer(&digest, diff_id, &self.options.limits)?;
        }
        self.workspace.add_document(&config)?;
        self.workspace.add_document(&bytes)?;
        Ok(())
    }

    /// The document that a descriptor describes, and its name in the archive.
    fn described(&self, descriptor: &Descriptor) -> Result<(String, Vec<u8>), LoadError> {
        let name = blob_name(descriptor)?;
        let bytes = self.document(&name, Some(descriptor.digest().as_ref()))?;
        check_size(&name, descriptor.size(), bytes.len() as u64)?;
        Ok((name, bytes))
    }
}

fn blob_name(descriptor: &Descriptor) -> Result<String, LoadError> {
    let digest = descriptor.digest().to_string();
    match sha256_hex(&digest) {
        Some(hex) => Ok(format!("blobs/sha256/{hex}")),
        None => Err(LoadError::DigestUnsupported { digest }),
    }
}

fn check_size(name: &str, expected: u64, actual: u64) -> Result<(), LoadError> {
    if expected == actual {
        Ok(())
    } else {
        Err(LoadError::SizeMismatch { name: name.to_owned(), expected, actual })
    }
}

/// What an image calls itself. A name that is nothing but a tag does not say whose.
fn own_name(descriptor: &Descriptor) -> Option<Reference> {
    let annotations = descriptor.annotations().as_ref()?;
    let full = annotations.get(NAME_ANNOTATION);
    let name =
        full.or_else(|| annotations.get(REF_NAME_ANNOTATION).filter(|name| name.contains(['/', ':'])))?;
    name.parse().ok()
}

/// The images of an index: those of one name are one image for several machines, and so are those of none.
fn by_name(manifests: &[Descriptor]) -> Vec<(Option<Reference>, Vec<Descriptor>)> {
    let mut images: Vec<(Option<Reference>, Vec<Descriptor>)> = Vec::new();
    for descriptor in manifests {
        let name = own_name(descriptor);
        match images.iter_mut().find(|(known, _)| *known == name) {
            Some((_, candidates)) => candidates.push(descriptor.clone()),
            None => images.push((name, vec![descriptor.clone()])),
        }
    }
    images
}

/// The one for this machine; otherwise the first that does not say for which machine it is.
fn for_this_machine(candidates: &[Descriptor]) -> Result<&Descriptor, LoadError> {
    let here = Arch::default();
    let fits = |descriptor: &&Descriptor| {
        let platform = descriptor.platform().as_ref();
        platform.is_some_and(|platform| *platform.os() == Os::Linux && *platform.architecture() == here)
    };
    let unsaid = |descriptor: &&Descriptor| descriptor.platform().is_none();
    let chosen = candidates.iter().find(fits).or_else(|| candidates.iter().find(unsaid));
    chosen.ok_or_else(|| {
        let platforms = candidates.iter().filter_map(|descriptor| descriptor.platform().as_ref());
        let offered: Vec<String> =
            platforms.map(|platform| format!("{}/{}", platform.os(), platform.architecture())).collect();
        LoadError::NoPlatform { architecture: here.to_string(), offered: offered.join(", ") }
    })
}

fn is_manifest(media_type: &MediaType) -> bool {
    *media_type == MediaType::ImageManifest || media_type.to_string() == DOCKER_MANIFEST
}

fn is_index(media_type: &MediaType) -> bool {
    *media_type == MediaType::ImageIndex || media_type.to_string() == DOCKER_INDEX
}
