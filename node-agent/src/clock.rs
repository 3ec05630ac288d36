//! The one place of this crate that reads the clock; everything that decides takes the time as an argument.

use jiff::Timestamp;

/// The time of day.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the shell's one clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
