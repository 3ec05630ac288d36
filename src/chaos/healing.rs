//! When a kill has healed. Pure: it is told of kills and of what the API says, with the time.
//!
//! A kill has healed when the pod is Ready with another container in the killed one's place. If the pod itself is
//! given up (it ends, or is deleted), then when a pod that did not exist at the kill is Ready; each such pod
//! heals one kill.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;

use super::victims::{self, Victim};

#[cfg(test)]
mod tests;

/// Kills, and the pods as last seen.
#[derive(Debug, Default)]
pub(super) struct Healing {
    /// By uid.
    pods: BTreeMap<String, Pod>,
    /// Pods of a list that is still coming; none between lists.
    listing: Option<BTreeMap<String, Pod>>,
    complete: bool,
    wounds: Vec<Wound>,
    healed: Vec<Healed>,
    /// How many pods have appeared so far: who is new.
    births: BTreeMap<String, Instant>,
}

/// A kill that has not healed.
#[derive(Debug)]
struct Wound {
    victim: Victim,
    at: Instant,
}

/// A kill that has healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Healed {
    /// The pod that is Ready in its stead: itself, or another.
    pub(super) by: String,
    pub(super) took: Duration,
    /// By another pod.
    pub(super) replaced: bool,
}

impl Healing {
    /// The pods have been listed at least once.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// Kills that have not healed.
    pub(super) fn open(&self) -> usize {
        self.wounds.len()
    }

    /// Kills that have.
    pub(super) fn healed(&self) -> &[Healed] {
        &self.healed
    }

    /// Who may be killed, in a fixed order: not whose last kill has not healed.
    pub(super) fn candidates(&self) -> Vec<Victim> {
        let is_open =
            |victim: &Victim| self.wounds.iter().any(|wound| wound.victim.pod_uid == victim.pod_uid);
        let mut victims: Vec<Victim> =
            self.pods.values().flat_map(victims::of_pod).filter(|victim| !is_open(victim)).collect();
        victims.sort_by(|a, b| (&a.pod, &a.container).cmp(&(&b.pod, &b.container)));
        victims
    }

    pub(super) fn killed(&mut self, victim: Victim, at: Instant) {
        self.wounds.push(Wound { victim, at });
    }

    /// Takes in what the API says; returns what has healed by it.
    pub(super) fn see(&mut self, event: Event<Pod>, now: Instant) -> Vec<Healed> {
        match event {
            Event::Init => self.listing = Some(BTreeMap::new()),
            Event::InitApply(pod) => {
                self.listing.get_or_insert_default().extend(by_uid(pod));
            }
            Event::InitDone => {
                self.complete = true;
                self.pods = self.listing.take().unwrap_or_default();
            }
            Event::Apply(pod) => self.pods.extend(by_uid(pod)),
            Event::Delete(pod) => {
                self.pods.remove(pod.metadata.uid.as_deref().unwrap_or_default());
            }
        }
        for uid in self.pods.keys() {
            self.births.entry(uid.clone()).or_insert(now);
        }
        self.heal(now)
    }

    fn heal(&mut self, now: Instant) -> Vec<Healed> {
        let mut healed = Vec::new();
        let mut open = Vec::new();
        for wound in std::mem::take(&mut self.wounds) {
            match self.healer(&wound) {
                Some((by, replaced)) => {
                    healed.push(Healed { by, replaced, took: now.saturating_duration_since(wound.at) });
                }
                None => open.push(wound),
            }
        }
        self.wounds = open;
        self.healed.extend(healed.iter().cloned());
        healed
    }

    /// Who is Ready in a victim's stead, and whether that is another pod. Another pod heals once.
    fn healer(&mut self, wound: &Wound) -> Option<(String, bool)> {
        let victim = &wound.victim;
        if let Some(pod) = self.pods.get(&victim.pod_uid).filter(|pod| !is_given_up(pod)) {
            let back = victims::of_pod(pod)
                .into_iter()
                .any(|running| running.container == victim.container && running.id != victim.id);
            return back.then(|| (victim.pod.clone(), false));
        }
        let is_new = |uid: &String| self.births.get(uid).is_some_and(|born| *born > wound.at);
        let (uid, pod) = self.pods.iter().find(|(uid, pod)| is_new(uid) && victims::is_ready(pod))?;
        let (uid, name) = (uid.clone(), pod.metadata.name.clone().unwrap_or_default());
        self.births.insert(uid, wound.at);
        Some((name, true))
    }
}

/// It will not be Ready again.
fn is_given_up(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Failed" | "Succeeded"))
}

fn by_uid(pod: Pod) -> Option<(String, Pod)> {
    Some((pod.metadata.uid.clone()?, pod))
}
