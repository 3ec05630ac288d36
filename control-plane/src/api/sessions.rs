//! The way from a user's log, exec or port-forward to the node that runs the pod.
//!
//! Owns the door only: the fleet walks through it. The API must not know how a node is reached.

use futures::future::BoxFuture;
use tokio::sync::mpsc;

use crate::registry::Status;

/// One session that a user wants with a pod.
#[derive(Debug, Clone)]
pub struct SessionRequest {
    /// The node that runs the pod.
    pub node: String,
    /// What is wanted. `session_id` is empty: whoever opens the session names it.
    pub open: proto::OpenSession,
}

/// An open session: frames to the node and frames from it.
///
/// Dropping both ends it. The last frame from the node is `exit_code`, `error`, or, for a log, the end of the channel.
#[derive(Debug)]
pub struct Session {
    /// What the user says.
    pub to_node: mpsc::Sender<proto::SessionFrame>,
    /// What the pod says.
    pub from_node: mpsc::Receiver<proto::SessionFrame>,
}

/// Who can open sessions; the fleet does.
pub trait Sessions: Send + Sync + 'static {
    /// Opens a session, or says why it cannot be had: the node is away (503), the pod is not there (404).
    fn open(&self, request: SessionRequest) -> BoxFuture<'_, Result<Session, Status>>;
}
