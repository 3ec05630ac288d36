//! What outcomes come to.

use super::*;

const TIMING: Timing = Timing {
    initial_delay: SignedDuration::ZERO,
    period: SignedDuration::from_secs(10),
    timeout: SignedDuration::from_secs(1),
    successes_needed: 1,
    failures_allowed: 3,
};

fn at_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).expect("in range")
}

#[test]
fn the_first_readiness_probe_is_due_at_the_start() {
    let state = State::default();
    assert_eq!(state.due_at(Kind::Readiness, &TIMING, at_ms(5)), at_ms(5));
}

#[test]
fn the_first_liveness_probe_waits_a_period() {
    let state = State::default();
    assert_eq!(state.due_at(Kind::Liveness, &TIMING, at_ms(5)), at_ms(10_005));
}

#[test]
fn the_initial_delay_is_kept() {
    let timing = Timing { initial_delay: SignedDuration::from_secs(3), ..TIMING };
    assert_eq!(State::default().due_at(Kind::Readiness, &timing, at_ms(0)), at_ms(3000));
}

#[test]
fn until_its_first_success_readiness_is_asked_again_after_milliseconds() {
    let mut state = State::default();
    let mut now = at_ms(0);
    let mut pauses = Vec::new();
    for _ in 0..15 {
        state.learn(Kind::Readiness, &TIMING, false, now);
        let next = state.due_at(Kind::Readiness, &TIMING, at_ms(0));
        pauses.push(next.duration_since(now).as_millis());
        now = next;
    }
    assert_eq!(pauses[..4], [1, 2, 4, 8]);
    assert_eq!(pauses.last(), Some(&10_000));
}

#[test]
fn early_failures_count_once_a_period() {
    let mut state = State::default();
    for ms in 0..1000 {
        assert_eq!(state.learn(Kind::Startup, &TIMING, false, at_ms(ms)), Effect::Nothing);
    }
    for period in 1..=3 {
        assert_eq!(state.verdict, Verdict::Unknown);
        state.learn(Kind::Startup, &TIMING, false, at_ms(period * 10_000));
    }
    assert_eq!(state.verdict, Verdict::Failed);
}

#[test]
fn one_success_passes_and_the_next_probe_comes_a_period_later() {
    let mut state = State::default();
    state.learn(Kind::Readiness, &TIMING, true, at_ms(7));
    assert_eq!(state.verdict, Verdict::Passed);
    assert_eq!(state.due_at(Kind::Readiness, &TIMING, at_ms(0)), at_ms(10_007));
}

#[test]
fn a_ready_container_stays_ready_until_the_threshold() {
    let mut state = State::default();
    state.learn(Kind::Readiness, &TIMING, true, at_ms(0));
    for second in [10, 20] {
        assert_eq!(state.learn(Kind::Readiness, &TIMING, false, at_ms(second * 1000)), Effect::Counted);
        assert_eq!(state.verdict, Verdict::Passed);
    }
    state.learn(Kind::Readiness, &TIMING, false, at_ms(30_000));
    assert_eq!(state.verdict, Verdict::Failed);
}

#[test]
fn a_success_between_failures_starts_the_count_again() {
    let mut state = State::default();
    for second in 1..20 {
        state.learn(Kind::Liveness, &TIMING, second % 3 == 0, at_ms(second * 10_000));
    }
    assert_eq!(state.verdict, Verdict::Passed);
}

#[test]
fn several_successes_are_needed_when_the_probe_says_so() {
    let timing = Timing { successes_needed: 2, ..TIMING };
    let mut state = State::default();
    state.learn(Kind::Readiness, &timing, true, at_ms(0));
    assert_eq!(state.verdict, Verdict::Unknown);
    state.learn(Kind::Readiness, &timing, true, at_ms(10_000));
    assert_eq!(state.verdict, Verdict::Passed);
}

#[test]
fn nonsense_in_a_probe_is_raised_to_the_least_that_makes_sense() {
    let probe = Probe {
        period_seconds: Some(-5),
        timeout_seconds: Some(0),
        failure_threshold: Some(-1),
        initial_delay_seconds: Some(i32::MIN),
        ..Probe::default()
    };
    let timing = Timing::of(&probe);
    assert_eq!(timing.period, SignedDuration::from_secs(1));
    assert_eq!(timing.timeout, SignedDuration::from_secs(1));
    assert_eq!(timing.initial_delay, SignedDuration::ZERO);
    assert_eq!(timing.failures_allowed, 3);
}
