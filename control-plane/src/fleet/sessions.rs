//! Logs, exec and port-forward: a user asks, the node dials back, and the two are joined here.
//!
//!     asked --node opens the stream--> joined --either end drops--> over
//!       \--nobody came in time--> 504

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proto::SessionFrame;
use rand::{Rng, RngExt};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tonic::Streaming;

use crate::api::sessions::Session;

/// How long a node may take to open the stream that it was asked for.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How many frames may wait in each direction.
const FRAMES_MAX: usize = 16;
/// How many sessions may wait for their node at once.
const WAITING_MAX: usize = 1024;

/// Sessions that wait for their node.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by_id: Mutex<BTreeMap<String, Expected>>,
}

#[derive(Debug)]
struct Expected {
    node: String,
    arrived: oneshot::Sender<Session>,
}

impl Waiting {
    /// Expects a node to open a session: its id, and where it arrives. `None` if too many wait already.
    pub(super) fn expect(
        &self,
        node: &str,
        rng: &mut impl Rng,
    ) -> Option<(String, oneshot::Receiver<Session>)> {
        let (arrived, arrival) = oneshot::channel();
        let id = format!("{:032x}", rng.random::<u128>());
        let mut by_id = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        if by_id.len() >= WAITING_MAX {
            return None;
        }
        by_id.insert(id.clone(), Expected { node: node.to_owned(), arrived });
        Some((id, arrival))
    }

    /// Nobody waits any more.
    pub(super) fn give_up(&self, id: &str) {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// A node opened a session: the frames for it, or `None` if it was not asked to.
    pub(super) fn join(
        &self,
        node: &str,
        id: &str,
        incoming: Streaming<SessionFrame>,
    ) -> Option<mpsc::Receiver<SessionFrame>> {
        let expected = {
            let mut by_id = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
            if by_id.get(id)?.node != node {
                return None;
            }
            by_id.remove(id)?
        };
        let (to_node, frames) = mpsc::channel(FRAMES_MAX);
        let (from_pod, from_node) = mpsc::channel(FRAMES_MAX);
        expected.arrived.send(Session { to_node, from_node }).ok()?;
        tokio::spawn(carry(incoming, from_pod));
        Some(frames)
    }
}

/// Ends with the node's stream, or as soon as the user has gone: dropping `incoming` tells the node.
async fn carry(mut incoming: Streaming<SessionFrame>, to_user: mpsc::Sender<SessionFrame>) {
    loop {
        let frame = tokio::select! {
            frame = incoming.next() => frame,
            () = to_user.closed() => return,
        };
        let Some(Ok(frame)) = frame else { return };
        if to_user.send(frame).await.is_err() {
            return;
        }
    }
}
