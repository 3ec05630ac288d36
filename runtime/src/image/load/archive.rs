//! The files of an archive by name, whether it is a folder or came as one stream.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use tempfile::NamedTempFile;

use super::LoadError;
use crate::image::blob::Hashing;
use crate::image::compression::{Compression, Decoder};
use crate::image::entries::{Kind, Reader};
use crate::image::limits::Limits;
use crate::image::store::Workspace;
use crate::image::unpack::UnpackError;

/// Old `docker save` archives say by a symbolic link that two layers are the same one.
const LINKS_MAX: usize = 8;

pub(super) enum Archive {
    /// A folder, by its open descriptor.
    Folder(File),
    /// A stream, whose files were put aside under names of our own.
    Spooled { files: BTreeMap<String, Spooled>, links: BTreeMap<String, String> },
}

/// A file of a stream.
pub(super) struct Spooled {
    file: NamedTempFile,
    digest: String,
    size: u64,
}

/// A blob that is in the store now.
pub(super) struct Imported {
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) compression: Compression,
}

impl Archive {
    pub(super) fn spool(
        reader: impl Read,
        workspace: &Workspace<'_>,
        limits: &Limits,
    ) -> Result<Self, LoadError> {
        let fail = |source| LoadError::Archive { source };
        let plain = Decoder::new(reader).map_err(|source| fail(UnpackError::Read { source }))?;
        let mut tar = tar::Archive::new(plain);
        let limits = Limits {
            layer_bytes: limits.archive_bytes,
            layer_entries: limits.archive_entries,
            ..limits.clone()
        };
        let mut entries = Reader::new(&mut tar, &limits).map_err(fail)?;
        let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
        while let Some(mut entry) = entries.next_entry().map_err(fail)? {
            let name = entry.head.path.to_string().trim_start_matches('/').to_owned();
            match &entry.head.kind {
                Kind::File { size } => {
                    let spooled = Spooled::new(&mut entry.content, workspace)?;
                    if spooled.size != *size {
                        let missing_bytes = size - spooled.size;
                        return Err(fail(UnpackError::Truncated { path: name, missing_bytes }));
                    }
                    files.insert(name, spooled);
                }
                Kind::Symlink { target } => {
                    let target = resolve(&name, Path::new(target));
                    links.insert(name, target);
                }
                Kind::HardLink { target } => {
                    links.insert(name, target.to_string().trim_start_matches('/').to_owned());
                }
                Kind::Directory | Kind::Fifo | Kind::Whiteout | Kind::Opaque | Kind::Skipped => {}
            }
        }
        Ok(Self::Spooled { files, links })
    }

    pub(super) fn has(&self, name: &str) -> Result<bool, LoadError> {
        Ok(self.open(name)?.is_some())
    }

    /// A whole document, if it is not larger than `limit`.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, LoadError> {
        let file = self.open(name)?.ok_or_else(|| LoadError::Missing { name: name.to_owned() })?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(failed("read", name))?;
        if bytes.len() as u64 > limit {
            return Err(LoadError::DocumentTooLarge { name: name.to_owned(), limit });
        }
        Ok(bytes)
    }

    /// Copies a file into the store, if its digest is as `expected`.
    pub(super) fn import(
        &self,
        name: &str,
        expected: Option<&str>,
        workspace: &Workspace<'_>,
    ) -> Result<Imported, LoadError> {
        let missing = || LoadError::Missing { name: name.to_owned() };
        let check = |actual: &str| match expected {
            Some(expected) if expected != actual => Err(LoadError::DigestMismatch {
                name: name.to_owned(),
                expected: expected.to_owned(),
                actual: actual.to_owned(),
            }),
            _ => Ok(()),
        };
        let file = self.open(name)?.ok_or_else(missing)?;
        let compression = Decoder::new(file).map_err(failed("read", name))?.compression();
        if let Some(spooled) = self.spooled(name) {
            check(&spooled.digest)?;
            workspace.adopt_copy(spooled.file.path(), &spooled.digest)?;
            return Ok(Imported { digest: spooled.digest.clone(), size: spooled.size, compression });
        }
        let file = self.open(name)?.ok_or_else(missing)?;
        let spooled = Spooled::new(file, workspace)?;
        check(&spooled.digest)?;
        workspace.adopt(spooled.file, &spooled.digest)?;
        Ok(Imported { digest: spooled.digest, size: spooled.size, compression })
    }

    fn open(&self, name: &str) -> Result<Option<File>, LoadError> {
        match self {
            Self::Folder(folder) => open_beneath(folder, name),
            Self::Spooled { .. } => match self.spooled(name) {
                Some(spooled) => spooled.file.reopen().map(Some).map_err(failed("open", name)),
                None => Ok(None),
            },
        }
    }

    fn spooled(&self, name: &str) -> Option<&Spooled> {
        let Self::Spooled { files, links } = self else { return None };
        let mut name = name;
        for _ in 0..LINKS_MAX {
            match links.get(name) {
                Some(target) => name = target,
                None => break,
            }
        }
        files.get(name)
    }
}

impl Spooled {
    fn new(mut reader: impl Read, workspace: &Workspace<'_>) -> Result<Self, LoadError> {
        let mut writer = Hashing::new(workspace.file()?);
        let copied = io::copy(&mut reader, &mut writer).and_then(|_| writer.flush());
        let size = writer.count();
        let (file, digest) = writer.finish();
        copied.map_err(|source| LoadError::Io { action: "write", path: file.path().to_owned(), source })?;
        Ok(Self { file, digest, size })
    }
}

/// Files of a layout never lie outside of it, whatever links say.
fn open_beneath(folder: &File, name: &str) -> Result<Option<File>, LoadError> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let opened = match openat2(folder, name, OpenHow::new().flags(flags).resolve(resolve)) {
        Ok(opened) => File::from(opened),
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        Err(errno) => return Err(failed("open", name)(errno.into())),
    };
    let is_file = opened.metadata().map_err(failed("read", name))?.is_file();
    Ok(is_file.then_some(opened))
}

/// Where a symbolic link of an archive leads, by its text alone.
fn resolve(link: &str, target: &Path) -> String {
    let base = if target.has_root() { None } else { Path::new(link).parent() };
    let mut resolved = PathBuf::new();
    for component in base.unwrap_or(Path::new("")).components().chain(target.components()) {
        match component {
            Component::Normal(name) => resolved.push(name),
            Component::ParentDir => {
                resolved.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    String::from_utf8_lossy(resolved.as_os_str().as_bytes()).into_owned()
}

fn failed(action: &'static str, name: &str) -> impl FnOnce(io::Error) -> LoadError {
    let path = PathBuf::from(name);
    move |source| LoadError::Io { action, path, source }
}
