//! Waiting for something to become true, for a bounded time.

use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks again and again until `look` finds something.
///
/// # Panics
/// When it has found nothing after `patience`; `look`'s last words are in the message.
#[track_caller]
pub(crate) fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    #[expect(clippy::disallowed_methods, reason = "a test's own stopwatch")]
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) if start.elapsed() > patience => {
                panic!("{what}: not after {patience:?}; last seen: {last}")
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}
