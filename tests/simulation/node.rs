//! A machine: containers that run on by themselves, what is on its disk, and an agent that decides with the real
//! agent's code. Carrying things out takes time, fails now and then, and may be cut short by a crash.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use control_plane::snapshot::Key;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use manifests::Kind;
use node_agent::pods::decide::{PodAction, begin, decide};
use node_agent::pods::desired::Desired;
use node_agent::pods::state::{Fact, PodState, ProcessEnd, Run, Sandbox, StartFailure};
use node_agent::pods::status::derive_status;
use rand::rngs::StdRng;
use rand::{RngExt, seq::IteratorRandom};

mod sandbox;

/// Passes that a pod may need until there is nothing to do; more would be a loop.
const PASSES_MAX: usize = 64;

/// Which pod is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodName {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl PodName {
    fn of(pod: &Pod) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let meta = &pod.metadata;
        Self { namespace: text(&meta.namespace), name: text(&meta.name), uid: text(&meta.uid) }
    }

    pub(crate) fn key(&self) -> Key {
        Key::new(Kind::Pod, self.namespace.as_str(), self.name.as_str())
    }
}

/// What the control plane tells a node.
#[derive(Debug, Clone)]
pub(crate) enum Down {
    Assign(Box<Pod>),
    Forget(String),
    Complete,
}

/// What a node tells the control plane.
#[derive(Debug, Clone)]
pub(crate) enum Up {
    Heartbeat,
    Status(PodName, Box<PodStatus>),
    Gone(PodName),
}

/// What comes back to an agent from its own machine.
#[derive(Debug, Clone)]
pub(crate) enum Inner {
    /// A step that the pod waited for is done.
    Done(Vec<Fact>),
    /// Something became known beside it.
    Learned(Fact),
    /// It is time to look again.
    Look,
}

/// Something that the node wants done later.
#[derive(Debug)]
pub(crate) enum Later {
    /// For the agent, should it still be the same.
    Inner(SignedDuration, String, Inner),
    /// A container ends, whether or not an agent is there to see it.
    Exit(SignedDuration, Container, ProcessEnd),
}

/// One run of one container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Container {
    pub(crate) pod: String,
    pub(crate) name: String,
    pub(crate) attempt: u32,
}

/// A machine.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its place among the nodes, which its addresses follow from.
    pub(crate) index: u8,
    /// How often it was started; whatever belongs to an earlier start is gone.
    pub(crate) boot: u64,
    pub(crate) is_up: bool,
    pub(crate) agent: Option<Agent>,
    /// How many agents there were, so that the words of an earlier one are told from the present one's.
    pub(crate) incarnation: u64,
    /// Containers that run, or have ended and not been looked at.
    containers: BTreeMap<Container, Option<ProcessEnd>>,
    /// Addresses in use, by pod.
    addresses: BTreeMap<String, IpAddr>,
    last_address: u8,
    /// What the agent wrote down: the pods and how far each was.
    disk: BTreeMap<String, (Desired, PodState)>,
}

/// A running agent.
#[derive(Debug, Default)]
pub(crate) struct Agent {
    pods: BTreeMap<String, Kept>,
    /// Reports that wait for the stream.
    pub(crate) outbox: VecDeque<Up>,
    /// Pods that were assigned on this stream.
    assigned: BTreeSet<String>,
}

#[derive(Debug)]
struct Kept {
    desired: Desired,
    state: PodState,
    status: Option<PodStatus>,
    /// A step is being carried out; what comes meanwhile waits.
    is_busy: bool,
    inbox: Vec<Fact>,
}

impl Kept {
    fn new(desired: Desired, state: PodState) -> Self {
        Self { desired, state, status: None, is_busy: false, inbox: Vec::new() }
    }
}

impl Node {
    pub(crate) fn new(index: u8) -> Self {
        Self {
            index,
            boot: 0,
            is_up: false,
            agent: None,
            incarnation: 0,
            containers: BTreeMap::new(),
            addresses: BTreeMap::new(),
            last_address: 1,
            disk: BTreeMap::new(),
        }
    }

    /// The power comes back: nothing runs, the disk is as it was.
    pub(crate) fn boot(&mut self) {
        self.boot += 1;
        self.is_up = true;
        self.containers.clear();
        self.addresses.clear();
    }

    /// The power goes.
    pub(crate) fn crash(&mut self) {
        self.is_up = false;
        self.agent = None;
    }

