//! The Deployment controller: one ReplicaSet for each template that a Deployment ever had, and a change-over between
//! them that keeps what the strategy promises.
//!
//! Each plan takes one step (make the new set, scale one up, scale some down) and is asked again when it is done;
//! what is available is counted from the pods themselves, never from a status that may lag behind.
//!
//! - `template`: which set is the current one, its name, and revisions.
//! - `rollout`: how many replicas each set should have now.
//! - `progress`: what the Deployment says of itself.
//!
//! Source: Kubernetes `pkg/controller/deployment`.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use manifests::selector::Selector;
use manifests::{Kind, Object};

use super::pods::{PodRef, is_active, is_available};
use super::replica_set::owned_pods;
use super::{Plan, events, owner};
use crate::change::{Change, Severity};
use crate::snapshot::{Key, Snapshot, Stored};

mod progress;
mod rollout;
mod template;

const COMPONENT: &str = "deployment-controller";
/// The most replicas that all sets together may have, as it was when the set was last scaled.
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// `spec.replicas` of the Deployment, as it was when the set was last scaled.
const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";

/// What should change so that the Deployment at `key` gets closer to what it asks for.
pub fn reconcile(snapshot: &Snapshot, key: &Key, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let Some((stored, deployment)) = snapshot.find::<Deployment>(&key.namespace, &key.name) else {
        return plan;
    };
    let Some(spec) = Spec::of(deployment) else {
        plan.reasons.push(format!("{key}: its selector does not read as one"));
        return plan;
    };
    let view = View { snapshot, stored, spec, sets: Vec::new(), now };
    let view = View { sets: view.claim(&mut plan), ..view };
    if stored.is_deleting() {
        progress::report(&view, None, &mut plan);
        return plan;
    }
    if !plan.is_empty() {
        // How many more pods there may be is known only when it is known whose the present ones are.
        return plan;
    }
    let current = template::current(&view);
    if view.spec.is_paused {
        rollout::plan_rescale(&view, current, &mut plan);
    } else if view.spec.is_recreate {
        rollout::plan_recreate(&view, current, &mut plan);
    } else if rollout::was_rescaled(&view) {
        rollout::plan_rescale(&view, current, &mut plan);
    } else {
        rollout::plan_rolling(&view, current, &mut plan);
    }
    template::plan_revision(&view, current, &mut plan);
    progress::report(&view, current, &mut plan);
    template::plan_history(&view, current, &mut plan);
    plan
}

/// The numbers of a Deployment's spec, with the defaults that the API gives them.
#[derive(Debug)]
struct Spec {
    selector: Selector,
    replicas: usize,
    max_surge: usize,
    max_unavailable: usize,
    min_ready_seconds: i32,
    progress_deadline_seconds: Option<i32>,
    revision_history_limit: usize,
    is_paused: bool,
    is_recreate: bool,
}

impl Spec {
    fn of(deployment: &Deployment) -> Option<Self> {
        let spec = &deployment.spec;
        // An empty selector would claim every ReplicaSet of the namespace.
        let selector = Selector::from_label_selector(&spec.selector).ok().filter(|it| !it.is_everything())?;
        let replicas = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or_default();
        let rolling = spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        let is_recreate = spec.strategy.as_ref().and_then(|it| it.type_.as_deref()) == Some("Recreate");
        let (max_surge, max_unavailable) = rollout::bounds(
            rolling.and_then(|rolling| rolling.max_surge.as_ref()),
            rolling.and_then(|rolling| rolling.max_unavailable.as_ref()),
            replicas,
        );
        Some(Self {
            selector,
            replicas,
            max_surge: if is_recreate { 0 } else { max_surge },
            max_unavailable: if is_recreate { replicas } else { max_unavailable },
            min_ready_seconds: spec.min_ready_seconds.unwrap_or_default(),
            // Kubernetes' "no deadline".
            progress_deadline_seconds: spec.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX),
            revision_history_limit: usize::try_from(spec.revision_history_limit.unwrap_or(10))
                .unwrap_or_default(),
            is_paused: spec.paused == Some(true),
            is_recreate,
        })
    }

    fn min_available(&self) -> usize {
        self.replicas.saturating_sub(self.max_unavailable)
    }

    /// The most replicas that all sets may have together; none at all if none are wanted.
    fn max_total(&self) -> usize {
        if self.replicas == 0 { 0 } else { self.replicas + self.max_surge }
    }
}

/// One of the Deployment's sets.
#[derive(Debug)]
struct Set<'a> {
    stored: &'a Arc<Stored>,
    replicas: usize,
    pods: Vec<PodRef<'a>>,
    available: usize,
    revision: u64,
}

