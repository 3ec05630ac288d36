//! Watches: one JSON document per line for as long as the caller reads.
//!
//! The caller pulls: an event is taken from the store's ring only when the one before has been written, so a slow
//! caller costs no memory; one that falls behind the ring gets an `ERROR` of code 410 and the end of the stream.
//!
//!     Starting ─▶ Live ─▶ Ended
//!        └──────────────────▲     timeoutSeconds, 410, store stopped

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use manifests::{Kind, Object};
use serde_json::{Value, json};
use tokio::time::{Instant, Interval};

use super::answer::Answer;
use super::query::{Form, Query};
use super::read::{is_at, partial, select};
use super::route::Place;
use super::table::Table;
use super::{Call, Status};
use crate::snapshot::Stored;
use crate::store::{Event, Watch};

/// How long a watch lasts if the caller does not say.
const DURATION_DEFAULT: Duration = Duration::from_secs(45 * 60);
/// How long a watch may last.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a bookmark is sent to those who want them.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(30);
/// How many events are written at once when several are there.
const LINES_MAX: usize = 64;

/// `GET …?watch=true`.
pub(super) fn watch(call: &Call, at: Place) -> Result<Response<Body>, Status> {
    call.query.check_fields(at.kind)?;
    let form = call.accept.form()?;
    let query = call.query.clone();
    let after = match query.resource_version.as_str() {
        "" | "0" => None,
        _ if query.send_initial_events => None,
        text => Some(
            text.parse::<u64>()
                .map_err(|_| Status::bad_request(format!("invalid resource version: {text}")))?,
        ),
    };
    let store = &call.api.store;
    let snapshot = store.snapshot();
    let events = match store.watch(after.unwrap_or_else(|| snapshot.revision())) {
        Ok(events) => events,
        Err(status) => return Ok(Answer::encoded(StatusCode::OK, error_line(&status))),
    };
    let duration = query.timeout_seconds.map_or(DURATION_DEFAULT, Duration::from_secs).min(DURATION_MAX);
    let mut stream = Stream::new(at, query, form, events, duration);
    if after.is_none() {
        stream.begin_with(&snapshot);
    }
    let body = futures::stream::unfold(stream, |mut stream| async move {
        let chunk = stream.next_chunk().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), stream))
    });
    Ok(Answer::encoded(StatusCode::OK, Body::from_stream(body)))
}

struct Stream {
    at: Place,
    query: Query,
    form: Form,
    /// `None`: the stream has ended.
    events: Option<Watch>,
    deadline: Instant,
    bookmarks: Interval,
    /// Lines that wait to be written: what there was when the watch began.
    waiting: VecDeque<Bytes>,
    has_sent_columns: bool,
}

enum Next {
    Event(Arc<Event>),
    Bookmark,
    Failed(Status),
    TimeIsUp,
}

impl Stream {
    fn new(at: Place, query: Query, form: Form, events: Watch, duration: Duration) -> Self {
        let bookmarks = tokio::time::interval_at(Instant::now() + BOOKMARK_INTERVAL, BOOKMARK_INTERVAL);
        let deadline = Instant::now() + duration;
        Self {
            at,
            query,
            form,
            events: Some(events),
            deadline,
            bookmarks,
            waiting: VecDeque::new(),
            has_sent_columns: false,
        }
    }

    /// Everything that there is, as if it had just been added.
    fn begin_with(&mut self, snapshot: &crate::snapshot::Snapshot) {
        let (at, query) = (self.at.clone(), self.query.clone());
        for stored in select(snapshot, &at, &query) {
            let line = self.line("ADDED", stored, None);
            self.waiting.push_back(line);
        }
        if query.send_initial_events && query.allow_bookmarks {
            let line = bookmark(at.kind, self.form, snapshot.revision(), true);
            self.waiting.push_back(line);
        }
    }

