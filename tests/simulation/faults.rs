//! What goes wrong, by chance.

use rand::RngExt;
use rand::rngs::StdRng;

/// A fault. Nodes are meant by their place.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A container is killed from outside.
    KillContainer(usize),
    /// A pod's sandbox dies, and with it everything in it.
    KillSandbox(usize),
    /// The agent dies and is started again.
    KillAgent(usize),
    /// The machine loses its power, and gets it back. Whether the control plane's end of the stream notices at once.
    CrashNode(usize, bool),
    /// The wire is cut for a while; then either everything that was under way comes late, or nothing of it.
    CutWire(usize, bool),
    /// The stream breaks; what was under way is lost.
    BreakStream(usize),
    /// The control plane dies and is started again.
    KillControl,
    /// The control plane is stopped for a while, as by SIGSTOP or a laptop's lid.
    StopControl,
    /// The control plane's clock is set by so many seconds.
    SetClock(i64),
    /// For a while the store refuses each change that the manager asks for.
    StoreRefuses,
    /// For a while it does not even take what the manager asks for.
    StoreFails,
    /// For a while it takes long.
    StoreStalls,
}

/// The next fault, if chance wants one.
pub(crate) fn next(nodes: usize, rng: &mut StdRng) -> Fault {
    let node = rng.random_range(0..nodes);
    match rng.random_range(0..100) {
        0..20 => Fault::KillContainer(node),
        20..30 => Fault::KillSandbox(node),
        30..45 => Fault::KillAgent(node),
        45..57 => Fault::CrashNode(node, rng.random_bool(0.5)),
        57..67 => Fault::CutWire(node, rng.random_bool(0.5)),
        67..74 => Fault::BreakStream(node),
        74..80 => Fault::StopControl,
        80..84 => Fault::SetClock(rng.random_range(-30..=30)),
        84..88 => Fault::StoreRefuses,
        88..92 => Fault::StoreFails,
        92..95 => Fault::StoreStalls,
        _ => Fault::KillControl,
    }
}
