//! One run: the events of a whole cluster, taken one by one in the order of their virtual times.

use std::collections::BTreeMap;

use control_plane::change::Change;
use control_plane::manager::Batch;
use control_plane::registry::Status;
use control_plane::snapshot::Key;
use jiff::{SignedDuration, Timestamp};
use manifests::{Kind, Object};
use node_agent::pods::state::ProcessEnd;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::control::Control;
use crate::faults::{self, Fault};
use crate::invariants::{Cause, Invariants};
use crate::node::{Container, Down, Inner, Later, Node, Up, killed};
use crate::trace::Trace;
use crate::users;

/// How long users and faults have their way.
const TROUBLE: SignedDuration = SignedDuration::from_secs(10);
/// How long after that everything has to be as it was asked for.
const PATIENCE: SignedDuration = SignedDuration::from_secs(240);
/// How often it is looked whether it is.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(1);
const HEARTBEAT: SignedDuration = SignedDuration::from_millis(500);
/// Events of one run; more would be a loop in virtual time.
const STEPS_MAX: u64 = 400_000;

/// How a run ended; the same seed gives the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) steps: u64,
    pub(crate) revision: u64,
    pub(crate) trace: u64,
    /// How long after the last trouble everything was as asked for.
    pub(crate) settled_after_ms: i128,
}

/// An invariant that did not hold.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) step: u64,
    pub(crate) at: Timestamp,
    pub(crate) what: String,
    pub(crate) last_lines: String,
}

/// Something that happens at a time. Numbers are places of nodes; what belongs to a process, a boot or a stream
/// that is no more comes to nothing.
#[derive(Debug)]
enum Event {
    Round(u64),
    Commit(u64, Vec<Change>, Batch),
    User,
    Trouble,
    Heartbeat(usize, u64),
    ToNode(usize, u64, Down),
    ToControl(usize, u64, Up),
    Dial(usize, u64),
    SeenLost(usize, u64),
    Inner(usize, u64, String, Inner),
    Exit(usize, u64, Container, ProcessEnd),
    StartAgent(usize, u64),
    Boot(usize),
    Heal(usize, bool),
    StartControl,
    Look,
}

/// What is between a node and the control plane.
#[derive(Debug, Default)]
struct Wire {
    /// The stream that the agent has, and the one that the control plane believes to have.
    agents: Option<u64>,
    controls: Option<u64>,
    streams: u64,
    /// Words on one stream do not overtake each other.
    last: [Timestamp; 2],
    is_cut: bool,
    held: Vec<Event>,
}

/// A cluster in a box.
#[derive(Debug)]
pub(crate) struct Simulation {
    now: Timestamp,
    started: Timestamp,
    step: u64,
    queue: BTreeMap<(Timestamp, u64), Event>,
    sequence: u64,
    rng: StdRng,
    control: Control,
    /// Which start of the control plane this is.
    life: u64,
    round_at: Option<Timestamp>,
    nodes: Vec<Node>,
    wires: Vec<Wire>,
    invariants: Invariants,
    trace: Trace,
}