impl Set<'_> {
    fn name(&self) -> &str {
        &self.stored.key().name
    }

    fn active_pods(&self) -> usize {
        self.pods.iter().filter(|(_, pod)| is_active(pod)).count()
    }

    /// Available pods that will be left when the set has given up what it no longer wants.
    fn lasting(&self) -> usize {
        self.available.min(self.replicas)
    }
}

/// A Deployment, its sets oldest first, and their pods.
#[derive(Debug)]
struct View<'a> {
    snapshot: &'a Snapshot,
    stored: &'a Arc<Stored>,
    spec: Spec,
    sets: Vec<Set<'a>>,
    now: Timestamp,
}

impl<'a> View<'a> {
    /// The Deployment's sets; matching ones that nobody manages are taken in, others let go.
    fn claim(&self, plan: &mut Plan) -> Vec<Set<'a>> {
        let mut sets = Vec::new();
        for (stored, set) in self.snapshot.all_in::<ReplicaSet>(&self.stored.key().namespace) {
            let matches = self.spec.selector.matches_object(stored.object());
            if owner::is_controlled_by(stored.meta(), self.stored) {
                if matches || stored.is_deleting() {
                    sets.push(self.set(stored, set));
                } else if !self.stored.is_deleting() {
                    let released = owner::released(stored, |uid| uid == &**self.stored.uid());
                    plan.push_because(
                        Change::Update(released),
                        format!("{}: no longer selected", stored.key()),
                    );
                }
            } else if matches && self.may_adopt(stored) {
                let adopted = owner::adopted(stored, self.stored);
                plan.push_because(Change::Update(adopted), format!("{}: managed by nobody", stored.key()));
            }
        }
        sets.sort_by_key(|set| (set.stored.object().creation_timestamp(), set.stored.key().clone()));
        sets
    }

    fn may_adopt(&self, set: &Stored) -> bool {
        !self.stored.is_deleting() && !set.is_deleting() && owner::controller(set.meta()).is_none()
    }

    fn set(&self, stored: &'a Arc<Stored>, set: &ReplicaSet) -> Set<'a> {
        let pods: Vec<PodRef<'a>> = owned_pods(self.snapshot, stored).collect();
        let is_counted = |pod| is_active(pod) && is_available(pod, self.spec.min_ready_seconds, self.now);
        Set {
            stored,
            replicas: super::replica_set::wanted_replicas(set),
            available: pods.iter().filter(|(_, pod)| is_counted(pod)).count(),
            pods,
            revision: template::revision(stored),
        }
    }

    /// The sets of earlier templates, oldest first.
    fn old<'v>(&'v self, current: Option<&Set<'_>>) -> impl Iterator<Item = &'v Set<'a>> {
        let current = current.map(|set| set.stored.key().clone());
        self.sets.iter().filter(move |set| Some(set.stored.key()) != current.as_ref())
    }

    fn total_replicas(&self) -> usize {
        self.sets.iter().map(|set| set.replicas).sum()
    }

    /// Sets the replicas of a set, and tells users if they change.
    fn plan_scale(&self, set: &Set<'_>, replicas: usize, plan: &mut Plan) {
        let mut updated = set.stored.object().clone();
        updated.set(&["spec", "replicas"], replicas);
        updated.set(&["spec", "minReadySeconds"], self.spec.min_ready_seconds);
        annotate_sizes(&mut updated, &self.spec);
        if updated == *set.stored.object() {
            return;
        }
        plan.push(Change::Update(updated));
        if replicas != set.replicas {
            self.tell_scaled(set.name(), set.replicas, replicas, plan);
        }
    }

    fn tell_scaled(&self, set: &str, from: usize, to: usize, plan: &mut Plan) {
        let direction = if to > from { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {set} from {from} to {to}");
        plan.reasons.push(format!("{}: {message}", self.stored.key()));
        plan.push(events::intent(self.stored, Severity::Normal, "ScalingReplicaSet", message, COMPONENT));
    }
}

/// Notes on a set for which size of the Deployment it was scaled, so that a later change can be shared out fairly.
fn annotate_sizes(set: &mut Object, spec: &Spec) {
    set.set(&["metadata", "annotations", DESIRED_REPLICAS], spec.replicas.to_string());
    set.set(&["metadata", "annotations", MAX_REPLICAS], (spec.replicas + spec.max_surge).to_string());
}

fn annotated_number(set: &Stored, annotation: &str) -> Option<usize> {
    set.object().annotation(annotation)?.parse().ok()
}

/// The Deployment that a ReplicaSet belongs to, if it belongs to one.
pub fn of_replica_set(set: &Stored) -> Option<Key> {
    let owner = owner::controller(set.meta())?;
    owner::key(owner, &set.key().namespace).filter(|key| key.kind == Kind::Deployment)
}

#[cfg(test)]
mod tests;
