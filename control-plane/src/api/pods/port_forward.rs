//! Ways to a pod's ports over a WebSocket: for the i-th port, channel 2i has its bytes and 2i+1 its error.
//!
//! Reference: Kubernetes' `v4.channel.k8s.io` port-forward, whose server begins by naming each channel's port.

use futures::stream::SplitStream;
use futures::{SinkExt, StreamExt};
use proto::SessionFrame;
use proto::session_frame::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use super::super::query::Query;
use super::websocket::Socket;
use crate::api::sessions::Session;
use crate::registry::Status;

pub(super) const PROTOCOLS: [&str; 2] = ["v4.channel.k8s.io", "portforward.k8s.io"];
/// How many ports one request may ask for; a channel's number must fit its byte.
const PORTS_MAX: usize = 64;
/// How many messages may wait for the client.
const MESSAGES_MAX: usize = 16;

/// The ports that a query asks for, repeated or joined by commas.
pub(super) fn ports(query: &Query) -> Result<Vec<u16>, Status> {
    let words = query.all("ports").flat_map(|value| value.split(',')).filter(|word| !word.is_empty());
    let port = |word: &str| word.parse::<u16>().ok().filter(|port| *port != 0);
    let ports: Result<Vec<u16>, Status> = words
        .map(|word| port(word).ok_or_else(|| Status::bad_request(format!("{word} is no port"))))
        .collect();
    match ports? {
        ports if ports.is_empty() => Err(Status::bad_request("query parameter \"ports\" is required")),
        ports if ports.len() > PORTS_MAX => {
            Err(Status::bad_request(format!("at most {PORTS_MAX} ports at a time")))
        }
        ports => Ok(ports),
    }
}

/// Carries the bytes of all ports until the client leaves, or all of them have ended.
pub(super) async fn carry(socket: Socket, sessions: Vec<(u16, Session)>) {
    let (mut to_client, from_client) = socket.split();
    let (outgoing, mut messages) = mpsc::channel::<Message>(MESSAGES_MAX);
    let mut to_pods = Vec::new();
    let mut ports = JoinSet::new();
    for ((port, session), channel) in sessions.into_iter().zip((0_u8..).step_by(2)) {
        to_pods.push(session.to_node);
        ports.spawn(from_pod(port, channel, session.from_node, outgoing.clone()));
    }
    drop(outgoing);
    let write = async {
        while let Some(message) = messages.recv().await {
            if to_client.send(message).await.is_err() {
                return;
            }
        }
        // The client may have closed first.
        let _closed = to_client.close().await;
    };
    tokio::select! {
        () = write => {}
        () = from_user(from_client, to_pods) => {}
    }
}

async fn from_pod(
    port: u16,
    channel: u8,
    mut frames: mpsc::Receiver<SessionFrame>,
    client: mpsc::Sender<Message>,
) {
    let [low, high] = port.to_le_bytes();
    for channel in [channel, channel + 1] {
        if client.send(Message::Binary(vec![channel, low, high].into())).await.is_err() {
            return;
        }
    }
    while let Some(frame) = frames.recv().await {
        let message = match frame.frame {
            Some(Frame::Stdout(bytes)) => Message::Binary([&[channel], &bytes[..]].concat().into()),
            Some(Frame::Error(error)) => {
                Message::Binary([&[channel + 1], error.message.as_bytes()].concat().into())
            }
            Some(Frame::ExitCode(_)) => return,
            Some(
                Frame::SessionId(_)
                | Frame::Stdin(_)
                | Frame::Stderr(_)
                | Frame::Resize(_)
                | Frame::StdinClosed(_),
            )
            | None => continue,
        };
        if client.send(message).await.is_err() {
            return;
        }
    }
}

async fn from_user(mut client: SplitStream<Socket>, pods: Vec<mpsc::Sender<SessionFrame>>) {
    while let Some(Ok(message)) = client.next().await {
        let data = match message {
            Message::Binary(data) => data,
            Message::Close(_) => return,
            Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        let Some((channel, _)) = data.split_first() else { continue };
        let pod = pods.get(usize::from(*channel / 2)).filter(|_| channel % 2 == 0);
        if let Some(pod) = pod {
            // A port that has ended takes no more; the others go on.
            let _ended = pod.send(SessionFrame { frame: Some(Frame::Stdin(data.slice(1..))) }).await;
        }
    }
}
