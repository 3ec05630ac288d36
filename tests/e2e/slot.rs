//! Names and addresses for one test: taken by a lock that the kernel lets go of however the test ends.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// A /14 for each slot from 10.128.0.0 on.
const SLOTS: u8 = 24;

/// What one test has for itself.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) cluster: String,
    pub(crate) cidr: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) state_root: PathBuf,
    _lock: Flock<File>,
}

/// Takes the first slot that is free.
pub(crate) fn take() -> Slot {
    let root = Path::new("/var/lib/minikube-ish-test");
    fs::create_dir_all(root).expect("a folder for the slots");
    for index in 0..SLOTS {
        let file = File::create(root.join(format!("slot-{index}.lock"))).expect("a lock file");
        let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { continue };
        return Slot {
            cluster: format!("test-{index}"),
            cidr: format!("10.{}.0.0/14", 128 + 4 * index),
            address: Ipv4Addr::new(127, 0, 77, index + 1),
            state_root: root.join(format!("slot-{index}")),
            _lock: lock,
        };
    }
    panic!("all {SLOTS} slots are taken: are other test runs hanging?");
}
