use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tar::EntryType;
use tempfile::TempDir;

use super::*;
use crate::image::blob::digest_of;
use crate::image::tars::{Tar, lacks_root};

/// A folder for the layer, beside one that must not change.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("layer")).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/canary"), "alive").unwrap();
        Self { folder }
    }

    fn layer(&self) -> PathBuf {
        self.folder.path().join("layer")
    }

    fn outside(&self) -> BTreeMap<PathBuf, (u32, u32, u64, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut pending = vec![self.folder.path().to_owned()];
        while let Some(folder) = pending.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path == self.layer() {
                    continue;
                }
                let metadata = fs::symlink_metadata(&path).unwrap();
                let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
                if metadata.is_dir() {
                    pending.push(path.clone());
                }
                found.insert(path, (metadata.mode(), metadata.uid(), metadata.nlink(), content));
            }
        }
        found
    }

    fn unpack(&self, tar: &[u8]) -> Result<String, UnpackError> {
        self.unpack_within(tar, &small())
    }

    fn unpack_within(&self, tar: &[u8], limits: &Limits) -> Result<String, UnpackError> {
        unpack(tar, &File::open(self.layer()).unwrap(), limits)
    }
}

fn small() -> Limits {
    Limits {
        layer_bytes: 1 << 20,
        layer_entries: 64,
        path_bytes: 512,
        path_depth: 8,
        header_bytes: 4096,
        ..Limits::default()
    }
}

