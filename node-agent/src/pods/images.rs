//! Tells when the image store changes, so that a pod that waits for an image starts as soon as it is there.

use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::mpsc;

use crate::wait::waitable;

/// The file that is replaced at each change of the store.
const INDEX: &str = "index.json";

/// The image store could not be watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    /// The kernel refused.
    #[error("cannot watch the image store {}", root.display())]
    Inotify {
        /// The store.
        root: std::path::PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
    /// The descriptor could not be waited for.
    #[error("cannot wait for changes of the image store")]
    Wait(#[source] std::io::Error),
}

/// Sends to `changed` at each change, until nobody listens.
pub(crate) async fn watch(root: &Path, changed: mpsc::Sender<()>) -> Result<(), WatchError> {
    let failed = |source| WatchError::Inotify { root: root.to_owned(), source };
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(failed)?;
    inotify.add_watch(root, AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE).map_err(failed)?;
    let readable = waitable(inotify.as_fd()).map_err(WatchError::Wait)?;
    loop {
        let mut ready = readable.readable().await.map_err(WatchError::Wait)?;
        let events = match inotify.read_events() {
            Ok(events) => events,
            Err(Errno::EAGAIN) => {
                ready.clear_ready();
                continue;
            }
            Err(errno) => return Err(failed(errno)),
        };
        let of_index = |name: Option<&OsStr>| name == Some(OsStr::new(INDEX));
        // One that waits already says as much as two.
        if events.iter().any(|event| of_index(event.name.as_deref()))
            && matches!(changed.try_send(()), Err(mpsc::error::TrySendError::Closed(())))
        {
            return Ok(());
        }
    }
}
