//! Who is to be asked, and when: the pure half of the manager, which the simulator runs as it is.
//!
//!     idle ──woken──▶ due ──asked──▶ idle, or at a later time
//!                      ▲               │ refused
//!                      └── backoff ◀───┘

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use manifests::Kind;
use rand::Rng;

use super::wake::wakes;
use crate::change::{Change, Severity};
use crate::controllers::{Controller, Facts, Plan, events};
use crate::registry::{Reason, Status};
use crate::scheduler::{self, Cluster};
use crate::snapshot::{Key, Snapshot};
use crate::store::Event;

/// Changes that go into one commit; what is due beyond it comes next.
const CHANGES_PER_BATCH_MAX: usize = 2_000;
/// How often a work that met a newer version of its object is tried again at once.
const CONFLICTS_IN_A_ROW_MAX: u32 = 5;
/// How long a refused work waits the first time; it doubles each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
/// How long a refused work waits at most.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Who tells users of refusals.
const COMPONENT: &str = "controller-manager";

/// Something to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// Ask a controller about an object.
    Reconcile(Controller, Key),
    /// Find nodes for the pods that have none.
    Schedule,
}

/// All works that are due now or later.
#[derive(Debug, Default)]
pub struct Agenda {
    due: BTreeSet<Work>,
    timers: BTreeSet<(Timestamp, Work)>,
    timer_of: HashMap<Work, Timestamp>,
    refusals: HashMap<Work, u32>,
    /// Pods whose binding was refused: one that cannot be bound must not hold up the others.
    resting: HashMap<Key, Rest>,
    cluster: Cluster,
    /// What users are to be told of the last round, now that it is known what became of it.
    reports: Vec<Change>,
}

/// What was decided in one round, in the order in which it is to be committed.
#[derive(Debug, Default)]
pub struct Batch {
    /// The changes.
    pub changes: Vec<Change>,
    /// Why, for the log.
    pub reasons: Vec<String>,
    /// What each change came from, and what it is about.
    origins: Vec<Origin>,
    works: BTreeSet<Work>,
    /// What to tell users once the change at this place is made.
    reports: Vec<(usize, Change)>,
}

/// A pod that was refused its node.
#[derive(Debug, Clone, Copy)]
struct Rest {
    refusals: u32,
    until: Timestamp,
}

#[derive(Debug)]
struct Origin {
    work: Work,
    about: Option<Key>,
    sort: Sort,
}

/// What sort of change it was, which is all that matters once it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Creation,
    Record,
    Other,
}

impl Batch {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Adds a plan's changes. Its words for users wait for the change that they come after.
    fn add(&mut self, work: &Work, changes: Vec<Change>) {
        let first = self.changes.len();
        for change in changes {
            let at = self.changes.len();
            if at > first && matches!(change, Change::Record(_)) {
                self.reports.push((at - 1, change));
                continue;
            }
            let sort = match &change {
                Change::Create(_) => Sort::Creation,
                Change::Record(_) => Sort::Record,
                Change::Update(_)
                | Change::UpdateStatus(_)
                | Change::Bind { .. }
                | Change::Delete { .. }
                | Change::Finalize { .. } => Sort::Other,
            };
            self.origins.push(Origin { work: work.clone(), about: change.key(), sort });
            self.changes.push(change);
        }
    }
}

impl Agenda {
    /// Makes everything due, as at the start.
    pub fn plan_full_pass(&mut self, snapshot: &Snapshot, now: Timestamp) {
        self.cluster = Cluster::of(snapshot);
        let objects = snapshot.iter().filter(|object| object.key().kind != Kind::Event);
        objects.for_each(|object| wakes(snapshot, object.key(), None, Some(object), |work| self.add(work)));
        self.add(Work::Schedule);
        let nothing = Key::new(Kind::Event, "", "");
        self.at(now, Work::Reconcile(Controller::Events, nothing));
    }

    /// Takes in that something happened.
    pub fn observe(&mut self, event: &Event, snapshot: &Snapshot) {
        self.cluster.observe(snapshot, &event.key);
        if event.new.is_none() {
            self.resting.remove(&event.key);
        }
        wakes(snapshot, &event.key, event.old.as_deref(), event.new.as_deref(), |work| self.add(work));
    }

