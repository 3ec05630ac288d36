//! One living backend: its endpoints, whom the next request goes to, and waiting for one.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout_at;

use crate::clock;
use crate::endpoint::{Endpoint, Lease, Outlook};
use crate::endpoints::{Change, Standing, plan_changes};
use crate::limits::Limits;
use crate::pick::pick;
use crate::retry::{Attempted, Budget, Failure, may_repeat};
use crate::stats::{BackendStats, Counters};
use crate::table::EndpointSpec;

#[cfg(test)]
mod tests;

/// Endpoints that left and are still shown with counters of their own.
const RETIRED_MAX: usize = 32;
/// When every endpoint has failed a request: a pause, twice as long each time, before it asks them again.
const PAUSE_FIRST: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) key: String,
    /// What no endpoint answers for.
    pub(crate) unserved: Counters,
    members: Mutex<Members>,
    ready: watch::Sender<Vec<Arc<Endpoint>>>,
    budget: Mutex<Budget>,
}

#[derive(Debug, Default)]
struct Members {
    live: BTreeMap<SocketAddr, (Arc<Endpoint>, Standing)>,
    retired: VecDeque<Arc<Endpoint>>,
}

impl Backend {
    pub(crate) fn new(key: &str) -> Arc<Self> {
        Arc::new(Backend {
            key: key.to_owned(),
            unserved: Counters::default(),
            members: Mutex::default(),
            ready: watch::Sender::new(Vec::new()),
            budget: Mutex::new(Budget::new(clock::now())),
        })
    }

    /// Makes the set what `wanted` says. Returns those that get nothing new from now on.
    pub(crate) fn apply(&self, wanted: &[EndpointSpec]) -> Vec<Arc<Endpoint>> {
        let mut members = self.members();
        let current = members.live.iter().map(|(address, (_, standing))| (*address, *standing)).collect();
        let changes = plan_changes(&current, wanted);
        if changes.is_empty() {
            return Vec::new();
        }
        let mut leaving = Vec::new();
        for change in changes {
            match change {
                Change::Add(spec) => members.add(spec),
                Change::Revive(address) => {
                    members.stand(address, Standing::Ready).set_outlook(Outlook::Ready)
                }
                Change::Drain(address) => {
                    leaving.push((members.stand(address, Standing::Draining), Outlook::Draining))
                }
                Change::Remove(address) => {
                    leaving.extend(members.remove(address, &self.unserved).map(|it| (it, Outlook::Gone)));
                }
            }
        }
        // Only once nobody can pick them any more may those that wait for them be told.
        self.ready.send_replace(members.ready());
        leaving.iter().for_each(|(endpoint, outlook)| endpoint.set_outlook(*outlook));
        leaving.into_iter().map(|(endpoint, _)| endpoint).collect()
    }

    pub(crate) fn stats(&self) -> BackendStats {
        let members = self.members();
        let live = members.live.values().map(|(endpoint, _)| endpoint);
        let mut endpoints: Vec<_> = live.chain(&members.retired).map(|endpoint| endpoint.row()).collect();
        endpoints.push(self.unserved.row(None, "", 0));
        BackendStats { key: self.key.clone(), endpoints }
    }

    /// For each request.
    pub(crate) fn deposit(&self) {
        self.budget().deposit();
    }

    pub(crate) fn may_repeat(&self, failure: Failure, attempted: Attempted) -> bool {
        may_repeat(failure, attempted, &mut self.budget(), clock::now())
    }

