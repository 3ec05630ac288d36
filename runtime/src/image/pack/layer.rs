//! The layer of a packed image, as data: what is at which path. Becomes a tar that depends on nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::PackError;

/// As many as the kernel follows.
const LINKS_MAX: usize = 40;
/// Entries of all folders that are copied.
const COPIED_MAX: usize = 100_000;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory { mode: u32, uid: u32, gid: u32 },
    File { source: PathBuf, mode: u32 },
    Text { text: String },
    Symlink { target: PathBuf },
}

/// Paths are absolute and lead through no symbolic link of the layer.
#[derive(Debug, Default)]
pub(super) struct Layer {
    nodes: BTreeMap<PathBuf, Node>,
}

impl Layer {
    pub(super) fn directory(&mut self, path: &Path, mode: u32) -> Result<(), PackError> {
        self.owned_directory(path, mode, 0, 0)
    }

    /// The last word about a directory's mode and owner counts.
    pub(super) fn owned_directory(
        &mut self,
        path: &Path,
        mode: u32,
        uid: u32,
        gid: u32,
    ) -> Result<(), PackError> {
        let real = self.real(path)?;
        match self.nodes.get(&real) {
            None | Some(Node::Directory { .. }) => {
                self.nodes.insert(real, Node::Directory { mode, uid, gid });
                Ok(())
            }
            Some(Node::File { .. } | Node::Text { .. } | Node::Symlink { .. }) => {
                Err(PackError::Conflict { path: real })
            }
        }
    }

    pub(super) fn text(&mut self, path: &Path, text: String) -> Result<(), PackError> {
        self.put(path, Node::Text { text })
    }

    pub(super) fn symlink(&mut self, path: &Path, target: &Path) -> Result<(), PackError> {
        self.put(path, Node::Symlink { target: target.to_owned() })
    }

    /// A file of this machine, whatever links lead to it here.
    pub(super) fn file(&mut self, path: &Path, source: &Path, mode: u32) -> Result<(), PackError> {
        let source = fs::canonicalize(source).map_err(PackError::io("open", source))?;
        self.put(path, Node::File { source, mode })
    }

