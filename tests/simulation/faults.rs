//! What goes wrong, by chance.

use rand::RngExt;
use rand::rngs::StdRng;

/// A fault. Nodes are meant by their place.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A container is killed from outside.
    KillContainer(usize),
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
}

/// The next fault, if chance wants one.
pub(crate) fn next(nodes: usize, rng: &mut StdRng) -> Fault {
    let node = rng.random_range(0..nodes);
    match rng.random_range(0..100) {
        0..40 => Fault::KillContainer(node),
        40..60 => Fault::KillAgent(node),
        60..72 => Fault::CrashNode(node, rng.random_bool(0.5)),
        72..84 => Fault::CutWire(node, rng.random_bool(0.5)),
        84..94 => Fault::BreakStream(node),
        _ => Fault::KillControl,
    }
}
