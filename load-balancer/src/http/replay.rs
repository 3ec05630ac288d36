//! A request's body that can be sent again.
//!
//! The client's body is read once. What has been read is kept, up to a limit, so that a later try starts from
//! the beginning; beyond the limit it only passes through. Each try reads through a [`RequestBody`] of its own,
//! and a newer one ends the older.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("cannot read the client's request body")]
    Client(#[source] hyper::Error),
    #[error("a newer try reads this body")]
    Superseded,
}

/// A body and what has been read of it.
#[derive(Debug, Clone)]
pub(crate) struct Replay {
    source: Option<Arc<Mutex<Source>>>,
}

#[derive(Debug)]
struct Source {
    incoming: Incoming,
    kept: Vec<Frame<Bytes>>,
    kept_bytes: usize,
    kept_bytes_max: usize,
    // Something was read that was not kept.
    lossy: bool,
    // The try that may read.
    reader: u32,
    failed: bool,
}

impl Replay {
    /// `kept_bytes_max` 0: only passes through.
    pub(crate) fn new(incoming: Incoming, kept_bytes_max: usize) -> Self {
        if incoming.is_end_stream() {
            return Replay { source: None };
        }
        let source = Source {
            incoming,
            kept: Vec::new(),
            kept_bytes: 0,
            kept_bytes_max,
            lossy: false,
            reader: 0,
            failed: false,
        };
        Replay { source: Some(Arc::new(Mutex::new(source))) }
    }

    /// Everything read so far can be read again.
    pub(crate) fn is_whole(&self) -> bool {
        self.source.as_ref().is_none_or(|source| !lock(source).lossy)
    }

    /// The client broke off.
    pub(crate) fn client_failed(&self) -> bool {
        self.source.as_ref().is_some_and(|source| lock(source).failed)
    }

    /// From the beginning, for the next try.
    pub(crate) fn body(&self) -> RequestBody {
        let Some(source) = &self.source else { return RequestBody { reading: None } };
        let mut locked = lock(source);
        locked.reader += 1;
        RequestBody { reading: Some(Reading { source: source.clone(), reader: locked.reader, position: 0 }) }
    }
}

/// One try's view of the body.
#[derive(Debug)]
pub(crate) struct RequestBody {
    // None: empty, or read to its end.
    reading: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    source: Arc<Mutex<Source>>,
    reader: u32,
    position: usize,
}

impl Reading {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut source = lock(&self.source);
        if source.reader != self.reader {
            return Poll::Ready(Some(Err(BodyError::Superseded)));
        }
        if let Some(frame) = source.kept.get(self.position) {
            self.position += 1;
            return Poll::Ready(Some(Ok(copy(frame))));
        }
        let frame = ready!(Pin::new(&mut source.incoming).poll_frame(context));
        match frame {
            Some(Ok(frame)) => {
                self.position += source.keep(&frame);
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                source.failed = true;
                Poll::Ready(Some(Err(BodyError::Client(error))))
            }
            None => Poll::Ready(None),
        }
    }
}

impl Source {
    /// How many frames were kept: one or none.
    fn keep(&mut self, frame: &Frame<Bytes>) -> usize {
        self.kept_bytes += frame.data_ref().map_or(0, Bytes::len);
        self.lossy |= self.kept_bytes > self.kept_bytes_max;
        if self.lossy {
            self.kept = Vec::new();
            return 0;
        }
        self.kept.push(copy(frame));
        1
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let frame = ready!(reading.poll_next(context));
        if frame.is_none() {
            self.reading = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.reading.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let Some(reading) = &self.reading else { return SizeHint::with_exact(0) };
        let source = lock(&reading.source);
        let unread: u64 = source.kept.iter().skip(reading.position).map(bytes_of).sum();
        match source.incoming.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + unread),
            None => SizeHint::new(),
        }
    }
}

fn bytes_of(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}

fn copy(frame: &Frame<Bytes>) -> Frame<Bytes> {
    match (frame.data_ref(), frame.trailers_ref()) {
        (Some(data), _) => Frame::data(data.clone()),
        (None, trailers) => Frame::trailers(trailers.cloned().unwrap_or_default()),
    }
}

fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}
