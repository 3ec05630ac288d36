//! What of the state is on disk, in a `fjall` database: every object that is not volatile, and a revision that no
//! restart may fall behind.
//!
//! Volatile kinds (leases) count revisions without a write. So that a revision is never given twice, the disk holds
//! a ceiling that lies ahead of them, raised by a commit whenever they reach it; a store begins at its ceiling.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use manifests::Object;

use super::state::{Event, State};
use crate::snapshot::{Key, Snapshot, Stored};

/// How many revisions the ceiling is raised by.
const CEILING_STEP: u64 = 100_000;
/// Everything is read once and then kept in memory: the database needs hardly a cache.
const CACHE_MAX_BYTES: u64 = 1024 * 1024;
/// How much is buffered in memory before it goes from the journal into tables.
const MEMTABLE_MAX_BYTES: u64 = 8 * 1024 * 1024;
const CEILING: &str = "ceiling";

/// Why the store's disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be opened.
    #[error("cannot open the store in {path}")]
    Open {
        /// Its folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: fjall::Error,
    },
    /// The folder cannot be made.
    #[error("cannot make the store's folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database cannot be read.
    #[error("cannot read the store")]
    Read(#[source] fjall::Error),
    /// Something in it is not ours, or broken.
    #[error("the store's entry {key} does not read as an object")]
    Corrupt {
        /// Where it is.
        key: String,
        /// Why.
        #[source]
        source: manifests::object::NotAnObject,
    },
    /// A write was not taken.
    #[error("cannot commit to the store")]
    Commit(#[source] fjall::Error),
    /// The writer could not be started.
    #[error("cannot start the store's writer")]
    Thread(#[source] std::io::Error),
}

/// The database, open.
pub(super) struct Disk {
    path: PathBuf,
    database: Database,
    objects: Keyspace,
    meta: Keyspace,
    ceiling: u64,
}

impl Disk {
    /// Opens or makes the database and reads everything.
    pub(super) fn open(path: &Path) -> Result<(Self, State), StoreError> {
        std::fs::create_dir_all(path)
            .map_err(|source| StoreError::Folder { path: path.to_owned(), source })?;
        let open = |source| StoreError::Open { path: path.to_owned(), source };
        let builder = Database::builder(path).cache_size(CACHE_MAX_BYTES).worker_threads(1);
        let database = builder.open().map_err(open)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_MAX_BYTES);
        let objects = database.keyspace("objects", options).map_err(open)?;
        let meta = database.keyspace("meta", options).map_err(open)?;
        let mut disk = Self { path: path.to_owned(), database, objects, meta, ceiling: 0 };
        let state = disk.read()?;
        Ok((disk, state))
    }

    /// The folder that the database is in.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn read(&mut self) -> Result<State, StoreError> {
        let ceiling = self.meta.get(CEILING).map_err(StoreError::Read)?;
        if let Some(bytes) = ceiling.as_deref().and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()) {
            self.ceiling = u64::from_be_bytes(bytes);
        }
        let mut snapshot = State::new().snapshot().clone();
        for entry in self.objects.iter() {
            let (key, value) = entry.into_inner().map_err(StoreError::Read)?;
            match Object::from_json(&value) {
                Ok(object) => insert(&mut snapshot, &key, object),
                Err(source) => {
                    return Err(StoreError::Corrupt {
                        key: String::from_utf8_lossy(&key).into_owned(),
                        source,
                    });
                }
            }
        }
        snapshot.set_revision(self.ceiling);
        Ok(State::from(snapshot))
    }

    /// Makes events durable, all of them or none.
    pub(super) fn commit(&mut self, events: &[Arc<Event>]) -> Result<(), StoreError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for event in events.iter().filter(|event| concerns(event)) {
            match event.new {
                Some(_) => batch.insert(&self.objects, entry_key(&event.key), &*event.encoded),
                None => batch.remove(&self.objects, entry_key(&event.key)),
            }
        }
        self.finish(batch, events.last().map_or(0, |event| event.revision))
    }

    /// Makes the disk, which says `found`, say what memory says. A commit that failed may have left all of itself or
    /// nothing; memory is what everybody was told.
    pub(super) fn reconcile(&mut self, found: &Snapshot, memory: &Snapshot) -> Result<(), StoreError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for stored in memory.iter().filter(|stored| !stored.key().kind.info().volatile) {
            let is_there = found.get(stored.key()).is_some_and(|other| other.object() == stored.object());
            if !is_there {
                batch.insert(&self.objects, entry_key(stored.key()), stored.object().to_json());
            }
        }
        for stored in found.iter().filter(|stored| memory.get(stored.key()).is_none()) {
            batch.remove(&self.objects, entry_key(stored.key()));
        }
        self.finish(batch, memory.revision())
    }

    fn finish(&mut self, mut batch: OwnedWriteBatch, revision: u64) -> Result<(), StoreError> {
        let ceiling = if revision > self.ceiling { revision + CEILING_STEP } else { self.ceiling };
        if ceiling != self.ceiling {
            batch.insert(&self.meta, CEILING, ceiling.to_be_bytes());
        }
        batch.commit().map_err(StoreError::Commit)?;
        self.ceiling = ceiling;
        Ok(())
    }
}

/// Whether an event is of a kind that is kept on disk.
pub(super) fn concerns(event: &Event) -> bool {
    !event.key.kind.info().volatile
}

/// Where an object is kept: `group/plural/namespace/name`; none of the four can have a slash.
fn entry_key(key: &Key) -> String {
    let info = key.kind.info();
    format!("{}/{}/{}/{}", info.group, info.plural, key.namespace, key.name)
}

fn insert(snapshot: &mut Snapshot, entry: &[u8], object: Object) {
    let (key, revision) = (Key::of(&object), object.resource_version());
    match (key, revision) {
        (Some(key), Some(revision)) => drop(snapshot.insert(Arc::new(Stored::new(key, object, revision)))),
        // Written by a version that knows more kinds: left as it is.
        _ => {
            tracing::warn!(entry = %String::from_utf8_lossy(entry), "the store holds an object of no known kind")
        }
    }
}
