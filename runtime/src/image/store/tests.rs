use std::collections::BTreeSet;

use oci_spec::image::{
    ConfigBuilder, ImageConfigurationBuilder, ImageManifestBuilder, MediaType, RootFsBuilder,
};
use tempfile::TempDir;

use super::*;
use crate::image::tars::{Tar, gzip, lacks_root};

fn store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("images")).unwrap();
    (folder, store)
}

fn described(media_type: MediaType, size: u64, digest: &str) -> Descriptor {
    Descriptor::new(media_type, size, digest.parse::<oci_spec::image::Digest>().unwrap())
}

/// An image of these plain tars, lowest first.
fn add(store: &Store, name: &str, tars: &[Vec<u8>]) -> String {
    let work = store.begin().unwrap();
    let mut layers = Vec::new();
    let mut diff_ids = Vec::new();
    for tar in tars {
        let mut blob = work.blob().unwrap();
        std::io::Write::write_all(&mut blob, &gzip(tar)).unwrap();
        let (digest, size) = work.add_blob(blob).unwrap();
        work.unpack_layer(&digest, &digest_of(tar), &Limits::default()).unwrap();
        layers.push(described(MediaType::ImageLayerGzip, size, &digest));
        diff_ids.push(digest_of(tar));
    }
    let config = ConfigBuilder::default()
        .entrypoint(vec!["/bin/run".to_owned()])
        .env(vec!["A=b".to_owned()])
        .exposed_ports(vec!["80/tcp".to_owned(), "443/tcp".to_owned()])
        .stop_signal("SIGQUIT");
    let config = ImageConfigurationBuilder::default()
        .config(config.build().unwrap())
        .rootfs(RootFsBuilder::default().diff_ids(diff_ids).build().unwrap());
    let config = serde_json::to_vec(&config.build().unwrap()).unwrap();
    let config_digest = work.add_document(&config).unwrap();
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .config(described(MediaType::ImageConfig, config.len() as u64, &config_digest))
        .layers(layers);
    let manifest = serde_json::to_vec(&manifest.build().unwrap()).unwrap();
    let digest = work.add_document(&manifest).unwrap();
    let descriptor = described(MediaType::ImageManifest, manifest.len() as u64, &digest);
    store.name(vec![(name.parse().unwrap(), descriptor)]).unwrap();
    digest
}

