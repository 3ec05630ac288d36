//! The death of a sandbox.

use jiff::SignedDuration;
use node_agent::pods::state::Fact;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;

use super::{Container, Inner, Later, Node, killed};

impl Node {
    /// A sandbox dies from outside: its containers with it, and its address is free.
    pub(crate) fn kill_sandbox(&mut self, rng: &mut StdRng, later: &mut Vec<Later>) {
        let Some(uid) = self.addresses.keys().choose(rng).cloned() else { return };
        self.addresses.remove(&uid);
        let inside: Vec<Container> =
            self.containers.keys().filter(|container| container.pod == uid).cloned().collect();
        inside.iter().for_each(|container| self.end(container, killed(), later));
        later.push(Later::Inner(SignedDuration::from_micros(500), uid, Inner::Learned(Fact::SandboxLost)));
    }
}
