//! The entries of a tar from outside, each checked before anything is made of it.
//!
//! Extended headers (GNU long names, pax records) are read here and not by the `tar` crate, which would take any
//! amount of memory for them.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use tar::{Archive, EntryType, Header, PaxExtensions};

use super::limits::Limits;
use super::unpack::UnpackError;

const WHITEOUT_PREFIX: &[u8] = b".wh.";
const WHITEOUT_META_PREFIX: &[u8] = b".wh..wh.";
const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";
const PAX_XATTR_PREFIX: &str = "SCHILY.xattr.";
const CAPABILITY_XATTR: &str = "security.capability";
/// Longest path that an error shows, in characters.
const SHOWN_MAX: usize = 200;

/// Names from the layer's root down; never `.`, `..` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LayerPath(Vec<OsString>);

impl LayerPath {
    pub(super) fn components(&self) -> &[OsString] {
        &self.0
    }

    /// The parent's components and the last name; none for the root.
    pub(super) fn split_last(&self) -> Option<(&OsStr, &[OsString])> {
        self.0.split_last().map(|(last, parents)| (last.as_os_str(), parents))
    }

    /// A leading slash is the layer's root, as everywhere in the field.
    fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, UnpackError> {
        if bytes.len() > limits.path_bytes {
            return Err(UnpackError::PathTooLong { path: shown(bytes), limit: limits.path_bytes });
        }
        let mut components = Vec::new();
        for component in bytes.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(UnpackError::Escapes { path: shown(bytes) }),
                name => components.push(OsStr::from_bytes(name).to_owned()),
            }
        }
        if components.len() > limits.path_depth {
            return Err(UnpackError::PathTooDeep { path: shown(bytes), limit: limits.path_depth });
        }
        Ok(Self(components))
    }
}

impl fmt::Display for LayerPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined: Vec<&[u8]> = self.0.iter().map(|name| name.as_bytes()).collect();
        write!(formatter, "/{}", shown(&joined.join(&b'/')))
    }
}

/// What an entry is, once checked.
#[derive(Debug)]
pub(super) enum Kind {
    Directory,
    File {
        size: u64,
    },
    Symlink {
        target: OsString,
    },
    HardLink {
        target: LayerPath,
    },
    Fifo,
    /// The path is that of what is hidden.
    Whiteout,
    /// The path is that of the directory that hides what is below it.
    Opaque,
    /// Device nodes, and the notes that aufs left for itself.
    Skipped,
}

/// An entry without its content.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) path: LayerPath,
    pub(super) kind: Kind,
    /// Permissions with set-user-id, set-group-id and sticky.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
}

pub(super) struct Entry<R> {
    pub(super) head: Head,
    pub(super) content: R,
}

/// What extended headers said about the entry that follows them.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
    xattrs: Vec<(String, Vec<u8>)>,
    sparse: bool,
}

pub(super) struct Reader<'a, R: Read> {
    entries: tar::Entries<'a, R>,
    limits: &'a Limits,
    count: u64,
    bytes: u64,
}

impl<'a, R: Read> Reader<'a, R> {
    pub(super) fn new(archive: &'a mut Archive<R>, limits: &'a Limits) -> Result<Self, UnpackError> {
        let entries = archive.entries().map_err(|source| UnpackError::Read { source })?.raw(true);
        Ok(Self { entries, limits, count: 0, bytes: 0 })
    }

