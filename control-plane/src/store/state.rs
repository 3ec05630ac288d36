//! The pure half of the store: a snapshot that changes are applied to, each with a revision of its own.
//!
//! No disk, no clock, no thread: the simulator runs on it as it is.

use std::sync::Arc;

use bytes::Bytes;
use manifests::Object;
use serde_json::Value;

use crate::change::Change;
use crate::registry::{self, Context, Effect, Reason, Status};
use crate::snapshot::{Key, Snapshot, Stored};

/// How large an object may be as JSON; etcd's limit, so that what fits here fits there.
pub const OBJECT_MAX_BYTES: usize = 1_572_864;
/// The revision of an empty store: clients take 0 for "any".
const FIRST_REVISION: u64 = 1;

/// The state of the cluster and the revision that it is at.
#[derive(Debug, Clone)]
pub struct State {
    snapshot: Snapshot,
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// It is new.
    Added,
    /// It is another version.
    Modified,
    /// It is gone.
    Deleted,
}

/// One change that was made.
#[derive(Debug)]
pub struct Event {
    /// The store's revision after it.
    pub revision: u64,
    /// Which object.
    pub key: Key,
    /// What it was before; `None` for a new object.
    pub old: Option<Arc<Stored>>,
    /// What it is now; `None` for one that is gone.
    pub new: Option<Arc<Stored>>,
    /// The new version, or the last one of an object that is gone, with this event's revision as its
    /// `resourceVersion`.
    pub object: Arc<Stored>,
    /// `object` as JSON.
    pub encoded: Bytes,
}

impl Event {
    /// What happened.
    pub fn event_type(&self) -> EventType {
        match (&self.old, &self.new) {
            (_, None) => EventType::Deleted,
            (None, Some(_)) => EventType::Added,
            (Some(_), Some(_)) => EventType::Modified,
        }
    }
}

/// What became of a change.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The object is new.
    Created(Arc<Stored>),
    /// The object has a new version.
    Updated(Arc<Stored>),
    /// Everything was already so.
    Unchanged(Arc<Stored>),
    /// The object is gone; this was its last version.
    Removed(Arc<Stored>),
}

impl Outcome {
    /// The object after the change, or its last version.
    pub fn stored(&self) -> &Arc<Stored> {
        match self {
            Self::Created(stored)
            | Self::Updated(stored)
            | Self::Unchanged(stored)
            | Self::Removed(stored) => stored,
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Snapshot> for State {
    fn from(snapshot: Snapshot) -> Self {
        Self { snapshot }
    }
}

impl State {
    /// The state of a cluster that nobody has used yet.
    pub fn new() -> Self {
        let mut snapshot = Snapshot::default();
        snapshot.set_revision(FIRST_REVISION);
        Self { snapshot }
    }

    /// The whole state.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Makes a change, if the registry lets it happen. A change that changes nothing makes no event.
    ///
    /// # Errors
    ///
    /// The registry's refusal, or that the object is too large; the state is as it was.
    pub fn apply(
        &mut self,
        change: Change,
        context: &mut Context<'_>,
    ) -> Result<(Option<Arc<Event>>, Outcome), Status> {
        match registry::apply(&self.snapshot, change, context)? {
            Effect::Unchanged(stored) => Ok((None, Outcome::Unchanged(stored))),
            Effect::Put(object) => self.put(object).map(|(event, outcome)| (Some(event), outcome)),
            Effect::Remove(stored) => {
                let (event, outcome) = self.remove(&stored);
                Ok((Some(event), outcome))
            }
        }
    }

    fn put(&mut self, object: Object) -> Result<(Arc<Event>, Outcome), Status> {
        let revision = self.snapshot.revision() + 1;
        let (stored, encoded) = version(object, revision)?;
        let old = self.snapshot.insert(Arc::clone(&stored));
        let outcome = match old {
            None => Outcome::Created(Arc::clone(&stored)),
            Some(_) => Outcome::Updated(Arc::clone(&stored)),
        };
        let new = Some(Arc::clone(&stored));
        let event = Event { revision, key: stored.key().clone(), old, new, object: stored, encoded };
        Ok((Arc::new(event), outcome))
    }

    fn remove(&mut self, stored: &Arc<Stored>) -> (Arc<Event>, Outcome) {
        let revision = self.snapshot.revision() + 1;
        let key = stored.key().clone();
        let old = self.snapshot.remove(&key, revision);
        let mut object = stored.object().clone();
        set_revision(&mut object, revision);
        let encoded = Bytes::from(object.to_json());
        let last = Arc::new(Stored::new(key.clone(), object, revision));
        let outcome = Outcome::Removed(Arc::clone(&last));
        (Arc::new(Event { revision, key, old, new: None, object: last, encoded }), outcome)
    }
}

/// A version of an object, and its JSON.
fn version(mut object: Object, revision: u64) -> Result<(Arc<Stored>, Bytes), Status> {
    let key = Key::of(&object).ok_or_else(|| Status::internal("an object of no kind that is served"))?;
    set_revision(&mut object, revision);
    let encoded = Bytes::from(object.to_json());
    if encoded.len() > OBJECT_MAX_BYTES {
        let message = format!("{key} has {} bytes, the limit is {OBJECT_MAX_BYTES}", encoded.len());
        return Err(Status::new(Reason::RequestEntityTooLarge, message));
    }
    Ok((Arc::new(Stored::new(key, object, revision)), encoded))
}

fn set_revision(object: &mut Object, revision: u64) {
    object.metadata_mut().insert("resourceVersion".to_owned(), Value::String(revision.to_string()));
}

#[cfg(test)]
mod tests;
