//! Plain, gzip or zstd: told by the first bytes, never by a name or a media type, which may lie.

use std::io::{self, BufReader, Chain, Cursor, Read};

use flate2::read::MultiGzDecoder;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Largest window that a zstd stream may ask memory for: 128 MiB, as the zstd tool itself allows.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(magic: &[u8]) -> Self {
        if magic.starts_with(&GZIP_MAGIC) {
            Self::Gzip
        } else if magic.starts_with(&ZSTD_MAGIC) {
            Self::Zstd
        } else {
            Self::None
        }
    }
}

type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

/// A stream of plain bytes, whatever it was before.
pub(super) enum Decoder<R: Read> {
    None(Peeked<R>),
    Gzip(Box<MultiGzDecoder<Peeked<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<Peeked<R>>>),
}

impl<R: Read> Decoder<R> {
    /// Looks at the first bytes of `reader`.
    pub(super) fn new(mut reader: R) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(ZSTD_MAGIC.len());
        reader.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic)?;
        let compression = Compression::of(&magic);
        let peeked = Cursor::new(magic).chain(reader);
        Ok(match compression {
            Compression::None => Self::None(peeked),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(peeked))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(peeked)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Self::Zstd(decoder)
            }
        })
    }

    pub(super) fn compression(&self) -> Compression {
        match self {
            Self::None(_) => Compression::None,
            Self::Gzip(_) => Compression::Gzip,
            Self::Zstd(_) => Compression::Zstd,
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(reader) => reader.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}
