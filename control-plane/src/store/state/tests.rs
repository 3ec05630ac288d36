use jiff::Timestamp;
use manifests::Kind;
use rand::SeedableRng;
use serde_json::json;

use super::*;
use crate::registry::Settings;

fn apply(state: &mut State, change: Change) -> Result<(Option<Arc<Event>>, Outcome), Status> {
    let settings = Settings::default();
    let mut random = rand::rngs::SmallRng::seed_from_u64(7);
    state.apply(change, &mut Context { now: Timestamp::UNIX_EPOCH, random: &mut random, settings: &settings })
}

fn config_map(text: &str) -> Object {
    let mut object = Object::new(Kind::ConfigMap, "default", "c");
    object.set(&["data"], json!({"text": text}));
    object
}

fn founded() -> State {
    let mut state = State::new();
    for change in registry::founding() {
        apply(&mut state, change).expect("founded");
    }
    state
}

#[test]
fn every_change_has_a_revision_of_its_own_and_objects_carry_it() {
    let mut state = founded();
    let before = state.snapshot().revision();
    let (event, outcome) = apply(&mut state, Change::Create(config_map("a"))).expect("created");
    assert_eq!(event.expect("an event").revision, before + 1);
    assert_eq!(outcome.stored().object().resource_version(), Some(before + 1));
    let deletion = Change::delete(outcome.stored().key().clone(), Arc::clone(outcome.stored().uid()));
    let (event, _) = apply(&mut state, deletion).expect("deleted");
    let event = event.expect("an event");
    assert_eq!((event.event_type(), event.revision), (EventType::Deleted, before + 2));
    assert_eq!(
        event.object.object().resource_version(),
        Some(before + 2),
        "a deletion carries its own revision"
    );
}

#[test]
fn a_change_that_changes_nothing_makes_no_event() {
    let mut state = founded();
    apply(&mut state, Change::Create(config_map("a"))).expect("created");
    let (event, outcome) = apply(&mut state, Change::Update(config_map("a"))).expect("fine");
    assert!(event.is_none() && matches!(outcome, Outcome::Unchanged(_)));
}

#[test]
fn an_object_beyond_the_limit_is_refused_and_leaves_the_state_alone() {
    let mut state = founded();
    let before = state.snapshot().revision();
    let mut object = config_map("");
    object.set(&["metadata", "labels"], json!({}));
    // Many values below what validation allows for each.
    object.set(&["data"], json!({"text": "x".repeat(OBJECT_MAX_BYTES)}));
    let status = apply(&mut state, Change::Create(object)).expect_err("too large");
    assert!(matches!(status.code(), 413 | 422), "{status}");
    assert_eq!(state.snapshot().revision(), before);
}
