//! Who is to be left alone for a while, judged by what came of asking. Pure.
//!
//! An endpoint that could not be reached is put aside, longer each time in a row, and is well again with its
//! first answer. That all may be put aside at once is dealt with where one is picked.

use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Aside for so long after a first failure; twice as long after each further one in a row.
pub(crate) const ASIDE_FIRST: Duration = Duration::from_millis(100);
/// Never aside longer than this.
pub(crate) const ASIDE_MAX: Duration = Duration::from_secs(5);

/// What asking one endpoint has come to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Health {
    failures_in_row: u32,
    aside_until: Option<Instant>,
}

impl Health {
    /// It answered.
    pub(crate) fn answered(&mut self) {
        *self = Health::default();
    }

    /// It could not be reached, or vanished without an answer. Failures while it is aside already are of
    /// requests that were on their way: they say nothing new.
    pub(crate) fn failed(&mut self, now: Instant) {
        if !self.is_well(now) {
            return;
        }
        let aside = ASIDE_FIRST.saturating_mul(1 << self.failures_in_row.min(16)).min(ASIDE_MAX);
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        self.aside_until = Some(now + aside);
    }

    /// May be asked.
    pub(crate) fn is_well(&self, now: Instant) -> bool {
        self.aside_until.is_none_or(|until| until <= now)
    }

    /// Has no failure to forget: the usual case, which costs no write.
    pub(crate) fn is_spotless(&self) -> bool {
        self.aside_until.is_none()
    }
}
