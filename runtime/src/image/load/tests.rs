use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::image::tars::{Tar, gzip, zstd};

fn store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("images")).unwrap();
    (folder, store)
}

fn layer(content: &str) -> Vec<u8> {
    Tar::default().file("content", content.as_bytes()).finish()
}

fn config(diff_ids: &[String]) -> Vec<u8> {
    let architecture = oci_spec::image::Arch::default().to_string();
    json!({
        "architecture": architecture, "os": "linux",
        "config": { "Cmd": ["/bin/run"], "Env": null, "ExposedPorts": { "80/tcp": {} } },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": [{ "created_by": "a test" }],
    })
    .to_string()
    .into_bytes()
}

/// As `docker save` wrote it before Docker 25.
fn docker_save(tag: &str, layers: &[Vec<u8>]) -> Tar {
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest_of(layer)).collect();
    let config = config(&diff_ids);
    let config_name = format!("{}.json", digest_of(&config).trim_start_matches("sha256:"));
    let mut tar = Tar::default();
    let mut names = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let name = format!("{number}/layer.tar");
        tar = tar.directory(&number.to_string()).file(&name, layer);
        names.push(name);
    }
    let manifest = json!([{ "Config": config_name, "RepoTags": [tag], "Layers": names }]);
    // The manifest last, as Docker has it: whoever reads a stream knows only then what it had.
    tar.file(&config_name, &config).file("manifest.json", manifest.to_string().as_bytes())
}

/// An OCI layout as files.
#[derive(Default)]
struct Layout {
    files: Vec<(String, Vec<u8>)>,
    index: Vec<Value>,
}

