//! The one place where this crate looks at a clock; everything that decides gets the time as an argument.

use std::time::Instant;

/// Now, by the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the wires own the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
