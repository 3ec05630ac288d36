//! SPDY's headers: zlib, one text for each direction of a connection, begun with a dictionary of the protocol's own.
//!
//! Inflating: the dictionary is handed to a raw inflater as a stored block in front of the client's text, which is
//! what a preset dictionary means, and asks nothing of the zlib at hand. Deflating: stored blocks and no dictionary,
//! which every zlib reads; our headers are four bytes.

use flate2::{Decompress, FlushDecompress, Status};

use super::SpdyError;

/// How large the headers of one stream may be when inflated.
const HEADERS_MAX_BYTES: usize = 64 * 1024;
/// A zlib text begins with two bytes, and four more that name its dictionary.
const ZLIB_HEAD_BYTES: usize = 6;
/// A zlib text of stored blocks, without a dictionary.
const ZLIB_HEAD: [u8; 2] = [0x78, 0x01];

/// The words of the dictionary, each with its length before it.
const WORDS: &str = "options|head|post|put|delete|trace|accept|accept-charset|accept-encoding|accept-language|\
    accept-ranges|age|allow|authorization|cache-control|connection|content-base|content-encoding|content-language|\
    content-length|content-location|content-md5|content-range|content-type|date|etag|expect|expires|from|host|if-match|\
    if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|location|max-forwards|pragma|\
    proxy-authenticate|proxy-authorization|range|referer|retry-after|server|te|trailer|transfer-encoding|upgrade|\
    user-agent|vary|via|warning|www-authenticate|method|get|status|200 OK|version|HTTP/1.1|url|public|set-cookie|\
    keep-alive|origin";
/// What follows the words.
const TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 \
    Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not \
    Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov \
    Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,\
    application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=\
    iso-8859-1,utf-,*,enq=0.";

fn dictionary() -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in WORDS.split('|') {
        bytes.extend_from_slice(&length_of(word.as_bytes()));
        bytes.extend_from_slice(word.as_bytes());
    }
    bytes.extend_from_slice(TAIL.as_bytes());
    bytes
}

fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("words are short").to_be_bytes()
}

/// Bytes as a stored block of deflate.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a block of ours is short");
    [&[0], &length.to_le_bytes()[..], &(!length).to_le_bytes(), bytes].concat()
}

/// A block of headers, as the next part of our text or as its beginning. The empty block at its end makes readers hand
/// on what they have before they look for more.
pub(super) fn deflate(block: &[u8], has_begun: bool) -> Vec<u8> {
    let head: &[u8] = if has_begun { &[] } else { &ZLIB_HEAD };
    [head, &stored(block), &stored(&[])].concat()
}

/// Reads the client's headers, block after block of one text.
pub(super) struct Inflater {
    inflate: Decompress,
    has_begun: bool,
}

impl Default for Inflater {
    fn default() -> Self {
        Self { inflate: Decompress::new(false), has_begun: false }
    }
}

impl Inflater {
    /// The headers of one block.
    pub(super) fn read(&mut self, block: &[u8]) -> Result<Vec<(String, String)>, SpdyError> {
        let mut block = block;
        if !self.has_begun {
            self.has_begun = true;
            let dictionary = dictionary();
            let learnt = self.inflate(&stored(&dictionary))?;
            debug_assert_eq!(learnt, dictionary);
            block = block.get(ZLIB_HEAD_BYTES..).ok_or(SpdyError::Malformed)?;
        }
        parse(&self.inflate(block)?)
    }

    fn inflate(&mut self, mut input: &[u8]) -> Result<Vec<u8>, SpdyError> {
        let mut output = Vec::with_capacity(4096);
        loop {
            let before = (self.inflate.total_in(), output.len());
            let flush = FlushDecompress::Sync;
            let status =
                self.inflate.decompress_vec(input, &mut output, flush).map_err(|_| SpdyError::Malformed)?;
            let read =
                usize::try_from(self.inflate.total_in() - before.0).map_err(|_| SpdyError::Malformed)?;
            input = input.get(read..).ok_or(SpdyError::Malformed)?;
            let has_room = output.len() < output.capacity();
            if status == Status::StreamEnd || input.is_empty() && has_room {
                return Ok(output);
            }
            if output.len() > HEADERS_MAX_BYTES || read == 0 && output.len() == before.1 && has_room {
                return Err(SpdyError::Malformed);
            }
            output.reserve(4096);
        }
    }
}

/// A count, then names and values, each with its length before it.
fn parse(text: &[u8]) -> Result<Vec<(String, String)>, SpdyError> {
    let mut rest = text;
    let number = |rest: &mut &[u8]| -> Result<usize, SpdyError> {
        let (bytes, left) = rest.split_first_chunk::<4>().ok_or(SpdyError::Malformed)?;
        *rest = left;
        usize::try_from(u32::from_be_bytes(*bytes)).map_err(|_| SpdyError::Malformed)
    };
    let count = number(&mut rest)?;
    let word = |rest: &mut &[u8]| -> Result<String, SpdyError> {
        let length = number(rest)?;
        let (bytes, left) = rest.split_at_checked(length).ok_or(SpdyError::Malformed)?;
        *rest = left;
        String::from_utf8(bytes.to_vec()).map_err(|_| SpdyError::Malformed)
    };
    let mut headers = Vec::new();
    for _ in 0..count {
        headers.push((word(&mut rest)?, word(&mut rest)?));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adler-32, which names a dictionary in a zlib text.
    fn adler(bytes: &[u8]) -> u32 {
        let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
            let a = (a + u32::from(*byte)) % 65_521;
            (a, (b + a) % 65_521)
        });
        b << 16 | a
    }

    #[test]
    fn the_dictionary_is_the_protocols_own() {
        assert_eq!((dictionary().len(), adler(&dictionary())), (1423, 0xe3c6_a7c2));
    }

    #[test]
    fn headers_are_read_block_after_block_of_one_text() {
        let block =
            [&1_u32.to_be_bytes()[..], &length_of(b"port"), b"port", &length_of(b"80"), b"80"].concat();
        let mut inflater = Inflater::default();
        for round in 0..3 {
            let head: &[u8] = if round == 0 { &[0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2] } else { &[] };
            let headers = inflater.read(&[head, &stored(&block)].concat()).expect("read");
            assert_eq!(headers, [("port".to_owned(), "80".to_owned())]);
        }
    }

    #[test]
    fn headers_that_break_off_are_malformed() {
        assert!(Inflater::default().read(b"").is_err());
        assert!(parse(&[0, 0, 0, 9]).is_err());
    }
}
