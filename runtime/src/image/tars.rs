//! Tars for tests, hostile ones too: headers are written by hand, so that nothing refuses them on the way.

use std::io::Write as _;

use tar::{EntryType, Header};

/// A tar in the making.
#[derive(Default)]
pub(super) struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    pub(super) fn directory(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", b"")
    }

    pub(super) fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, "", content)
    }

    pub(super) fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, b"")
    }

    pub(super) fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, target, b"")
    }

    pub(super) fn entry(self, kind: EntryType, path: &str, link: &str, content: &[u8]) -> Self {
        let mode = if kind == EntryType::Directory { 0o755 } else { 0o644 };
        self.with_header(kind, path, link, content, |header| header.set_mode(mode))
    }

    /// `change` has the last word before the checksum.
    pub(super) fn with_header(
        mut self,
        kind: EntryType,
        path: &str,
        link: &str,
        content: &[u8],
        change: impl FnOnce(&mut Header),
    ) -> Self {
        if path.len() > 100 {
            self = self.extension(EntryType::GNULongName, path.as_bytes());
        }
        if link.len() > 100 {
            self = self.extension(EntryType::GNULongLink, link.as_bytes());
        }
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        let (name, link) = (&path.as_bytes()[..path.len().min(100)], &link.as_bytes()[..link.len().min(100)]);
        old.name[..name.len()].copy_from_slice(name);
        old.linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        change(&mut header);
        header.set_cksum();
        self.append(&header, content);
        self
    }

    /// What comes before an entry and speaks about it.
    pub(super) fn extension(mut self, kind: EntryType, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.append(&header, content);
        self
    }

    pub(super) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length.to_string().len() + rest != length {
                length += 1;
            }
            write!(content, "{length} {key}=").expect("memory takes everything");
            content.extend_from_slice(value);
            content.push(b'\n');
        }
        self.extension(EntryType::XHeader, &content)
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 1024]);
        self.bytes
    }

    fn append(&mut self, header: &Header, content: &[u8]) {
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory takes everything")
}

/// Whiteouts and overlay's attributes need root. CI turns this line into a failure.
pub(super) fn lacks_root(test: &str) -> bool {
    let lacks = !nix::unistd::geteuid().is_root();
    if lacks {
        println!("SKIPPED {test}: not root");
    }
    lacks
}