    /// The next entry that is none of the extended headers.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry<impl Read + use<'a, R>>>, UnpackError> {
        let mut extended = Extended::default();
        loop {
            let Some(entry) = self.entries.next() else { return Ok(None) };
            let mut entry = entry.map_err(|source| UnpackError::Read { source })?;
            self.count_in(entry.size())?;
            let kind = entry.header().entry_type();
            if kind.is_gnu_longname() {
                extended.path = Some(self.long_name(&mut entry)?);
            } else if kind.is_gnu_longlink() {
                extended.link = Some(self.long_name(&mut entry)?);
            } else if kind.is_pax_local_extensions() {
                extended.read_pax(&self.extended_header(&mut entry)?)?;
            } else if !kind.is_pax_global_extensions() {
                let head = extended.head(entry.header(), self.limits)?;
                return Ok(Some(Entry { head, content: entry }));
            }
        }
    }

    /// Before a byte of the entry is read: what it claims counts, true or not.
    fn count_in(&mut self, size: u64) -> Result<(), UnpackError> {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.count > self.limits.layer_entries {
            return Err(UnpackError::TooManyEntries { limit: self.limits.layer_entries });
        }
        if self.bytes > self.limits.layer_bytes {
            return Err(UnpackError::TooLarge { limit: self.limits.layer_bytes });
        }
        Ok(())
    }

    fn long_name(&self, entry: &mut impl Read) -> Result<Vec<u8>, UnpackError> {
        let mut name = self.extended_header(entry)?;
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
        Ok(name)
    }

    fn extended_header(&self, entry: &mut impl Read) -> Result<Vec<u8>, UnpackError> {
        let limit = self.limits.header_bytes;
        let mut bytes = Vec::new();
        let read = entry.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|source| UnpackError::Read { source })?;
        if bytes.len() as u64 > limit {
            return Err(UnpackError::HeaderTooLarge { limit });
        }
        Ok(bytes)
    }
}

