use serde_json::json;

use super::super::now;
use super::*;

fn pod(uid: &str, container: &str, ready: bool) -> Pod {
    let pod = json!({
        "metadata": {"name": format!("pod-{uid}"), "uid": uid},
        "spec": {"nodeName": "node-1", "containers": []},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            "containerStatuses": [{
                "name": "shop", "image": "", "imageID": "", "ready": ready, "restartCount": 0,
                "containerID": format!("minikube-ish://{container}"), "state": {"running": {}},
            }],
        },
    });
    serde_json::from_value(pod).expect("a pod")
}

fn deleted(mut pod: Pod) -> Pod {
    pod.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).expect("a time");
    pod
}

/// Listed with pods that are all Ready.
fn seen(pods: &[Pod], now: Instant) -> Healing {
    let mut healing = Healing::default();
    healing.see(Event::Init, now);
    for pod in pods {
        healing.see(Event::InitApply(pod.clone()), now);
    }
    assert!(!healing.is_complete());
    healing.see(Event::InitDone, now);
    healing
}

#[test]
fn a_kill_heals_when_the_pod_is_ready_with_another_container() {
    let start = now();
    let mut healing = seen(&[pod("1", "1-0", true)], start);
    healing.killed(healing.candidates().remove(0), start);
    assert_eq!(healing.see(Event::Apply(pod("1", "1-0", true)), start), [], "this is old news");
    assert_eq!(healing.see(Event::Apply(pod("1", "1-1", false)), start), []);
    let took = Duration::from_millis(12);
    let healed = Healed { by: "pod-1".to_owned(), took, replaced: false };
    assert_eq!(healing.see(Event::Apply(pod("1", "1-1", true)), start + took), [healed]);
    assert_eq!((healing.open(), healing.healed().len()), (0, 1));
}

#[test]
fn a_pod_that_is_given_up_is_healed_by_a_new_one_and_each_heals_once() {
    let start = now();
    let later = start + Duration::from_millis(5);
    let mut healing = seen(&[pod("1", "1-0", true), pod("2", "2-0", true), pod("3", "3-0", true)], start);
    for victim in healing.candidates().into_iter().take(2) {
        healing.killed(victim, start);
    }
    assert_eq!(healing.see(Event::Apply(deleted(pod("1", "1-0", false))), later), [], "pod 3 is not new");
    assert_eq!(healing.see(Event::Delete(pod("2", "2-0", false)), later), []);
    assert_eq!(healing.see(Event::Apply(pod("4", "4-0", true)), later).len(), 1);
    assert_eq!(healing.open(), 1);
    assert_eq!(healing.see(Event::Apply(pod("5", "5-0", true)), later).len(), 1);
    assert!(healing.healed().iter().all(|healed| healed.replaced));
}

#[test]
fn only_ready_pods_are_killed_and_none_before_it_has_healed() {
    let start = now();
    let mut healing =
        seen(&[pod("1", "1-0", true), pod("2", "2-0", false), deleted(pod("3", "3-0", true))], start);
    let candidates = healing.candidates();
    assert_eq!(candidates.iter().map(|victim| victim.id.as_str()).collect::<Vec<_>>(), ["1-0"]);
    healing.killed(candidates[0].clone(), start);
    assert_eq!(healing.candidates(), []);
}

#[test]
fn a_new_list_replaces_what_was_seen() {
    let start = now();
    let mut healing = seen(&[pod("1", "1-0", true)], start);
    healing.see(Event::Init, start);
    assert_eq!(healing.candidates().len(), 1, "until it is complete the old one stands");
    healing.see(Event::InitDone, start);
    assert!(healing.is_empty());
}
