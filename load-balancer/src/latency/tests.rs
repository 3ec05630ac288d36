use super::*;

#[expect(clippy::disallowed_methods, reason = "any moment will do")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn one_slow_answer_is_averaged_in_and_then_forgotten() {
    let now = start();
    let mut latency = Latency::default();
    assert_eq!(latency.at(now), 0);
    latency.sample(Duration::from_micros(800), now);
    assert_eq!(latency.at(now), 800);
    latency.sample(Duration::from_micros(8000), now);
    assert_eq!(latency.at(now), 1700);
    assert_eq!(latency.at(now + HALF_LIFE), 850);
    assert_eq!(latency.at(now + HALF_LIFE * 100), 0);
}
