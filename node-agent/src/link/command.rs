//! What the control plane says to a node, decoded: the closed set of things that the link hands on.

use crate::assignment::Assignment;

/// How many commands may wait between the link and the rest of the node: a full queue makes the link wait, and
/// with it, by HTTP/2's flow control, the control plane.
pub const COMMANDS_MAX: usize = 256;

/// One thing that the control plane said.
#[derive(Debug)]
pub enum Command {
    /// The first of each stream: the cluster's ranges and the node's own.
    Welcome(proto::Welcome),
    /// A pod to keep, whole.
    Assign(Box<Assignment>),
    /// The pod's object is gone: end it without grace.
    Forget(proto::PodRef),
    /// All assignments of this moment have been sent; other pods of ours are to go.
    AssignmentsComplete,
    /// A change of the services' table.
    Services(proto::ServiceTable),
    /// All other nodes.
    Peers(proto::Peers),
}