impl Extended {
    fn read_pax(&mut self, records: &[u8]) -> Result<(), UnpackError> {
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|source| UnpackError::Read { source })?;
            let Ok(key) = record.key() else { continue };
            let value = record.value_bytes();
            let number = || pax_number(key, value);
            match key {
                "path" => self.path = Some(value.to_vec()),
                "linkpath" => self.link = Some(value.to_vec()),
                "size" => self.size = Some(number()?),
                "uid" => self.uid = Some(number()?),
                "gid" => self.gid = Some(number()?),
                "mtime" => self.mtime = pax_seconds(value),
                _ if key.starts_with("GNU.sparse.") => self.sparse = true,
                _ => {
                    if let Some(name) = key.strip_prefix(PAX_XATTR_PREFIX) {
                        self.xattrs.push((name.to_owned(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }

    fn head(self, header: &Header, limits: &Limits) -> Result<Head, UnpackError> {
        let raw = self.path.clone().unwrap_or_else(|| header.path_bytes().into_owned());
        let bad = |source| UnpackError::Header { path: shown(&raw), source };
        let size = header.entry_size().map_err(bad)?;
        if let Some(extended_bytes) = self.size.filter(|extended| *extended != size) {
            return Err(UnpackError::SizeDisagrees { path: shown(&raw), header_bytes: size, extended_bytes });
        }
        let owner = |id: u64| match u32::try_from(id) {
            // The kernel reads the last one as "leave it as it is".
            Ok(id) if id != u32::MAX => Ok(id),
            _ => Err(UnpackError::Owner { path: shown(&raw), id }),
        };
        let uid = owner(self.uid.map_or_else(|| header.uid(), Ok).map_err(bad)?)?;
        let gid = owner(self.gid.map_or_else(|| header.gid(), Ok).map_err(bad)?)?;
        let mtime = match self.mtime {
            Some(seconds) => seconds,
            None => i64::try_from(header.mtime().map_err(bad)?).unwrap_or(0),
        };
        let mode = header.mode().map_err(bad)? & 0o7777;
        let mut path = LayerPath::parse(&raw, limits)?;
        let kind = self.kind(header, size, &mut path, limits)?;
        let xattrs = kept_xattrs(self.xattrs, &path)?;
        Ok(Head { path, kind, mode, uid, gid, mtime, xattrs })
    }

    fn kind(
        &self,
        header: &Header,
        size: u64,
        path: &mut LayerPath,
        limits: &Limits,
    ) -> Result<Kind, UnpackError> {
        if let Some(kind) = whiteout(path)? {
            return Ok(kind);
        }
        let link =
            || self.link.clone().or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let unsupported = |byte: u8| UnpackError::Unsupported { path: path.to_string(), kind: byte.into() };
        #[expect(clippy::wildcard_enum_match_arm, reason = "tar's types are bytes: most mean nothing here")]
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous if self.sparse => return Err(unsupported(b'S')),
            EntryType::Directory => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File { size },
            EntryType::Symlink => Kind::Symlink { target: symlink_target(link(), path, limits)? },
            EntryType::Link => {
                Kind::HardLink { target: LayerPath::parse(&link().unwrap_or_default(), limits)? }
            }
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char | EntryType::Block => return device(header, path),
            other => return Err(unsupported(other.as_byte())),
        };
        if path.components().is_empty() && !matches!(kind, Kind::Directory) {
            return Err(unsupported(header.entry_type().as_byte()));
        }
        Ok(kind)
    }
}

/// Rewrites the path of a whiteout to the path of what it hides.
fn whiteout(path: &mut LayerPath) -> Result<Option<Kind>, UnpackError> {
    // A whiteout's mark above the last component would be a folder of that name: overlayfs has no such thing.
    let Some(last) = path.0.last() else { return Ok(None) };
    let name = last.as_bytes();
    if name == WHITEOUT_OPAQUE {
        path.0.pop();
        return Ok(Some(Kind::Opaque));
    }
    if name.starts_with(WHITEOUT_META_PREFIX) {
        return Ok(Some(Kind::Skipped));
    }
    let Some(hidden) = name.strip_prefix(WHITEOUT_PREFIX) else { return Ok(None) };
    if matches!(hidden, b"" | b"." | b"..") {
        return Err(UnpackError::Whiteout { path: path.to_string() });
    }
    let hidden = OsString::from_vec(hidden.to_vec());
    path.0.pop();
    path.0.push(hidden);
    Ok(Some(Kind::Whiteout))
}

fn symlink_target(link: Option<Vec<u8>>, path: &LayerPath, limits: &Limits) -> Result<OsString, UnpackError> {
    let target = link.unwrap_or_default();
    if target.len() >= limits.path_bytes {
        return Err(UnpackError::PathTooLong { path: path.to_string(), limit: limits.path_bytes });
    }
    Ok(OsString::from_vec(target))
}

fn device(header: &Header, path: &LayerPath) -> Result<Kind, UnpackError> {
    // A number that cannot be read may be read as zero by somebody else.
    let zero = |number: io::Result<Option<u32>>| number.ok().flatten().unwrap_or(0) == 0;
    if header.entry_type() == EntryType::Char && zero(header.device_major()) && zero(header.device_minor()) {
        let what = "the character device 0/0".to_owned();
        return Err(UnpackError::OverlayInternal { path: path.to_string(), what });
    }
    Ok(Kind::Skipped)
}

/// File capabilities and users' own attributes stay, the rest is the machine's that packed it.
fn kept_xattrs(
    xattrs: Vec<(String, Vec<u8>)>,
    path: &LayerPath,
) -> Result<Vec<(String, Vec<u8>)>, UnpackError> {
    let mut kept = Vec::new();
    for (name, value) in xattrs {
        if name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.") {
            return Err(UnpackError::OverlayInternal { path: path.to_string(), what: name });
        }
        if name == CAPABILITY_XATTR || name.starts_with("user.") {
            kept.push((name, value));
        }
    }
    Ok(kept)
}

fn pax_number(key: &str, value: &[u8]) -> Result<u64, UnpackError> {
    let text = String::from_utf8_lossy(value);
    text.parse().map_err(|error| UnpackError::Header {
        path: format!("pax record {key}"),
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    })
}

/// `1700000000.123`: the fraction does not matter to anybody.
fn pax_seconds(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    text.split('.').next()?.parse().ok()
}

fn shown(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().take(SHOWN_MAX).collect();
    text.escape_debug().to_string()
}