    /// Makes a work due.
    pub fn add(&mut self, work: Work) {
        // A refused one keeps its backoff: what woke it may be its own doing.
        if self.refusals.get(&work).is_none_or(|refusals| *refusals <= CONFLICTS_IN_A_ROW_MAX) {
            self.due.insert(work);
        }
    }

    /// When something will be due by time alone.
    pub fn next_due(&self) -> Option<Timestamp> {
        let is_idle = self.due.is_empty() && self.reports.is_empty();
        if is_idle { self.timers.first().map(|(at, _)| *at) } else { Some(Timestamp::MIN) }
    }

    /// Asks everybody who is due, on one snapshot.
    pub fn decide(&mut self, snapshot: &Snapshot, facts: &Facts, rng: &mut impl Rng) -> Batch {
        self.ring(facts.now);
        let mut batch = Batch::default();
        for report in std::mem::take(&mut self.reports) {
            batch.add(&Work::Schedule, vec![report]);
        }
        while batch.changes.len() < CHANGES_PER_BATCH_MAX {
            let Some(work) = self.due.pop_first() else { break };
            self.silence(&work);
            let plan = match &work {
                Work::Reconcile(controller, key) => controller.reconcile(snapshot, key, facts),
                Work::Schedule => self.schedule(snapshot, facts.now, rng),
            };
            if plan.is_empty() {
                // Nothing of it is left that could be refused: without this its next need would find nobody.
                self.refusals.remove(&work);
            }
            if let Some(wait) = plan.requeue_after {
                self.at(later(facts.now, wait), work.clone());
            }
            batch.reasons.extend(plan.reasons);
            batch.add(&work, plan.changes);
            batch.works.insert(work);
        }
        batch
    }

    /// Finds nodes for the pods that do not rest, and asks to be asked again when the next one has rested.
    fn schedule(&mut self, snapshot: &Snapshot, now: Timestamp, rng: &mut impl Rng) -> Plan {
        let mut pods = scheduler::pending(snapshot);
        let rest = |key: &Key| self.resting.get(key).map(|rest| rest.until).filter(|until| *until > now);
        let next = pods.iter().filter_map(|(stored, _)| rest(stored.key())).min();
        pods.retain(|(stored, _)| rest(stored.key()).is_none());
        let decisions = scheduler::schedule(&mut self.cluster, &pods, rng);
        let mut plan = scheduler::plan(snapshot, &decisions, now);
        if let Some(next) = next {
            plan.requeue(Duration::try_from(next.duration_since(now)).unwrap_or_default());
        }
        plan
    }

    /// Takes in what became of a batch: one entry per change, `None` for one that was made.
    pub fn settle(
        &mut self,
        batch: Batch,
        refusals: Vec<Option<Status>>,
        snapshot: &Snapshot,
        now: Timestamp,
    ) {
        let mut refused: BTreeMap<Work, Status> = BTreeMap::new();
        let was_made = |at: usize| refusals.get(at).is_some_and(Option::is_none);
        let reports = batch.reports.into_iter().filter(|(at, _)| was_made(*at));
        self.reports.extend(reports.map(|(_, report)| report));
        for (origin, refusal) in batch.origins.into_iter().zip(refusals) {
            self.take_back(&origin, snapshot);
            if origin.sort == Sort::Record {
                continue;
            }
            let Some(refusal) = refusal else {
                self.forgive(&origin);
                continue;
            };
            tracing::debug!(about = ?origin.about, refusal = %refusal.message, "refused");
            if let (Work::Schedule, Some(pod)) = (&origin.work, &origin.about) {
                self.rest(pod, &refusal, now);
                continue;
            }
            if origin.sort == Sort::Creation && !is_stale(&refusal) {
                self.reports.extend(complaint(&origin, &refusal, snapshot));
            }
            let worse = |old: &Status| !is_stale(old) || is_stale(&refusal);
            if !refused.get(&origin.work).is_some_and(worse) {
                refused.insert(origin.work, refusal);
            }
        }
        for work in batch.works {
            match refused.remove(&work) {
                None => drop(self.refusals.remove(&work)),
                Some(refusal) => self.back_off(work, &refusal, now),
            }
        }
    }