    fn lease(&self, tried: &[SocketAddr]) -> Option<Lease> {
        let now = clock::now();
        // Kept borrowed until the lease is counted: `apply` cannot find an endpoint drained that was just picked.
        let ready = self.ready.borrow();
        let load = |index: usize| {
            let endpoint: &Endpoint = &ready[index];
            endpoint.load(tried.contains(&endpoint.address), now)
        };
        let picked = pick(ready.len(), load, &mut rand::rng())?;
        Some(Lease::new(ready[picked].clone(), now))
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    fn add(&mut self, spec: EndpointSpec) {
        let before = self.retired.iter().position(|endpoint| endpoint.address == spec.address);
        let before = before.and_then(|index| self.retired.remove(index));
        let counters = before.map(|endpoint| endpoint.counters.clone()).unwrap_or_default();
        let standing = if spec.ready { Standing::Ready } else { Standing::Draining };
        let endpoint = Endpoint::new(spec.address, spec.target, counters);
        self.live.insert(spec.address, (endpoint, standing));
    }

    fn stand(&mut self, address: SocketAddr, standing: Standing) -> Arc<Endpoint> {
        let member = self.live.get_mut(&address).expect("changes are planned from the members");
        member.1 = standing;
        member.0.clone()
    }

    fn remove(&mut self, address: SocketAddr, folded: &Counters) -> Option<Arc<Endpoint>> {
        let (endpoint, _) = self.live.remove(&address)?;
        self.retired.push_back(endpoint.clone());
        if self.retired.len() > RETIRED_MAX
            && let Some(oldest) = self.retired.pop_front()
        {
            folded.absorb(&oldest.counters);
        }
        Some(endpoint)
    }

    fn ready(&self) -> Vec<Arc<Endpoint>> {
        let ready = self.live.values().filter(|(_, standing)| *standing == Standing::Ready);
        ready.map(|(endpoint, _)| endpoint.clone()).collect()
    }
}

/// Why a request got no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoEndpoint {
    /// None was ready for so long.
    NotReady(Duration),
    /// There were some, and none could be reached for so long.
    NotReachable(Duration),
    /// None is ready, and too many requests wait for one already.
    TooManyHeld,
}

/// One request's search for an endpoint: whom it has tried, and how long it has waited.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    backend: &'a Backend,
    hold: &'a Arc<Semaphore>,
    limits: &'a Limits,
    tried: Vec<SocketAddr>,
    pause: Duration,
    give_up_at: Option<Instant>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(backend: &'a Backend, hold: &'a Arc<Semaphore>, limits: &'a Limits) -> Self {
        Search { backend, hold, limits, tried: Vec::new(), pause: PAUSE_FIRST, give_up_at: None }
    }

    /// Does not ask this one again before the others.
    pub(crate) fn failed_on(&mut self, address: SocketAddr) {
        self.tried.push(address);
    }

    /// The next endpoint to ask; waits for one if need be.
    pub(crate) async fn next(&mut self) -> Result<Lease, NoEndpoint> {
        match self.backend.lease(&self.tried) {
            Some(lease) => Ok(lease),
            None => self.wait().await,
        }
    }

    async fn wait(&mut self) -> Result<Lease, NoEndpoint> {
        let mut changes = self.backend.ready.subscribe();
        let _held = self.take_place()?;
        let give_up_at = *self.give_up_at.get_or_insert_with(|| clock::now() + self.limits.hold_timeout);
        loop {
            let some = !changes.borrow_and_update().is_empty();
            if let Some(lease) = self.backend.lease(&self.tried) {
                return Ok(lease);
            }
            let now = clock::now();
            if now >= give_up_at {
                let waited = self.limits.hold_timeout;
                let (all_failed, none_ready) =
                    (NoEndpoint::NotReachable(waited), NoEndpoint::NotReady(waited));
                return Err(if some { all_failed } else { none_ready });
            }
            let look_again_at = if some { now + self.next_pause() } else { give_up_at };
            // An elapsed pause and a changed set mean the same here.
            let _ = timeout_at(look_again_at.min(give_up_at).into(), changes.changed()).await;
            self.tried.clear();
        }
    }

    fn take_place(&self) -> Result<OwnedSemaphorePermit, NoEndpoint> {
        self.hold.clone().try_acquire_owned().map_err(|_| NoEndpoint::TooManyHeld)
    }

    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        pause
    }
}