    /// A new agent goes on from what the last one wrote down, and from what it finds.
    pub(crate) fn start_agent(&mut self, now: Timestamp, rng: &mut StdRng, later: &mut Vec<Later>) {
        self.incarnation += 1;
        let mut agent = Agent::default();
        for (uid, (desired, written)) in self.disk.clone() {
            // What is not written down is forgotten with the agent.
            let text = serde_json::to_string(&written).expect("a state is JSON");
            let mut state: PodState = serde_json::from_str(&text).expect("a state reads back");
            state.resume(&desired);
            for fact in self.found(&uid, &desired, &state) {
                state.learn(&desired, fact, now);
            }
            agent.pods.insert(uid, Kept::new(desired, state));
        }
        let uids: Vec<String> = agent.pods.keys().cloned().collect();
        self.agent = Some(agent);
        uids.iter().for_each(|uid| self.act(uid, now, rng, later));
    }

    /// What the machine says of a pod that its state does not know yet.
    fn found(&self, uid: &str, desired: &Desired, state: &PodState) -> Vec<Fact> {
        let mut facts = Vec::new();
        for spec in desired.all_containers() {
            let known = state.container(&spec.name);
            let attempt = known.next_attempt();
            let container = Container { pod: uid.to_owned(), name: spec.name.clone(), attempt };
            let exited =
                |end: &ProcessEnd| Fact::Exited { container: spec.name.clone(), attempt, end: end.clone() };
            match (&known.run, self.containers.get(&container)) {
                (Run::Running(_), None) => facts.push(exited(&killed())),
                (Run::Running(_), Some(end)) => facts.extend(end.as_ref().map(exited)),
                (_, Some(end)) => {
                    facts.push(started(&container));
                    facts.extend(end.as_ref().map(exited));
                }
                (_, None) => {}
            }
        }
        if matches!(state.sandbox, Sandbox::Ready { .. }) && !self.addresses.contains_key(uid) {
            facts.push(Fact::SandboxLost);
        }
        facts
    }

    /// A word from the control plane.
    pub(crate) fn hear(&mut self, word: Down, now: Timestamp, rng: &mut StdRng, later: &mut Vec<Later>) {
        let Some(agent) = &mut self.agent else { return };
        match word {
            Down::Assign(pod) => {
                let uid = PodName::of(&pod).uid;
                agent.assigned.insert(uid.clone());
                match agent.pods.get_mut(&uid) {
                    Some(kept) => {
                        kept.desired = Desired { forgotten: kept.desired.forgotten, ..Desired::new(*pod) }
                    }
                    None => {
                        let state = PodState { accepted_at: Some(now), ..PodState::default() };
                        let desired = Desired::new(*pod);
                        agent.pods.insert(uid.clone(), Kept::new(desired, state));
                    }
                }
                self.act(&uid, now, rng, later);
            }
            Down::Forget(uid) => self.forget(&uid, now, rng, later),
            Down::Complete => {
                let strangers: Vec<String> =
                    agent.pods.keys().filter(|uid| !agent.assigned.contains(*uid)).cloned().collect();
                strangers.iter().for_each(|uid| self.forget(uid, now, rng, later));
            }
        }
    }

    fn forget(&mut self, uid: &str, now: Timestamp, rng: &mut StdRng, later: &mut Vec<Later>) {
        let Some(agent) = &mut self.agent else { return };
        agent.assigned.remove(uid);
        if let Some(kept) = agent.pods.get_mut(uid) {
            kept.desired.forgotten = true;
            self.act(uid, now, rng, later);
        }
    }

    /// A stream was opened: everything is said again.
    pub(crate) fn connected(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        agent.assigned.clear();
        agent.outbox.retain(|report| matches!(report, Up::Gone(_)));
        for kept in agent.pods.values() {
            let status = kept
                .status
                .clone()
                .map(|status| Up::Status(PodName::of(&kept.desired.pod), Box::new(status)));
            agent.outbox.extend(status);
        }
    }

    /// Something came back from the machine.
    pub(crate) fn take(
        &mut self,
        uid: &str,
        what: Inner,
        now: Timestamp,
        rng: &mut StdRng,
        later: &mut Vec<Later>,
    ) {
        let Some(kept) = self.agent.as_mut().and_then(|agent| agent.pods.get_mut(uid)) else { return };
        let mut facts = Vec::new();
        match what {
            Inner::Done(done) => {
                kept.is_busy = false;
                facts = done;
            }
            Inner::Learned(fact) => kept.inbox.push(fact),
            Inner::Look => {}
        }
        if kept.is_busy {
            return;
        }
        facts.append(&mut kept.inbox);
        facts.into_iter().for_each(|fact| kept.state.learn(&kept.desired, fact, now));
        self.act(uid, now, rng, later);
    }

