//! Keeps the house: arrows, file sizes, `unsafe`, and that the documentation speaks of what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const FILE_LINES_MAX: usize = 600;

/// Which of our crates each of our crates may import.
const ARROWS: [(&str, &[&str]); 7] = [
    ("manifests", &[]),
    ("runtime", &[]),
    ("load-balancer", &[]),
    ("proto", &[]),
    ("control-plane", &["manifests", "proto"]),
    ("node-agent", &["manifests", "proto", "runtime"]),
    ("examples/supermarket", &[]),
];

#[cfg(test)]
mod tidy {
    use super::*;

    fn read(path: impl AsRef<Path>) -> String {
        let path = Path::new(ROOT).join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![Path::new(ROOT).join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|found| found == extension) {
                    found.push(path);
                }
            }
        }
        found
    }

    fn sources() -> Vec<PathBuf> {
        let rooms = ARROWS.iter().map(|(room, _)| *room).chain(["src", "tests", "bench"]);
        rooms.flat_map(|room| files(room, "rs")).collect()
    }

    #[test]
    fn rooms_import_only_what_the_map_allows() {
        let rooms: BTreeSet<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
        for (room, allowed) in ARROWS {
            let manifest = read(format!("{room}/Cargo.toml"));
            let normal = manifest.split("[dev-dependencies]").next().expect("split gives at least one");
            for line in normal.lines() {
                let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
                let forbidden = rooms.contains(name) && !allowed.contains(&name);
                assert!(!forbidden, "{room}/Cargo.toml: {room} must not import {name} (ARCHITECTURE.md)");
            }
        }
    }

    #[test]
    fn every_room_is_on_the_map() {
        let map = read("ARCHITECTURE.md");
        for (room, _) in ARROWS {
            let folder = room.split('/').next().expect("a name");
            assert!(map.contains(&format!("`{folder}/`")), "ARCHITECTURE.md does not mention `{folder}/`");
        }
    }

    #[test]
    fn files_can_be_read_in_one_sitting() {
        for path in sources() {
            let lines = read(&path).lines().count();
            assert!(
                lines <= FILE_LINES_MAX,
                "{} has {lines} lines; split it by what it owns",
                path.display()
            );
        }
    }

    #[test]
    fn every_file_says_what_it_owns() {
        for path in sources() {
            if path.file_name().is_some_and(|name| name == "tests.rs") || path.ends_with("build.rs") {
                continue;
            }
            let text = read(&path);
            let is_test_part = path.components().any(|part| part.as_os_str() == "tests")
                && path.parent().is_some_and(|parent| parent.with_extension("rs").ends_with("tests.rs"));
            assert!(
                is_test_part || text.starts_with("//!"),
                "{}: open the file with what it owns and what it must not know",
                path.display()
            );
        }
    }

    #[test]
    fn unsafe_lives_in_one_room() {
        for path in sources().into_iter().filter(|path| !path.ends_with("tests/tidy.rs")) {
            let allowed = path.starts_with(Path::new(ROOT).join("runtime/src/sys"))
                || path == Path::new(ROOT).join("runtime/src/sys.rs");
            let is_unsafe = read(&path).lines().any(|line| {
                let code = line.trim_start();
                !code.starts_with("//") && (code.contains("unsafe {") || code.starts_with("unsafe "))
            });
            assert!(allowed || !is_unsafe, "{}: unsafe belongs in runtime/src/sys", path.display());
        }
        for (room, _) in ARROWS.iter().filter(|(room, _)| !["runtime", "examples/supermarket"].contains(room))
        {
            let root = read(format!("{room}/src/lib.rs"));
            assert!(root.contains("#![forbid(unsafe_code)]"), "{room}/src/lib.rs must forbid unsafe code");
        }
    }

    #[test]
    fn every_example_is_run_by_a_test() {
        let tests: String = files("tests", "rs").iter().map(read).collect();
        for path in files("examples", "yaml") {
            let name = path.strip_prefix(ROOT).expect("it lies in the tree").display().to_string();
            assert!(tests.contains(&name), "{name} is applied by no test");
        }
    }

    #[test]
    fn links_of_the_documentation_lead_somewhere() {
        let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from);
        for path in top.into_iter().chain(files("docs", "md")).chain(files("examples", "md")) {
            let text = read(&path);
            let folder = Path::new(ROOT).join(&path).parent().expect("a file lies in a folder").to_owned();
            let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
            for target in targets.filter(|target| !target.is_empty() && !target.contains("://")) {
                assert!(
                    folder.join(target).try_exists().unwrap_or(false),
                    "{}: {target} is not there",
                    path.display()
                );
            }
        }
    }
}
