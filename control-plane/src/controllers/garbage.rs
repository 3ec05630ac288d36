//! Garbage collection: what belongs to an owner goes with it, or is let go of, as whoever deleted the owner asked.
//!
//! Owners are told apart by uid: an object of the same name that came later owns nothing of the earlier one.
//! Owners of kinds that we do not serve are left out of account.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::{Plan, owner};
use crate::change::{Change, Preconditions, Propagation};
use crate::snapshot::{Key, Snapshot, Stored};

/// What should change about the object at `key`, as an owner that goes and as a dependent of owners that went.
pub fn reconcile(snapshot: &Snapshot, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(stored) = snapshot.get(key) else { return plan };
    if stored.is_deleting() {
        plan_owner(snapshot, stored, &mut plan);
    } else if stored.meta().owner_references.as_ref().is_some_and(|owners| !owners.is_empty()) {
        plan_dependent(snapshot, stored, &mut plan);
    }
    plan
}

/// Carries out what the finalizers of the garbage collector ask for.
fn plan_owner(snapshot: &Snapshot, owner: &Arc<Stored>, plan: &mut Plan) {
    if has_finalizer(owner, Propagation::Orphan) {
        let dependents: Vec<_> = snapshot.dependents(owner.uid()).collect();
        for dependent in &dependents {
            let released = owner::released(dependent, |uid| uid == &**owner.uid());
            plan.push_because(Change::Update(released), format!("{}: orphaned", dependent.key()));
        }
        if dependents.is_empty() {
            plan.push(finalize(owner, Propagation::Orphan));
        }
        return;
    }
    if !has_finalizer(owner, Propagation::Foreground) {
        return;
    }
    let mut is_blocked = false;
    for dependent in snapshot.dependents(owner.uid()) {
        is_blocked |= blocks(dependent, owner.uid());
        if !dependent.is_deleting() {
            let reason = format!("{}: its owner {} goes", dependent.key(), owner.key());
            plan.push_because(delete(dependent, Propagation::Foreground), reason);
        }
    }
    if !is_blocked {
        plan.push(finalize(owner, Propagation::Foreground));
    }
}

/// Deletes what has no owner left, and takes off references to owners that are gone.
fn plan_dependent(snapshot: &Snapshot, dependent: &Arc<Stored>, plan: &mut Plan) {
    let owners: Vec<&OwnerReference> = dependent.meta().owner_references.iter().flatten().collect();
    let gone: Vec<&str> =
        owners.iter().filter(|owner| is_gone(snapshot, dependent, owner)).map(|it| &*it.uid).collect();
    if gone.is_empty() {
        return;
    }
    if gone.len() == owners.len() {
        let propagation = inherited(dependent);
        plan.push_because(
            delete(dependent, propagation),
            format!("{}: its owners are gone", dependent.key()),
        );
    } else {
        let released = owner::released(dependent, |uid| gone.contains(&uid));
        plan.push_because(
            Change::Update(released),
            format!("{}: one of its owners is gone", dependent.key()),
        );
    }
}

/// What its own finalizers already ask for.
fn inherited(object: &Stored) -> Propagation {
    let asked =
        [Propagation::Orphan, Propagation::Foreground].into_iter().find(|it| has_finalizer(object, *it));
    asked.unwrap_or(Propagation::Background)
}

fn is_gone(snapshot: &Snapshot, dependent: &Stored, reference: &OwnerReference) -> bool {
    let Some(key) = owner::key(reference, &dependent.key().namespace) else { return false };
    snapshot.get(&key).is_none_or(|owner| **owner.uid() != *reference.uid)
}

fn blocks(dependent: &Stored, owner_uid: &str) -> bool {
    let mut references = dependent.meta().owner_references.iter().flatten();
    references.any(|owner| owner.uid == owner_uid && owner.block_owner_deletion == Some(true))
}

fn has_finalizer(object: &Stored, propagation: Propagation) -> bool {
    let finalizers = object.meta().finalizers.as_deref().unwrap_or_default();
    propagation.finalizer().is_some_and(|wanted| finalizers.iter().any(|finalizer| finalizer == wanted))
}

fn finalize(object: &Stored, propagation: Propagation) -> Change {
    let finalizer = propagation.finalizer().unwrap_or_default().into();
    Change::Finalize { key: object.key().clone(), uid: Arc::clone(object.uid()), finalizer }
}

fn delete(object: &Stored, propagation: Propagation) -> Change {
    Change::Delete {
        key: object.key().clone(),
        // Somebody may be adopting it just now.
        preconditions: Preconditions {
            uid: Some(Arc::clone(object.uid())),
            resource_version: Some(object.revision()),
        },
        grace_period_seconds: None,
        propagation,
    }
}

#[cfg(test)]
mod tests;
