//! What a Deployment says of itself: counts, whether it is available, and whether it gets anywhere.

use std::time::Duration;

use jiff::Timestamp;
use manifests::pod::is_ready;
use serde_json::{Map, Value, json};

use super::{Set, View, template};
use crate::controllers::conditions::{self, Condition};
use crate::controllers::pods::is_active;
use crate::controllers::{Plan, pods, status_update};

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
/// The rollout is over.
const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// The counts of a Deployment's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    replicas: usize,
    updated: usize,
    ready: usize,
    available: usize,
    unavailable: usize,
    terminating: usize,
}

/// Writes the status, if it says anything new.
pub(super) fn report(view: &View<'_>, current: Option<&Set<'_>>, plan: &mut Plan) {
    let counts = count(view, current);
    let old = view.stored.object().at(&["status"]).cloned().unwrap_or_default();
    let mut conditions: Vec<Value> = old["conditions"].as_array().cloned().unwrap_or_default();
    set(&mut conditions, availability(view, counts), view.now);
    if !view.stored.is_deleting() {
        plan_progress(view, current, counts, &old, &mut conditions, plan);
    }
    let mut status = counts.to_status();
    status.insert("observedGeneration".into(), view.stored.object().generation().into());
    status.insert("conditions".into(), conditions.into());
    if let Some(count) = old.get("collisionCount") {
        status.insert("collisionCount".into(), count.clone());
    }
    let collisions = if current.is_none() { template::collisions_of(view) } else { 0 };
    if collisions > 0 {
        status.insert("collisionCount".into(), collisions.into());
    }
    let status = Value::Object(status);
    if status != old {
        plan.push(status_update(view.stored, status));
    }
    plan_next_availability(view, plan);
}

fn count(view: &View<'_>, current: Option<&Set<'_>>) -> Counts {
    let wanted = view.total_replicas();
    let available = view.sets.iter().map(|set| set.available).sum();
    let pods = || view.sets.iter().flat_map(|set| set.pods.iter().map(|(_, pod)| *pod));
    Counts {
        replicas: pods().filter(|pod| is_active(pod)).count(),
        updated: current.map(Set::active_pods).unwrap_or_default(),
        ready: pods().filter(|pod| is_active(pod) && is_ready(pod)).count(),
        available,
        unavailable: wanted.saturating_sub(available),
        terminating: pods().filter(|pod| manifests::pod::is_terminating(pod)).count(),
    }
}

impl Counts {
    fn of_status(status: &Value) -> Self {
        let number =
            |field: &str| status[field].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
        Self {
            replicas: number("replicas"),
            updated: number("updatedReplicas"),
            ready: number("readyReplicas"),
            available: number("availableReplicas"),
            unavailable: number("unavailableReplicas"),
            terminating: number("terminatingReplicas"),
        }
    }

    /// As the API writes it: what is nothing is left out.
    fn to_status(self) -> Map<String, Value> {
        let fields = [
            ("replicas", self.replicas),
            ("updatedReplicas", self.updated),
            ("readyReplicas", self.ready),
            ("availableReplicas", self.available),
            ("unavailableReplicas", self.unavailable),
            ("terminatingReplicas", self.terminating),
        ];
        fields.into_iter().filter(|(_, n)| *n > 0).map(|(field, n)| (field.to_owned(), n.into())).collect()
    }

    fn is_complete(self, replicas: usize) -> bool {
        self.updated == replicas && self.replicas == replicas && self.available >= replicas
    }

    /// Whether a rollout came closer to its end since these counts.
    fn is_ahead_of(self, earlier: Self) -> bool {
        let old = |counts: Self| counts.replicas.saturating_sub(counts.updated);
        self.updated > earlier.updated
            || old(self) < old(earlier)
            || self.ready > earlier.ready
            || self.available > earlier.available
    }
}

