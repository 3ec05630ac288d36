//! Port-forward over SPDY: each connection of the user's is a pair of streams, `error` first and then `data`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use proto::SessionFrame;
use proto::session_frame::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::spdy::{FromClient, SpdyError, ToClient};
use super::spdy_exec::Connection;
use crate::api::sessions::{SessionRequest, Sessions};

/// How many streams may be open at once, two for each connection.
const STREAMS_MAX: usize = 512;
/// How many frames may wait for the client, and for each pod's connection.
const FRAMES_MAX: usize = 16;

/// What is to be opened for each connection: the same session but for its port.
pub(super) struct Template {
    pub(super) sessions: Arc<dyn Sessions>,
    pub(super) request: SessionRequest,
}

impl Template {
    fn request(&self, port: u16) -> SessionRequest {
        let mut request = self.request.clone();
        let forward = proto::PortForwardRequest { port: u32::from(port) };
        request.open.kind = Some(proto::open_session::Kind::PortForward(forward));
        request
    }
}

/// Carries connections until the client leaves.
pub(super) async fn carry(connection: Connection, template: Template) {
    let (mut to_client, from_client) = connection.split();
    let (outgoing, mut frames) = mpsc::channel::<ToClient>(FRAMES_MAX);
    let write = async {
        while let Some(frame) = frames.recv().await {
            to_client.send(frame).await?;
        }
        Ok::<(), SpdyError>(())
    };
    let ended = tokio::select! {
        ended = write => ended,
        ended = read(from_client, outgoing, template) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a port-forward ended early");
    }
}

async fn read(
    mut from_client: futures::stream::SplitStream<Connection>,
    to_client: mpsc::Sender<ToClient>,
    template: Template,
) -> Result<(), SpdyError> {
    // The `error` stream of each request that waits for its `data`, and where each `data` stream's bytes go.
    let mut errors: BTreeMap<String, u32> = BTreeMap::new();
    let mut pods: BTreeMap<u32, mpsc::Sender<Bytes>> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    while let Some(frame) = from_client.next().await {
        while tasks.try_join_next().is_some() {}
        pods.retain(|_, pod| !pod.is_closed());
        match frame? {
            FromClient::Open { stream, headers } => {
                if errors.len() + 2 * pods.len() >= STREAMS_MAX {
                    return Err(SpdyError::Malformed);
                }
                reply(&to_client, ToClient::Accept { stream }).await;
                let header = |wanted: &str| {
                    headers
                        .iter()
                        .find(|(name, _)| name == wanted)
                        .map(|(_, value)| value.clone())
                        .unwrap_or_default()
                };
                let request = header("requestid");
                if header("streamtype") == "error" {
                    errors.insert(request, stream);
                    continue;
                }
                let Some(error) = errors.remove(&request) else { return Err(SpdyError::Malformed) };
                let port = header("port").parse().map_err(|_| SpdyError::Malformed)?;
                let (pod, bytes) = mpsc::channel(FRAMES_MAX);
                pods.insert(stream, pod);
                let sessions = Arc::clone(&template.sessions);
                tasks.spawn(join(sessions, template.request(port), bytes, to_client.clone(), stream, error));
            }
            FromClient::Data { stream, bytes, fin } => {
                if let Some(pod) = pods.get(&stream).filter(|_| !bytes.is_empty()) {
                    // A connection that the pod has ended takes no more.
                    let _ended = pod.send(bytes).await;
                }
                if fin {
                    pods.remove(&stream);
                }
            }
            FromClient::Reset { stream } => drop(pods.remove(&stream)),
            FromClient::Ping(id) => reply(&to_client, ToClient::Ping(id)).await,
            FromClient::GoAway => return Ok(()),
            FromClient::Other => {}
        }
    }
    Ok(())
}

/// Joins one connection of the user's to the pod's port, and says on the error stream what went wrong.
async fn join(
    sessions: Arc<dyn Sessions>,
    request: SessionRequest,
    from_client: mpsc::Receiver<Bytes>,
    to_client: mpsc::Sender<ToClient>,
    stream: u32,
    error: u32,
) {
    let failure = match sessions.open(request).await {
        Ok(session) => {
            let upwards = upwards(from_client, session.to_node);
            let downwards = downwards(session.from_node, &to_client, stream);
            tokio::select! {
                failure = downwards => failure,
                failure = upwards => failure,
            }
        }
        Err(status) => Some(status.message),
    };
    let failure = Bytes::from(failure.unwrap_or_default());
    reply(&to_client, ToClient::Data { stream: error, bytes: failure, fin: true }).await;
    reply(&to_client, ToClient::Data { stream, bytes: Bytes::new(), fin: true }).await;
}

/// Ends only when the pod does: a user who has said everything may still be listening.
async fn upwards(
    mut from_client: mpsc::Receiver<Bytes>,
    to_node: mpsc::Sender<SessionFrame>,
) -> Option<String> {
    while let Some(bytes) = from_client.recv().await {
        if to_node.send(SessionFrame { frame: Some(Frame::Stdin(bytes)) }).await.is_err() {
            return std::future::pending().await;
        }
    }
    // The pod may have gone, which `downwards` sees too.
    let _gone = to_node.send(SessionFrame { frame: Some(Frame::StdinClosed(true)) }).await;
    std::future::pending().await
}

async fn downwards(
    mut from_node: mpsc::Receiver<SessionFrame>,
    to_client: &mpsc::Sender<ToClient>,
    stream: u32,
) -> Option<String> {
    while let Some(frame) = from_node.recv().await {
        match frame.frame {
            Some(Frame::Stdout(bytes)) => {
                reply(to_client, ToClient::Data { stream, bytes, fin: false }).await
            }
            Some(Frame::Error(error)) => return Some(error.message),
            Some(Frame::ExitCode(_)) => return None,
            Some(
                Frame::SessionId(_)
                | Frame::Stdin(_)
                | Frame::Stderr(_)
                | Frame::Resize(_)
                | Frame::StdinClosed(_),
            )
            | None => {}
        }
    }
    None
}

/// Sends a frame, unless the client has gone, which `read` sees for itself.
async fn reply(to_client: &mpsc::Sender<ToClient>, frame: ToClient) {
    let _gone = to_client.send(frame).await;
}
