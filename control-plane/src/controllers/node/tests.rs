use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use manifests::Kind;
use manifests::pod::{is_ready, is_terminating};
use serde_json::json;

use super::{Signal, is_unreachable, tolerates};
use crate::controllers::Facts;
use crate::controllers::pods::node_name;
use crate::manager::nodes_changed;
use crate::manager::testing::{World, deployment};

fn shop(nodes: &[&str], replicas: u32) -> World {
    let mut world = World::new(nodes);
    world.create(deployment("shop", replicas));
    world.run();
    world
}

fn lose(world: &mut World, node: &str) {
    world.health.signals.insert(node.into(), Signal::Lost(world.now));
    wake(world);
}

fn hear(world: &mut World, node: &str) {
    world.health.signals.insert(node.into(), Signal::Heard(Timestamp::MAX));
    wake(world);
}

fn wake(world: &mut World) {
    let snapshot = world.snapshot();
    nodes_changed(&snapshot, |work| world.agenda.add(work));
    world.settle();
}

fn leaving(world: &World) -> usize {
    world.all::<Pod>().iter().filter(|pod| is_terminating(pod)).count()
}

fn taints(world: &World, node: &str) -> Vec<String> {
    let node: Node = world.find(node).expect("it");
    let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
    taints.into_iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect()
}

#[test]
fn an_agent_that_is_back_within_its_grace_costs_nothing() {
    let mut world = shop(&["n1", "n2"], 4);
    lose(&mut world, "n1");
    assert!(!is_unreachable(&world.find("n1").expect("it")));
    hear(&mut world, "n1");
    world.pass(10);
    assert_eq!((leaving(&world), taints(&world, "n1").len()), (0, 0));
}

#[test]
fn a_lost_node_is_marked_its_pods_serve_nobody_and_are_replaced() {
    let mut world = shop(&["n1", "n2"], 4);
    lose(&mut world, "n1");
    world.pass(1);
    assert_eq!(
        taints(&world, "n1"),
        ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"]
    );
    let left_behind: Vec<Pod> = world.all::<Pod>().into_iter().filter(|pod| node_name(pod) == "n1").collect();
    assert_eq!(left_behind.len(), 2);
    assert!(left_behind.iter().all(|pod| is_terminating(pod) && !is_ready(pod)));
    assert_eq!(world.all::<Pod>().len(), 6);
    assert_eq!(world.events("NodeNotReady"), ["Node n1 status is now: NodeNotReady"]);
}

#[test]
fn a_node_that_is_silent_on_an_open_stream_is_lost_when_its_lease_is_over() {
    let mut world = shop(&["n1", "n2"], 2);
    world.health.signals.insert("n1".into(), Signal::Heard(world.now));
    wake(&mut world);
    world.pass(1);
    assert!(!is_unreachable(&world.find("n1").expect("it")));
    world.pass(2);
    assert!(is_unreachable(&world.find("n1").expect("it")));
    // Heard again on the same stream, and nobody is told.
    world.health.signals.insert("n1".into(), Signal::Heard(Timestamp::MAX));
    world.pass(1);
    assert!(!is_unreachable(&world.find("n1").expect("it")));
}

#[test]
fn a_pod_that_tolerates_its_node_being_away_stays_for_as_long_as_it_says() {
    let mut world = World::new(&["n1", "n2"]);
    let mut patient = deployment("shop", 1);
    let toleration = json!([{
        "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30,
    }]);
    patient.set(&["spec", "template", "spec", "tolerations"], toleration);
    world.create(patient);
    world.run();
    let node = node_name(&world.all::<Pod>()[0]).to_owned();
    lose(&mut world, &node);
    world.pass(25);
    assert_eq!(leaving(&world), 0);
    assert!(!is_ready(&world.all::<Pod>()[0]), "nobody answers for it meanwhile");
    world.pass(6);
    assert_eq!(leaving(&world), 1);
}

#[test]
fn when_most_nodes_vanish_at_once_their_pods_are_left_alone_for_a_while_and_users_are_told() {
    let mut world = shop(&["n1", "n2", "n3"], 3);
    lose(&mut world, "n1");
    lose(&mut world, "n2");
    world.pass(30);
    assert_eq!(leaving(&world), 0);
    assert!(world.all::<Pod>().iter().all(is_ready));
    assert!(world.events("EvictionsSlowed")[0].starts_with("2 of 3 nodes are unreachable"));
    world.pass(40);
    assert_eq!(leaving(&world), 2);
}

#[test]
fn after_a_restart_of_the_control_plane_nodes_have_time_to_call() {
    let mut world = shop(&["n1", "n2"], 2);
    world.health.signals.clear();
    world.health.listening_since = world.now;
    wake(&mut world);
    world.pass(5);
    assert!(!is_unreachable(&world.find("n1").expect("it")));
    world.pass(6);
    assert!(is_unreachable(&world.find("n1").expect("it")));
}

