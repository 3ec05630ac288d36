//! What a change means: the one place that decides what becomes of an object when somebody asks for something.
//!
//! Pure: a snapshot, a change and a [`Context`] in, one [`Effect`] or a refusal out. The clock, the dice and the
//! cluster's settings come in through the context. It must not know who asks, how the effect is made durable, or who
//! watches.
//!
//!     Change ── apply ──▶ Effect::Unchanged      nothing to write
//!                     ├─▶ Effect::Put            a new object, or a new version of one
//!                     ├─▶ Effect::Remove         the object goes
//!                     └─▶ Status                 refused, and why

use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use manifests::{Kind, Object};
use rand::Rng;
use serde_json::Value;

use crate::change::Change;
use crate::snapshot::{Key, Snapshot, Stored};

mod admission;
mod create;
mod delete;
mod events;
mod namespaces;
mod pods;
mod services;
mod status;
mod update;

pub use namespaces::founding;
pub use status::{Cause, Details, Reason, Status};

/// The metadata that only the server writes.
const SERVERS_METADATA: [&str; 8] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
    "managedFields",
];

/// The addresses and ports that the registry gives to services.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where cluster addresses of services come from.
    pub service_cidr: Ipv4Net,
    /// Where node ports of services come from.
    pub node_ports: RangeInclusive<u16>,
}

impl Default for Settings {
    fn default() -> Self {
        let service_cidr = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 96, 0, 0), 16);
        Self { service_cidr, node_ports: 30_000..=32_767 }
    }
}

/// What a decision may depend on besides the snapshot and the change.
pub struct Context<'a> {
    /// The time of the decision.
    pub now: Timestamp,
    /// Where uids, name suffixes and free addresses are drawn from.
    pub random: &'a mut dyn Rng,
    /// The cluster's settings.
    pub settings: &'a Settings,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("now", &self.now).finish_non_exhaustive()
    }
}

/// What becomes of an object. The store adds the revision.
#[derive(Debug)]
pub enum Effect {
    /// What was asked for is already so.
    Unchanged(Arc<Stored>),
    /// The object is to be stored.
    Put(Object),
    /// The object is to go.
    Remove(Arc<Stored>),
}

/// Decides what a change does to a snapshot.
///
/// # Errors
///
/// The refusal, in Kubernetes' words.
pub fn apply(snapshot: &Snapshot, change: Change, context: &mut Context<'_>) -> Result<Effect, Status> {
    match change {
        Change::Create(object) => create::create(snapshot, object, context),
        Change::Update(object) => update::update(snapshot, object, context),
        Change::UpdateStatus(object) => update::update_status(snapshot, object),
        Change::Bind { pod, uid, node } => pods::bind(snapshot, &pod, &uid, &node, context.now),
        Change::Delete { key, preconditions, grace_period_seconds, propagation } => {
            let asked = delete::Asked { preconditions, grace_period_seconds, propagation };
            delete::delete(snapshot, &key, &asked, context.now)
        }
        Change::Finalize { key, uid, finalizer } => delete::finalize(snapshot, &key, &uid, &finalizer),
        Change::Record(intent) => events::record(snapshot, &intent, context),
    }
}

/// The key of an object that somebody wants to write.
fn key_of(object: &Object) -> Result<Key, Status> {
    Key::of(object).ok_or_else(|| {
        Status::bad_request(format!(
            "no kind \"{}\" is registered for version \"{}\"",
            object.kind_name(),
            object.api_version()
        ))
    })
}

/// The object that a change is about.
fn find<'a>(snapshot: &'a Snapshot, key: &Key) -> Result<&'a Arc<Stored>, Status> {
    snapshot.get(key).ok_or_else(|| Status::not_found(key.kind, &key.name))
}

/// Refuses a change that was meant for another object of the same name.
fn check_uid(stored: &Stored, uid: &str) -> Result<(), Status> {
    if uid.is_empty() || stored.uid().as_ref() == uid {
        return Ok(());
    }
    let key = stored.key();
    let why =
        format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", stored.uid());
    Err(Status::conflict(key.kind, &key.name, &why))
}

/// Refuses a change that was made from a stale copy.
fn check_resource_version(stored: &Stored, object: &Object) -> Result<(), Status> {
    let key = stored.key();
    match object.str_at(&["metadata", "resourceVersion"]) {
        None | Some("") => Ok(()),
        Some(text) => match text.parse::<u64>() {
            Ok(revision) if revision == stored.revision() => Ok(()),
            Ok(_) => Err(Status::modified(key.kind, &key.name)),
            Err(_) => {
                let cause = Cause::invalid("metadata.resourceVersion", format!("Invalid value: \"{text}\""));
                Err(Status::invalid(key.kind, &key.name, vec![cause]))
            }
        },
    }
}

/// A time as objects carry it: RFC 3339 in whole seconds.
fn rfc3339(time: Timestamp) -> Value {
    let seconds = Timestamp::from_second(time.as_second()).unwrap_or(Timestamp::UNIX_EPOCH);
    Value::String(seconds.to_string())
}

/// Whether an object has been asked to go and nothing holds it any more.
fn may_go(object: &Object) -> bool {
    object.is_terminating()
        && object.finalizers().is_empty()
        && object.i64_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) == 0
        && (object.kind() != Some(Kind::Namespace) || object.list_at(&["spec", "finalizers"]).is_empty())
}

/// Stores an object, unless it is as it was, or is free to go.
fn put_or_remove(stored: &Arc<Stored>, object: Object) -> Effect {
    if may_go(&object) {
        Effect::Remove(Arc::clone(stored))
    } else if object == *stored.object() {
        Effect::Unchanged(Arc::clone(stored))
    } else {
        Effect::Put(object)
    }
}

#[cfg(test)]
mod tests;
