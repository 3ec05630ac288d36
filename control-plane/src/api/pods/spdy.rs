//! SPDY/3.1, as much of it as Kubernetes' clients need: streams in both directions over one upgraded connection.
//!
//! kubectl before 1.30 runs commands over nothing else, and every kubectl forwards ports over it. A codec: bytes to
//! frames and back; what streams are for is decided by its users.
//! Reference: <https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/>.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use headers::{Inflater, deflate};

mod headers;

/// How large one frame from a client may be.
const FRAME_MAX_BYTES: usize = 1024 * 1024;
/// How much is put into one frame to a client: its length has 24 bits.
const DATA_MAX_BYTES: usize = 64 * 1024;
const HEAD_BYTES: usize = 8;
const CONTROL: u32 = 0x8000_0000;
const VERSION: u32 = 0x8003_0000;
const FLAG_FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;

/// A frame of a client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FromClient {
    /// A new stream, and what it is for.
    Open { stream: u32, headers: Vec<(String, String)> },
    /// Bytes; `fin`: the last ones.
    Data { stream: u32, bytes: Bytes, fin: bool },
    /// The stream is broken off.
    Reset { stream: u32 },
    /// To be sent back as it is.
    Ping(u32),
    /// No more streams.
    GoAway,
    /// Nothing that concerns us.
    Other,
}

/// A frame of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToClient {
    /// The stream is taken.
    Accept { stream: u32 },
    /// Bytes; `fin`: the last ones.
    Data { stream: u32, bytes: Bytes, fin: bool },
    /// A ping, back.
    Ping(u32),
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpdyError {
    /// A frame beyond the limit.
    #[error("a frame of {0} bytes")]
    TooLarge(usize),
    /// A frame that breaks off, or headers that do not read.
    #[error("a malformed frame")]
    Malformed,
    /// The connection itself.
    #[error("the connection")]
    Connection(#[from] std::io::Error),
}

/// One connection's codec: its headers are compressed as one text, from the first frame to the last.
#[derive(Default)]
pub(super) struct Codec {
    inflater: Inflater,
    has_sent_headers: bool,
}

impl Decoder for Codec {
    type Item = FromClient;
    type Error = SpdyError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<FromClient>, SpdyError> {
        let Some(mut head) = source.get(..HEAD_BYTES) else { return Ok(None) };
        let (first, second) = (head.get_u32(), head.get_u32());
        let length = usize::try_from(second & 0x00ff_ffff).map_err(|_| SpdyError::Malformed)?;
        if length > FRAME_MAX_BYTES {
            return Err(SpdyError::TooLarge(length));
        }
        if source.len() < HEAD_BYTES + length {
            source.reserve(HEAD_BYTES + length - source.len());
            return Ok(None);
        }
        source.advance(HEAD_BYTES);
        let body = source.split_to(length).freeze();
        let fin = second >> 24 & u32::from(FLAG_FIN) != 0;
        if first & CONTROL == 0 {
            return Ok(Some(FromClient::Data { stream: first, bytes: body, fin }));
        }
        let [_, _, high, low] = first.to_be_bytes();
        self.control(u16::from_be_bytes([high, low]), body).map(Some)
    }
}

impl Codec {
    fn control(&mut self, kind: u16, mut body: Bytes) -> Result<FromClient, SpdyError> {
        let mut number = || body.try_get_u32().map_err(|_| SpdyError::Malformed);
        Ok(match kind {
            SYN_STREAM => {
                let stream = number()? & !CONTROL;
                let _associated = number()?;
                let _priority_and_slot = body.try_get_u16().map_err(|_| SpdyError::Malformed)?;
                FromClient::Open { stream, headers: self.inflater.read(&body)? }
            }
            RST_STREAM => FromClient::Reset { stream: number()? & !CONTROL },
            PING => FromClient::Ping(number()?),
            GOAWAY => FromClient::GoAway,
            _ => FromClient::Other,
        })
    }
}

impl Encoder<ToClient> for Codec {
    type Error = SpdyError;

    fn encode(&mut self, frame: ToClient, into: &mut BytesMut) -> Result<(), SpdyError> {
        match frame {
            ToClient::Accept { stream } => {
                // No headers, in the one compressed text that all our headers make.
                let block =
                    deflate(&0_u32.to_be_bytes(), std::mem::replace(&mut self.has_sent_headers, true));
                head(into, VERSION | u32::from(SYN_REPLY), 0, 4 + block.len());
                into.put_u32(stream);
                into.extend_from_slice(&block);
            }
            ToClient::Data { stream, bytes, fin } => {
                let mut rest = bytes;
                while rest.len() > DATA_MAX_BYTES {
                    let part = rest.split_to(DATA_MAX_BYTES);
                    head(into, stream, 0, part.len());
                    into.extend_from_slice(&part);
                }
                head(into, stream, if fin { FLAG_FIN } else { 0 }, rest.len());
                into.extend_from_slice(&rest);
            }
            ToClient::Ping(id) => {
                head(into, VERSION | u32::from(PING), 0, 4);
                into.put_u32(id);
            }
        }
        Ok(())
    }
}

fn head(into: &mut BytesMut, first: u32, flags: u8, length: usize) {
    into.put_u32(first);
    let length = u32::try_from(length).expect("parts of a frame are cut to 64 KiB");
    into.put_u32(u32::from(flags) << 24 | length);
}

#[cfg(test)]
mod tests;
