//! The one thread that writes.
//!
//! It takes what is waiting, applies it to a copy of the state, commits the batch with one sync, and only then shows
//! it to anybody. If the disk refuses, the copy is dropped and nothing has happened; the disk is opened again at a
//! later write and made to say what memory says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::disk::{Disk, StoreError};
use super::ring::Ring;
use super::state::{Event, Outcome, State};
use crate::change::Change;
use crate::registry::{Context, Settings, Status};
use crate::snapshot::Snapshot;

/// How many changes go into one commit at most, not counting the last submission's own.
const BATCH_CHANGES_MAX: usize = 1024;
/// How many bytes of objects go into one commit at most, not counting the last submission's own.
const BATCH_MAX_BYTES: usize = 16 * 1024 * 1024;
/// How long to leave a disk alone that has failed.
const REOPEN_AFTER: Duration = Duration::from_millis(500);

pub(super) type Answers = Vec<Result<Outcome, Status>>;

#[derive(Debug)]
pub(super) enum Request {
    Submit { changes: Vec<Change>, answer: oneshot::Sender<Answers> },
    Close { answer: oneshot::Sender<()> },
}

pub(super) struct Writer {
    disk: Medium,
    state: State,
    ring: Arc<Ring>,
    publish: watch::Sender<Snapshot>,
    settings: Arc<Settings>,
}

/// What we write to.
enum Medium {
    /// Takes writes. `Failed` follows when it does not.
    Open(Disk),
    /// Has refused a write. `Open` follows when it can be opened again and agrees with memory.
    Failed { path: std::path::PathBuf, why: String, since: Instant },
}

/// Submissions that were applied to a copy of the state and wait for one commit.
#[derive(Default)]
struct Batch {
    events: Vec<Arc<Event>>,
    bytes: usize,
    changes: usize,
    answers: Vec<(oneshot::Sender<Answers>, Answers)>,
}

impl Writer {
    pub(super) fn new(
        disk: Disk,
        state: State,
        ring: Arc<Ring>,
        publish: watch::Sender<Snapshot>,
        settings: Arc<Settings>,
    ) -> Self {
        Self { disk: Medium::Open(disk), state, ring, publish, settings }
    }

    /// Serves until nobody can ask any more, or until told to stop.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut state = self.state.clone();
            let mut batch = Batch::default();
            let mut next = Some(first);
            let mut closing = None;
            while let Some(request) = next.take() {
                match request {
                    Request::Submit { changes, answer } => {
                        self.collect(&mut state, &mut batch, changes, answer)
                    }
                    Request::Close { answer } => {
                        requests.close();
                        closing = Some(answer);
                    }
                }
                if closing.is_none() && !batch.is_full() {
                    next = requests.try_recv().ok();
                }
            }
            self.commit(state, batch);
            if let Some(answer) = closing {
                drop(self);
                // Whoever asked may have gone; the disk is free all the same.
                let _gone = answer.send(());
                return;
            }
        }
    }

    fn collect(
        &self,
        state: &mut State,
        batch: &mut Batch,
        changes: Vec<Change>,
        answer: oneshot::Sender<Answers>,
    ) {
        batch.changes += changes.len();
        let answers = changes.into_iter().map(|change| {
            let (event, outcome) = with_context(&self.settings, |context| state.apply(change, context))?;
            if let Some(event) = event {
                batch.bytes += event.encoded.len();
                batch.events.push(event);
            }
            Ok(outcome)
        });
        let answers = answers.collect();
        batch.answers.push((answer, answers));
    }

    fn commit(&mut self, state: State, batch: Batch) {
        if let Err(why) = self.write(&batch.events) {
            tracing::warn!(%why, changes = batch.changes, "the store refuses writes");
            for (answer, answers) in batch.answers {
                let refusal = || Status::unavailable(format!("the store cannot write: {why}"));
                let _gone = answer.send(answers.iter().map(|_| Err(refusal())).collect());
            }
            return;
        }
        self.state = state;
        if !batch.events.is_empty() {
            self.ring.push(batch.events);
            self.publish.send_replace(self.state.snapshot().clone());
        }
        for (answer, answers) in batch.answers {
            // Whoever asked may have gone; what was asked is done.
            let _gone = answer.send(answers);
        }
    }

    /// Makes events durable, or says why the disk does not take them. What is volatile never waits for the disk:
    /// nodes must be able to live through a full one.
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), String> {
        if events.iter().any(|event| super::disk::concerns(event)) {
            self.revive()?;
        }
        self.commit_to_disk(events)
    }

    fn commit_to_disk(&mut self, events: &[Arc<Event>]) -> Result<(), String> {
        let Medium::Open(disk) = &mut self.disk else { return Ok(()) };
        let Err(error) = disk.commit(events) else { return Ok(()) };
        let why = describe(&error);
        let path = disk.path().to_owned();
        self.disk = Medium::Failed { path, why: why.clone(), since: now() };
        Err(why)
    }

    /// Opens a failed disk again, if it has been left alone for long enough.
    fn revive(&mut self) -> Result<(), String> {
        let Medium::Failed { path, why, since } = &self.disk else { return Ok(()) };
        if since.elapsed() < REOPEN_AFTER {
            return Err(why.clone());
        }
        let opened = Disk::open(path).and_then(|(mut disk, found)| {
            disk.reconcile(found.snapshot(), self.state.snapshot())?;
            Ok(disk)
        });
        match opened {
            Ok(disk) => {
                tracing::info!(path = %path.display(), "the store writes again");
                self.disk = Medium::Open(disk);
                Ok(())
            }
            Err(error) => {
                let why = describe(&error);
                self.disk = Medium::Failed { path: path.clone(), why: why.clone(), since: now() };
                Err(why)
            }
        }
    }
}

impl Batch {
    fn is_full(&self) -> bool {
        self.changes >= BATCH_CHANGES_MAX || self.bytes >= BATCH_MAX_BYTES
    }
}

/// Runs a decision with the clock and the dice of the real world.
#[expect(clippy::disallowed_methods, reason = "the writer's shell owns the clock of all decisions")]
pub(super) fn with_context<T>(settings: &Settings, decide: impl FnOnce(&mut Context<'_>) -> T) -> T {
    let mut random = rand::rng();
    decide(&mut Context { now: Timestamp::now(), random: &mut random, settings })
}

#[expect(clippy::disallowed_methods, reason = "the writer's shell times its own patience with a broken disk")]
fn now() -> Instant {
    Instant::now()
}

/// An error with all its causes, in one line.
fn describe(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
