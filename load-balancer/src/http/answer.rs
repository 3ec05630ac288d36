//! The body of an answer: ours, an endpoint's that was read whole, or an endpoint's as it comes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::exchange::Exchange;

#[derive(Debug)]
pub(crate) enum Answer {
    /// All there is; none once it has been given out.
    Whole(Option<Bytes>),
    /// What the endpoint sends, as the client takes it. Next: `Whole(None)`.
    Streamed(Box<Streamed>),
}

#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) incoming: Incoming,
    pub(crate) exchange: Exchange,
}

impl Answer {
    /// A plain-text answer of the front's own.
    pub(crate) fn plain(status: StatusCode, text: &str) -> Response<Answer> {
        let body = Bytes::from(format!("{status}: {text}\n"));
        let mut response = Response::new(Answer::Whole(Some(body)));
        *response.status_mut() = status;
        let text_plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text_plain);
        response
    }

    pub(crate) fn empty() -> Answer {
        Answer::Whole(None)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let streamed = match this {
            Answer::Whole(body) => return Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Answer::Streamed(streamed) => streamed,
        };
        let frame = ready!(Pin::new(&mut streamed.incoming).poll_frame(context));
        let failed = matches!(frame, Some(Err(_)));
        let ended = streamed.incoming.is_end_stream();
        if (failed || frame.is_none() || ended)
            && let Answer::Streamed(streamed) = std::mem::replace(this, Answer::empty())
        {
            streamed.exchange.end(failed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Whole(body) => body.is_none(),
            Answer::Streamed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Answer::Streamed(streamed) => streamed.incoming.size_hint(),
        }
    }
}
