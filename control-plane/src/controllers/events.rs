//! Events: how controllers say what happened, and how long it is remembered.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use manifests::Kind;

use super::Plan;
use crate::change::{Change, EventIntent, Severity};
use crate::snapshot::{Snapshot, Stored};

/// How long after it happened last an event is kept, as in Kubernetes.
pub const EVENT_TTL: Duration = Duration::from_secs(3600);
/// Events that are kept at most; beyond it the oldest go first.
pub const EVENTS_MAX: usize = 10_000;
/// How often old events are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// Events that one plan deletes at most.
const EXPIRED_MAX: usize = 1_000;

/// Tells users that something happened to an object.
pub fn intent(
    object: &Stored,
    severity: Severity,
    reason: &str,
    message: impl Into<String>,
    component: &'static str,
) -> Change {
    Change::Record(EventIntent {
        regarding: object.key().clone(),
        uid: Arc::clone(object.uid()),
        field_path: String::new(),
        severity,
        reason: reason.into(),
        message: message.into(),
        component,
        host: String::new(),
    })
}

/// Deletes the events that are too old, and the oldest of too many.
pub fn expire(snapshot: &Snapshot, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    plan.requeue(EXPIRY_INTERVAL);
    let mut events: Vec<(Option<Timestamp>, &Arc<Stored>)> =
        snapshot.list(Kind::Event).map(|event| (last_seen(event), event)).collect();
    events.sort_by(|(a, x), (b, y)| (a, x.key()).cmp(&(b, y.key())));
    let surplus = events.len().saturating_sub(EVENTS_MAX);
    let is_old = |at: Option<Timestamp>| {
        at.is_none_or(|at| now.duration_since(at) > EVENT_TTL.try_into().unwrap_or_default())
    };
    let old = events.iter().take_while(|(at, _)| is_old(*at)).count();
    for (_, event) in events.into_iter().take(old.max(surplus).min(EXPIRED_MAX)) {
        plan.push(Change::delete(event.key().clone(), Arc::clone(event.uid())));
    }
    plan
}

fn last_seen(event: &Stored) -> Option<Timestamp> {
    let times = ["lastTimestamp", "eventTime", "firstTimestamp"];
    let said = times.iter().find_map(|field| event.object().str_at(&[field])?.parse().ok());
    said.or_else(|| event.object().creation_timestamp())
}

#[cfg(test)]
mod tests;
