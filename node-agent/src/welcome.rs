//! The control plane's welcome, remembered: a node that starts while the control plane is away goes on with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use prost::Message as _;

const FILE: &str = "welcome";

/// A welcome that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub(crate) struct WelcomeError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The last welcome, if there was one and it can be read.
pub(crate) fn load(state_dir: &Path) -> Option<proto::Welcome> {
    let bytes = fs::read(state_dir.join(FILE)).ok()?;
    proto::Welcome::decode(bytes.as_slice()).ok()
}

/// Remembers a welcome.
pub(crate) fn save(state_dir: &Path, welcome: &proto::Welcome) -> Result<(), WelcomeError> {
    let path = state_dir.join(FILE);
    let next = path.with_extension("next");
    fs::create_dir_all(state_dir)
        .and_then(|()| fs::write(&next, welcome.encode_to_vec()))
        .and_then(|()| fs::rename(&next, &path))
        .map_err(|source| WelcomeError { path, source })
}
