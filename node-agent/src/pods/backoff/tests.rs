//! What a restart costs.

use super::*;

const SHORT: SignedDuration = SignedDuration::from_millis(10);

fn crashes(times: u32) -> Backoff {
    (0..times).fold(Backoff::default(), |backoff, _| backoff.after_exit(SHORT, Blame::Container))
}

#[test]
fn the_first_restart_is_at_once_and_then_the_pause_doubles() {
    let pauses: Vec<i64> = (1..=6).map(|times| crashes(times).pause().as_secs()).collect();
    assert_eq!(pauses, [0, 1, 2, 4, 8, 16]);
}

#[test]
fn the_pause_never_exceeds_five_minutes() {
    assert_eq!(crashes(10).pause().as_secs(), 256);
    assert_eq!(crashes(11).pause(), PAUSE_MAX);
    assert_eq!(crashes(100).pause(), PAUSE_MAX);
    assert_eq!(Backoff { strikes: u32::MAX }.after_exit(SHORT, Blame::Container).pause(), PAUSE_MAX);
}

#[test]
fn a_good_while_of_running_is_forgiven() {
    let backoff = crashes(4);
    assert_eq!(backoff.after_exit(SignedDuration::from_secs(39), Blame::Container).pause().as_secs(), 8);
    assert_eq!(backoff.after_exit(SignedDuration::from_secs(40), Blame::Container).pause().as_secs(), 0);
}

#[test]
fn ten_minutes_of_running_are_always_forgiven() {
    assert_eq!(crashes(50).after_exit(FORGIVEN_MAX, Blame::Container).pause(), SignedDuration::ZERO);
}

#[test]
fn a_container_that_is_killed_from_outside_each_second_restarts_at_once_each_time() {
    let second = SignedDuration::from_secs(1);
    let backoff = (0..100).fold(Backoff::default(), |backoff, _| backoff.after_exit(second, Blame::Outside));
    assert_eq!(backoff.pause(), SignedDuration::ZERO);
}

#[test]
fn a_container_that_is_killed_from_outside_without_end_waits_like_a_crash_loop() {
    let backoff = (0..5).fold(Backoff::default(), |backoff, _| backoff.after_exit(SHORT, Blame::Outside));
    assert_eq!(backoff.pause().as_secs(), 8);
}
