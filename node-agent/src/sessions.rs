//! Logs, exec and port-forward: one stream each, opened by the link in answer to `OpenSession`.
//!
//! A session is served between two bounded channels of frames; it does not know what carries them. When whoever
//! asked goes away, the channels close, and what the session started is ended.

use proto::open_session::Kind;
use proto::session_frame::Frame;
use proto::{OpenSession, PodRef, SessionError, SessionFrame};
use tokio::sync::mpsc;

use crate::pods::directory::{ContainerEntry, Directory, Entry};
use crate::pods::launcher::Launcher;

mod exec;
mod log;
mod port_forward;

/// The most bytes in one frame.
const FRAME_MAX_BYTES: usize = 32 * 1024;

/// Serves sessions of this node's pods. Cheap to clone; the link holds one.
#[derive(Clone, Debug)]
pub struct Sessions {
    launcher: Launcher,
    directory: Directory,
}

/// What the one who asked is told.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("pod {namespace}/{name} is not on this node")]
    NoPod { namespace: String, name: String },
    #[error("container {container} is not valid for pod {pod}")]
    NoContainer { pod: String, container: String },
    #[error("container {container} is not running")]
    NotRunning { container: String },
    #[error("container {container} has not written a log yet")]
    NoLog { container: String },
    #[error("previous terminated container {container} not found")]
    NoPrevious { container: String },
    #[error("{what}")]
    BadRequest { what: &'static str },
    #[error("{0}")]
    Failed(String),
}

impl Refusal {
    fn code(&self) -> u32 {
        match self {
            Self::NoPod { .. } => 404,
            Self::NoContainer { .. }
            | Self::NotRunning { .. }
            | Self::NoLog { .. }
            | Self::NoPrevious { .. }
            | Self::BadRequest { .. } => 400,
            Self::Failed(_) => 500,
        }
    }

    fn failed(error: &dyn std::error::Error) -> Self {
        Self::Failed(crate::chain(error))
    }
}

/// Whoever asked has gone.
#[derive(Debug)]
struct Gone;

/// Where a session's frames go.
#[derive(Clone, Debug)]
struct Outbound(mpsc::Sender<SessionFrame>);

impl Outbound {
    async fn send(&self, frame: Frame) -> Result<(), Gone> {
        self.0.send(SessionFrame { frame: Some(frame) }).await.map_err(|_| Gone)
    }

    /// When whoever asked has gone.
    async fn gone(&self) {
        self.0.closed().await;
    }
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
        inbound: mpsc::Receiver<SessionFrame>,
        outbound: mpsc::Sender<SessionFrame>,
    ) {
        let outbound = Outbound(outbound);
        if outbound.send(Frame::SessionId(open.session_id)).await.is_err() {
            return;
        }
        let pod = open.pod.unwrap_or_default();
        let gone = outbound.clone();
        let served = async {
            match open.kind {
                Some(Kind::Log(request)) => self.log(&pod, &request, &outbound).await,
                Some(Kind::Exec(request)) if request.attach => self.attach(&pod, &request, &outbound).await,
                Some(Kind::Exec(request)) => self.exec(&pod, request, inbound, &outbound).await,
                Some(Kind::PortForward(request)) => {
                    self.port_forward(&pod, &request, inbound, &outbound).await
                }
                None => Err(Refusal::BadRequest { what: "a session of no kind" }),
            }
        };
        let served = tokio::select! {
            served = served => served,
            () = gone.gone() => return,
        };
        if let Err(refusal) = served {
            let error = SessionError { code: refusal.code(), message: refusal.to_string() };
            let _ = outbound.send(Frame::Error(error)).await;
        }
    }

    fn pod(&self, pod: &PodRef) -> Result<Entry, Refusal> {
        self.directory
            .find(pod)
            .ok_or_else(|| Refusal::NoPod { namespace: pod.namespace.clone(), name: pod.name.clone() })
    }

    /// The container of this name; none named: the pod's first.
    fn container(&self, pod: &PodRef, name: &str) -> Result<(String, ContainerEntry), Refusal> {
        let entry = self.pod(pod)?;
        let name = if name.is_empty() { entry.default_container.as_str() } else { name };
        let found = entry.containers.get(name).cloned();
        let no_container = || Refusal::NoContainer { pod: entry.name.clone(), container: name.to_owned() };
        Ok((name.to_owned(), found.ok_or_else(no_container)?))
    }
}
