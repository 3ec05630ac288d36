//! The one place that reads the clock.

use std::time::Instant;

/// Now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the clock of a program that measures")]
pub fn now() -> Instant {
    Instant::now()
}
