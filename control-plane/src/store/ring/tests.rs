use jiff::Timestamp;
use manifests::{Kind, Object};
use rand::SeedableRng;

use super::*;
use crate::change::Change;
use crate::registry::{Context, Settings};
use crate::store::State;

/// So many events, one after another from an empty store on.
fn events(count: usize) -> (Vec<Arc<Event>>, State) {
    let settings = Settings::default();
    let mut random = rand::rngs::SmallRng::seed_from_u64(1);
    let mut state = State::new();
    let mut events = Vec::new();
    for number in 0..count {
        let change = Change::Create(Object::new(Kind::Namespace, "", &format!("n{number}")));
        let mut context = Context { now: Timestamp::UNIX_EPOCH, random: &mut random, settings: &settings };
        events.extend(state.apply(change, &mut context).expect("created").0);
    }
    (events, state)
}

/// A ring after so many changes, who publishes, and the last revision.
fn ring_of(count: usize) -> (Arc<Ring>, watch::Sender<Snapshot>, u64) {
    let (events, state) = events(count);
    let ring = Ring::new(State::new().snapshot().revision());
    ring.push(events);
    let revision = state.snapshot().revision();
    (Arc::new(ring), watch::channel(state.snapshot().clone()).0, revision)
}

#[tokio::test]
async fn a_watcher_that_falls_behind_is_told_so() {
    let (ring, publish, _) = ring_of(1);
    let (later, _) = events(RING_EVENTS_MAX + 10);
    let mut watcher = Watch::new(Arc::clone(&ring), publish.subscribe(), 1).expect("remembered");
    watcher.next().await.expect("the first");
    ring.push(later.into_iter().skip(1));
    let refusal = watcher.next().await.expect_err("overtaken");
    assert_eq!(refusal.code(), 410);
}

#[test]
fn the_ring_keeps_to_its_limit_and_knows_what_it_forgot() {
    let (ring, publish, revision) = ring_of(RING_EVENTS_MAX + 10);
    assert_eq!(ring.lock().events.len(), RING_EVENTS_MAX);
    assert!(Watch::new(Arc::clone(&ring), publish.subscribe(), 10).is_err(), "forgotten");
    assert!(Watch::new(Arc::clone(&ring), publish.subscribe(), revision).is_ok(), "nothing after it yet");
    assert!(Watch::new(ring, publish.subscribe(), revision + 1).is_err(), "never given");
}