impl Simulation {
    /// A cluster of three to five nodes, all of it still off.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let count = rng.random_range(3..6_u8);
        Self {
            now,
            started: now,
            step: 0,
            queue: BTreeMap::new(),
            sequence: 0,
            rng,
            control: Control::new(),
            life: 0,
            round_at: None,
            nodes: (0..count).map(Node::new).collect(),
            wires: (0..count).map(|_| Wire::default()).collect(),
            invariants: Invariants::default(),
            trace: Trace::new(),
        }
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Result<Outcome, Broken> {
        self.control.start(self.now);
        self.change(Change::Create(Object::new(Kind::Namespace, "", "default")), Cause::User)?;
        (0..self.nodes.len()).for_each(|at| self.after(SignedDuration::from_millis(1), Event::Boot(at)));
        self.after(SignedDuration::from_millis(100), Event::User);
        self.after(SignedDuration::from_secs(2), Event::Trouble);
        self.after(TROUBLE, Event::Look);
        let quiet_at = self.started + TROUBLE;
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            self.step += 1;
            let is_look = matches!(event, Event::Look);
            self.take(event)?;
            self.plan_round();
            if is_look {
                match self.invariants.unsettled(self.control.snapshot(), &self.nodes) {
                    None => return Ok(self.outcome(quiet_at)),
                    Some(what) if self.now > quiet_at + PATIENCE => return Err(self.broken(what)),
                    Some(_) => self.after(LOOK_EVERY, Event::Look),
                }
            }
            if self.step > STEPS_MAX {
                return Err(self.broken("it does not come to rest".into()));
            }
        }
        Err(self.broken("nothing is left to happen".into()))
    }

    fn outcome(&self, quiet_at: Timestamp) -> Outcome {
        Outcome {
            steps: self.step,
            revision: self.control.snapshot().revision(),
            trace: self.trace.hash(),
            settled_after_ms: self.now.duration_since(quiet_at).as_millis(),
        }
    }

    fn broken(&self, what: String) -> Broken {
        Broken { step: self.step, at: self.now, what, last_lines: self.trace.last_lines() }
    }

    fn after(&mut self, wait: SignedDuration, event: Event) {
        self.at(self.now + wait.max(SignedDuration::ZERO), event);
    }

    fn at(&mut self, at: Timestamp, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), event);
    }

    fn micros(&mut self, from: i64, to: i64) -> SignedDuration {
        SignedDuration::from_micros(self.rng.random_range(from..=to))
    }

    fn millis(&mut self, from: i64, to: i64) -> SignedDuration {
        self.micros(from * 1000, to * 1000)
    }

    fn is_quiet(&self) -> bool {
        self.now >= self.started + TROUBLE
    }

    fn take(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Round(life) => self.decide(life),
            Event::Commit(life, changes, batch) => self.commit(life, changes, batch)?,
            Event::User => self.let_users_act()?,
            Event::Trouble => self.make_trouble(),
            Event::Heartbeat(at, incarnation) => self.beat(at, incarnation),
            Event::ToNode(at, stream, word) => self.tell_node(at, stream, word),
            Event::ToControl(at, stream, report) => self.tell_control(at, stream, report)?,
            Event::Dial(at, incarnation) => self.dial(at, incarnation)?,
            Event::SeenLost(at, stream) => self.notice_loss(at, stream),
            Event::Inner(at, incarnation, uid, what) => {
                if self.is_agent(at, incarnation) {
                    let (now, mut later) = (self.now, Vec::new());
                    self.nodes[at].take(&uid, what, now, &mut self.rng, &mut later);
                    self.follow_up(at, later);
                }
            }
            Event::Exit(at, boot, container, end) => {
                if self.nodes[at].is_up && self.nodes[at].boot == boot {
                    self.end_container(at, &container, end);
                }
            }
            Event::StartAgent(at, boot) => self.start_agent(at, boot),
            Event::Boot(at) => {
                self.nodes[at].boot();
                let (boot, wait) = (self.nodes[at].boot, self.millis(5, 50));
                self.after(wait, Event::StartAgent(at, boot));
            }
            Event::Heal(at, comes_late) => self.heal(at, comes_late),
            Event::StartControl => {
                self.note("the control plane starts");
                self.control.start(self.now);
            }
            Event::Look => {}
        }
        Ok(())
    }

    fn note(&mut self, what: &str) {
        self.trace.add(self.now, format_args!("{what}"));
    }

    // ---------------------------------------------------------------- the control plane

    /// Makes a change, checks what must hold, and tells the nodes. Returns why it was refused, if it was.
    fn change(&mut self, change: Change, cause: Cause) -> Result<Option<Status>, Broken> {
        let about = change.key();
        match self.control.apply(change, self.now, &mut self.rng) {
            Ok((_, None, _)) => Ok(None),
            Ok((_, Some(event), told)) => {
                self.trace.add(
                    self.now,
                    format_args!("{cause:?} {:?} {} @{}", event.event_type(), event.key, event.revision),
                );
                told.into_iter().for_each(|(node, word)| self.send_down(&node, word));
                self.invariants
                    .check(self.control.snapshot(), &event, cause, self.now)
                    .map(|()| None)
                    .map_err(|what| self.broken(what))
            }
            Err(refusal) => {
                self.trace.add(self.now, format_args!("{cause:?} refused {about:?}: {}", refusal.message));
                Ok(Some(refusal))
            }
        }
    }

    /// Sees to it that the manager gets its next turn.
    fn plan_round(&mut self) {
        let Some(process) = self.control.process.as_ref().filter(|process| !process.is_deciding) else {
            return;
        };
        let Some(due) = process.agenda.next_due() else { return };
        let at = due.max(self.now + SignedDuration::from_micros(50));
        if self.round_at.is_none_or(|planned| planned > at || planned < self.now) {
            self.round_at = Some(at);
            self.at(at, Event::Round(self.life));
        }
    }

    fn decide(&mut self, life: u64) {
        if life != self.life || self.control.process.as_ref().is_none_or(|process| process.is_deciding) {
            return;
        }
        self.round_at = None;
        let Some(mut batch) = self.control.decide(self.now, &mut self.rng) else { return };
        if batch.is_empty() {
            return;
        }
        for reason in std::mem::take(&mut batch.reasons) {
            self.trace.add(self.now, format_args!("because {reason}"));
        }
        if let Some(process) = &mut self.control.process {
            process.is_deciding = true;
        }
        let changes = std::mem::take(&mut batch.changes);
        let wait = self.micros(100, 4000);
        self.after(wait, Event::Commit(life, changes, batch));
    }

    fn commit(&mut self, life: u64, changes: Vec<Change>, batch: Batch) -> Result<(), Broken> {
        let is_alive = life == self.life && self.control.process.is_some();
        if !is_alive && self.rng.random_bool(0.5) {
            // The process died before the disk had it.
            return Ok(());
        }
        let mut refusals = Vec::with_capacity(changes.len());
        for change in changes {
            refusals.push(self.change(change, Cause::Manager)?);
        }
        if is_alive {
            self.control.settle(batch, refusals, self.now);
            if let Some(process) = &mut self.control.process {
                process.is_deciding = false;
            }
        }
        Ok(())
    }

    fn let_users_act(&mut self) -> Result<(), Broken> {
        if self.is_quiet() {
            self.note("users are content");
            for change in users::relent(self.control.snapshot()) {
                self.change(change, Cause::User)?;
            }
            return Ok(());
        }
        if self.control.process.is_some()
            && let Some(change) = users::act(self.control.snapshot(), &mut self.rng)
        {
            self.change(change, Cause::User)?;
        }
        let wait = self.millis(20, 900);
        self.after(wait, Event::User);
        Ok(())
    }

    // ---------------------------------------------------------------- wires

    fn send_down(&mut self, node: &str, word: Down) {
        let Some(at) = self.nodes.iter().position(|it| name(it.index) == node) else { return };
        let Some(stream) = self.wires[at].controls else { return };
        self.send(at, 0, |word| Event::ToNode(at, stream, word), word);
    }

    fn send_up(&mut self, at: usize) {
        let Some(stream) = self.wires[at].agents else { return };
        while let Some(report) = self.nodes[at].agent.as_mut().and_then(|agent| agent.outbox.pop_front()) {
            self.send(at, 1, |report| Event::ToControl(at, stream, report), report);
        }
    }

    /// Puts a word on the wire: in order, late, and now and then twice.
    fn send<W: Clone>(&mut self, at: usize, direction: usize, event: impl Fn(W) -> Event, word: W) {
        let delay = if self.rng.random_ratio(1, 30) { self.millis(1, 300) } else { self.micros(50, 1500) };
        let arrival = (self.now + delay).max(self.wires[at].last[direction]);
        self.wires[at].last[direction] = arrival;
        if self.rng.random_ratio(1, 40) {
            self.at(arrival, event(word.clone()));
        }
        self.at(arrival, event(word));
    }

    /// Whether a word gets through; on a cut wire it is kept for later.
    fn arrives(&mut self, at: usize, event: Event) -> Option<Event> {
        if self.wires[at].is_cut {
            self.wires[at].held.push(event);
            return None;
        }
        Some(event)
    }

    fn tell_node(&mut self, at: usize, stream: u64, word: Down) {
        let Some(Event::ToNode(_, _, word)) = self.arrives(at, Event::ToNode(at, stream, word)) else {
            return;
        };
        if self.wires[at].agents != Some(stream) {
            return;
        }
        let (now, mut later) = (self.now, Vec::new());
        self.nodes[at].hear(word, now, &mut self.rng, &mut later);
        self.follow_up(at, later);
    }

    fn tell_control(&mut self, at: usize, stream: u64, report: Up) -> Result<(), Broken> {
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

    fn dial(&mut self, at: usize, incarnation: u64) -> Result<(), Broken> {
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
    fn register(&mut self, name: &str) -> Result<(), Broken> {
        if self.control.snapshot().get(&Key::new(Kind::Node, "", name)).is_some() {
            return Ok(());
        }
        let mut node = Object::new(Kind::Node, "", name);
        node.set(&["metadata", "labels"], json!({"kubernetes.io/hostname": name}));
        let cpu = self.rng.random_range(2..6).to_string();
        node.set(&["status", "allocatable"], json!({"cpu": cpu, "memory": "8Gi", "pods": "20"}));
        self.change(Change::Create(node), Cause::Node).map(drop)
    }

    fn beat(&mut self, at: usize, incarnation: u64) {
        if self.is_agent(at, incarnation) && self.wires[at].agents.is_some() {
            if let Some(agent) = &mut self.nodes[at].agent {
                agent.outbox.push_back(Up::Heartbeat);
            }
            self.send_up(at);
            self.after(HEARTBEAT, Event::Heartbeat(at, incarnation));
        }
    }

    fn notice_loss(&mut self, at: usize, stream: u64) {
        if self.wires[at].controls == Some(stream) {
            self.wires[at].controls = None;
            let node = name(self.nodes[at].index);
            self.control.disconnect(&node, self.now);
        }
    }

    /// The agent's end of the stream is gone; it dials again. The control plane sees it now, or by silence alone.
    fn break_stream(&mut self, at: usize, is_seen: bool) {
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

    fn heal(&mut self, at: usize, comes_late: bool) {
        self.wires[at].is_cut = false;
        self.trace.add(self.now, format_args!("the wire of n{at} heals"));
        let held = std::mem::take(&mut self.wires[at].held);
        if comes_late {
            held.into_iter().for_each(|event| self.at(self.now, event));
        } else {
            self.break_stream(at, true);
        }
    }

    // ---------------------------------------------------------------- nodes

    fn is_agent(&self, at: usize, incarnation: u64) -> bool {
        self.nodes[at].agent.is_some() && self.nodes[at].incarnation == incarnation
    }

    fn start_agent(&mut self, at: usize, boot: u64) {
        if !self.nodes[at].is_up || self.nodes[at].boot != boot || self.nodes[at].agent.is_some() {
            return;
        }
        let (now, mut later) = (self.now, Vec::new());
        self.nodes[at].start_agent(now, &mut self.rng, &mut later);
        self.follow_up(at, later);
        let (incarnation, wait) = (self.nodes[at].incarnation, self.millis(1, 20));
        self.after(wait, Event::Dial(at, incarnation));
    }

    fn end_container(&mut self, at: usize, container: &Container, end: ProcessEnd) {
        let mut later = Vec::new();
        self.nodes[at].end(container, end, &mut later);
        self.follow_up(at, later);
    }

    fn follow_up(&mut self, at: usize, later: Vec<Later>) {
        let (incarnation, boot) = (self.nodes[at].incarnation, self.nodes[at].boot);
        for one in later {
            match one {
                Later::Inner(wait, uid, what) => self.after(wait, Event::Inner(at, incarnation, uid, what)),
                Later::Exit(wait, container, end) => self.after(wait, Event::Exit(at, boot, container, end)),
            }
        }
        self.send_up(at);
    }

    fn make_trouble(&mut self) {
        if self.is_quiet() {
            return;
        }
        let fault = faults::next(self.nodes.len(), &mut self.rng);
        self.trace.add(self.now, format_args!("fault: {fault:?}"));
        self.invariants.note_fault(self.now);
        match fault {
            Fault::KillContainer(at) => {
                if let Some(container) = self.nodes[at].any_container(&mut self.rng) {
                    self.end_container(at, &container, killed());
                }
            }
            Fault::KillAgent(at) => {
                self.nodes[at].agent = None;
                self.break_stream(at, true);
                let (boot, wait) = (self.nodes[at].boot, self.millis(20, 1500));
                self.after(wait, Event::StartAgent(at, boot));
            }
            Fault::CrashNode(at, is_seen) if self.nodes[at].is_up => {
                self.nodes[at].crash();
                self.break_stream(at, is_seen);
                let wait = self.millis(200, 6000);
                self.after(wait, Event::Boot(at));
            }
            Fault::CutWire(at, comes_late) if !self.wires[at].is_cut => {
                self.wires[at].is_cut = true;
                let wait = self.millis(50, 5000);
                self.after(wait, Event::Heal(at, comes_late));
            }
            Fault::BreakStream(at) => self.break_stream(at, true),
            Fault::KillControl if self.control.process.is_some() => {
                self.control.process = None;
                self.life += 1;
                self.round_at = None;
                (0..self.wires.len()).for_each(|at| {
                    self.wires[at].controls = None;
                    self.break_stream(at, false);
                });
                let wait = self.millis(50, 1500);
                self.after(wait, Event::StartControl);
            }
            Fault::CrashNode(..) | Fault::CutWire(..) | Fault::KillControl => {}
        }
        let wait = self.millis(50, 1800);
        self.after(wait, Event::Trouble);
    }
}

/// The name of the node at a place.
pub(crate) fn name(index: u8) -> String {
    format!("n{index}")
}