fn files(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn what_was_added_is_resolved_by_every_way_of_naming_it() {
    let (_folder, store) = store();
    let (low, high) = (Tar::default().file("a", b"low").finish(), Tar::default().file("a", b"high").finish());
    let digest = add(&store, "shop/payment:1", &[low, high]);
    for name in [
        "shop/payment:1",
        "docker.io/shop/payment:1",
        &format!("shop/payment@{digest}"),
        &format!("shop/payment:2@{digest}"),
    ] {
        let image = store.resolve(name).unwrap();
        assert_eq!(image.digest, digest);
        assert_eq!(image.config.entrypoint, ["/bin/run"]);
        assert_eq!(image.config.exposed_ports, ["443/tcp", "80/tcp"]);
        assert_eq!(image.config.stop_signal.as_deref(), Some("SIGQUIT"));
        let contents: Vec<_> = image.layers.iter().map(|path| fs::read(path.join("a")).unwrap()).collect();
        assert_eq!(contents, [b"high".to_vec(), b"low".to_vec()], "the topmost layer first");
    }
}

#[test]
fn what_is_not_there_is_not_found_by_its_full_name() {
    let (_folder, store) = store();
    add(&store, "payment:1", &[]);
    for name in ["payment", "payment:2", "other:1", "ghcr.io/payment:1"] {
        let error = store.resolve(name).expect_err(name);
        assert!(matches!(&error, StoreError::NotFound { name } if name.contains('/')), "{error:?}");
    }
    assert!(matches!(store.resolve("Bad Name"), Err(StoreError::Name(_))));
}

#[test]
fn nobody_else_may_look_into_the_store() {
    let (_folder, store) = store();
    assert_eq!(fs::metadata(store.root()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_name_moves_to_the_new_image() {
    let (_folder, store) = store();
    add(&store, "payment:1", &[Tar::default().file("a", b"old").finish()]);
    let new = add(&store, "payment:1", &[Tar::default().file("a", b"new").finish()]);
    assert_eq!(store.resolve("payment:1").unwrap().digest, new);
    assert_eq!(store.list().unwrap().len(), 1);
}

#[test]
fn removing_keeps_what_other_images_share() {
    let (_folder, store) = store();
    let shared = Tar::default().file("shared", b"x").finish();
    add(&store, "one", &[shared.clone(), Tar::default().file("one", b"x").finish()]);
    add(&store, "two", &[shared]);
    assert!(store.remove("one").unwrap().freed_bytes > 0);
    assert!(matches!(store.resolve("one"), Err(StoreError::NotFound { .. })));
    assert!(store.resolve("two").unwrap().layers[0].join("shared").try_exists().unwrap());
    assert_eq!(files(&store.layers).len(), 1);
    assert_eq!(files(&store.root().join(BLOBS)).len(), 3);
    store.remove("two").unwrap();
    assert_eq!(files(&store.layers), BTreeSet::new());
    assert_eq!(files(&store.root().join(BLOBS)), BTreeSet::new());
    assert!(matches!(store.remove("two"), Err(StoreError::NotFound { .. })));
}

#[test]
fn a_layer_in_use_is_not_collected() {
    let (_folder, store) = store();
    add(&store, "used", &[Tar::default().file("a", b"x").finish()]);
    let image = store.resolve("used").unwrap();
    let copy = image.clone();
    store.remove("used").unwrap();
    drop(image);
    store.collect().unwrap();
    assert!(copy.layers[0].join("a").try_exists().unwrap());
    let layer = copy.layers[0].clone();
    drop(copy);
    store.collect().unwrap();
    assert!(!layer.try_exists().unwrap());
}

#[test]
fn garbage_waits_while_somebody_works() {
    let (_folder, store) = store();
    add(&store, "payment", &[Tar::default().file("a", b"x").finish()]);
    let work = store.begin().unwrap();
    assert!(store.remove("payment").unwrap().deferred);
    assert_eq!(files(&store.root().join(BLOBS)).len(), 3);
    drop(work);
    assert!(!store.collect().unwrap().deferred);
    assert_eq!(files(&store.root().join(BLOBS)), BTreeSet::new());
}

#[test]
fn what_a_killed_process_left_behind_is_collected_when_the_store_is_opened() {
    let (_folder, store) = store();
    add(&store, "kept", &[Tar::default().file("a", b"x").finish()]);
    fs::create_dir_all(store.root().join("tmp/.tmpkilled/layer/usr")).unwrap();
    fs::write(store.root().join("tmp/.tmpkilled/blob"), "half").unwrap();
    fs::write(store.root().join(BLOBS).join("0".repeat(64)), "of no image").unwrap();
    let again = Store::open(store.root()).unwrap();
    assert_eq!(files(&store.root().join(WORK)), BTreeSet::new());
    assert_eq!(files(&store.root().join(BLOBS)).len(), 3);
    again.resolve("kept").unwrap();
}

#[test]
fn a_layer_that_somebody_deleted_is_unpacked_again() {
    let (_folder, store) = store();
    add(&store, "payment", &[Tar::default().file("a", b"x").finish()]);
    let layer = store.resolve("payment").unwrap().layers[0].clone();
    fs::remove_dir_all(&layer).unwrap();
    assert_eq!(fs::read(store.resolve("payment").unwrap().layers[0].join("a")).unwrap(), b"x");
}

#[test]
fn layers_of_an_earlier_boot_are_not_trusted() {
    let (_folder, store) = store();
    add(&store, "payment", &[Tar::default().file("a", b"x").finish()]);
    let torn = store.resolve("payment").unwrap().layers[0].join("a");
    fs::write(&torn, "").unwrap();
    let rebooted = Store::open_since(store.root(), "next").unwrap();
    assert!(!torn.try_exists().unwrap());
    assert_eq!(fs::read(rebooted.resolve("payment").unwrap().layers[0].join("a")).unwrap(), b"x");
    assert_eq!(files(&store.root().join(LAYERS)), BTreeSet::from(["next".to_owned()]));
}

#[test]
fn a_layer_that_hides_all_below_ends_the_stack() {
    if lacks_root("a_layer_that_hides_all_below_ends_the_stack") {
        return;
    }
    let (_folder, store) = store();
    let low = Tar::default().file("low", b"x").finish();
    let hides = Tar::default().file(".wh..wh..opq", b"").file("high", b"x").finish();
    add(&store, "hides", &[low, hides]);
    let image = store.resolve("hides").unwrap();
    assert_eq!(image.layers.len(), 1);
    assert!(image.layers[0].join("high").try_exists().unwrap());
}

#[test]
fn damage_is_told_and_nothing_is_collected_for_it() {
    let (_folder, store) = store();
    let digest = add(&store, "payment", &[]);
    let hex = sha256_hex(&digest).unwrap();
    fs::write(store.root().join(BLOBS).join(hex), "{}").unwrap();
    assert!(matches!(store.resolve("payment"), Err(StoreError::DigestMismatch { .. })));
    assert!(matches!(store.collect(), Err(StoreError::DigestMismatch { .. })));
    fs::write(store.root().join("index.json"), "not json").unwrap();
    assert!(matches!(store.resolve("payment"), Err(StoreError::Damaged { what: "index", .. })));
    assert_eq!(files(&store.root().join(BLOBS)).len(), 2);
}

#[test]
fn many_may_add_and_resolve_at_once() {
    let (_folder, store) = store();
    let shared = Tar::default().file("shared", &[7; 10_000]).finish();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (root, shared) = (store.root(), &shared);
            scope.spawn(move || {
                let own = Store::open(root).unwrap();
                let name = format!("image:{number}");
                add(&own, &name, &[shared.clone(), Tar::default().file(&name, b"x").finish()]);
                own.resolve(&name).unwrap();
                if number % 2 == 0 {
                    own.remove(&name).unwrap();
                }
            });
        }
    });
    let names: Vec<_> = store.list().unwrap().into_iter().map(|image| image.reference.to_string()).collect();
    assert_eq!(names, [1, 3, 5, 7].map(|number| format!("docker.io/library/image:{number}")));
    store.collect().unwrap();
    assert_eq!(files(&store.layers).len(), 5);
}
