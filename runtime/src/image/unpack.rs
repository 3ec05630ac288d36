//! A layer's tar becomes a directory that overlayfs can stack.
//!
//! The tar is hostile until proven otherwise. Nothing outside the directory is ever written: every parent is walked
//! one component at a time from a held descriptor, beneath it, following no link; names with `..` are refused; the
//! last component is created exclusively. Sizes, counts, lengths and depths have limits.
//!
//! OCI whiteouts become overlayfs' own: `.wh.NAME` a character device 0/0, `.wh..wh..opq` the attribute
//! `trusted.overlay.opaque`. Device nodes are left out: a container gets its devices from its runtime.

mod tree;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;

use super::blob::Hashing;
use super::entries::{Entry, Kind, Reader};
use super::limits::Limits;
use tree::Tree;

/// Why a layer was refused. Paths are within the layer, shortened where they are absurd.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The stream: decompression, a broken tar header, the disk it is read from.
    #[error("cannot read the tar")]
    Read {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A header whose numbers or attributes are not readable.
    #[error("{path}: malformed tar header")]
    Header {
        /// The entry.
        path: String,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// `..` in a name or in a hard link's target.
    #[error("{path}: leads out of its root")]
    Escapes {
        /// The entry.
        path: String,
    },
    /// More bytes than a path may have.
    #[error("{path}: path is longer than {limit} bytes")]
    PathTooLong {
        /// The entry.
        path: String,
        /// [`Limits::path_bytes`]
        limit: usize,
    },
    /// More components than a path may have.
    #[error("{path}: path is deeper than {limit} folders")]
    PathTooDeep {
        /// The entry.
        path: String,
        /// [`Limits::path_depth`]
        limit: usize,
    },
    /// A parent that is a link or a file.
    #[error("{path}: {parent} is not a folder")]
    Parent {
        /// The entry.
        path: String,
        /// The parent at fault.
        parent: String,
    },
    /// A hard link to something that the layer does not have.
    #[error("{path}: hard link to {target}, which is no file of this layer")]
    HardLink {
        /// The entry.
        path: String,
        /// Where it points to.
        target: String,
    },
    /// Fewer bytes than the header says.
    #[error("{path}: {missing_bytes} bytes are missing")]
    Truncated {
        /// The entry.
        path: String,
        /// How many.
        missing_bytes: u64,
    },
    /// Two headers of one entry that contradict each other.
    #[error("{path}: headers disagree about the size: {header_bytes} and {extended_bytes}")]
    SizeDisagrees {
        /// The entry.
        path: String,
        /// In the plain header.
        header_bytes: u64,
        /// In the extended header.
        extended_bytes: u64,
    },
    /// A user or group that no kernel can hold.
    #[error("{path}: owner {id} is out of range")]
    Owner {
        /// The entry.
        path: String,
        /// User or group.
        id: u64,
    },
    /// `.wh.` without a name behind it, or with one that is no name.
    #[error("{path}: whiteout of nothing")]
    Whiteout {
        /// The entry.
        path: String,
    },
    /// Something that would change how overlayfs reads the layer.
    #[error("{path}: {what} belongs to overlayfs, not into a layer")]
    OverlayInternal {
        /// The entry.
        path: String,
        /// An attribute, or the device 0/0.
        what: String,
    },
    /// A kind of entry that layers do not have.
    #[error("{path}: entries of type {kind:?} are not supported")]
    Unsupported {
        /// The entry.
        path: String,
        /// The type's character in the tar header.
        kind: char,
    },
    /// A bomb of size.
    #[error("more than {limit} bytes")]
    TooLarge {
        /// [`Limits::layer_bytes`]
        limit: u64,
    },
    /// A bomb of count.
    #[error("more than {limit} entries")]
    TooManyEntries {
        /// [`Limits::layer_entries`]
        limit: u64,
    },
    /// A bomb in an extended header.
    #[error("an extended header is larger than {limit} bytes")]
    HeaderTooLarge {
        /// [`Limits::header_bytes`]
        limit: u64,
    },
    /// The file system said no.
    #[error("{path}: cannot {action}")]
    Place {
        /// The entry.
        path: String,
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Not the layer that the configuration speaks of.
    #[error("the layer's tar has digest {actual}, the image says {expected}")]
    DiffId {
        /// In the configuration.
        expected: String,
        /// Of the bytes.
        actual: String,
    },
}

/// Unpacks a plain tar into the empty directory `into`; returns the digest of the tar (its diff id).
/// What a refused layer leaves behind in `into` is the caller's to remove.
pub fn unpack(plain: impl Read, into: &File, limits: &Limits) -> Result<String, UnpackError> {
    let mut archive = tar::Archive::new(Hashing::new(plain));
    let mut tree = Tree::new(into.as_fd());
    let mut reader = Reader::new(&mut archive, limits)?;
    while let Some(entry) = reader.next_entry()? {
        place(&mut tree, entry)?;
    }
    tree.finish()?;
    drain(archive.into_inner(), limits)
}

/// Whether this layer hides everything below it.
pub(super) fn is_opaque(layer: &File) -> io::Result<bool> {
    tree::is_opaque(layer.as_fd())
}

fn place(tree: &mut Tree<'_>, entry: Entry<impl Read>) -> Result<(), UnpackError> {
    let Entry { head, mut content } = entry;
    match &head.kind {
        Kind::Directory => tree.directory(&head),
        Kind::File { size } => tree.file(&head, *size, &mut content),
        Kind::Symlink { target } => tree.symlink(&head, target),
        Kind::HardLink { target } => tree.hard_link(&head, target),
        Kind::Fifo => tree.fifo(&head),
        Kind::Whiteout => tree.whiteout(&head),
        Kind::Opaque => tree.opaque(&head),
        Kind::Skipped => {
            tracing::debug!(path = %head.path, "left out of the layer");
            Ok(())
        }
    }
}

/// What follows the last entry is padding, but it counts for the digest.
fn drain(mut rest: Hashing<impl Read>, limits: &Limits) -> Result<String, UnpackError> {
    let allowed = limits.layer_bytes.saturating_sub(rest.count()).saturating_add(1);
    let drained = io::copy(&mut rest.by_ref().take(allowed), &mut io::sink())
        .map_err(|source| UnpackError::Read { source })?;
    if drained == allowed {
        return Err(UnpackError::TooLarge { limit: limits.layer_bytes });
    }
    Ok(rest.finish().1)
}

#[cfg(test)]
mod tests;
