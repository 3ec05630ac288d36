use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use manifests::pod::{Resources, requests};
use manifests::{Kind, Object};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::*;
use crate::controllers::pods::node_name;

fn put(snapshot: &mut Snapshot, object: Object) {
    let key = Key::of(&object).expect("a kind of ours");
    let revision = snapshot.revision() + 1;
    snapshot.insert(Arc::new(Stored::new(key, object, revision)));
}

fn node(name: &str, cpu: &str, memory: &str, more: Value) -> Object {
    let mut node = Object::new(Kind::Node, "", name);
    node.set(&["metadata", "labels"], json!({"kubernetes.io/hostname": name}));
    node.set(
        &["status"],
        json!({
            "allocatable": {"cpu": cpu, "memory": memory, "pods": "10"},
            "conditions": [{"type": "Ready", "status": "True"}],
        }),
    );
    merge(&mut node, more);
    node
}

fn pod(name: &str, cpu: &str, spec: Value) -> Object {
    let mut pod = Object::new(Kind::Pod, "default", name);
    pod.set(&["metadata", "uid"], name);
    pod.set(&["metadata", "labels"], json!({"app": "shop"}));
    pod.set(&["spec"], json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}));
    merge(&mut pod, json!({"spec": spec}));
    pod
}

fn merge(object: &mut Object, more: Value) {
    for (section, fields) in more.as_object().into_iter().flatten() {
        for (field, value) in fields.as_object().into_iter().flatten() {
            object.set(&[section, field], value.clone());
        }
    }
}

fn snapshot(objects: Vec<Object>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    objects.into_iter().for_each(|object| put(&mut snapshot, object));
    snapshot
}

fn decide(snapshot: &Snapshot) -> Vec<Decision> {
    let mut cluster = Cluster::of(snapshot);
    schedule(&mut cluster, &pending(snapshot), &mut StdRng::seed_from_u64(7))
}

/// Where one pod goes, or why it does not.
fn place(nodes: Vec<Object>, pod: Object) -> Result<String, String> {
    let mut objects = nodes;
    objects.push(pod);
    match decide(&snapshot(objects)).remove(0) {
        Decision::Bind { node, .. } => Ok(node.to_string()),
        Decision::Unschedulable(why) => Err(why.to_string()),
    }
}

#[test]
fn what_is_missing_is_said_with_numbers() {
    let nodes = vec![
        node("a", "1", "1Gi", json!({})),
        node("b", "250m", "1Gi", json!({})),
        node(
            "c",
            "4",
            "1Gi",
            json!({"spec": {"taints": [{"key": "shop", "value": "only", "effect": "NoSchedule"}]}}),
        ),
    ];
    assert_eq!(
        place(nodes, pod("p", "1500m", json!({}))),
        Err("0/3 nodes are available: 2 Insufficient cpu (needs 1500m, 1 free), \
             1 node(s) had untolerated taint {shop: only}."
            .into())
    );
}

#[test]
fn without_nodes_it_is_said_that_there_are_none() {
    let why = place(vec![], pod("p", "1", json!({}))).expect_err("no node");
    assert_eq!(why, "0/0 nodes are available: no node has joined the cluster.");
}

#[test]
fn a_cordoned_node_and_one_that_is_not_ready_get_nothing() {
    let cordoned = node("a", "4", "1Gi", json!({"spec": {"unschedulable": true}}));
    let fresh = node("b", "4", "1Gi", json!({"status": {"conditions": []}}));
    let why = place(vec![cordoned, fresh], pod("p", "1", json!({}))).expect_err("no room");
    assert_eq!(why, "0/2 nodes are available: 1 node(s) were not ready, 1 node(s) were unschedulable.");
}

