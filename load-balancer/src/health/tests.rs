use super::*;
use crate::clock;

#[test]
fn a_failure_puts_aside_for_a_while_and_an_answer_forgives_it() {
    let now = clock::now();
    let mut health = Health::default();
    assert!(health.is_well(now) && health.is_spotless());
    health.failed(now);
    assert!(!health.is_well(now));
    assert!(health.is_well(now + ASIDE_FIRST));
    health.answered();
    assert!(health.is_well(now) && health.is_spotless());
}

#[test]
fn failures_in_a_row_put_aside_longer_up_to_a_limit() {
    let mut now = clock::now();
    let mut health = Health::default();
    let mut aside = Vec::new();
    for _ in 0..40 {
        health.failed(now);
        let until = health.aside_until.expect("put aside");
        aside.push(until - now);
        now = until;
    }
    assert_eq!(aside[..3], [ASIDE_FIRST, ASIDE_FIRST * 2, ASIDE_FIRST * 4]);
    assert_eq!(aside.last(), Some(&ASIDE_MAX));
}

#[test]
fn a_hundred_requests_failing_together_count_as_one_failure() {
    let now = clock::now();
    let mut health = Health::default();
    (0..100).for_each(|_| health.failed(now));
    assert_eq!(health.failures_in_row, 1);
}