fn is_whiteout(path: &Path) -> bool {
    let metadata = fs::symlink_metadata(path).unwrap();
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

fn is_opaque_folder(path: &Path) -> bool {
    is_opaque(&File::open(path).unwrap()).unwrap()
}

#[test]
fn an_ordinary_layer_becomes_an_ordinary_folder() {
    if lacks_root("an_ordinary_layer_becomes_an_ordinary_folder") {
        return;
    }
    let place = Place::new();
    let long = format!("usr/share/{}", "x".repeat(150));
    let tar = Tar::default()
        .with_header(EntryType::Directory, "./", "", b"", |header| header.set_mode(0o755))
        .with_header(EntryType::Directory, "usr/", "", b"", |header| header.set_mode(0o711))
        .with_header(EntryType::Regular, "usr/bin/su", "", b"program", |header| {
            header.set_mode(0o4755);
            header.set_uid(12);
            header.set_gid(34);
        })
        .symlink("bin", "usr/bin")
        .symlink("etc/up", "../../../../etc/passwd")
        .hard_link("usr/bin/also", "usr/bin/su")
        .entry(EntryType::Fifo, "run/pipe", "", b"")
        .file(&long, b"long")
        .pax(&[("path", b"by/pax"), ("uid", b"99"), ("mtime", b"1234.5"), ("SCHILY.xattr.user.note", b"hi")])
        .file("ignored", b"content")
        .finish();
    assert_eq!(place.unpack(&tar).unwrap(), digest_of(&tar));

    let at = |path: &str| place.layer().join(path);
    let program = fs::metadata(at("usr/bin/su")).unwrap();
    assert_eq!((program.mode() & 0o7777, program.uid(), program.gid()), (0o4755, 12, 34));
    assert_eq!((program.mtime(), program.nlink()), (1_000_000_000, 2));
    let folder = fs::metadata(at("usr")).unwrap();
    assert_eq!((folder.mode() & 0o7777, folder.mtime()), (0o711, 1_000_000_000));
    assert_eq!(fs::read_link(at("bin")).unwrap(), Path::new("usr/bin"));
    assert_eq!(fs::read_link(at("etc/up")).unwrap(), Path::new("../../../../etc/passwd"));
    assert!(fs::symlink_metadata(at("run/pipe")).unwrap().file_type().is_fifo());
    assert_eq!(fs::read(at(&long)).unwrap(), b"long");
    assert_eq!(fs::metadata(at("by/pax")).unwrap().uid(), 99);
    assert_eq!(fs::metadata(at("by/pax")).unwrap().mtime(), 1234);
    assert!(!at("ignored").try_exists().unwrap());
}

#[test]
fn whiteouts_become_overlays_own() {
    if lacks_root("whiteouts_become_overlays_own") {
        return;
    }
    let place = Place::new();
    let tar = Tar::default()
        .file("etc/.wh.shadow", b"")
        .file("opt/.wh..wh..opq", b"")
        .file("opt/new", b"new")
        .file(".wh..wh.plnk", b"")
        .file("kept", b"kept")
        .file(".wh.kept", b"")
        .finish();
    place.unpack(&tar).unwrap();
    assert!(is_whiteout(&place.layer().join("etc/shadow")));
    assert!(is_opaque_folder(&place.layer().join("opt")));
    assert!(!is_opaque_folder(&place.layer().join("etc")));
    assert_eq!(fs::read(place.layer().join("opt/new")).unwrap(), b"new");
    assert_eq!(fs::read(place.layer().join("kept")).unwrap(), b"kept");
    assert_eq!(fs::read_dir(place.layer()).unwrap().count(), 3);
}

#[test]
fn a_folder_in_place_of_a_whiteout_hides_what_was_below() {
    if lacks_root("a_folder_in_place_of_a_whiteout_hides_what_was_below") {
        return;
    }
    for tar in [
        Tar::default().file(".wh.a", b"").file("a/b", b"new"),
        Tar::default().file("a/b", b"new").file(".wh.a", b""),
        Tar::default().file(".wh.a", b"").directory("a").file("a/b", b"new"),
    ] {
        let place = Place::new();
        place.unpack(&tar.finish()).unwrap();
        assert!(is_opaque_folder(&place.layer().join("a")));
        assert_eq!(fs::read(place.layer().join("a/b")).unwrap(), b"new");
    }
}

#[test]
fn a_layer_may_hide_everything_below_it() {
    if lacks_root("a_layer_may_hide_everything_below_it") {
        return;
    }
    let place = Place::new();
    place.unpack(&Tar::default().file(".wh..wh..opq", b"").finish()).unwrap();
    assert!(is_opaque_folder(&place.layer()));
}

#[test]
fn the_last_entry_of_a_name_wins() {
    let place = Place::new();
    let tar = Tar::default()
        .file("a", b"old")
        .file("a", b"new")
        .file("b/deep/er", b"")
        .file("b", b"a file now")
        .symlink("c", "/nowhere")
        .directory("c")
        .file("c/inside", b"")
        .finish();
    place.unpack(&tar).unwrap();
    assert_eq!(fs::read(place.layer().join("a")).unwrap(), b"new");
    assert_eq!(fs::read(place.layer().join("b")).unwrap(), b"a file now");
    assert!(fs::symlink_metadata(place.layer().join("c")).unwrap().is_dir());
}

#[test]
fn device_nodes_are_left_out() {
    let place = Place::new();
    let numbered = |tar: Tar, kind, path| {
        tar.with_header(kind, path, "", b"", |header| {
            header.set_device_major(8).unwrap();
            header.set_device_minor(1).unwrap();
        })
    };
    let tar = numbered(numbered(Tar::default(), EntryType::Block, "dev/sda1"), EntryType::Char, "dev/c");
    place.unpack(&tar.finish()).unwrap();
    assert_eq!(fs::read_dir(place.layer()).unwrap().count(), 0);
}

#[test]
fn names_from_the_root_stay_within_the_layer() {
    let place = Place::new();
    let absolute = place.folder.path().join("outside/canary");
    place.unpack(&Tar::default().file(absolute.to_str().unwrap(), b"dead").finish()).unwrap();
    assert_eq!(fs::read(&absolute).unwrap(), b"alive");
    assert_eq!(fs::read(place.layer().join(absolute.strip_prefix("/").unwrap())).unwrap(), b"dead");
}

/// What it is, the layer, and whether that is the right answer to it.
type Hostile = (&'static str, Tar, fn(&UnpackError) -> bool);

fn assert_refused(layers: Vec<Hostile>) {
    for (case, tar, expected) in layers {
        let place = Place::new();
        let before = place.outside();
        let error = place.unpack(&tar.finish()).expect_err(case);
        assert!(expected(&error), "{case}: {error:?}");
        assert_eq!(place.outside(), before, "{case}");
    }
}

#[test]
fn layers_that_lead_outward_are_refused() {
    let outside = "../outside/canary";
    assert_refused(vec![
        ("dots", Tar::default().file(outside, b"x"), |e| matches!(e, UnpackError::Escapes { .. })),
        ("dots inside", Tar::default().file("a/../../outside/canary", b"x"), |e| {
            matches!(e, UnpackError::Escapes { .. })
        }),
        ("folder of dots", Tar::default().directory(".."), |e| matches!(e, UnpackError::Escapes { .. })),
        ("hard link outward", Tar::default().hard_link("a", outside), |e| {
            matches!(e, UnpackError::Escapes { .. })
        }),
        ("hard link to the machine", Tar::default().hard_link("a", "/etc/passwd"), |e| {
            matches!(e, UnpackError::HardLink { .. })
        }),
        (
            "hard link through a link",
            Tar::default().symlink("l", "../outside").hard_link("a", "l/canary"),
            |e| matches!(e, UnpackError::HardLink { .. }),
        ),
        ("hard link to itself", Tar::default().hard_link("a", "a"), |e| {
            matches!(e, UnpackError::HardLink { .. })
        }),
        ("hard link to its own parent", Tar::default().file("a/b", b"").hard_link("a", "a/b"), |e| {
            matches!(e, UnpackError::HardLink { .. })
        }),
        ("hard link to a folder", Tar::default().directory("d").hard_link("a", "d"), |e| {
            matches!(e, UnpackError::HardLink { .. })
        }),
        ("file through a link", Tar::default().symlink("l", "../outside").file("l/canary", b"x"), |e| {
            matches!(e, UnpackError::Parent { .. })
        }),
        ("folder through a link", Tar::default().symlink("l", "/tmp").directory("l/evil"), |e| {
            matches!(e, UnpackError::Parent { .. })
        }),
        (
            "whiteout through a link",
            Tar::default().symlink("l", "../outside").file("l/.wh.canary", b""),
            |e| matches!(e, UnpackError::Parent { .. }),
        ),
        (
            "opaque through a link",
            Tar::default().symlink("l", "../outside").file("l/.wh..wh..opq", b""),
            |e| matches!(e, UnpackError::Parent { .. }),
        ),
        ("file below a file", Tar::default().file("f", b"").file("f/g", b""), |e| {
            matches!(e, UnpackError::Parent { .. })
        }),
    ]);
}

#[test]
fn layers_that_speak_to_overlayfs_are_refused() {
    assert_refused(vec![
        ("whiteout of dot", Tar::default().file(".wh..", b""), |e| matches!(e, UnpackError::Whiteout { .. })),
        ("whiteout of dots", Tar::default().file(".wh...", b""), |e| {
            matches!(e, UnpackError::Whiteout { .. })
        }),
        ("whiteout of nothing", Tar::default().file("a/.wh.", b""), |e| {
            matches!(e, UnpackError::Whiteout { .. })
        }),
        ("overlay's whiteout", Tar::default().entry(EntryType::Char, "a", "", b""), |e| {
            matches!(e, UnpackError::OverlayInternal { .. })
        }),
        (
            "overlay's attribute",
            Tar::default().pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/etc")]).directory("a"),
            |e| matches!(e, UnpackError::OverlayInternal { .. }),
        ),
        (
            "overlay's attribute of users",
            Tar::default().pax(&[("SCHILY.xattr.user.overlay.opaque", b"y")]).directory("a"),
            |e| matches!(e, UnpackError::OverlayInternal { .. }),
        ),
    ]);
}

#[test]
fn layers_with_absurd_entries_are_refused() {
    assert_refused(vec![
        ("the root as a file", Tar::default().file("./", b""), |e| {
            matches!(e, UnpackError::Unsupported { .. })
        }),
        ("a sparse file", Tar::default().entry(EntryType::GNUSparse, "a", "", b""), |e| {
            matches!(e, UnpackError::Unsupported { .. })
        }),
        (
            "a sparse file by pax",
            Tar::default().pax(&[("GNU.sparse.realsize", b"9999999999")]).file("a", b""),
            |e| matches!(e, UnpackError::Unsupported { .. }),
        ),
        ("two sizes", Tar::default().pax(&[("size", b"0")]).file("a", b"content"), |e| {
            matches!(e, UnpackError::SizeDisagrees { .. })
        }),
        ("the owner nobody can be", Tar::default().pax(&[("uid", b"4294967295")]).file("a", b""), |e| {
            matches!(e, UnpackError::Owner { .. })
        }),
        ("an absurd owner", Tar::default().pax(&[("gid", b"99999999999")]).file("a", b""), |e| {
            matches!(e, UnpackError::Owner { .. })
        }),
        ("a long name", Tar::default().file(&"a/".repeat(300), b""), |e| {
            matches!(e, UnpackError::PathTooLong { .. })
        }),
        ("a deep name", Tar::default().file("a/b/c/d/e/f/g/h/i", b""), |e| {
            matches!(e, UnpackError::PathTooDeep { .. })
        }),
        ("a long link", Tar::default().symlink("a", &"b".repeat(600)), |e| {
            matches!(e, UnpackError::PathTooLong { .. })
        }),
        ("a long component", Tar::default().file(&"a".repeat(300), b""), |e| {
            matches!(e, UnpackError::Place { .. })
        }),
        ("a nul in a name", Tar::default().pax(&[("path", b"a\0b")]).file("a", b""), |e| {
            matches!(e, UnpackError::Place { .. })
        }),
        (
            "an endless name",
            Tar::default().extension(EntryType::GNULongName, &[b'a'; 5000]).file("a", b""),
            |e| matches!(e, UnpackError::HeaderTooLarge { .. }),
        ),
        ("endless records", Tar::default().pax(&[("comment", &[b'a'; 5000])]).file("a", b""), |e| {
            matches!(e, UnpackError::HeaderTooLarge { .. })
        }),
        ("a large file", Tar::default().file("a", &[0; (1 << 20) + 1]), |e| {
            matches!(e, UnpackError::TooLarge { .. })
        }),
        ("many files", (0..65).fold(Tar::default(), |tar, n| tar.file(&n.to_string(), b"")), |e| {
            matches!(e, UnpackError::TooManyEntries { .. })
        }),
    ]);
}

#[test]
fn lying_sizes_are_found_out() {
    let place = Place::new();
    let claims = |size: u64| {
        Tar::default()
            .with_header(EntryType::Regular, "a", "", b"short", |header| header.set_size(size))
            .finish()
    };
    let error = place.unpack(&claims(5000)).expect_err("more than there is");
    assert!(matches!(error, UnpackError::Truncated { missing_bytes: 3464, .. }), "{error:?}");
    let error = place.unpack(&claims(u64::MAX / 2)).expect_err("more than allowed");
    assert!(matches!(error, UnpackError::TooLarge { .. }), "{error:?}");
}

#[test]
fn endless_padding_is_refused() {
    let place = Place::new();
    let endless = Tar::default().finish().into_iter().chain(std::iter::repeat_n(0, 4 << 20));
    let bytes: Vec<u8> = endless.collect();
    assert!(matches!(place.unpack(&bytes), Err(UnpackError::TooLarge { .. })));
}

#[test]
fn what_is_no_tar_is_refused() {
    let place = Place::new();
    for bytes in [vec![b'x'; 2048], vec![0xff; 513], b"short".to_vec()] {
        assert!(matches!(place.unpack(&bytes), Err(UnpackError::Read { .. })));
    }
}

#[test]
fn a_link_that_was_there_before_is_not_followed() {
    let place = Place::new();
    symlink("../outside", place.layer().join("l")).unwrap();
    let before = place.outside();
    assert!(place.unpack(&Tar::default().file("l/canary", b"dead").finish()).is_err());
    assert_eq!(place.outside(), before);
}

/// Names that meet each other often, and lead outward when they can.
fn any_path() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => prop_oneof![Just("a"), Just("b"), Just("c")],
        1 => prop_oneof![Just(".."), Just("."), Just(".wh.a"), Just(".wh..wh..opq"), Just("outside"), Just("canary")],
    ];
    (any::<bool>(), prop::collection::vec(name, 1..4))
        .prop_map(|(absolute, names)| format!("{}{}", if absolute { "/" } else { "" }, names.join("/")))
}