    /// A container ends. The agent hears of it, if there is one.
    pub(crate) fn end(&mut self, container: &Container, end: ProcessEnd, later: &mut Vec<Later>) {
        let Some(run @ None) = self.containers.get_mut(container) else { return };
        *run = Some(end.clone());
        let fact = Fact::Exited { container: container.name.clone(), attempt: container.attempt, end };
        later.push(Later::Inner(
            SignedDuration::from_micros(300),
            container.pod.clone(),
            Inner::Learned(fact),
        ));
    }

    /// The uids of the pods that the agent keeps.
    pub(crate) fn kept(&self) -> BTreeSet<String> {
        self.agent.iter().flat_map(|agent| agent.pods.keys().cloned()).collect()
    }

    /// One of the containers that run.
    pub(crate) fn any_container(&self, rng: &mut StdRng) -> Option<Container> {
        self.containers.iter().filter(|(_, end)| end.is_none()).map(|(run, _)| run.clone()).choose(rng)
    }

    /// Decides about a pod and begins what is to be done, until there is nothing to do or something takes time.
    fn act(&mut self, uid: &str, now: Timestamp, rng: &mut StdRng, later: &mut Vec<Later>) {
        for _ in 0..PASSES_MAX {
            let Some(kept) = self.agent.as_mut().and_then(|agent| agent.pods.get_mut(uid)) else { return };
            if kept.is_busy {
                return;
            }
            let plan = decide(&kept.desired, &kept.state, now);
            self.publish(uid, now);
            if plan.actions.is_empty() {
                self.save(uid);
                if let Some(at) = plan.wake_at {
                    later.push(Later::Inner(at.duration_since(now), uid.to_owned(), Inner::Look));
                }
                return;
            }
            for action in plan.actions {
                self.begin(uid, &action, now);
                self.carry_out(uid, action, now, rng, later);
            }
        }
        panic!("pod {uid} always finds something to do");
    }

    fn begin(&mut self, uid: &str, action: &PodAction, now: Timestamp) {
        if let Some(kept) = self.agent.as_mut().and_then(|agent| agent.pods.get_mut(uid)) {
            begin(&mut kept.state, &kept.desired, action, now);
        }
    }

    fn publish(&mut self, uid: &str, now: Timestamp) {
        let host = IpAddr::from(Ipv4Addr::new(192, 168, 0, self.index));
        let Some(agent) = &mut self.agent else { return };
        let Some(kept) = agent.pods.get_mut(uid).filter(|kept| !kept.state.gone) else { return };
        let status = derive_status(&kept.desired, &kept.state, host, kept.status.as_ref(), now);
        if kept.status.as_ref() != Some(&status) {
            agent.outbox.push_back(Up::Status(PodName::of(&kept.desired.pod), Box::new(status.clone())));
            kept.status = Some(status);
        }
    }

    fn save(&mut self, uid: &str) {
        let Some(agent) = &mut self.agent else { return };
        match agent.pods.get(uid) {
            Some(kept) if kept.state.gone => {
                agent.pods.remove(uid);
                self.disk.remove(uid);
            }
            Some(kept) => drop(self.disk.insert(uid.to_owned(), (kept.desired.clone(), kept.state.clone()))),
            None => {}
        }
    }