fn availability(view: &View<'_>, counts: Counts) -> Condition<'static> {
    let is_available = counts.available >= view.spec.min_available();
    let (status, reason, message) = if is_available {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    Condition { condition_type: AVAILABLE, status, reason, message }
}

/// Says whether the rollout is over, goes on, hangs or is paused, and asks to be asked when its deadline comes.
fn plan_progress(
    view: &View<'_>,
    current: Option<&Set<'_>>,
    counts: Counts,
    old: &Value,
    conditions: &mut Vec<Value>,
    plan: &mut Plan,
) {
    let Some(deadline) = view.spec.progress_deadline_seconds else {
        return conditions.retain(|condition| condition["type"] != PROGRESSING);
    };
    let was = conditions::find(conditions, PROGRESSING).cloned().unwrap_or_default();
    let deadline = Duration::from_secs(u64::try_from(deadline).unwrap_or_default());
    let subject = match current {
        Some(set) => format!("ReplicaSet \"{}\"", set.name()),
        None => format!("Deployment \"{}\"", view.stored.key().name),
    };
    let is_over = was["reason"] == COMPLETE && counts.updated == counts.replicas && current.is_some();
    let say = |conditions: &mut Vec<Value>, status, reason, message: &str| {
        set(conditions, Condition { condition_type: PROGRESSING, status, reason, message }, view.now)
    };
    if view.spec.is_paused {
        say(conditions, "Unknown", PAUSED, "Deployment is paused");
    } else if was["reason"] == PAUSED {
        say(conditions, "Unknown", "DeploymentResumed", "Deployment is resumed");
    } else if current.is_some() && counts.is_complete(view.spec.replicas) {
        say(conditions, "True", COMPLETE, &format!("{subject} has successfully progressed."));
    } else if is_over {
        // A pod that fails after the rollout was over does not begin a new one.
    } else if was.is_null() || current.is_none() || was["reason"] == COMPLETE {
        say(conditions, "True", "NewReplicaSetCreated", &format!("Created new replica set for {subject}"));
    } else if counts.is_ahead_of(Counts::of_status(old)) {
        say(conditions, "True", "ReplicaSetUpdated", &format!("{subject} is progressing."));
        touch(conditions, view.now);
    } else if waited(&was, view.now) >= deadline {
        say(conditions, "False", TIMED_OUT, &format!("{subject} has timed out progressing."));
    }
    let now_says = conditions::find(conditions, PROGRESSING).cloned().unwrap_or_default();
    if now_says["reason"] != COMPLETE && now_says["reason"] != TIMED_OUT && !view.spec.is_paused {
        plan.requeue(deadline.saturating_sub(waited(&now_says, view.now)));
    }
}

/// How long nothing has moved.
fn waited(condition: &Value, now: Timestamp) -> Duration {
    let since: Option<Timestamp> = condition["lastUpdateTime"].as_str().and_then(|text| text.parse().ok());
    since.and_then(|since| Duration::try_from(now.duration_since(since)).ok()).unwrap_or_default()
}

fn set(conditions: &mut Vec<Value>, wanted: Condition<'_>, now: Timestamp) {
    let condition_type = wanted.condition_type;
    if conditions::set(conditions, wanted, now) {
        update_time(conditions, condition_type, now);
    }
}

/// Notes that a rollout moved, although nothing else about it is to be said.
fn touch(conditions: &mut [Value], now: Timestamp) {
    update_time(conditions, PROGRESSING, now);
}

/// Deployments, unlike everybody else, also say when a condition was last looked at and found different.
fn update_time(conditions: &mut [Value], condition_type: &str, now: Timestamp) {
    for condition in conditions.iter_mut().filter(|condition| condition["type"] == condition_type) {
        condition["lastUpdateTime"] = json!(conditions::time(now));
    }
}

/// A pod becomes available by time alone.
fn plan_next_availability(view: &View<'_>, plan: &mut Plan) {
    let pods =
        view.sets.iter().flat_map(|set| set.pods.iter().map(|(_, pod)| *pod)).filter(|pod| is_active(pod));
    let waits = pods.filter_map(|pod| pods::available_in(pod, view.spec.min_ready_seconds, view.now));
    if let Some(wait) = waits.filter(|wait| !wait.is_zero()).min() {
        plan.requeue(wait);
    }
}
