//! The one clock of the control plane's shells. Whatever decides is given the time.

use jiff::Timestamp;

/// What time it is.
#[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
