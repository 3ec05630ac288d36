//! What may become known of a pod: the closed set of things that change its state.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::probes::Kind;

/// How a process ended, as the runtime saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessEnd {
    /// 128 + signal when a signal ended it.
    pub exit_code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Memory ran out.
    pub oom_killed: bool,
    /// For the user, where there is more to say.
    pub message: Option<String>,
    /// When its program was executed, if the runtime said so.
    pub started_at: Option<Timestamp>,
    /// When its end was seen, if the runtime said so.
    pub finished_at: Option<Timestamp>,
}

/// Why a container could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFailure {
    /// Something that may go away by itself: an image that is absent, a launcher that is busy.
    Retry {
        /// E.g. `ErrImagePull`.
        reason: &'static str,
        /// For the user.
        message: String,
    },
    /// The process itself could not be started; it counts as a run that failed.
    Process {
        /// For the user.
        message: String,
    },
}

/// Something that became known.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// The volumes are made, with this content.
    VolumesReady(u64),
    /// They could not be made.
    VolumesFailed(String),
    /// The volumes are removed.
    VolumesRemoved,
    /// The sandbox is made.
    SandboxReady(Option<IpAddr>),
    /// It could not be made.
    SandboxFailed(String),
    /// The sandbox is removed, with all containers.
    SandboxRemoved,
    /// The sandbox ended by itself, with all containers.
    SandboxLost,
    /// The sandbox or the volumes could not be removed.
    RemovalFailed(String),
    /// A container was started.
    Started {
        /// Its name.
        container: String,
        /// The runtime's id of it.
        id: String,
        /// The digest of its image.
        image_id: String,
        /// The signal that asks it to stop, if not SIGTERM.
        stop_signal: Option<i32>,
    },
    /// A container could not be started.
    StartFailed {
        /// Its name.
        container: String,
        /// Why.
        failure: StartFailure,
    },
    /// A container ended.
    Exited {
        /// Its name.
        container: String,
        /// Which run of it.
        attempt: u32,
        /// How.
        end: ProcessEnd,
    },
    /// A probe was answered, or not.
    Probed {
        /// The container's name.
        container: String,
        /// Which run of it.
        attempt: u32,
        /// Which probe.
        kind: Kind,
        /// Whether the answer was good.
        passed: bool,
    },
    /// The postStart hook is over.
    PostStartDone {
        /// The container's name.
        container: String,
        /// Which run of it.
        attempt: u32,
        /// A failed hook ends the container.
        succeeded: bool,
    },
    /// A signal could not be sent; it will be sent again.
    SignalFailed {
        /// The container's name.
        container: String,
        /// Which run of it.
        attempt: u32,
    },
    /// The preStop hook is over, well or not.
    PreStopDone {
        /// The container's name.
        container: String,
        /// Which run of it.
        attempt: u32,
    },
    /// The image store changed: what lacked an image may be tried now.
    ImagesChanged,
    /// The control plane was told that nothing is left.
    Reported,
}

impl ProcessEnd {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self { oom_killed: true, .. } => "OOMKilled",
            Self { exit_code: 0, .. } => "Completed",
            Self { .. } => "Error",
        }
    }
}
