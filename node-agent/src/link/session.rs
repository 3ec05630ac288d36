//! One log, exec or port-forward: a stream that the node opens because the control plane asked for it.

use std::sync::Arc;

use proto::fleet_client::FleetClient;
use proto::{OpenSession, SessionFrame};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::chain;
use crate::sessions::Sessions;

/// How many frames may wait in each direction: beyond it the sender waits.
const FRAMES_MAX: usize = 16;

/// How many sessions a node serves at once; one more is refused by never being opened.
pub const SESSIONS_MAX: usize = 256;

/// Serves one session in tasks of its own, over a stream of its own.
pub(super) fn spawn(
    client: FleetClient<Channel>,
    open: OpenSession,
    sessions: Sessions,
    slots: &Arc<Semaphore>,
) {
    let Ok(slot) = Arc::clone(slots).try_acquire_owned() else {
        tracing::warn!(session = open.session_id, "too many sessions are open; this one is refused");
        return;
    };
    let (to_node, inbound) = mpsc::channel(FRAMES_MAX);
    let (outbound, from_node) = mpsc::channel(FRAMES_MAX);
    tokio::spawn(carry(client, from_node, to_node));
    tokio::spawn(async move {
        sessions.serve(open, inbound, outbound).await;
        drop(slot);
    });
}

async fn carry(
    mut client: FleetClient<Channel>,
    from_node: mpsc::Receiver<SessionFrame>,
    to_node: mpsc::Sender<SessionFrame>,
) {
    let mut incoming = match client.session(ReceiverStream::new(from_node)).await {
        Ok(response) => response.into_inner(),
        Err(status) => {
            tracing::warn!(error = chain(&status), "a session could not be opened");
            return;
        }
    };
    while let Some(Ok(frame)) = incoming.next().await {
        if to_node.send(frame).await.is_err() {
            return;
        }
    }
}
