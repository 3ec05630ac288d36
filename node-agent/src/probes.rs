//! Probes as pure state: when the next one is due, and what their outcomes come to.
//!
//! Who sends them is in `probes/dial.rs`; this file knows no clock and no socket. Kubernetes' rules hold, with
//! two kindnesses: until the first success, startup and readiness probes are repeated after milliseconds rather
//! than a whole period, so that a container that is up is ready at once; and such an early failure counts
//! toward the threshold only once per period, so that the kindness costs nobody their patience.
//!
//!     Unknown --successes--> Passed <--successes/failures--> Failed

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Probe};
use serde::{Deserialize, Serialize};

pub(crate) mod dial;

/// The pause after the first early failure; it doubles up to the probe's period.
const EARLY_PAUSE: SignedDuration = SignedDuration::from_millis(1);
const EARLY_DOUBLINGS_MAX: u32 = 14;

/// The one scheme that is spoken.
pub(crate) const HTTP: &str = "HTTP";

/// What a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Has it started? The other two wait for it.
    Startup,
    /// May it get requests?
    Readiness,
    /// Is it worth keeping?
    Liveness,
}

/// All kinds, in the order in which they matter.
pub const KINDS: [Kind; 3] = [Kind::Startup, Kind::Readiness, Kind::Liveness];

/// A probe's timing, with Kubernetes' defaults and its minimums enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the container's start to the first probe.
    pub initial_delay: SignedDuration,
    /// From one probe to the next.
    pub period: SignedDuration,
    /// How long an answer may take.
    pub timeout: SignedDuration,
    /// Successes in a row that pass.
    pub successes_needed: u32,
    /// Failures in a row that fail.
    pub failures_allowed: u32,
}

/// What the outcomes so far come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Too few outcomes.
    #[default]
    Unknown,
    /// Well.
    Passed,
    /// Not well.
    Failed,
}

/// One probe of one run of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What the outcomes so far come to.
    pub verdict: Verdict,
    /// A probe is on its way. Not remembered: the next agent sends another.
    #[serde(skip)]
    pub in_flight: bool,
    next_at: Option<Timestamp>,
    counted_at: Option<Timestamp>,
    successes: u32,
    failures: u32,
    tries: u32,
}

/// What one outcome changed, for those who report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A success, or an early failure that counts for nothing.
    Nothing,
    /// A failure that counts.
    Counted,
}

impl Kind {
    /// The container's probe of this kind. One that cannot be sent is as good as none: failing it every time would
    /// restart a healthy container for ever.
    #[must_use]
    pub fn of(self, container: &Container) -> Option<&Probe> {
        self.said(container).filter(|probe| can_be_sent(probe))
    }

    /// Whether the container asks for a probe of this kind that cannot be sent.
    #[must_use]
    pub fn is_skipped(self, container: &Container) -> bool {
        self.said(container).is_some_and(|probe| !can_be_sent(probe))
    }

    fn said(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
        }
    }

    /// As users know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

fn can_be_sent(probe: &Probe) -> bool {
    match &probe.http_get {
        Some(action) => action.scheme.as_deref().is_none_or(|scheme| scheme == HTTP),
        None => probe.tcp_socket.is_some() || probe.exec.is_some(),
    }
}

impl Timing {
    /// The timing of a probe.
    #[must_use]
    pub fn of(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default: i32, min: i32| {
            SignedDuration::from_secs(i64::from(value.unwrap_or(default).max(min)))
        };
        let count = |value: Option<i32>, default: u32| {
            value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default).max(1)
        };
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0, 0),
            period: seconds(probe.period_seconds, 10, 1),
            timeout: seconds(probe.timeout_seconds, 1, 1),
            successes_needed: count(probe.success_threshold, 1),
            failures_allowed: count(probe.failure_threshold, 3),
        }
    }
}

impl State {
    /// Failures in a row that count.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When the next probe is due, in a run that began at `started_at`.
    #[must_use]
    pub fn due_at(&self, kind: Kind, timing: &Timing, started_at: Timestamp) -> Timestamp {
        // A container that has just been started is alive: asking at once could only find that it is slow.
        let first = match kind {
            Kind::Startup | Kind::Readiness => timing.initial_delay,
            Kind::Liveness => timing.initial_delay.max(timing.period),
        };
        self.next_at.unwrap_or_else(|| later(started_at, first))
    }

    /// Takes in an outcome at `now`.
    pub fn learn(&mut self, kind: Kind, timing: &Timing, passed: bool, now: Timestamp) -> Effect {
        self.in_flight = false;
        self.tries = self.tries.saturating_add(1);
        self.next_at = Some(later(now, self.pause(kind, timing, passed)));
        if passed {
            self.successes = self.successes.saturating_add(1);
            self.failures = 0;
            if self.successes >= timing.successes_needed {
                self.verdict = Verdict::Passed;
            }
            return Effect::Nothing;
        }
        self.successes = 0;
        if self.is_early(kind) && !self.counts(timing, now) {
            return Effect::Nothing;
        }
        self.counted_at = Some(now);
        self.failures = self.failures.saturating_add(1);
        if self.failures >= timing.failures_allowed {
            self.verdict = Verdict::Failed;
        }
        Effect::Counted
    }

    fn pause(&self, kind: Kind, timing: &Timing, passed: bool) -> SignedDuration {
        if passed || !self.is_early(kind) {
            return timing.period;
        }
        let doublings = self.tries.saturating_sub(1).min(EARLY_DOUBLINGS_MAX);
        (EARLY_PAUSE * (1 << doublings)).min(timing.period)
    }

    fn is_early(&self, kind: Kind) -> bool {
        match kind {
            Kind::Startup | Kind::Readiness => self.verdict == Verdict::Unknown,
            Kind::Liveness => false,
        }
    }

    /// The first early failure starts the first period; it and those of its period count for nothing yet.
    fn counts(&mut self, timing: &Timing, now: Timestamp) -> bool {
        let since = *self.counted_at.get_or_insert(now);
        now.duration_since(since) >= timing.period
    }
}

/// A time that is later by a pause; the end of time is late enough for anything.
fn later(time: Timestamp, pause: SignedDuration) -> Timestamp {
    time.checked_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