    /// Does what takes no time, and begins what does.
    fn carry_out(
        &mut self,
        uid: &str,
        action: PodAction,
        now: Timestamp,
        rng: &mut StdRng,
        later: &mut Vec<Later>,
    ) {
        let is_unlucky = rng.random_ratio(1, 25);
        let inner = |after, what| Later::Inner(after, uid.to_owned(), what);
        match action {
            PodAction::BeginEnding | PodAction::EndpointDown | PodAction::EndpointUp => {}
            PodAction::PrepareVolumes => self.learn(uid, Fact::VolumesReady(0), now),
            PodAction::RemoveVolumes => self.learn(uid, Fact::VolumesRemoved, now),
            PodAction::CreateSandbox if is_unlucky => {
                self.learn(uid, Fact::SandboxFailed("no luck".into()), now)
            }
            PodAction::CreateSandbox => {
                let ip = self.free_address();
                self.addresses.insert(uid.to_owned(), ip);
                self.wait(uid, millis(rng, 1, 8), vec![Fact::SandboxReady(Some(ip))], later);
            }
            PodAction::RemoveSandbox if is_unlucky => {
                self.learn(uid, Fact::RemovalFailed("busy".into()), now)
            }
            PodAction::RemoveSandbox => {
                self.addresses.remove(uid);
                self.containers.retain(|container, _| container.pod != uid);
                self.wait(uid, millis(rng, 1, 30), vec![Fact::SandboxRemoved], later);
            }
            PodAction::ReportGone => {
                if let Some(agent) = &mut self.agent
                    && let Some(kept) = agent.pods.get_mut(uid)
                {
                    agent.outbox.push_back(Up::Gone(PodName::of(&kept.desired.pod)));
                    kept.state.learn(&kept.desired, Fact::Reported, now);
                }
            }
            PodAction::Start { container, .. } if is_unlucky => {
                let failure = StartFailure::Retry { reason: "ErrImagePull", message: "not there yet".into() };
                self.wait(uid, millis(rng, 1, 50), vec![Fact::StartFailed { container, failure }], later);
            }
            PodAction::Start { container, attempt } => {
                let run = Container { pod: uid.to_owned(), name: container, attempt };
                let fact = started(&run);
                self.containers.insert(run, None);
                self.wait(uid, millis(rng, 2, 40), vec![fact], later);
            }
            PodAction::Terminate(name) => {
                // Some do not listen.
                if !rng.random_ratio(1, 8) {
                    let end = ProcessEnd::default();
                    later.extend(
                        self.current(uid, &name).map(|run| Later::Exit(millis(rng, 1, 400), run, end)),
                    );
                }
            }
            PodAction::Kill(name) => {
                later.extend(
                    self.current(uid, &name).map(|run| Later::Exit(millis(rng, 0, 2), run, killed())),
                );
            }
            PodAction::PreStop(name) => {
                let attempt = self.attempt(uid, &name);
                let fact = Fact::PreStopDone { container: name, attempt };
                later.push(inner(millis(rng, 1, 200), Inner::Learned(fact)));
            }
            PodAction::PostStart(name) => {
                let attempt = self.attempt(uid, &name);
                let fact = Fact::PostStartDone { attempt, container: name, succeeded: !is_unlucky };
                later.push(inner(millis(rng, 1, 20), Inner::Learned(fact)));
            }
            PodAction::Probe(name, kind) => {
                let attempt = self.attempt(uid, &name);
                let fact = Fact::Probed { container: name, attempt, kind, passed: !is_unlucky };
                later.push(inner(millis(rng, 1, 30), Inner::Learned(fact)));
            }
        }
    }

    fn learn(&mut self, uid: &str, fact: Fact, now: Timestamp) {
        if let Some(kept) = self.agent.as_mut().and_then(|agent| agent.pods.get_mut(uid)) {
            kept.state.learn(&kept.desired, fact, now);
        }
    }

    /// The pod is busy for so long; then this is known.
    fn wait(&mut self, uid: &str, wait: SignedDuration, facts: Vec<Fact>, later: &mut Vec<Later>) {
        if let Some(kept) = self.agent.as_mut().and_then(|agent| agent.pods.get_mut(uid)) {
            kept.is_busy = true;
        }
        later.push(Later::Inner(wait, uid.to_owned(), Inner::Done(facts)));
    }

    fn attempt(&self, uid: &str, name: &str) -> u32 {
        let kept = self.agent.as_ref().and_then(|agent| agent.pods.get(uid));
        kept.map(|kept| kept.state.container(name).restarts).unwrap_or_default()
    }

    fn current(&self, uid: &str, name: &str) -> Option<Container> {
        let run = Container { pod: uid.to_owned(), name: name.to_owned(), attempt: self.attempt(uid, name) };
        self.containers.contains_key(&run).then_some(run)
    }

    /// The next address that nobody has, going round so that one is not given again at once.
    fn free_address(&mut self) -> IpAddr {
        loop {
            self.last_address = if self.last_address >= 254 { 2 } else { self.last_address + 1 };
            let address = IpAddr::from(Ipv4Addr::new(10, 65, self.index, self.last_address));
            if !self.addresses.values().any(|taken| *taken == address) {
                return address;
            }
        }
    }
}

fn started(run: &Container) -> Fact {
    Fact::Started {
        container: run.name.clone(),
        id: format!("{}-{}-{}", run.pod, run.name, run.attempt),
        image_id: "sha256:0".into(),
        stop_signal: None,
    }
}

/// How a container ends that somebody killed.
pub(crate) fn killed() -> ProcessEnd {
    ProcessEnd { exit_code: 137, signal: Some(9), ..ProcessEnd::default() }
}

fn millis(rng: &mut StdRng, from: i64, to: i64) -> SignedDuration {
    SignedDuration::from_micros(rng.random_range(from * 1000..=to * 1000))
}