    /// A file at the same path as on this machine, with every symbolic link on the way to it.
    pub(super) fn mirror(&mut self, path: &Path) -> Result<(), PackError> {
        let mut ahead: VecDeque<OsString> = names(path);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            let metadata = fs::symlink_metadata(&next).map_err(PackError::io("look at", &next))?;
            if !metadata.is_symlink() {
                at = next;
                continue;
            }
            links += 1;
            if links > LINKS_MAX {
                return Err(PackError::LinkLoop { path: path.to_owned() });
            }
            let target = fs::read_link(&next).map_err(PackError::io("read", &next))?;
            self.put(&next, Node::Symlink { target: target.clone() })?;
            if target.has_root() {
                at = PathBuf::from("/");
            }
            for name in names(&target).into_iter().rev() {
                ahead.push_front(name);
            }
        }
        let source = at.clone();
        self.put(&at, Node::File { source, mode: 0o755 })
    }

    /// A file or a whole folder.
    pub(super) fn copy(&mut self, source: &Path, destination: &Path) -> Result<(), PackError> {
        let inside = destination.components().all(|part| part != Component::ParentDir);
        if !destination.has_root() || !inside || destination.parent().is_none() {
            return Err(PackError::Destination { path: destination.to_owned() });
        }
        let mut pending = vec![(source.to_owned(), destination.to_owned())];
        let mut copied = 0;
        while let Some((source, destination)) = pending.pop() {
            copied += 1;
            if copied > COPIED_MAX {
                return Err(PackError::TooLarge { path: source, limit: COPIED_MAX as u64 });
            }
            // What the user names may be a link to the thing; what is inside stays as it is.
            let metadata = if copied == 1 { fs::metadata(&source) } else { fs::symlink_metadata(&source) }
                .map_err(PackError::io("open", &source))?;
            let mode = metadata.permissions().mode() & 0o777;
            if metadata.is_dir() {
                self.directory(&destination, mode)?;
                for entry in fs::read_dir(&source).map_err(PackError::io("read", &source))? {
                    let entry = entry.map_err(PackError::io("read", &source))?;
                    pending.push((entry.path(), destination.join(entry.file_name())));
                }
            } else if metadata.is_symlink() {
                let target = fs::read_link(&source).map_err(PackError::io("read", &source))?;
                self.symlink(&destination, &target)?;
            } else if metadata.is_file() {
                self.file(&destination, &source, mode)?;
            } else {
                return Err(PackError::NotAFile { path: source });
            }
        }
        Ok(())
    }

    /// Whether something is there, through the layer's own links.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.real(path).is_ok_and(|real| self.nodes.contains_key(&real))
    }

    /// Writes the layer as a tar.
    pub(super) fn write_tar(mut self, writer: impl Write) -> Result<(), PackError> {
        self.imply_parents()?;
        let mut builder = Builder::new(BufWriter::new(writer));
        for (path, node) in &self.nodes {
            append(&mut builder, path, node)?;
        }
        let flushed = builder.into_inner().and_then(|mut writer| writer.flush());
        flushed.map_err(PackError::io("pack", Path::new("/")))
    }

    fn put(&mut self, path: &Path, node: Node) -> Result<(), PackError> {
        let real = self.real_parent(path)?;
        match self.nodes.get(&real) {
            None => {
                self.nodes.insert(real, node);
                Ok(())
            }
            Some(known) if *known == node => Ok(()),
            Some(_) => Err(PackError::Conflict { path: real }),
        }
    }

    /// The path with every link of the layer followed, but for the last name.
    fn real_parent(&self, path: &Path) -> Result<PathBuf, PackError> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok(self.real(parent)?.join(name)),
            _ => Ok(PathBuf::from("/")),
        }
    }

    fn real(&self, path: &Path) -> Result<PathBuf, PackError> {
        let mut ahead = names(path);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            let Some(Node::Symlink { target }) = self.nodes.get(&next) else {
                at = next;
                continue;
            };
            links += 1;
            if links > LINKS_MAX {
                return Err(PackError::LinkLoop { path: path.to_owned() });
            }
            if target.has_root() {
                at = PathBuf::from("/");
            }
            for name in names(target).into_iter().rev() {
                ahead.push_front(name);
            }
        }
        Ok(at)
    }

    fn imply_parents(&mut self) -> Result<(), PackError> {
        let mut implied = Vec::new();
        for path in self.nodes.keys() {
            for parent in path.ancestors().skip(1).filter(|parent| parent.parent().is_some()) {
                match self.nodes.get(parent) {
                    None => implied.push(parent.to_owned()),
                    Some(Node::Directory { .. }) => break,
                    Some(Node::File { .. } | Node::Text { .. } | Node::Symlink { .. }) => {
                        return Err(PackError::Conflict { path: parent.to_owned() });
                    }
                }
            }
        }
        for path in implied {
            self.nodes.insert(path, Node::Directory { mode: 0o755, uid: 0, gid: 0 });
        }
        Ok(())
    }
}

fn append(builder: &mut Builder<impl Write>, path: &Path, node: &Node) -> Result<(), PackError> {
    let name = path.strip_prefix("/").unwrap_or(path);
    if name.as_os_str().is_empty() {
        return Ok(());
    }
    let fail = || PackError::io("pack", path);
    match node {
        Node::Directory { mode, uid, gid } => {
            let mut header = header(EntryType::Directory, *mode, 0);
            header.set_uid((*uid).into());
            header.set_gid((*gid).into());
            builder.append_data(&mut header, name, io::empty()).map_err(fail())
        }
        Node::Text { text } => {
            let mut header = header(EntryType::Regular, 0o644, text.len() as u64);
            builder.append_data(&mut header, name, text.as_bytes()).map_err(fail())
        }
        Node::File { source, mode } => {
            let file = File::open(source).map_err(PackError::io("open", source))?;
            let size = file.metadata().map_err(PackError::io("read", source))?.len();
            let mut header = header(EntryType::Regular, *mode, size);
            builder.append_data(&mut header, name, file.take(size)).map_err(fail())
        }
        Node::Symlink { target } => {
            let mut header = header(EntryType::Symlink, 0o777, 0);
            builder.append_link(&mut header, name, target).map_err(fail())
        }
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        })
        .collect()
}
