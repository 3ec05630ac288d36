//! Logs: text, as the container wrote it, for as long as the caller follows.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use proto::LogRequest;
use proto::session_frame::Frame;

use super::super::query::Query;
use super::super::{Call, SessionRequest, sessions};
use super::refusal;
use crate::registry::Status;

/// What a query asks for.
pub(super) fn request(query: &Query, container: String) -> Result<LogRequest, Status> {
    Ok(LogRequest {
        container,
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        tail_lines: at_least_zero("tailLines", query.number("tailLines")?)?,
        since_seconds: at_least_zero("sinceSeconds", query.number("sinceSeconds")?)?,
        since_time: query.get("sinceTime").unwrap_or_default().to_owned(),
        timestamps: query.flag("timestamps"),
        limit_bytes: at_least_zero("limitBytes", query.number("limitBytes")?)?,
    })
}

fn at_least_zero(name: &str, value: Option<i64>) -> Result<Option<i64>, Status> {
    match value {
        Some(number) if number < 0 => Err(Status::bad_request(format!("{name} must be at least 0"))),
        value => Ok(value),
    }
}

/// How long the first word of a log that is followed is waited for: it may have nothing to say for a long time.
const FIRST_WORD_TIMEOUT: Duration = Duration::from_millis(200);

/// Opens the log and answers with it. The first frame is awaited, so that what the node refuses is refused as such.
pub(super) async fn follow(call: &Call, request: SessionRequest) -> Result<Response<Body>, Status> {
    let is_following = matches!(&request.open.kind, Some(proto::open_session::Kind::Log(log)) if log.follow);
    let mut session = call.api.sessions.open(request).await?;
    let (first, begins_empty) = first_word(&mut session, is_following).await?;
    let lines =
        futures::stream::unfold((first, session, begins_empty), |(first, mut session, ended)| async move {
            if let Some(first) = first {
                return Some((Ok::<_, Status>(first), (None, session, ended)));
            }
            if ended {
                return None;
            }
            match next(&mut session).await {
                Ok(Some(bytes)) => Some((Ok(bytes), (None, session, false))),
                Ok(None) => None,
                Err(status) => Some((Err(status), (None, session, true))),
            }
        });
    let mut response = Response::new(Body::from_stream(lines));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}

/// The first piece of the log, if there is one in time, and whether it is known that there is none at all.
async fn first_word(
    session: &mut sessions::Session,
    is_following: bool,
) -> Result<(Option<Bytes>, bool), Status> {
    let first = match is_following {
        false => Some(next(session).await?),
        true => tokio::time::timeout(FIRST_WORD_TIMEOUT, next(session)).await.ok().transpose()?,
    };
    let begins_empty = matches!(first, Some(None));
    Ok((first.flatten(), begins_empty))
}

/// The next piece of the log; `None` at its end.
async fn next(session: &mut sessions::Session) -> Result<Option<Bytes>, Status> {
    while let Some(frame) = session.from_node.recv().await {
        match frame.frame {
            Some(Frame::Stdout(bytes) | Frame::Stderr(bytes)) => return Ok(Some(bytes)),
            Some(Frame::Error(error)) => return Err(refusal(&error)),
            Some(Frame::ExitCode(_)) => return Ok(None),
            Some(Frame::SessionId(_) | Frame::Stdin(_) | Frame::Resize(_) | Frame::StdinClosed(_)) | None => {
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
