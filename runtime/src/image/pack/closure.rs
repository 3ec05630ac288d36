//! The shared libraries that an executable needs, found as the loader finds them (ld.so(8)): run paths with
//! `$ORIGIN`, the folders of `/etc/ld.so.conf`, the loader's own folders.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::PackError;
use super::elf::{self, Object};
use super::layer::Layer;

/// Folders that a loader looks into without being told, with and without the machine's name.
const LOADER_FOLDERS: [&str; 4] = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];
const LOADER_CONFIGURATION: &str = "/etc/ld.so.conf";
/// Configurations may include each other.
const INCLUDES_MAX: usize = 8;
const C_LIBRARY: &str = "libc.so.6";
/// What the C library loads by itself when it resolves names or cancels a thread; taken where it is there.
const LOADED_BY_C_LIBRARY: [&str; 3] = ["libnss_files.so.2", "libnss_dns.so.2", "libgcc_s.so.1"];

/// A folder to look into, on this machine and in the image: they differ for what moves along with the executable.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Folder {
    here: PathBuf,
    in_image: PathBuf,
}

/// An object whose needs are still to be met.
struct Pending {
    /// On this machine.
    path: PathBuf,
    here: PathBuf,
    in_image: PathBuf,
    object: Object,
    /// Run paths of the old kind count for everything below.
    inherited: Vec<Folder>,
}

struct Search {
    machine: u16,
    is_64: bool,
    configured: Vec<PathBuf>,
    loader: Vec<PathBuf>,
}

struct Found {
    path: PathBuf,
    folder: Folder,
    object: Object,
    /// The loader of the image would not look there.
    needs_link: bool,
}

/// Adds the loader and every library of `binary`, which is `place` in the image.
pub(super) fn add(layer: &mut Layer, binary: &Path, place: &Path, object: Object) -> Result<(), PackError> {
    let Some(interpreter) = object.interpreter.clone() else { return Ok(()) };
    layer.mirror(&interpreter)?;
    let search = Search::new(&object)?;
    let mut known = BTreeSet::from([file_name(&interpreter)]);
    let mut links = Vec::new();
    let mut c_library = None;
    let real = fs::canonicalize(binary).map_err(PackError::io("resolve", binary))?;
    let mut pending = VecDeque::from([Pending {
        here: parent(&real),
        in_image: parent(place),
        path: binary.to_owned(),
        object,
        inherited: Vec::new(),
    }]);
    while let Some(loading) = pending.pop_front() {
        let folders = loading.folders();
        for (name, required) in loading.needs() {
            if !known.insert(name.clone()) {
                continue;
            }
            let Some(found) = search.find(&name, &folders)? else {
                if required {
                    return Err(search.not_found(name, loading.path, &folders));
                }
                continue;
            };
            place_library(layer, &name, &found)?;
            if name == C_LIBRARY {
                c_library = Some(found.folder.in_image.clone());
            }
            if found.needs_link {
                links.push((name, found.path.clone()));
            }
            pending.push_back(loading.below(found));
        }
    }
    // The C library's own folder is one that its loader looks into.
    if let Some(folder) = c_library {
        for (name, target) in links {
            layer.symlink(&folder.join(name), &target)?;
        }
    }
    Ok(())
}

fn place_library(layer: &mut Layer, name: &str, found: &Found) -> Result<(), PackError> {
    if found.folder.here == found.folder.in_image {
        layer.mirror(&found.path)
    } else {
        layer.file(&found.folder.in_image.join(name), &found.path, 0o755)
    }
}

impl Pending {
    /// Where the loader looks for this object's needs first.
    fn folders(&self) -> Vec<Folder> {
        if self.object.runpath.is_empty() {
            let mut folders = self.expand(&self.object.rpath);
            folders.extend(self.inherited.iter().cloned());
            folders
        } else {
            self.expand(&self.object.runpath)
        }
    }

    fn expand(&self, paths: &[String]) -> Vec<Folder> {
        paths.iter().filter_map(|path| self.expand_one(path)).collect()
    }

    /// Other variables than `$ORIGIN` depend on the machine that runs it: nobody uses them.
    fn expand_one(&self, path: &str) -> Option<Folder> {
        let rest = path.strip_prefix("$ORIGIN").or_else(|| path.strip_prefix("${ORIGIN}"));
        match rest {
            Some(rest) => {
                let rest = rest.trim_start_matches('/');
                Some(Folder {
                    here: normal(&self.here.join(rest)),
                    in_image: normal(&self.in_image.join(rest)),
                })
            }
            None if path.starts_with('/') && !path.contains('$') => {
                let folder = normal(Path::new(path));
                Some(Folder { here: folder.clone(), in_image: folder })
            }
            None => None,
        }
    }

    /// Sonames, and whether it is an error not to find them.
    fn needs(&self) -> Vec<(String, bool)> {
        let mut needs: Vec<_> = self.object.needed.iter().map(|name| (name.clone(), true)).collect();
        if self.object.needed.iter().any(|name| name == C_LIBRARY) {
            needs.extend(LOADED_BY_C_LIBRARY.iter().map(|name| ((*name).to_owned(), false)));
        }
        needs
    }

