//! Exec and attach over a WebSocket: the first byte of each message says which stream the rest belongs to.
//!
//! Reference: Kubernetes' `v4.channel.k8s.io` and `v5.channel.k8s.io`; the fifth can close stdin.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::SplitStream;
use futures::{Sink, SinkExt, StreamExt};
use proto::SessionFrame;
use proto::session_frame::Frame;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::websocket::Socket;
use super::{exit_status, refusal};
use crate::api::sessions::Session;
use crate::registry::Status;

const V5: &str = "v5.channel.k8s.io";
/// What we speak, best first.
pub(super) const PROTOCOLS: [&str; 2] = [V5, "v4.channel.k8s.io"];

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// In the fifth protocol: the stream named by the next byte has ended.
const CLOSE: u8 = 255;

/// After so much silence a client is asked whether it is there: one that left while the pod takes no more of what it
/// said would not be noticed otherwise.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Carries a session until the command ends or the client leaves.
pub(super) async fn carry(socket: Socket, protocol: &'static str, session: Session) {
    let (to_client, from_client) = socket.split();
    let Session { to_node, from_node } = session;
    tokio::select! {
        () = to_user(to_client, from_node, PING_INTERVAL) => {}
        () = from_user(from_client, to_node, protocol == V5) => {}
    }
}

/// What the pod says, until its last word.
async fn to_user(
    mut client: impl Sink<Message> + Unpin,
    mut from_node: mpsc::Receiver<SessionFrame>,
    ping_interval: Duration,
) {
    let last = loop {
        let Ok(said) = timeout(ping_interval, from_node.recv()).await else {
            if client.send(Message::Ping(Bytes::new())).await.is_err() {
                return;
            }
            continue;
        };
        let Some(frame) = said else {
            break Status::internal("the node ended the session early").to_json();
        };
        let sent = match frame.frame {
            Some(Frame::Stdout(bytes)) => client.send(message(STDOUT, &bytes)).await,
            Some(Frame::Stderr(bytes)) => client.send(message(STDERR, &bytes)).await,
            Some(Frame::ExitCode(code)) => break exit_status(code),
            Some(Frame::Error(error)) => break refusal(&error).to_json(),
            Some(Frame::SessionId(_) | Frame::Stdin(_) | Frame::Resize(_) | Frame::StdinClosed(_)) | None => {
                Ok(())
            }
        };
        if sent.is_err() {
            return;
        }
    };
    let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let end = [message(ERROR, last.to_string().as_bytes()), Message::Close(Some(close))];
    for message in end {
        if client.send(message).await.is_err() {
            return;
        }
    }
}

/// What the user says, until the user leaves.
async fn from_user(mut client: SplitStream<Socket>, to_node: mpsc::Sender<SessionFrame>, can_close: bool) {
    while let Some(Ok(message)) = client.next().await {
        let data = match message {
            Message::Binary(data) => data,
            Message::Text(text) => Bytes::from(text),
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        let Some(frame) = frame(&data, can_close) else { continue };
        if to_node.send(SessionFrame { frame: Some(frame) }).await.is_err() {
            // The pod has stopped listening; its last words are still on their way.
            std::future::pending::<()>().await;
        }
    }
}

/// What a message means to the pod; `None` if nothing.
fn frame(data: &Bytes, can_close: bool) -> Option<Frame> {
    match *data.first()? {
        STDIN => Some(Frame::Stdin(data.slice(1..))),
        RESIZE => resize(&data[1..]),
        CLOSE if can_close && data.get(1) == Some(&STDIN) => Some(Frame::StdinClosed(true)),
        _ => None,
    }
}

pub(super) fn resize(json: &[u8]) -> Option<Frame> {
    let size: Value = serde_json::from_slice(json).ok()?;
    let side = |name: &str| u32::try_from(size[name].as_u64()?).ok();
    Some(Frame::Resize(proto::Resize { columns: side("Width")?, rows: side("Height")? }))
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    Message::Binary([&[channel], bytes].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_left_is_noticed_although_the_pod_says_nothing() {
        let gone = futures::sink::unfold((), |(), _| async { Err::<(), _>("broken pipe") });
        let (_pod, from_node) = mpsc::channel(1);
        let carried = to_user(Box::pin(gone), from_node, Duration::from_millis(1));
        timeout(Duration::from_secs(10), carried).await.expect("it is noticed");
    }

    #[test]
    fn messages_go_to_the_stream_that_their_first_byte_names() {
        let frame = |data: &'static [u8], can_close| frame(&Bytes::from_static(data), can_close);
        assert_eq!(frame(b"\x00ls", false), Some(Frame::Stdin(Bytes::from_static(b"ls"))));
        let size = proto::Resize { columns: 80, rows: 24 };
        assert_eq!(frame(b"\x04{\"Width\":80,\"Height\":24}", false), Some(Frame::Resize(size)));
        assert_eq!(frame(b"\xff\x00", true), Some(Frame::StdinClosed(true)));
        assert_eq!(frame(b"\xff\x00", false), None, "the fourth protocol cannot close");
        assert_eq!(frame(b"", true), None);
        assert_eq!(frame(b"\x04nonsense", true), None);
    }
}