impl Layout {
    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = digest_of(&bytes);
        let described = json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() });
        self.files.push((format!("blobs/sha256/{}", digest.trim_start_matches("sha256:")), bytes));
        described
    }

    fn manifest(&mut self, plain: &[u8], blob: Vec<u8>) -> Value {
        let config = config(&[digest_of(plain)]);
        let config = self.blob("application/vnd.oci.image.config.v1+json", config);
        let layer = self.blob("application/vnd.oci.image.layer.v1.tar+gzip", blob);
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        self.blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().into_bytes())
    }

    fn image(content: &str, compress: fn(&[u8]) -> Vec<u8>, name: Option<&str>) -> Self {
        let mut layout = Self::default();
        let plain = layer(content);
        let mut manifest = layout.manifest(&plain, compress(&plain));
        if let Some(name) = name {
            manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        }
        layout.index.push(manifest);
        layout
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let index = json!({ "schemaVersion": 2, "manifests": self.index }).to_string().into_bytes();
        let mut files = self.files.clone();
        files.push(("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
        files.push(("index.json".to_owned(), index));
        files
    }

    fn tar(&self) -> Vec<u8> {
        self.files().iter().fold(Tar::default(), |tar, (name, bytes)| tar.file(name, bytes)).finish()
    }

    fn write_to(&self, folder: &Path) {
        for (name, bytes) in self.files() {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

fn content(store: &Store, name: &str) -> String {
    let image = store.resolve(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    fs::read_to_string(image.layers[0].join("content")).unwrap()
}

fn loaded(store: &Store, bytes: &[u8]) -> Result<Vec<String>, LoadError> {
    let names = load(store, bytes, &LoadOptions::default())?;
    Ok(names.iter().map(ToString::to_string).collect())
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// No name, no blob, no layer, no work.
fn is_empty(store: &Store) -> bool {
    store.collect().unwrap();
    let count = |folder: &Path| fs::read_dir(folder).unwrap().count();
    let boot = fs::read_dir(store.root().join("layers")).unwrap().next().unwrap().unwrap().path();
    let blobs = store.root().join("blobs/sha256");
    store.list().unwrap().is_empty() && count(&blobs) + count(&boot) + count(&store.root().join("tmp")) == 0
}

#[test]
fn docker_save_archives_are_loaded_however_they_are_compressed() {
    for compress in [plain, gzip, zstd] {
        let (_folder, store) = store();
        let archive = docker_save("shop/payment:1", &[layer("low"), layer("high")]).finish();
        assert_eq!(loaded(&store, &compress(&archive)).unwrap(), ["docker.io/shop/payment:1"]);
        assert_eq!(content(&store, "shop/payment:1"), "high");
        assert_eq!(store.resolve("shop/payment:1").unwrap().config.cmd, ["/bin/run"]);
    }
}

#[test]
fn layers_of_docker_save_may_be_links_to_each_other() {
    let (_folder, store) = store();
    let same = layer("same");
    let config = config(&[digest_of(&same), digest_of(&same)]);
    let manifest =
        json!([{ "Config": "c.json", "RepoTags": ["a"], "Layers": ["1/layer.tar", "2/layer.tar"] }]);
    let archive = Tar::default()
        .file("1/layer.tar", &same)
        .symlink("2/layer.tar", "../1/layer.tar")
        .file("c.json", &config)
        .file("manifest.json", manifest.to_string().as_bytes())
        .finish();
    loaded(&store, &archive).unwrap();
    assert_eq!(store.resolve("a").unwrap().layers.len(), 2);
}

#[test]
fn oci_layouts_are_loaded_as_tar_and_as_folder() {
    for compress in [plain, gzip, zstd] {
        let layout = Layout::image("hello", compress, Some("shop/inventory:2"));
        let (folder, store) = store();
        assert_eq!(loaded(&store, &layout.tar()).unwrap(), ["docker.io/shop/inventory:2"]);
        assert_eq!(content(&store, "shop/inventory:2"), "hello");
        let digest = store.resolve("shop/inventory:2").unwrap().digest;
        assert_eq!(digest, layout.index[0]["digest"], "the manifest stays as it was");

        layout.write_to(&folder.path().join("layout"));
        let other = Store::open(&folder.path().join("other")).unwrap();
        load_path(&other, &folder.path().join("layout"), &LoadOptions::default()).unwrap();
        assert_eq!(content(&other, "shop/inventory:2"), "hello");
    }
}

#[test]
fn an_image_without_a_name_needs_one() {
    let (_folder, store) = store();
    for own in [None, Some("latest")] {
        let layout = Layout::image("hello", gzip, own);
        assert!(matches!(loaded(&store, &layout.tar()), Err(LoadError::Unnamed { .. })));
        let options = LoadOptions { name: Some("given:1".to_owned()), ..LoadOptions::default() };
        load(&store, layout.tar().as_slice(), &options).unwrap();
        assert_eq!(content(&store, "given:1"), "hello");
        store.remove("given:1").unwrap();
        assert!(is_empty(&store));
    }
}

#[test]
fn of_several_machines_this_one_is_chosen() {
    let (_folder, store) = store();
    let mut layout = Layout::default();
    let mut manifests = Vec::new();
    let here = oci_spec::image::Arch::default().to_string();
    for architecture in ["pdp11", &here, "unknown"] {
        let plain = layer(architecture);
        let mut manifest = layout.manifest(&plain, gzip(&plain));
        manifest["platform"] = json!({ "os": "linux", "architecture": architecture });
        manifests.push(manifest);
    }
    let index = json!({ "schemaVersion": 2, "manifests": manifests }).to_string().into_bytes();
    let mut index = layout.blob("application/vnd.oci.image.index.v1+json", index);
    index["annotations"] = json!({ "io.containerd.image.name": "docker.io/library/many:1" });
    layout.index.push(index);
    loaded(&store, &layout.tar()).unwrap();
    assert_eq!(content(&store, "many:1"), here);

    layout.index[0] = manifests[0].clone();
    let error = loaded(&store, &layout.tar()).expect_err("for another machine");
    assert!(matches!(&error, LoadError::NoPlatform { offered, .. } if offered == "linux/pdp11"), "{error:?}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table: one row for each lie")]
fn lies_are_refused_and_leave_nothing() {
    type Expected = fn(&LoadError) -> bool;
    let layout = |change: fn(&mut Layout)| {
        let mut layout = Layout::image("hello", gzip, Some("a:1"));
        change(&mut layout);
        layout.tar()
    };
    let cases: Vec<(&str, Vec<u8>, Expected)> = vec![
        ("nothing", Vec::new(), |e| matches!(e, LoadError::NotAnImage)),
        ("no image", Tar::default().file("a", b"").finish(), |e| matches!(e, LoadError::NotAnImage)),
        ("no tar", vec![b'x'; 4096], |e| matches!(e, LoadError::Archive { .. })),
        ("half a gzip", gzip(&layout(|_| ()))[..200].to_vec(), |e| {
            matches!(e, LoadError::Archive { .. } | LoadError::Io { .. })
        }),
        ("a manifest that is no json", Tar::default().file("manifest.json", b"{").finish(), |e| {
            matches!(e, LoadError::Document { .. })
        }),
        ("a blob changed", layout(|layout| layout.files[1].1[30] ^= 1), |e| {
            matches!(e, LoadError::DigestMismatch { .. })
        }),
        ("a configuration changed", layout(|layout| layout.files[0].1.push(b' ')), |e| {
            matches!(e, LoadError::DigestMismatch { .. })
        }),
        ("a blob missing", layout(|layout| drop(layout.files.remove(1))), |e| {
            matches!(e, LoadError::Missing { .. })
        }),
        ("a size that lies", layout(|layout| layout.index[0]["size"] = json!(7)), |e| {
            matches!(e, LoadError::SizeMismatch { .. })
        }),
        ("another digest", layout(|layout| layout.index[0]["digest"] = json!("sha512:00")), |e| {
            matches!(e, LoadError::DigestUnsupported { .. } | LoadError::Document { .. })
        }),
        ("a digest that climbs", layout(|layout| layout.index[0]["digest"] = json!("sha256:../../x")), |e| {
            matches!(e, LoadError::DigestUnsupported { .. } | LoadError::Document { .. })
        }),
        ("an artifact", layout(|layout| layout.index[0]["mediaType"] = json!("text/plain")), |e| {
            matches!(e, LoadError::MediaType { .. })
        }),
        (
            "another layer than the configuration says",
            layout(|layout| {
                let mut other = Layout::default();
                let manifest = other.manifest(&layer("promised"), gzip(&layer("delivered")));
                layout.files = other.files;
                layout.index[0]["digest"] = manifest["digest"].clone();
                layout.index[0]["size"] = manifest["size"].clone();
            }),
            |e| matches!(e, LoadError::Store(StoreError::Unpack { source: UnpackError::DiffId { .. }, .. })),
        ),
        (
            "a hostile layer",
            docker_save("evil", &[Tar::default().file("../../evil", b"x").finish()]).finish(),
            |e| matches!(e, LoadError::Store(StoreError::Unpack { source: UnpackError::Escapes { .. }, .. })),
        ),
        (
            "a second image that is hostile",
            Layout {
                index: {
                    let mut index = Layout::image("hello", gzip, Some("a:1")).index;
                    let mut missing = index[0].clone();
                    missing["digest"] = json!(digest_of(b"missing"));
                    missing["annotations"] = json!({ "org.opencontainers.image.ref.name": "b:1" });
                    index.push(missing);
                    index
                },
                ..Layout::image("hello", gzip, Some("a:1"))
            }
            .tar(),
            |e| matches!(e, LoadError::Missing { .. }),
        ),
    ];
    for (case, bytes, expected) in cases {
        let (_folder, store) = store();
        let error = loaded(&store, &bytes).expect_err(case);
        assert!(expected(&error), "{case}: {error:?}");
        assert!(is_empty(&store), "{case}");
    }
}

#[test]
fn every_limit_is_kept_and_named() {
    let limited = |bytes: Vec<u8>, change: fn(&mut Limits)| {
        let (_folder, store) = store();
        let mut options = LoadOptions::default();
        change(&mut options.limits);
        let error = load(&store, bytes.as_slice(), &options).expect_err("beyond a limit");
        assert!(is_empty(&store));
        error
    };
    let archive = || docker_save("a", &[layer("low"), layer("high")]).finish();
    let error = limited(archive(), |limits| limits.archive_bytes = 1000);
    assert!(
        matches!(error, LoadError::Archive { source: UnpackError::TooLarge { limit: 1000 } }),
        "{error:?}"
    );
    let error = limited(gzip(&archive()), |limits| limits.archive_entries = 2);
    assert!(matches!(error, LoadError::Archive { source: UnpackError::TooManyEntries { .. } }), "{error:?}");
    let error = limited(archive(), |limits| limits.manifest_bytes = 20);
    assert!(matches!(error, LoadError::DocumentTooLarge { limit: 20, .. }), "{error:?}");
    let error = limited(archive(), |limits| limits.layers = 1);
    assert!(matches!(error, LoadError::TooManyLayers { limit: 1, .. }), "{error:?}");
    let error = limited(archive(), |limits| limits.images = 0);
    assert!(matches!(error, LoadError::TooManyImages { limit: 0 }), "{error:?}");
    let bomb = docker_save("a", &[layer(&"0".repeat(1 << 20))]).finish();
    let error = limited(gzip(&bomb), |limits| limits.layer_bytes = 1 << 19);
    assert!(
        matches!(error, LoadError::Store(StoreError::Unpack { source: UnpackError::TooLarge { .. }, .. })),
        "{error:?}"
    );
}

#[test]
fn indexes_within_indexes_end_somewhere() {
    let (_folder, store) = store();
    let mut layout = Layout::default();
    let plain = layer("deep");
    let mut inner = layout.manifest(&plain, gzip(&plain));
    for _ in 0..9 {
        let index = json!({ "schemaVersion": 2, "manifests": [inner] }).to_string().into_bytes();
        inner = layout.blob("application/vnd.oci.image.index.v1+json", index);
    }
    layout.index.push(inner);
    assert!(matches!(loaded(&store, &layout.tar()), Err(LoadError::IndexTooDeep { .. })));
}

#[test]
fn a_folder_cannot_lead_outside_by_links() {
    let (folder, store) = store();
    let layout = folder.path().join("layout");
    fs::create_dir(&layout).unwrap();
    fs::write(folder.path().join("secret.json"), "[]").unwrap();
    std::os::unix::fs::symlink("../secret.json", layout.join("manifest.json")).unwrap();
    let error = load_path(&store, &layout, &LoadOptions::default()).expect_err("a link outward");
    assert!(matches!(error, LoadError::Io { action: "open", .. }), "{error:?}");
}

#[test]
fn loading_twice_is_loading_once() {
    let (_folder, store) = store();
    let archive = docker_save("a", &[layer("x")]).finish();
    assert_eq!(loaded(&store, &archive).unwrap(), loaded(&store, &archive).unwrap());
    assert_eq!(store.list().unwrap().len(), 1);
    store.remove("a").unwrap();
    assert!(is_empty(&store));
}
