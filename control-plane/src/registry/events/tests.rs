use super::super::tests::{Cluster, pod};
use super::*;
use crate::change::{Change, Severity};
use crate::snapshot::Stored;
use std::sync::Arc;

fn intent(about: &Arc<Stored>, message: &str) -> EventIntent {
    EventIntent {
        regarding: about.key().clone(),
        uid: Arc::clone(about.uid()),
        field_path: String::new(),
        severity: Severity::Warning,
        reason: "FailedScheduling".into(),
        message: message.into(),
        component: "scheduler",
        host: String::new(),
    }
}

#[test]
fn what_happens_again_is_counted_and_what_differs_is_told_apart() {
    let mut cluster = Cluster::founded();
    let pod = cluster.create(pod("p"));
    for message in ["no room", "no room", "no node"] {
        cluster.apply(Change::Record(intent(&pod, message))).expect("recorded");
    }
    let snapshot = cluster.state.snapshot();
    let mut counts: Vec<_> =
        snapshot.list(Kind::Event).map(|event| event.object().i64_at(&["count"]).expect("a count")).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
}

#[test]
fn an_event_names_what_it_is_about() {
    let mut cluster = Cluster::founded();
    let pod = cluster.create(pod("p"));
    let outcome = cluster.apply(Change::Record(intent(&pod, &"long ".repeat(1000)))).expect("recorded");
    let event = outcome.stored().object();
    assert_eq!(event.str_at(&["involvedObject", "name"]), Some("p"));
    assert_eq!(event.str_at(&["involvedObject", "uid"]), Some(&**pod.uid()));
    assert_eq!(event.str_at(&["message"]).expect("a message").len(), MESSAGE_MAX_CHARS);
    assert!(manifests::validate::check(event).is_empty());
}
