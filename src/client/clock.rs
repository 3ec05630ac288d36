//! The one place of the client that asks what time it is.

use jiff::Timestamp;

/// Now, for ages and for the annotation of `rollout restart`.
#[expect(clippy::disallowed_methods, reason = "the shell of the client owns its clock")]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}
