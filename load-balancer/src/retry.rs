//! Whether to ask again. Pure.
//!
//! RFC 9110 section 9.2.2: a request whose method is idempotent may be sent again when the connection fails
//! before an answer is read. So may one that carries an `Idempotency-Key`. Any request may be sent elsewhere
//! if not a byte of it was sent.

use std::time::{Duration, Instant};

use http::{HeaderMap, Method};

#[cfg(test)]
mod tests;

/// Of the requests so many hundredths may be repeats.
const BUDGET_PERCENT: u32 = 20;
/// So many repeats are always allowed at once, and come back within [`BUDGET_REFILL`].
const BUDGET_RESERVE: u32 = 200;
/// How long an empty reserve takes to fill without any requests.
const BUDGET_REFILL: Duration = Duration::from_secs(10);

/// How a try ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing was sent: the endpoint could not be reached, or a kept connection turned out to be closed.
    NotSent,
    /// Something was sent, and the endpoint went away before a byte of its answer was passed on.
    Vanished,
}

/// What is known about a request when a try has failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempted {
    /// [`is_repeatable`], and all of its body that was sent is still there.
    pub(crate) can_repeat: bool,
    /// Tries that sent something, this one included.
    pub(crate) sent: u32,
    /// How many there may be.
    pub(crate) sent_max: u32,
}

/// Whether a request may be sent elsewhere after this; a repeat is paid for from the budget.
pub(crate) fn may_repeat(failure: Failure, attempted: Attempted, budget: &mut Budget, now: Instant) -> bool {
    match failure {
        Failure::NotSent => true,
        Failure::Vanished => {
            attempted.can_repeat && attempted.sent < attempted.sent_max && budget.withdraw(now)
        }
    }
}

/// Whether sending it twice does the same as sending it once, by its method or its owner's word.
pub(crate) fn is_repeatable(method: &Method, headers: &HeaderMap) -> bool {
    method.is_idempotent() || headers.contains_key("idempotency-key")
}

/// Keeps repeats from multiplying the load of a service that is failing.
#[derive(Debug)]
pub(crate) struct Budget {
    // In hundredths of a repeat.
    balance: u32,
    filled_at: Instant,
}

impl Budget {
    const FULL: u32 = BUDGET_RESERVE * 100;

    pub(crate) fn new(now: Instant) -> Self {
        Budget { balance: Self::FULL, filled_at: now }
    }

    /// For each request.
    pub(crate) fn deposit(&mut self) {
        self.balance = (self.balance + BUDGET_PERCENT).min(Self::FULL);
    }

    fn withdraw(&mut self, now: Instant) -> bool {
        self.refill(now);
        let left = self.balance.checked_sub(100);
        self.balance = left.unwrap_or(self.balance);
        left.is_some()
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at).min(BUDGET_REFILL);
        let share = elapsed.as_secs_f64() / BUDGET_REFILL.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "share is within 0..=1")]
        let gained = (f64::from(Self::FULL) * share) as u32;
        if gained > 0 {
            self.balance = (self.balance + gained).min(Self::FULL);
            self.filled_at = now;
        }
    }
}
