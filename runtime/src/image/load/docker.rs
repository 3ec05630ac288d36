//! `docker save`: a `manifest.json` that lists configurations, names and layers by their paths in the archive.

use std::path::Path;

use oci_spec::image::{Descriptor, ImageManifestBuilder, MediaType};
use serde::Deserialize;

use super::{LoadError, Loaded, Loading, parse};
use crate::image::blob::{digest_of, sha256_hex};
use crate::image::compression::Compression;
use crate::image::reference::Reference;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Loading<'_> {
    pub(super) fn docker_images(&mut self) -> Result<Vec<Loaded>, LoadError> {
        let bytes = self.document("manifest.json", None)?;
        let saved: Vec<SavedImage> = parse("manifest.json", &bytes)?;
        if saved.len() > self.options.limits.images {
            return Err(LoadError::TooManyImages { limit: self.options.limits.images });
        }
        saved.into_iter().map(|image| self.docker_image(image)).collect()
    }

    fn docker_image(&self, image: SavedImage) -> Result<Loaded, LoadError> {
        let config = self.document(&image.config, named_digest(&image.config).as_deref())?;
        let diff_ids = self.diff_ids(&image.config, &config, image.layers.len())?;
        let mut layers = Vec::with_capacity(diff_ids.len());
        for (name, diff_id) in image.layers.iter().zip(&diff_ids) {
            let blob = self.archive.import(name, None, &self.workspace)?;
            self.workspace.unpack_layer(&blob.digest, diff_id, &self.options.limits)?;
            layers.push(descriptor(layer_media_type(blob.compression), blob.size, &blob.digest));
        }
        self.workspace.add_document(&config)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(oci_spec::image::SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(descriptor(MediaType::ImageConfig, config.len() as u64, &digest_of(&config)))
            .layers(layers)
            .build()
            .expect("every required field of the manifest is given");
        let manifest = serde_json::to_vec(&manifest).expect("a manifest of plain texts is JSON");
        let digest = self.workspace.add_document(&manifest)?;
        let names: Result<Vec<Reference>, _> =
            image.repo_tags.unwrap_or_default().iter().map(|name| name.parse()).collect();
        Ok(Loaded {
            names: names?,
            manifest: descriptor(MediaType::ImageManifest, manifest.len() as u64, &digest),
        })
    }
}

fn descriptor(media_type: MediaType, size: u64, digest: &str) -> Descriptor {
    let digest: oci_spec::image::Digest = digest.parse().expect("our own digests are well formed");
    Descriptor::new(media_type, size, digest)
}

fn layer_media_type(compression: Compression) -> MediaType {
    match compression {
        Compression::None => MediaType::ImageLayer,
        Compression::Gzip => MediaType::ImageLayerGzip,
        Compression::Zstd => MediaType::ImageLayerZstd,
    }
}

/// `HEX.json` and `blobs/sha256/HEX` promise a digest by their name.
fn named_digest(path: &str) -> Option<String> {
    let stem = Path::new(path).file_stem()?.to_str()?;
    let digest = format!("sha256:{stem}");
    sha256_hex(&digest).is_some().then_some(digest)
}