#[test]
fn a_cordon_is_said_as_a_taint_and_other_taints_are_left_alone() {
    let mut world = World::new(&["n1"]);
    world.edit(Kind::Node, "n1", &["spec", "taints"], json!([{"key": "mine", "effect": "NoSchedule"}]));
    world.edit(Kind::Node, "n1", &["spec", "unschedulable"], true);
    world.settle();
    assert_eq!(taints(&world, "n1"), ["mine:NoSchedule", "node.kubernetes.io/unschedulable:NoSchedule"]);
    world.edit(Kind::Node, "n1", &["spec", "unschedulable"], false);
    world.settle();
    assert_eq!(taints(&world, "n1"), ["mine:NoSchedule"]);
}

#[test]
fn an_unknown_node_is_nobodys_business() {
    let world = World::new(&[]);
    let key = crate::snapshot::Key::new(Kind::Node, "", "gone");
    assert_eq!(
        super::reconcile(&world.snapshot(), &key, &Facts::at(world.now)),
        crate::controllers::Plan::default()
    );
}

#[test]
fn tolerations_follow_kubernetes() {
    let taint =
        Taint { key: "k".into(), value: Some("v".into()), effect: "NoExecute".into(), ..Taint::default() };
    let toleration = |key: &str, operator: &str, value: &str, effect: &str| {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Toleration {
            key: text(key),
            operator: text(operator),
            value: text(value),
            effect: text(effect),
            ..Toleration::default()
        }
    };
    assert!(tolerates(&toleration("k", "", "v", ""), &taint));
    assert!(tolerates(&toleration("", "Exists", "", ""), &taint));
    assert!(!tolerates(&toleration("k", "Exists", "", "NoSchedule"), &taint));
    assert!(!tolerates(&toleration("", "Equal", "v", ""), &taint));
    assert!(!tolerates(&toleration("k", "Equal", "w", ""), &taint));
}

#[test]
fn the_grace_is_shorter_than_the_lease_so_that_a_seen_end_counts_sooner() {
    let grace = SignedDuration::try_from(super::DISCONNECTED_GRACE).expect("short");
    assert!(grace < SignedDuration::try_from(super::LEASE_DURATION).expect("short"));
}

#[test]
fn where_nobody_is_left_to_take_them_pods_stay_where_they_are() {
    let mut world = shop(&["n1"], 2);
    lose(&mut world, "n1");
    world.pass(600);
    assert_eq!(leaving(&world), 0);
    assert!(world.all::<Pod>().iter().all(is_ready), "nobody else could serve");
    assert!(is_unreachable(&world.find("n1").expect("it")));
}

/// A cluster whose only pod stays on its node for ten minutes whatever becomes of the node.
fn patient_shop(nodes: &[&str]) -> (World, String) {
    let mut world = World::new(nodes);
    let mut patient = deployment("shop", 1);
    let toleration = json!([{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 600}]);
    patient.set(&["spec", "template", "spec", "tolerations"], toleration);
    world.create(patient);
    world.run();
    let node = node_name(&world.all::<Pod>()[0]).to_owned();
    (world, node)
}

#[test]
fn a_node_that_is_heard_again_on_its_old_stream_has_its_pods_ready_again() {
    let (mut world, node) = patient_shop(&["n1", "n2"]);
    world.health.signals.insert(node.clone(), Signal::Heard(world.now));
    wake(&mut world);
    world.pass(5);
    assert!(!is_ready(&world.all::<Pod>()[0]));
    world.health.signals.insert(node, Signal::Heard(Timestamp::MAX));
    world.pass(1);
    assert!(is_ready(&world.all::<Pod>()[0]));
}

#[test]
fn what_a_node_says_of_its_pod_is_not_written_over() {
    let (mut world, node) = patient_shop(&["n1", "n2"]);
    lose(&mut world, &node);
    world.pass(1);
    let stale = world.snapshot();
    let key = stale.list(Kind::Pod).next().expect("the pod").key().clone();
    world.set_ready(&key, false);
    let mut plan = crate::controllers::Plan::default();
    super::plan_ready_again(stale.all::<Pod>().next().expect("the pod"), world.now, &mut plan);
    let change = plan.changes.pop().expect("the pod's readiness is taken back");
    assert_eq!(world.try_apply(change).expect_err("it is stale").reason, crate::registry::Reason::Conflict);
    hear(&mut world, &node);
    assert!(!is_ready(&world.all::<Pod>()[0]), "the node has said that it is not");
}

#[test]
fn the_delay_counts_from_when_most_nodes_were_gone_not_from_when_one_was_last_heard() {
    let mut world = shop(&["n1", "n2", "n3", "n4"], 4);
    lose(&mut world, "n1");
    lose(&mut world, "n2");
    // The first two are gone for long before the third is.
    world.pass(300);
    let before = leaving(&world);
    world.create(deployment("late", 4));
    world.settle();
    lose(&mut world, "n3");
    world.pass(50);
    assert_eq!(leaving(&world), before, "none goes at once");
    world.pass(20);
    assert!(leaving(&world) > before);
}

#[test]
fn streams_that_end_when_we_are_just_back_are_given_time_to_call() {
    let mut world = shop(&["n1", "n2"], 2);
    world.health.listening_since = world.now;
    lose(&mut world, "n1");
    world.pass(9);
    assert!(!is_unreachable(&world.find("n1").expect("it")));
    world.pass(2);
    assert!(is_unreachable(&world.find("n1").expect("it")));
}
