//! One container of a pod: where its run is, and how each step changes it. Pure.
//!
//!     container:  Waiting ──▶ Running ──▶ Exited ──▶ Running …        (restart)
//!                    │  ▲         │
//!                    ▼  │         └─ stop: PreStop ──▶ Asked ──▶ Killed
//!                   Failed (no image, …: tried again)

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Failure, ProcessEnd, StartFailure};
use crate::pods::backoff::{Backoff, Blame};
use crate::probes::{self, Kind, Verdict};

/// Exit code of a container whose process could not be started, as containerd reports it.
pub const EXIT_NOT_STARTED: i32 = 128;
pub(super) const SIGKILL: i32 = 9;

/// One container of the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// How often it was started again: also the number of its current run.
    pub restarts: u32,
    /// Where its current run is.
    pub run: Run,
    /// How the run before ended.
    pub previous: Option<Exit>,
    /// Its record of bad exits.
    pub backoff: Backoff,
}

/// Where a container's run is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Run {
    /// Not tried yet.
    #[default]
    Waiting,
    /// Could not be started for a reason that may go away.
    Failed(Failure),
    /// Runs.
    Running(Running),
    /// Ended.
    Exited(Exit),
}

/// A run that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// The runtime's id of it.
    pub id: String,
    /// The digest of its image.
    pub image_id: String,
    /// The signal that asks it to stop, if not SIGTERM.
    pub stop_signal: Option<i32>,
    /// When it began.
    pub started_at: Timestamp,
    /// Its probes so far.
    pub probes: BTreeMap<Kind, probes::State>,
    /// Its postStart hook.
    pub post_start: Hook,
    /// It is being ended.
    pub stop: Option<Stop>,
}

/// A hook of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hook {
    /// Not begun, or there is none.
    #[default]
    Pending,
    /// Begun.
    Running,
    /// Over.
    Done,
}

/// A run that is being ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// When it began.
    pub since: Timestamp,
    /// How far it is.
    pub stage: StopStage,
}

/// How far the end of a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopStage {
    /// The preStop hook runs.
    PreStop,
    /// The preStop hook is over.
    PreStopDone,
    /// The stop signal was sent.
    Asked,
    /// SIGKILL was sent.
    Killed(Timestamp),
    /// The last signal could not be sent.
    NotSent(Timestamp),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// The runtime's id of it.
    pub id: String,
    /// The digest of its image.
    pub image_id: String,
    /// 128 + signal when a signal ended it.
    pub exit_code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, …
    pub reason: String,
    /// For the user, where there is more to say.
    pub message: Option<String>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
}

impl Running {
    /// Whether it has started: no startup probe, or it passed; and the postStart hook, if any, is over.
    #[must_use]
    pub fn started(&self, spec: &k8s_openapi::api::core::v1::Container) -> bool {
        let hooked = spec.lifecycle.as_ref().is_none_or(|lifecycle| lifecycle.post_start.is_none());
        (hooked || self.post_start == Hook::Done)
            && (Kind::Startup.of(spec).is_none() || self.verdict(Kind::Startup) == Verdict::Passed)
    }

    /// What a probe's outcomes come to.
    #[must_use]
    pub fn verdict(&self, kind: Kind) -> Verdict {
        self.probes.get(&kind).map(|probe| probe.verdict).unwrap_or_default()
    }
}

impl Container {
    /// The number that the next run will have.
    #[must_use]
    pub fn next_attempt(&self) -> u32 {
        match self.run {
            Run::Exited(_) => self.restarts.saturating_add(1),
            Run::Waiting | Run::Failed(_) | Run::Running(_) => self.restarts,
        }
    }

    /// Leaves the run that ended behind.
    fn advance(&mut self) {
        self.restarts = self.next_attempt();
        if let Run::Exited(exit) = std::mem::take(&mut self.run) {
            self.previous = Some(exit);
        }
    }

    pub(super) fn started(&mut self, id: String, image_id: String, stop_signal: Option<i32>, now: Timestamp) {
        self.advance();
        self.run = Run::Running(Running {
            id,
            image_id,
            stop_signal,
            started_at: now,
            probes: BTreeMap::new(),
            post_start: Hook::Pending,
            stop: None,
        });
    }

    pub(super) fn start_failed(&mut self, failure: StartFailure, now: Timestamp) {
        let before = match &self.run {
            Run::Failed(failure) => failure.failures,
            Run::Waiting | Run::Running(_) | Run::Exited(_) => 0,
        };
        self.advance();
        self.run = match failure {
            StartFailure::Retry { reason, message } => {
                Run::Failed(Failure::after(before, reason, message, now))
            }
            StartFailure::Process { message } => {
                self.backoff = self.backoff.after_exit(SignedDuration::ZERO, Blame::Container);
                Run::Exited(Exit {
                    id: String::new(),
                    image_id: String::new(),
                    exit_code: EXIT_NOT_STARTED,
                    signal: None,
                    reason: "StartError".to_owned(),
                    message: Some(message),
                    started_at: None,
                    finished_at: now,
                })
            }
        };
    }

    pub(super) fn exited(&mut self, end: ProcessEnd, now: Timestamp) {
        let Run::Running(running) = &self.run else { return };
        let outside = end.signal == Some(SIGKILL) && !end.oom_killed && running.stop.is_none();
        let blame = if outside { Blame::Outside } else { Blame::Container };
        let started_at = end.started_at.unwrap_or(running.started_at);
        // What was seen by another clock is not to lie in the future of this one.
        let finished_at = end.finished_at.unwrap_or(now).min(now);
        self.backoff = self.backoff.after_exit(finished_at.duration_since(started_at), blame);
        self.run = Run::Exited(Exit {
            id: running.id.clone(),
            image_id: running.image_id.clone(),
            exit_code: end.exit_code,
            signal: end.signal,
            reason: end.reason().to_owned(),
            message: end.message,
            started_at: Some(started_at),
            finished_at,
        });
    }
}