#[test]
fn node_selectors_and_required_affinity_select() {
    let nodes = || {
        vec![
            node("a", "4", "1Gi", json!({"metadata": {"labels": {"disk": "ssd", "gen": "3"}}})),
            node("b", "4", "1Gi", json!({"metadata": {"labels": {"disk": "hdd", "gen": "7"}}})),
        ]
    };
    let affinity = |terms: Value| {
        json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms},
        }}})
    };
    let term = |key: &str, operator: &str, values: Value| {
        affinity(json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]))
    };
    assert_eq!(place(nodes(), pod("p", "1", json!({"nodeSelector": {"disk": "ssd"}}))), Ok("a".into()));
    assert_eq!(place(nodes(), pod("p", "1", term("disk", "NotIn", json!(["ssd"])))), Ok("b".into()));
    assert_eq!(place(nodes(), pod("p", "1", term("gen", "Gt", json!(["5"])))), Ok("b".into()));
    assert!(place(nodes(), pod("p", "1", affinity(json!([{}])))).is_err(), "an empty term selects nothing");
    let fields = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]);
    assert_eq!(place(nodes(), pod("p", "1", affinity(fields))), Ok("b".into()));
}

#[test]
fn a_preference_is_followed_where_it_can_be() {
    let nodes = |cpu| {
        vec![
            node("a", "4", "1Gi", json!({})),
            node("b", cpu, "1Gi", json!({"metadata": {"labels": {"disk": "ssd"}}})),
        ]
    };
    let wish = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 100, "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}},
    ]}}});
    assert_eq!(place(nodes("4"), pod("p", "1", wish.clone())), Ok("b".into()));
    assert_eq!(place(nodes("500m"), pod("p", "1", wish)), Ok("a".into()));
}

#[test]
fn a_toleration_opens_a_tainted_node() {
    let tainted = || {
        vec![node(
            "a",
            "4",
            "1Gi",
            json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}}),
        )]
    };
    let tolerant = |toleration: Value| pod("p", "1", json!({"tolerations": [toleration]}));
    assert!(place(tainted(), tolerant(json!({"key": "k", "operator": "Exists"}))).is_ok());
    assert!(place(tainted(), tolerant(json!({"key": "k", "value": "v"}))).is_ok());
    assert!(place(tainted(), tolerant(json!({"operator": "Exists"}))).is_ok());
    assert!(place(tainted(), tolerant(json!({"key": "k", "value": "w"}))).is_err());
    assert!(
        place(tainted(), tolerant(json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}))).is_err()
    );
}

#[test]
fn two_pods_do_not_get_the_same_port_of_one_node() {
    let port = || json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 8080}]}]});
    let objects = vec![node("a", "4", "1Gi", json!({})), pod("p", "1", port()), pod("q", "1", port())];
    let decisions = decide(&snapshot(objects));
    assert!(matches!(&decisions[0], Decision::Bind { .. }));
    let Decision::Unschedulable(why) = &decisions[1] else { panic!("bound") };
    assert_eq!(
        why.to_string(),
        "0/1 nodes are available: 1 node(s) didn't have free ports (host port 8080 is taken)."
    );
}

#[test]
fn a_required_spread_is_kept_over_zones() {
    let zone =
        |name: &str, zone: &str| node(name, "64", "1Gi", json!({"metadata": {"labels": {"zone": zone}}}));
    let mut objects = vec![zone("a", "1"), zone("b", "1"), zone("c", "2")];
    let spread = json!({"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "shop"}},
    }]});
    objects.extend((0..6).map(|n| pod(&format!("p{n}"), "1", spread.clone())));
    let decisions = decide(&snapshot(objects));
    let in_c =
        decisions.iter().filter(|it| matches!(it, Decision::Bind { node, .. } if &**node == "c")).count();
    assert_eq!((decisions.len(), in_c), (6, 3));
}

#[test]
fn a_gated_pod_and_one_of_another_scheduler_are_left_alone() {
    let objects = vec![
        node("a", "4", "1Gi", json!({})),
        pod("p", "1", json!({"schedulingGates": [{"name": "wait"}]})),
        pod("q", "1", json!({"schedulerName": "mine"})),
    ];
    assert!(pending(&snapshot(objects)).is_empty());
}

