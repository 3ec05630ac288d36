use super::*;
use crate::clock;

fn attempted(can_repeat: bool, sent: u32) -> Attempted {
    Attempted { can_repeat, sent, sent_max: 3 }
}

#[test]
fn what_was_not_sent_always_goes_elsewhere() {
    let now = clock::now();
    let mut budget = Budget { balance: 0, filled_at: now };
    assert!(may_repeat(Failure::NotSent, attempted(false, 3), &mut budget, now));
}

#[test]
fn what_was_sent_goes_elsewhere_only_if_it_can_be_repeated_and_not_for_ever() {
    let now = clock::now();
    let mut budget = Budget::new(now);
    assert!(may_repeat(Failure::Vanished, attempted(true, 1), &mut budget, now));
    assert!(!may_repeat(Failure::Vanished, attempted(false, 1), &mut budget, now));
    assert!(!may_repeat(Failure::Vanished, attempted(true, 3), &mut budget, now));
}

#[test]
fn repeats_stop_when_the_budget_is_spent_and_start_again_with_requests_or_time() {
    let now = clock::now();
    let mut budget = Budget::new(now);
    let spent = (0..).take_while(|_| budget.withdraw(now)).count();
    assert_eq!(spent, BUDGET_RESERVE as usize);
    (0..5).for_each(|_| budget.deposit());
    assert!(budget.withdraw(now), "five requests pay for one repeat");
    assert!(!budget.withdraw(now));
    assert!(budget.withdraw(now + BUDGET_REFILL));
}

#[test]
fn a_post_is_repeatable_only_with_a_key() {
    let mut headers = HeaderMap::new();
    assert!(is_repeatable(&Method::GET, &headers) && is_repeatable(&Method::PUT, &headers));
    assert!(!is_repeatable(&Method::POST, &headers) && !is_repeatable(&Method::PATCH, &headers));
    headers.insert("idempotency-key", "7".parse().unwrap());
    assert!(is_repeatable(&Method::POST, &headers));
}
