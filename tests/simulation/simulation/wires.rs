//! What is between nodes and the control plane: words in order, late, twice or not at all.

use control_plane::change::Change;
use control_plane::snapshot::Key;
use manifests::{Kind, Object};
use rand::RngExt;
use serde_json::json;

use super::{Broken, Event, HEARTBEAT, Simulation, name};
use crate::invariants::Cause;
use crate::node::{Down, Up};

impl Simulation {
    pub(super) fn send_down(&mut self, node: &str, word: Down) {
        let Some(at) = self.nodes.iter().position(|it| name(it.index) == node) else { return };
        let Some(stream) = self.wires[at].controls else { return };
        self.send(at, 0, |word| Event::ToNode(at, stream, word), word);
    }

    pub(super) fn send_up(&mut self, at: usize) {
        let Some(stream) = self.wires[at].agents else { return };
        while let Some(report) = self.nodes[at].agent.as_mut().and_then(|agent| agent.outbox.pop_front()) {
            self.send(at, 1, |report| Event::ToControl(at, stream, report), report);
        }
    }

    /// Puts a word on the wire: in order, late, and now and then twice.
    pub(super) fn send<W: Clone>(
        &mut self,
        at: usize,
        direction: usize,
        event: impl Fn(W) -> Event,
        word: W,
    ) {
        let delay = if self.rng.random_ratio(1, 30) { self.millis(1, 300) } else { self.micros(50, 1500) };
        let arrival = (self.now + delay).max(self.wires[at].last[direction]);
        self.wires[at].last[direction] = arrival;
        if self.rng.random_ratio(1, 40) {
            self.at(arrival, event(word.clone()));
        }
        self.at(arrival, event(word));
    }

    /// Whether a word gets through; on a cut wire it is kept for later.
    pub(super) fn arrives(&mut self, at: usize, event: Event) -> Option<Event> {
        if self.wires[at].is_cut {
            self.wires[at].held.push(event);
            return None;
        }
        Some(event)
    }

    pub(super) fn tell_node(&mut self, at: usize, stream: u64, word: Down) {
        let Some(Event::ToNode(_, _, word)) = self.arrives(at, Event::ToNode(at, stream, word)) else {
            return;
        };
        if self.wires[at].agents != Some(stream) {
            return;
        }
        let (now, mut later) = (self.now, Vec::new());
        let is_assigned = matches!(word, Down::Assign(_));
        self.nodes[at].hear(word, now, &mut self.rng, &mut later);
        self.follow_up(at, later);
        if is_assigned && !self.is_quiet() && self.rng.random_ratio(1, 60) {
            self.note("fault: the agent dies before it has written anything of the pod down");
            self.kill_agent(at);
        }
    }

    pub(super) fn tell_control(&mut self, at: usize, stream: u64, report: Up) -> Result<(), Broken> {
        let Some(Event::ToControl(_, _, report)) = self.arrives(at, Event::ToControl(at, stream, report))
        else {
            return Ok(());
        };
        if self.wires[at].controls != Some(stream) {
            return Ok(());
        }
        let node = name(self.nodes[at].index);
        match self.control.hear(&node, &report, self.now) {
            Some(change) => self.change(change, Cause::Node).map(drop),
            None => Ok(()),
        }
    }

    pub(super) fn dial(&mut self, at: usize, incarnation: u64) -> Result<(), Broken> {
        if !self.is_agent(at, incarnation) || self.wires[at].agents.is_some() {
            return Ok(());
        }
        if self.wires[at].is_cut || self.control.process.is_none() {
            let wait = self.millis(50, 200);
            self.after(wait, Event::Dial(at, incarnation));
            return Ok(());
        }
        let wire = &mut self.wires[at];
        wire.streams += 1;
        let stream = wire.streams;
        (wire.agents, wire.controls) = (Some(stream), Some(stream));
        let node = name(self.nodes[at].index);
        self.trace.add(self.now, format_args!("{node} connects"));
        self.register(&node)?;
        for word in self.control.connect(&node, self.now) {
            self.send_down(&node, word);
        }
        self.nodes[at].connected();
        self.send_up(at);
        self.after(HEARTBEAT, Event::Heartbeat(at, incarnation));
        Ok(())
    }

    /// Makes the Node known, if it is not.
    pub(super) fn register(&mut self, name: &str) -> Result<(), Broken> {
        if self.control.snapshot().get(&Key::new(Kind::Node, "", name)).is_some() {
            return Ok(());
        }
        let mut node = Object::new(Kind::Node, "", name);
        node.set(&["metadata", "labels"], json!({"kubernetes.io/hostname": name}));
        let cpu = self.rng.random_range(2..6).to_string();
        node.set(&["status", "allocatable"], json!({"cpu": cpu, "memory": "8Gi", "pods": "20"}));
        self.change(Change::Create(node), Cause::Node).map(drop)
    }

    pub(super) fn beat(&mut self, at: usize, incarnation: u64) {
        if self.is_agent(at, incarnation) && self.wires[at].agents.is_some() {
            if let Some(agent) = &mut self.nodes[at].agent {
                agent.outbox.push_back(Up::Heartbeat);
            }
            self.send_up(at);
            self.after(HEARTBEAT, Event::Heartbeat(at, incarnation));
        }
    }

    pub(super) fn notice_loss(&mut self, at: usize, stream: u64) {
        if self.wires[at].controls == Some(stream) {
            self.wires[at].controls = None;
            let node = name(self.nodes[at].index);
            self.control.disconnect(&node, self.now);
        }
    }

    /// The agent's end of the stream is gone; it dials again. The control plane sees it now, or by silence alone.
    pub(super) fn break_stream(&mut self, at: usize, is_seen: bool) {
        let Some(stream) = self.wires[at].agents.take() else { return };
        self.wires[at].held.clear();
        if is_seen {
            let wait = self.millis(0, 50);
            self.after(wait, Event::SeenLost(at, stream));
        }
        if self.nodes[at].agent.is_some() {
            let (incarnation, wait) = (self.nodes[at].incarnation, self.millis(20, 300));
            self.after(wait, Event::Dial(at, incarnation));
        }
    }

    pub(super) fn heal(&mut self, at: usize, comes_late: bool) {
        self.wires[at].is_cut = false;
        self.trace.add(self.now, format_args!("the wire of n{at} heals"));
        let held = std::mem::take(&mut self.wires[at].held);
        if comes_late {
            held.into_iter().for_each(|event| self.at(self.now, event));
        } else {
            self.break_stream(at, true);
        }
    }
}
