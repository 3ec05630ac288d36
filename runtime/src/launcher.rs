//! The launcher process.

use std::path::PathBuf;

/// What a launcher needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen: a unix socket of mode 0600. A stale one is replaced. Its directory must exist.
    pub socket: PathBuf,
    /// Where sandboxes, containers and exits are recorded; made if missing. Only one launcher may use it at a time.
    pub state_dir: PathBuf,
    /// The cgroup under which everything is made, relative to each hierarchy's root, e.g. `minikube-ish/demo/node-1`.
    pub cgroup_root: String,
}

/// Why a launcher could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not yet.
    #[error("unimplemented")]
    Unimplemented,
}

/// The whole life of a launcher process: returns after a `shutdown` request. Call it first thing in a fresh process,
/// before any thread exists: it forks.
pub fn run(config: &Config) -> Result<(), Error> {
    let _ = config;
    Err(Error::Unimplemented)
}
