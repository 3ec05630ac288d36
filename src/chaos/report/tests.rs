use super::*;

#[test]
fn times_are_taken_by_nearest_rank() {
    let times = Times::of((1..=200).map(Duration::from_millis).collect()).expect("there are some");
    assert_eq!((times.p50_ms, times.p99_ms, times.max_ms), (100.0, 198.0, 200.0));
    assert_eq!(Times::of(vec![Duration::from_millis(7)]).map(|times| times.p99_ms), Some(7.0));
    assert_eq!(Times::of(Vec::new()), None);
}

#[test]
fn a_failed_request_spoils_the_verdict() {
    let good = Report::new(Some(1), &Healing::default(), Noticed { requests: 10, retries: 3, failures: 0 });
    assert!(good.is_good());
    let bad = Report::new(Some(1), &Healing::default(), Noticed { requests: 10, retries: 3, failures: 1 });
    assert!(!bad.is_good());
    assert!(bad.text().contains("failed          1\n"), "{}", bad.text());
}
