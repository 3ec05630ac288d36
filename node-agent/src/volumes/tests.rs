//! What is in volumes, and what leads out of them: nothing.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::content::{Content, ContentError};
use super::*;
use crate::assignment::{Assignment, References};
use crate::spec::Facts;

fn facts() -> Facts {
    Facts {
        pod_ip: None,
        host_ip: [192, 168, 0, 1].into(),
        node_name: "node-1".into(),
        node_cpu_milli: 1000,
        node_memory_bytes: 1 << 30,
    }
}

fn assignment(volume: Value, colour: &str) -> Assignment {
    let pod = json!({ "metadata": { "name": "a", "namespace": "b", "uid": "c", "labels": { "app": "x" } },
        "spec": { "containers": [], "volumes": [volume] } });
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "paint" },
        "data": { "colour": colour, "gloss": "yes" } });
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "key" },
        "data": { "password": "aHVzaA==" } });
    let wire = proto::Assignment {
        pod: pod.to_string().into(),
        references: vec![map.to_string().into(), secret.to_string().into()],
    };
    Assignment::decode(&wire).expect("an assignment")
}

fn content(volume: Value) -> Result<Content, ContentError> {
    let Assignment { pod, references } = assignment(volume, "green");
    Content::of(&pod, &references, &facts())
}

struct Place {
    _folder: tempfile::TempDir,
    roots: VolumeRoots,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let roots = VolumeRoots { disk: folder.path().join("disk"), memory: folder.path().join("memory") };
        Self { _folder: folder, roots }
    }

    fn prepare(&self, assignment: &Assignment) {
        let content = Content::of(&assignment.pod, &assignment.references, &facts()).expect("content");
        self.roots.prepare(&assignment.pod, &content).expect("volumes");
    }
}

#[test]
fn items_choose_keys_and_paths() {
    let volume = json!({ "name": "v", "configMap": { "name": "paint", "items": [{ "key": "colour", "path": "a/b" }] } });
    let content = content(volume).expect("content");
    let files = &content.files_of("v").expect("files").by_path;
    assert_eq!(files.keys().collect::<Vec<_>>(), ["a/b"]);
}

#[test]
fn projected_volumes_join_their_sources() {
    let volume = json!({ "name": "v", "projected": { "sources": [
        { "configMap": { "name": "paint" } }, { "secret": { "name": "key" } },
        { "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } } ] } });
    let content = content(volume).expect("content");
    let files = &content.files_of("v").expect("files").by_path;
    assert_eq!(files.keys().collect::<Vec<_>>(), ["colour", "gloss", "labels", "password"]);
}

#[test]
fn a_missing_source_is_named_unless_it_is_optional() {
    let volume =
        |optional: bool| json!({ "name": "v", "secret": { "secretName": "no", "optional": optional } });
    let error = content(volume(false)).expect_err("it is missing");
    assert_eq!(error.to_string(), "volume v: secret \"no\" not found");
    assert!(content(volume(true)).is_ok());
}

#[test]
fn no_path_leads_out_of_a_volume() {
    for path in ["../x", "/etc/passwd", "a/../../x", "..data/x", "a//b", ".", ""] {
        let items = json!([{ "key": "colour", "path": path }]);
        let volume = json!({ "name": "v", "configMap": { "name": "paint", "items": items } });
        assert!(matches!(content(volume), Err(ContentError::BadPath { .. })), "{path:?}");
    }
}

#[test]
fn what_is_secret_is_not_shown_in_messages() {
    let content = content(json!({ "name": "v", "secret": { "secretName": "key" } })).expect("content");
    assert!(!format!("{content:?}").contains("104, 117"), "{content:?}");
}

#[test]
fn new_content_replaces_all_files_at_once_and_old_names_go() {
    let place = Place::new();
    let volume = json!({ "name": "v", "configMap": { "name": "paint", "defaultMode": 0o640 } });
    place.prepare(&assignment(volume, "green"));
    let file = |name: &str| place.roots.memory.join("v").join(name);
    assert_eq!(std::fs::read_to_string(file("colour")).expect("a file"), "green");
    let mode = std::fs::metadata(file("colour")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let before = std::fs::read_link(file("..data")).expect("a link");
    let fewer = json!({ "name": "v", "configMap": { "name": "paint", "items": [{ "key": "colour", "path": "colour" }] } });
    place.prepare(&assignment(fewer, "blue"));
    assert_eq!(std::fs::read_to_string(file("colour")).expect("a file"), "blue");
    assert!(std::fs::symlink_metadata(file("gloss")).is_err());
    assert!(std::fs::symlink_metadata(place.roots.memory.join("v").join(before)).is_err());
}

#[test]
fn an_empty_dir_keeps_its_content_until_it_is_removed() {
    let place = Place::new();
    let assignment = assignment(json!({ "name": "v", "emptyDir": {} }), "green");
    place.prepare(&assignment);
    std::fs::write(place.roots.disk.join("v/file"), "x").expect("writable");
    place.prepare(&assignment);
    assert!(place.roots.disk.join("v/file").try_exists().expect("a look"));
    place.roots.remove(&assignment.pod).expect("removed");
    place.roots.remove(&assignment.pod).expect("again is no error");
    assert!(!place.roots.disk.try_exists().expect("a look"));
}

#[test]
fn a_host_path_must_be_what_the_pod_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |type_: &str, name: &str| {
        let path = folder.path().join(name).to_string_lossy().into_owned();
        let host = HostPathVolumeSource { path, type_: Some(type_.to_owned()) };
        check_host_path("v", &host)
    };
    assert!(check("DirectoryOrCreate", "made").is_ok());
    assert!(check("Directory", "made").is_ok());
    assert!(matches!(check("File", "made"), Err(VolumeError::HostPathType { .. })));
    assert!(matches!(check("Directory", "absent"), Err(VolumeError::Io { .. })));
}

#[test]
fn a_link_in_a_volume_does_not_lead_out_of_it() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: mounting needs root");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (root, outside) = (folder.path().join("volume"), folder.path().join("outside"));
    std::fs::create_dir(&root).expect("a folder");
    std::fs::create_dir(&outside).expect("a folder");
    std::fs::write(outside.join("file"), "secret").expect("a file");
    symlink("../outside", root.join("escape")).expect("a link");
    symlink("/", root.join("top")).expect("a link");
    // Seen from inside, neither `../outside` nor `/outside` is there; the first cannot be made through a link.
    assert!(subpath::hold(&root, "escape/file", &folder.path().join("place")).is_err());
    let held = subpath::hold(&root, "top/inner", &folder.path().join("place")).expect("inside");
    assert!(root.join("inner").try_exists().expect("a look"));
    drop(held);
    assert!(!folder.path().join("place").try_exists().expect("a look"), "nothing is left mounted");
    for path in ["..", "/etc", "a/../b", "."] {
        let refused = subpath::hold(&root, path, &folder.path().join("place"));
        assert!(matches!(refused, Err(subpath::SubPathError::Bad { .. })), "{path}");
    }
}

#[test]
fn references_that_are_neither_are_refused() {
    let wire = proto::Assignment { pod: "{}".into(), references: Vec::new() };
    assert!(Assignment::decode(&wire).is_err());
    assert_eq!(References::default().secrets.len(), 0);
}
