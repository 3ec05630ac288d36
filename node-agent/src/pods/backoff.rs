//! How long to wait before a container is started again, or before something that failed is tried again.
//!
//! The first restart is at once; then the pause doubles from one second to five minutes. Good behaviour is
//! rewarded: a container that ran for ten times its last pause, and at least ten seconds, starts from the
//! beginning. What came from outside is not held against it: a container that somebody killed while it was
//! doing well is no crash loop.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// The longest pause.
pub const PAUSE_MAX: SignedDuration = SignedDuration::from_mins(5);
const PAUSE_FIRST: SignedDuration = SignedDuration::from_secs(1);
const FORGIVEN_MIN: SignedDuration = SignedDuration::from_secs(10);
const FORGIVEN_MAX: SignedDuration = SignedDuration::from_mins(10);
const FORGIVEN_FACTOR: i32 = 10;
/// Something outside that kills faster than this is a fault of the machine, and retrying at once would feed it.
const OUTSIDE_MIN: SignedDuration = SignedDuration::from_millis(100);

/// Who ended a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The container's own doing: it exited, crashed, took too much memory or failed its liveness probe.
    Container,
    /// Somebody sent it SIGKILL; its first process cannot do that to itself (`pid_namespaces(7)`).
    Outside,
}

/// A container's record of bad exits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    strikes: u32,
}

impl Backoff {
    /// The record after a container ended that had run for `ran`.
    #[must_use]
    pub fn after_exit(self, ran: SignedDuration, blame: Blame) -> Self {
        if ran >= self.forgiven_after() {
            return Self { strikes: 1 };
        }
        match blame {
            Blame::Outside if ran >= OUTSIDE_MIN => Self { strikes: self.strikes.max(1) },
            Blame::Outside | Blame::Container => Self { strikes: self.strikes.saturating_add(1) },
        }
    }

    /// The pause before the next start.
    #[must_use]
    pub fn pause(self) -> SignedDuration {
        match self.strikes {
            0 | 1 => SignedDuration::ZERO,
            more => doubled(PAUSE_FIRST, more - 2),
        }
    }

    fn forgiven_after(self) -> SignedDuration {
        (self.pause() * FORGIVEN_FACTOR).clamp(FORGIVEN_MIN, FORGIVEN_MAX)
    }
}

/// The pause after so many failures in a row of something that is simply tried again.
#[must_use]
pub fn retry_pause(failures: u32) -> SignedDuration {
    doubled(PAUSE_FIRST, failures.saturating_sub(1))
}

fn doubled(first: SignedDuration, times: u32) -> SignedDuration {
    2_i32
        .checked_pow(times)
        .and_then(|factor| first.checked_mul(factor))
        .map_or(PAUSE_MAX, |pause| pause.min(PAUSE_MAX))
}

#[cfg(test)]
mod tests;
