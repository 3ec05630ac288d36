//! One run: the events of a whole cluster, taken one by one in the order of their virtual times.

use std::collections::BTreeMap;

use control_plane::change::Change;
use control_plane::manager::Batch;
use control_plane::registry::Status;
use jiff::{SignedDuration, Timestamp};
use manifests::{Kind, Object};
use node_agent::pods::state::ProcessEnd;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::control::Control;
use crate::invariants::{Cause, Invariants};
use crate::node::{Container, Down, Inner, Later, Node, Up};
use crate::trace::Trace;
use crate::users;

mod trouble;
mod wires;

/// How long users and faults have their way.
const TROUBLE: SignedDuration = SignedDuration::from_secs(10);
/// How long after that everything has to be as it was asked for.
const PATIENCE: SignedDuration = SignedDuration::from_secs(240);
/// How often it is looked whether it is.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(1);
/// How often the control plane notes the time.
const PULSE: SignedDuration = SignedDuration::from_millis(250);
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
    /// The control plane notes the time.
    Pulse(u64),
    /// It goes on where it was stopped.
    Continue(u64),
    /// The store takes changes again, and is quick again.
    HealStore,
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

/// How the control plane's disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreMood {
    Well,
    /// It refuses what the manager decides.
    Refuses,
    /// It does not even take it.
    Fails,
    /// It takes its time.
    Stalls,
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
    store: StoreMood,
    /// What waits while the control plane is stopped; `None` while it is not.
    stopped: Option<Vec<Event>>,
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
            store: StoreMood::Well,
            stopped: None,
            invariants: Invariants::default(),
            trace: Trace::new(),
        }
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Result<Outcome, Broken> {
        self.start_control();
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
        let Some(event) = self.keep_while_stopped(event) else { return Ok(()) };
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
            Event::StartControl => self.start_control(),
            Event::Pulse(life) => {
                if life == self.life && self.control.process.is_some() {
                    self.control.note(self.now);
                    self.after(PULSE, Event::Pulse(life));
                }
            }
            Event::Continue(life) => self.go_on(life),
            Event::HealStore => self.store = StoreMood::Well,
            Event::Look => {}
        }
        Ok(())
    }

    fn note(&mut self, what: &str) {
        self.trace.add(self.now, format_args!("{what}"));
    }

    // ---------------------------------------------------------------- the control plane

    fn start_control(&mut self) {
        self.note("the control plane starts");
        self.control.start(self.now);
        self.after(PULSE, Event::Pulse(self.life));
    }

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
        let is_stopped = self.stopped.is_some();
        let process = self.control.process.as_ref().filter(|process| !process.is_deciding && !is_stopped);
        let Some(due) = process.and_then(|process| process.agenda.next_due()) else { return };
        let at = self.control.real(due, self.now).max(self.now + SignedDuration::from_micros(50));
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
        let wait = match self.store {
            StoreMood::Stalls => self.millis(500, 4000),
            StoreMood::Well | StoreMood::Refuses | StoreMood::Fails => self.micros(100, 4000),
        };
        self.after(wait, Event::Commit(life, changes, batch));
    }

    fn commit(&mut self, life: u64, changes: Vec<Change>, batch: Batch) -> Result<(), Broken> {
        let is_alive = life == self.life && self.control.process.is_some();
        if !is_alive && self.rng.random_bool(0.5) {
            // The process died before the disk had it.
            return Ok(());
        }
        if is_alive && self.store == StoreMood::Fails {
            self.control.abandon(batch);
            return Ok(());
        }
        let mut refusals = Vec::with_capacity(changes.len());
        for change in changes {
            refusals.push(match self.store {
                StoreMood::Refuses => Some(Status::unavailable("the disk is full")),
                StoreMood::Well | StoreMood::Fails | StoreMood::Stalls => {
                    self.change(change, Cause::Manager)?
                }
            });
        }
        if is_alive {
            self.control.settle(batch, refusals, self.now);
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
}

/// The name of the node at a place.
pub(crate) fn name(index: u8) -> String {
    format!("n{index}")
}