    /// Puts back a batch that could not even be tried.
    pub fn abandon(&mut self, batch: Batch, snapshot: &Snapshot) {
        batch.origins.iter().for_each(|origin| self.take_back(origin, snapshot));
        self.due.extend(batch.works);
    }

    /// What was assumed of a pod gives way to what is.
    fn take_back(&mut self, origin: &Origin, snapshot: &Snapshot) {
        if origin.work == Work::Schedule {
            origin.about.iter().for_each(|pod| self.cluster.observe(snapshot, pod));
        }
    }

    fn forgive(&mut self, origin: &Origin) {
        if let (Work::Schedule, Some(pod)) = (&origin.work, &origin.about) {
            self.resting.remove(pod);
        }
    }

    /// Lets one pod wait for its next try, while the others go on.
    fn rest(&mut self, pod: &Key, refusal: &Status, now: Timestamp) {
        let refusals = self.resting.get(pod).map_or(0, |rest| rest.refusals);
        let (refusals, wait) = backoff(refusals, refusal);
        let until = later(now, wait.unwrap_or_default());
        self.resting.insert(pod.clone(), Rest { refusals, until });
        match wait {
            None => drop(self.due.insert(Work::Schedule)),
            Some(_) => self.at(until, Work::Schedule),
        }
    }

    fn back_off(&mut self, work: Work, refusal: &Status, now: Timestamp) {
        let before = self.refusals.get(&work).copied().unwrap_or_default();
        let (count, wait) = backoff(before, refusal);
        self.refusals.insert(work.clone(), count);
        let Some(wait) = wait else {
            self.due.insert(work);
            return;
        };
        tracing::info!(?work, refusal = %refusal.message, wait_ms = wait.as_millis(), "refused; tries again");
        self.due.remove(&work);
        self.at(later(now, wait), work);
    }

    fn at(&mut self, at: Timestamp, work: Work) {
        if self.timer_of.get(&work).is_some_and(|sooner| *sooner <= at) {
            return;
        }
        self.silence(&work);
        self.timer_of.insert(work.clone(), at);
        self.timers.insert((at, work));
    }

    fn silence(&mut self, work: &Work) {
        if let Some(at) = self.timer_of.remove(work) {
            self.timers.remove(&(at, work.clone()));
        }
    }

    /// Makes due whose time has come.
    fn ring(&mut self, now: Timestamp) {
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, work)) = self.timers.pop_first() else { return };
            self.timer_of.remove(&work);
            self.due.insert(work);
        }
    }
}

/// The count of refusals with one more, and how long to wait after it; `None`: not at all.
fn backoff(refusals: u32, refusal: &Status) -> (u32, Option<Duration>) {
    let count = refusals.saturating_add(1);
    if is_stale(refusal) && count <= CONFLICTS_IN_A_ROW_MAX {
        return (count, None);
    }
    let count = count.max(CONFLICTS_IN_A_ROW_MAX + 1);
    let doublings = (count - CONFLICTS_IN_A_ROW_MAX - 1).min(16);
    (count, Some(BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX)))
}

/// Tells users of the object that asked for another one, which was refused.
fn complaint(origin: &Origin, refusal: &Status, snapshot: &Snapshot) -> Option<Change> {
    let Work::Reconcile(_, key) = &origin.work else { return None };
    let message = format!("Error creating: {}", refusal.message);
    Some(events::intent(snapshot.get(key)?, Severity::Warning, "FailedCreate", message, COMPONENT))
}

/// Whether a refusal only says that the decision was made on a state that is no longer so.
fn is_stale(refusal: &Status) -> bool {
    matches!(refusal.reason, Reason::Conflict | Reason::NotFound | Reason::AlreadyExists)
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(jiff::SignedDuration::try_from(wait).unwrap_or(jiff::SignedDuration::MAX))
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