#[test]
fn what_is_more_urgent_is_placed_first() {
    let objects = vec![
        node("a", "1", "1Gi", json!({})),
        pod("early", "1", json!({})),
        pod("urgent", "1", json!({"priority": 1000})),
    ];
    let decisions = decide(&snapshot(objects));
    assert!(matches!(&decisions[0], Decision::Bind { pod, .. } if &*pod.name == "urgent"));
}

#[test]
fn the_view_that_follows_changes_is_the_one_of_the_snapshot() {
    let mut followed = Cluster::default();
    let mut snapshot = Snapshot::default();
    let bound = |name: &str, on: &str| pod(name, "100m", json!({"nodeName": on}));
    let mut ended = bound("p", "a");
    ended.set(&["status", "phase"], "Succeeded");
    let history = [
        bound("p", "a"),
        node("a", "4", "1Gi", json!({})),
        bound("q", "a"),
        bound("r", "b"),
        node("b", "2", "1Gi", json!({})),
        ended,
    ];
    for object in history {
        let key = Key::of(&object).expect("a kind");
        put(&mut snapshot, object);
        followed.observe(&snapshot, &key);
    }
    let gone = Key::new(Kind::Pod, "default", "r");
    snapshot.remove(&gone, 99);
    followed.observe(&snapshot, &gone);
    let of = |cluster: &Cluster| {
        cluster
            .nodes()
            .iter()
            .map(|node| (Arc::clone(&node.name), node.requested, node.pods()))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&followed), of(&Cluster::of(&snapshot)));
    assert_eq!(of(&followed)[0].2, 1);
}

proptest! {
    #[test]
    fn no_node_is_ever_promised_more_than_it_has(
        nodes in prop::collection::vec((1..8_u64, 1..8_u64, 1..6_u64), 0..6),
        pods in prop::collection::vec((0..3000_u64, 0..3000_u64), 0..40),
        seed in any::<u64>(),
    ) {
        let mut objects = Vec::new();
        for (at, (cpu, memory, count)) in nodes.iter().enumerate() {
            let allocatable = json!({"cpu": cpu.to_string(), "memory": format!("{memory}Gi"), "pods": count.to_string()});
            let mut node = node(&format!("n{at}"), "0", "0", json!({}));
            node.set(&["status", "allocatable"], allocatable);
            objects.push(node);
        }
        for (at, (cpu, memory)) in pods.iter().enumerate() {
            let requests = json!({"cpu": format!("{cpu}m"), "memory": format!("{memory}Mi")});
            objects.push(pod(&format!("p{at}"), "0", json!({"containers": [{"name": "c", "resources": {"requests": requests}}]})));
        }
        let mut snapshot = snapshot(objects);
        let mut cluster = Cluster::of(&snapshot);
        let decisions = schedule(&mut cluster, &pending(&snapshot), &mut StdRng::seed_from_u64(seed));
        for decision in &decisions {
            if let Decision::Bind { pod, node, .. } = decision {
                let mut bound = snapshot.get(pod).expect("there").object().clone();
                bound.set(&["spec", "nodeName"], &**node);
                put(&mut snapshot, bound);
            }
        }
        for (stored, node) in snapshot.all::<Node>() {
            let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
            let on: Vec<&Pod> = snapshot.pods_on(&stored.key().name).map(|(_, pod)| pod).collect();
            let used = on.iter().filter_map(|pod| pod.spec.as_ref()).map(requests).fold(Resources::default(), Resources::plus);
            prop_assert!(used.fits(Resources::of(allocatable)));
            let most: u64 = allocatable.expect("some")["pods"].0.parse().expect("a number");
            prop_assert!(on.len() as u64 <= most);
        }
        // Whoever was turned away fits nowhere even now.
        for (_, pod) in snapshot.all::<Pod>().filter(|(_, pod)| node_name(pod).is_empty()) {
            let needs = pod.spec.as_ref().map(requests).unwrap_or_default();
            let has_room = |node: &NodeView| needs.fits(node.free()) && node.pods() < node.pods_max;
            prop_assert!(!Cluster::of(&snapshot).nodes().iter().any(has_room));
        }
    }
}