fn any_entry() -> impl Strategy<Value = (EntryType, String, String)> {
    let kind = prop_oneof![
        Just(EntryType::Directory),
        Just(EntryType::Regular),
        Just(EntryType::Symlink),
        Just(EntryType::Link),
        Just(EntryType::Fifo),
    ];
    let target = prop_oneof![any_path(), Just("../outside".to_owned()), Just("../outside/canary".to_owned())];
    (kind, any_path(), target)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn nothing_outside_is_ever_written(entries in prop::collection::vec(any_entry(), 1..12)) {
        let place = Place::new();
        let before = place.outside();
        let tar = entries.iter().fold(Tar::default(), |tar, (kind, path, target)| {
            let link = if matches!(kind, EntryType::Symlink | EntryType::Link) { target.as_str() } else { "" };
            tar.entry(*kind, path, link, if *kind == EntryType::Regular { b"dead" } else { b"" })
        });
        let _ = place.unpack(&tar.finish());
        prop_assert_eq!(place.outside(), before);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let place = Place::new();
        let _ = place.unpack(&bytes);
    }

    #[test]
    fn a_tar_with_some_bytes_changed_stays_inside(at in prop::collection::vec((0usize..4000, any::<u8>()), 1..6)) {
        let place = Place::new();
        let before = place.outside();
        let mut tar = Tar::default().symlink("l", "../outside").file("a/b", b"x").hard_link("h", "a/b").finish();
        for (position, byte) in at {
            let position = position % tar.len();
            tar[position] = byte;
        }
        let _ = place.unpack(&tar);
        prop_assert_eq!(place.outside(), before);
    }
}
