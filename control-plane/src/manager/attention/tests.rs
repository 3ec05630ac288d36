use jiff::{SignedDuration, Timestamp};

use super::Attention;
use crate::controllers::node::Signal;

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn after(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

/// Attention that was paid from the start to a second.
fn paid_until(seconds: i64) -> Attention {
    let mut attention = Attention::new(START);
    (0..=seconds).for_each(|second| attention.note(after(second)));
    attention
}

fn signal(attention: &Attention, signal: Signal) -> Signal {
    attention.health([("n1".to_owned(), signal)]).signals["n1"]
}

#[test]
fn while_we_are_there_signals_are_what_they_are() {
    let attention = paid_until(100);
    assert_eq!(attention.since(), START);
    assert_eq!(signal(&attention, Signal::Heard(after(50))), Signal::Heard(after(50)));
}

#[test]
fn after_an_absence_no_node_is_judged_by_what_was_heard_before_it() {
    let mut attention = paid_until(100);
    attention.note(after(200));
    let health = attention.health([("n1".to_owned(), Signal::Heard(after(100)))]);
    assert_eq!(health.listening_since, after(200));
    assert_eq!(health.signals["n1"], Signal::Heard(after(200)));
    assert_eq!(signal(&attention, Signal::Lost(after(90))), Signal::Lost(after(200)));
}

#[test]
fn a_clock_that_is_set_back_does_not_keep_a_node_alive() {
    let mut attention = paid_until(100);
    attention.note(after(10));
    assert_eq!(signal(&attention, Signal::Heard(after(100))), Signal::Heard(after(10)));
    attention.note(after(11));
    assert_eq!(signal(&attention, Signal::Heard(after(100))), Signal::Heard(after(10)), "it gets older");
}