    /// What to write next; `None` at the end.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        if !self.waiting.is_empty() {
            let take = self.waiting.len().min(LINES_MAX);
            return Some(self.waiting.drain(..take).flatten().collect());
        }
        loop {
            let events = self.events.as_mut()?;
            let next = tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.deadline) => Next::TimeIsUp,
                event = events.next() => event.map_or_else(Next::Failed, Next::Event),
                _ = self.bookmarks.tick(), if self.query.allow_bookmarks => Next::Bookmark,
            };
            match next {
                Next::Event(event) => {
                    if let Some(line) = self.event_line(&event) {
                        return Some(line);
                    }
                }
                Next::Bookmark => {
                    let revision = events.read_to();
                    return Some(bookmark(self.at.kind, self.form, revision, false));
                }
                Next::Failed(status) => {
                    self.events = None;
                    return Some(error_line(&status));
                }
                Next::TimeIsUp => self.events = None,
            }
        }
    }

    /// An event as this watcher sees it: what begins to match is added, what stops to match is deleted.
    fn event_line(&mut self, event: &Event) -> Option<Bytes> {
        if !is_at(&self.at, &event.key) {
            return None;
        }
        let selects =
            |stored: &Option<Arc<Stored>>| stored.as_ref().is_some_and(|it| self.query.selects(it.object()));
        let (event_type, last) = match (selects(&event.old), selects(&event.new)) {
            (false, false) => return None,
            (false, true) => ("ADDED", None),
            (true, true) => ("MODIFIED", None),
            (true, false) => ("DELETED", event.old.as_ref().filter(|_| event.new.is_some())),
        };
        match last {
            None => Some(self.line(event_type, &event.object, Some(&event.encoded))),
            // It is still there but no longer ours: its last state that was, at the revision that ended it.
            Some(old) => {
                let mut object = old.object().clone();
                object.set(&["metadata", "resourceVersion"], event.revision.to_string());
                let stored = Arc::new(Stored::new(event.key.clone(), object, event.revision));
                Some(self.line(event_type, &stored, None))
            }
        }
    }

    fn line(&mut self, event_type: &str, stored: &Arc<Stored>, encoded: Option<&Bytes>) -> Bytes {
        match self.form {
            Form::Json => {
                let made;
                let json: &[u8] = match encoded {
                    Some(encoded) => encoded,
                    None => {
                        made = stored.object().to_json();
                        &made
                    }
                };
                [format!("{{\"type\":\"{event_type}\",\"object\":").as_bytes(), json, b"}\n"].concat().into()
            }
            Form::PartialMetadata => line(event_type, &partial(stored.object())),
            Form::Table => {
                let with_columns = !std::mem::replace(&mut self.has_sent_columns, true);
                let mut table = Table::new(self.at.kind, self.query.include_object, crate::clock::now());
                table.push(stored.object());
                line(event_type, &table.finish(stored.revision(), with_columns))
            }
        }
    }
}

fn line(event_type: &str, object: &Value) -> Bytes {
    let mut text = json!({"type": event_type, "object": object}).to_string();
    text.push('\n');
    text.into()
}

fn error_line(status: &Status) -> Bytes {
    line("ERROR", &status.to_json())
}

/// Says up to which revision the caller has seen everything.
fn bookmark(kind: Kind, form: Form, revision: u64, ends_initial_events: bool) -> Bytes {
    let mut object = Object::default();
    object.set(&["metadata", "resourceVersion"], revision.to_string());
    object.set(&["metadata", "creationTimestamp"], Value::Null);
    if ends_initial_events {
        object.set(&["metadata", "annotations", "k8s.io/initial-events-end"], "true");
    }
    let (api_version, name) = match form {
        Form::Json => (kind.api_version(), kind.info().kind),
        Form::PartialMetadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata"),
        Form::Table => {
            let table = json!({
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": object.0.get("metadata"),
                "columnDefinitions": [],
                "rows": [{"cells": [], "object": object.0}],
            });
            return line("BOOKMARK", &table);
        }
    };
    object.set(&["apiVersion"], api_version);
    object.set(&["kind"], name);
    line("BOOKMARK", &object.into_value())
}
