//! Faults, carried out.

use super::{Event, Simulation, StoreMood};
use crate::faults::{self, Fault};
use crate::node::{Later, killed};

impl Simulation {
    pub(super) fn make_trouble(&mut self) {
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
            Fault::KillSandbox(at) => {
                let mut later: Vec<Later> = Vec::new();
                self.nodes[at].kill_sandbox(&mut self.rng, &mut later);
                self.follow_up(at, later);
            }
            Fault::KillAgent(at) => self.kill_agent(at),
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
            Fault::KillControl if self.control.process.is_some() && self.stopped.is_none() => {
                self.kill_control();
            }
            Fault::StopControl if self.control.process.is_some() && self.stopped.is_none() => {
                self.stopped = Some(Vec::new());
                self.invariants.note_hold_up(self.now);
                let wait = self.millis(100, 6000);
                self.after(wait, Event::Continue(self.life));
            }
            Fault::SetClock(seconds) => self.control.set_clock(seconds),
            Fault::StoreRefuses => self.spoil_store(StoreMood::Refuses),
            Fault::StoreFails => self.spoil_store(StoreMood::Fails),
            Fault::StoreStalls => self.spoil_store(StoreMood::Stalls),
            Fault::CrashNode(..) | Fault::CutWire(..) | Fault::KillControl | Fault::StopControl => {}
        }
        let wait = self.millis(50, 1800);
        self.after(wait, Event::Trouble);
    }

    /// The agent dies and is started again.
    pub(super) fn kill_agent(&mut self, at: usize) {
        self.nodes[at].agent = None;
        self.break_stream(at, true);
        let (boot, wait) = (self.nodes[at].boot, self.millis(20, 1500));
        self.after(wait, Event::StartAgent(at, boot));
    }

    fn kill_control(&mut self) {
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

    fn spoil_store(&mut self, mood: StoreMood) {
        self.store = mood;
        self.invariants.note_hold_up(self.now);
        let wait = self.millis(100, 3000);
        self.after(wait, Event::HealStore);
    }

    /// What a stopped control plane would do or hear waits until it goes on.
    pub(super) fn keep_while_stopped(&mut self, event: Event) -> Option<Event> {
        let Some(kept) = &mut self.stopped else { return Some(event) };
        match event {
            Event::Round(_)
            | Event::Commit(..)
            | Event::User
            | Event::ToControl(..)
            | Event::Dial(..)
            | Event::SeenLost(..)
            | Event::Pulse(_) => {
                kept.push(event);
                None
            }
            Event::Trouble
            | Event::Heartbeat(..)
            | Event::ToNode(..)
            | Event::Inner(..)
            | Event::Exit(..)
            | Event::StartAgent(..)
            | Event::Boot(_)
            | Event::Heal(..)
            | Event::StartControl
            | Event::Continue(_)
            | Event::HealStore
            | Event::Look => Some(event),
        }
    }

    pub(super) fn go_on(&mut self, life: u64) {
        if life != self.life {
            return;
        }
        self.note("the control plane goes on");
        self.round_at = None;
        let kept = self.stopped.take().unwrap_or_default();
        kept.into_iter().for_each(|event| self.at(self.now, event));
    }
}
