//! The one clock of this room's shells. What decides takes its time as an argument.

use jiff::Timestamp;

/// What time it is.
#[expect(clippy::disallowed_methods, reason = "the clock itself")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
