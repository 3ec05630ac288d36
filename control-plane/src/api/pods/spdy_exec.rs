//! Exec and attach over SPDY: one stream for each of stdin, stdout, stderr, resize, and the last word.
//!
//!     Gathering streams ──all there──▶ Carrying ──exit, error──▶ Ended: status, then the end of each stream

use std::time::Duration;

use bytes::Bytes;
use futures::stream::SplitStream;
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use proto::SessionFrame;
use proto::session_frame::Frame;
use tokio::sync::mpsc;
use tokio_util::codec::Framed;

use super::channels::resize;
use super::spdy::{Codec, FromClient, SpdyError, ToClient};
use super::{exit_status, refusal};
use crate::api::sessions::Session;
use crate::registry::Status;

/// How long a client may take to open the streams that it asked for.
const STREAMS_WAIT: Duration = Duration::from_secs(30);
/// How long a client may take to hang up after the last word.
const LINGER: Duration = Duration::from_secs(2);

/// How many frames may wait for the client.
const FRAMES_MAX: usize = 16;

pub(super) type Connection = Framed<TokioIo<Upgraded>, Codec>;

/// The streams of one session, by what they are for; 0: none.
#[derive(Default)]
struct Streams {
    error: u32,
    stdin: u32,
    stdout: u32,
    stderr: u32,
    resize: u32,
}

impl Streams {
    fn slot(&mut self, name: &str) -> Option<&mut u32> {
        Some(match name {
            "error" => &mut self.error,
            "stdin" => &mut self.stdin,
            "stdout" => &mut self.stdout,
            "stderr" => &mut self.stderr,
            "resize" => &mut self.resize,
            _ => return None,
        })
    }
}

/// Carries a session until the command ends or the client leaves.
pub(super) async fn carry(mut connection: Connection, streams: usize, session: Session) {
    let gathered = tokio::time::timeout(STREAMS_WAIT, gather(&mut connection, streams)).await;
    let Ok(Ok(streams)) = gathered else {
        return tracing::debug!("a client did not open its streams");
    };
    if let Err(error) = run(&mut connection, &streams, session).await {
        return tracing::debug!(%error, "an exec ended early");
    }
    // Hanging up first could take the last words back that are still on their way.
    let _late =
        tokio::time::timeout(LINGER, async { while let Some(Ok(_)) = connection.next().await {} }).await;
}

async fn gather(connection: &mut Connection, count: usize) -> Result<Streams, SpdyError> {
    let mut streams = Streams::default();
    for _ in 0..count {
        loop {
            let frame = connection.next().await.ok_or(SpdyError::Malformed)??;
            let FromClient::Open { stream, headers } = frame else { continue };
            let name = headers.iter().find(|(name, _)| name == "streamtype").map(|(_, value)| value.as_str());
            *streams.slot(name.unwrap_or_default()).ok_or(SpdyError::Malformed)? = stream;
            connection.send(ToClient::Accept { stream }).await?;
            break;
        }
    }
    Ok(streams)
}

async fn run(connection: &mut Connection, streams: &Streams, session: Session) -> Result<(), SpdyError> {
    let (mut to_client, from_client) = connection.split();
    let (outgoing, mut frames) = mpsc::channel(FRAMES_MAX);
    let write = async {
        let mut talk = std::pin::pin!(talk(session.from_node, &outgoing, streams));
        loop {
            tokio::select! {
                biased;
                Some(frame) = frames.recv() => to_client.send(frame).await?,
                () = talk.as_mut() => break,
            }
        }
        while let Ok(frame) = frames.try_recv() {
            to_client.send(frame).await?;
        }
        Ok(())
    };
    tokio::select! {
        ended = write => ended,
        ended = listen(from_client, &session.to_node, &outgoing, streams) => ended,
    }
}

/// What the pod says, until its last word.
async fn talk(
    mut from_node: mpsc::Receiver<SessionFrame>,
    client: &mpsc::Sender<ToClient>,
    streams: &Streams,
) {
    let last = loop {
        let frame = match from_node.recv().await.map(|frame| frame.frame) {
            Some(Some(Frame::Stdout(bytes))) => data(streams.stdout, bytes),
            Some(Some(Frame::Stderr(bytes))) => data(streams.stderr, bytes),
            Some(Some(Frame::ExitCode(code))) => break exit_status(code),
            Some(Some(Frame::Error(error))) => break refusal(&error).to_json(),
            Some(_) => continue,
            None => break Status::internal("the node ended the session early").to_json(),
        };
        if client.send(frame).await.is_err() {
            return;
        }
    };
    let end = |stream| ToClient::Data { stream, bytes: Bytes::new(), fin: true };
    let open = [streams.stdout, streams.stderr, streams.error].into_iter().filter(|stream| *stream != 0);
    for frame in std::iter::once(data(streams.error, last.to_string().into())).chain(open.map(end)) {
        if client.send(frame).await.is_err() {
            return;
        }
    }
}

/// What the user says, until the user leaves.
async fn listen(
    mut from_client: SplitStream<&mut Connection>,
    to_node: &mpsc::Sender<SessionFrame>,
    client: &mpsc::Sender<ToClient>,
    streams: &Streams,
) -> Result<(), SpdyError> {
    while let Some(frame) = from_client.next().await {
        let said = match frame? {
            FromClient::GoAway => return Ok(()),
            FromClient::Ping(id) => {
                // Who writes has ended, and this with it.
                let _ended = client.send(ToClient::Ping(id)).await;
                continue;
            }
            frame @ (FromClient::Open { .. }
            | FromClient::Data { .. }
            | FromClient::Reset { .. }
            | FromClient::Other) => meaning(streams, frame),
        };
        let Some(frame) = said else { continue };
        if to_node.send(SessionFrame { frame: Some(frame) }).await.is_err() {
            // The pod has stopped listening; its last words are still on their way.
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}

fn data(stream: u32, bytes: Bytes) -> ToClient {
    ToClient::Data { stream, bytes, fin: false }
}

/// What a client's frame says to the pod; `None` if nothing.
fn meaning(streams: &Streams, frame: FromClient) -> Option<Frame> {
    match frame {
        FromClient::Data { stream, fin: true, bytes } if stream == streams.stdin && bytes.is_empty() => {
            Some(Frame::StdinClosed(true))
        }
        FromClient::Data { stream, bytes, .. } if stream == streams.stdin => Some(Frame::Stdin(bytes)),
        FromClient::Data { stream, bytes, .. } if stream == streams.resize => resize(&bytes),
        FromClient::Reset { stream } if stream == streams.stdin => Some(Frame::StdinClosed(true)),
        FromClient::Open { .. }
        | FromClient::Data { .. }
        | FromClient::Reset { .. }
        | FromClient::Ping(_)
        | FromClient::GoAway
        | FromClient::Other => None,
    }
}
