//! What the outbox promises.

use super::*;

fn pod(uid: &str) -> PodRef {
    PodRef { namespace: "default".into(), name: uid.into(), uid: uid.into() }
}

fn drain(outbox: &Outbox) -> Vec<Report> {
    std::iter::from_fn(|| outbox.lock().take()).collect()
}

#[test]
fn only_the_newest_status_of_a_pod_is_said() {
    let outbox = Outbox::default();
    outbox.status(pod("a"), Bytes::from_static(b"old"));
    outbox.status(pod("a"), Bytes::from_static(b"new"));
    let expected = PodStatus { pod: Some(pod("a")), status: Bytes::from_static(b"new") };
    assert_eq!(drain(&outbox), [Report::PodStatus(expected)]);
}

#[test]
fn after_a_rewind_every_status_is_said_again() {
    let outbox = Outbox::default();
    outbox.status(pod("a"), Bytes::new());
    outbox.status(pod("b"), Bytes::new());
    assert_eq!(drain(&outbox).len(), 2);
    outbox.rewind();
    assert_eq!(drain(&outbox).len(), 2);
}

#[test]
fn a_pod_that_is_gone_has_no_status_any_more() {
    let outbox = Outbox::default();
    outbox.status(pod("a"), Bytes::new());
    outbox.gone(pod("a"));
    outbox.rewind();
    assert_eq!(drain(&outbox), [Report::PodGone(PodGone { pod: Some(pod("a")) })]);
}

#[test]
fn events_beyond_the_limit_push_out_the_oldest() {
    let outbox = Outbox::default();
    for number in 0..=EVENTS_MAX {
        outbox.event(Event { message: number.to_string(), ..Event::default() });
    }
    let events = drain(&outbox);
    assert_eq!(events.len(), EVENTS_MAX);
    assert!(matches!(&events[0], Report::Event(event) if event.message == "1"));
}