    fn below(&self, found: Found) -> Self {
        let mut inherited = self.inherited.clone();
        if self.object.runpath.is_empty() {
            inherited.extend(self.expand(&self.object.rpath));
        }
        Self {
            path: found.path,
            here: found.folder.here,
            in_image: found.folder.in_image,
            object: found.object,
            inherited,
        }
    }
}

impl Search {
    fn new(object: &Object) -> Result<Self, PackError> {
        let mut configured = Vec::new();
        read_configuration(Path::new(LOADER_CONFIGURATION), &mut configured, 0)?;
        let mut loader = Vec::new();
        for folder in LOADER_FOLDERS {
            let folder = Path::new(folder);
            if let Some(triplet) = triplet(object) {
                loader.push(folder.join(triplet));
            }
            loader.push(folder.to_owned());
        }
        Ok(Self { machine: object.machine, is_64: object.is_64, configured, loader })
    }

    fn find(&self, name: &str, folders: &[Folder]) -> Result<Option<Found>, PackError> {
        // A need with a slash is a path, which the loader takes as it is.
        if name.starts_with('/') {
            let folder = parent(Path::new(name));
            return self.look(&file_name(Path::new(name)), same(&folder), false);
        }
        for folder in folders {
            if let Some(found) = self.look(name, folder.clone(), false)? {
                return Ok(Some(found));
            }
        }
        for folder in &self.loader {
            if let Some(found) = self.look(name, same(folder), false)? {
                return Ok(Some(found));
            }
        }
        for folder in &self.configured {
            if let Some(found) = self.look(name, same(folder), true)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// A file for another machine is passed over, as the loader does.
    fn look(&self, name: &str, folder: Folder, needs_link: bool) -> Result<Option<Found>, PackError> {
        let path = folder.here.join(name);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Ok(None),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(PackError::Io { action: "look at", path, source }),
        }
        let object = elf::read(&path)?;
        let fits = |object: &Object| object.machine == self.machine && object.is_64 == self.is_64;
        Ok(object.filter(fits).map(|object| Found { path, folder, object, needs_link }))
    }

    fn not_found(&self, library: String, needed_by: PathBuf, folders: &[Folder]) -> PackError {
        let own = folders.iter().map(|folder| &folder.here);
        let all: Vec<String> = own
            .chain(&self.loader)
            .chain(&self.configured)
            .map(|folder| folder.display().to_string())
            .collect();
        PackError::LibraryNotFound { library, needed_by, searched: all.join(", ") }
    }
}

/// Reads folders, one to a line, and what it includes.
fn read_configuration(path: &Path, folders: &mut Vec<PathBuf>, depth: usize) -> Result<(), PackError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(PackError::Io { action: "read", path: path.to_owned(), source }),
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line.strip_prefix("include ") {
            Some(pattern) if depth < INCLUDES_MAX => {
                for included in included(Path::new(pattern.trim()))? {
                    read_configuration(&included, folders, depth + 1)?;
                }
            }
            Some(_) => {}
            None if line.starts_with('/') => folders.push(normal(Path::new(line))),
            None => {}
        }
    }
    Ok(())
}

/// The files of `FOLDER/*.ENDING`, sorted: the one pattern that is in use.
fn included(pattern: &Path) -> Result<Vec<PathBuf>, PackError> {
    let name = file_name(pattern);
    let Some(ending) = name.strip_prefix('*') else { return Ok(vec![pattern.to_owned()]) };
    let folder = parent(pattern);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(PackError::Io { action: "read", path: folder, source }),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(PackError::io("read", &folder))?.path();
        if file_name(&path).ends_with(ending) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The name of the machine in Debian's library folders.
fn triplet(object: &Object) -> Option<&'static str> {
    match (object.machine, object.is_64) {
        (object::elf::EM_X86_64, true) => Some("x86_64-linux-gnu"),
        (object::elf::EM_AARCH64, true) => Some("aarch64-linux-gnu"),
        (object::elf::EM_386, false) => Some("i386-linux-gnu"),
        (object::elf::EM_ARM, false) => Some("arm-linux-gnueabihf"),
        (object::elf::EM_RISCV, true) => Some("riscv64-linux-gnu"),
        (object::elf::EM_S390, true) => Some("s390x-linux-gnu"),
        (object::elf::EM_PPC64, true) => Some("powerpc64le-linux-gnu"),
        _ => None,
    }
}

fn same(folder: &Path) -> Folder {
    Folder { here: folder.to_owned(), in_image: folder.to_owned() }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Without `.` and `..`, by text alone.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => {
                normal.pop();
            }
            std::path::Component::CurDir => {}
            std::path::Component::Prefix(_)
            | std::path::Component::RootDir
            | std::path::Component::Normal(_) => normal.push(component),
        }
    }
    normal
}
