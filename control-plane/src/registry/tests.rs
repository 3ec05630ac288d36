//! Laws that hold after any changes whatever, and what the tests of the registry's rooms share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use manifests::pod::{Resources, requests};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::json;

use super::*;
use crate::change::{Preconditions, Propagation};
use crate::store::{EventType, Outcome, State};

/// A cluster with time and dice of its own.
pub(super) struct Cluster {
    pub(super) state: State,
    pub(super) now: Timestamp,
    random: SmallRng,
    settings: Settings,
}

impl Cluster {
    pub(super) fn founded() -> Self {
        let settings =
            Settings { service_cidr: "10.96.0.0/27".parse().expect("a range"), node_ports: 30_000..=30_007 };
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let mut cluster = Self { state: State::new(), now, random: SmallRng::seed_from_u64(5), settings };
        for change in founding() {
            cluster.apply(change).expect("founded");
        }
        cluster
    }

    pub(super) fn apply(&mut self, change: Change) -> Result<Outcome, Status> {
        let mut context = Context { now: self.now, random: &mut self.random, settings: &self.settings };
        self.state.apply(change, &mut context).map(|(_, outcome)| outcome)
    }

    pub(super) fn create(&mut self, object: Object) -> Arc<Stored> {
        Arc::clone(self.apply(Change::Create(object)).expect("created").stored())
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Object> {
        self.state.snapshot().get(key).map(|stored| stored.object())
    }

    pub(super) fn delete(&mut self, key: &Key, grace_period_seconds: Option<i64>) -> Result<Outcome, Status> {
        self.apply(Change::Delete {
            key: key.clone(),
            preconditions: Preconditions::default(),
            grace_period_seconds,
            propagation: Propagation::Background,
        })
    }

    /// A pod that has been put on a node.
    pub(super) fn bound_pod(&mut self) -> Key {
        self.create(node("n0"));
        let pod = self.create(pod("p0"));
        let key = pod.key().clone();
        self.apply(Change::Bind { pod: key.clone(), uid: Arc::clone(pod.uid()), node: "n0".into() })
            .expect("bound");
        key
    }
}

pub(super) fn pod(name: &str) -> Object {
    let mut object = Object::new(Kind::Pod, "default", name);
    let container =
        json!({"name": "c", "image": "i", "resources": {"requests": {"cpu": "400m", "memory": "64Mi"}}});
    object.set(&["spec"], json!({"containers": [container]}));
    object
}

pub(super) fn node(name: &str) -> Object {
    let mut object = Object::new(Kind::Node, "", name);
    object.set(&["status"], json!({"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "10"}}));
    object
}

pub(super) fn service(name: &str, spec: Value) -> Object {
    let mut object = Object::new(Kind::Service, "default", name);
    object.set(&["spec"], spec);
    object
}

/// Anything that anybody may ask, about few enough objects that the changes meet.
fn change() -> impl Strategy<Value = Change> {
    let name = || (0..4).prop_map(|n| format!("x{n}"));
    let key = || {
        let kinds = prop::sample::select(vec![
            Kind::Pod,
            Kind::Service,
            Kind::Node,
            Kind::Namespace,
            Kind::ConfigMap,
        ]);
        (kinds, name()).prop_map(|(kind, name)| {
            let namespace = if kind.info().namespaced { "default" } else { "" };
            Key::new(kind, namespace, name)
        })
    };
    let object = || {
        let types = prop::sample::select(vec!["ClusterIP", "NodePort", "LoadBalancer"]);
        let services = (name(), types).prop_map(|(name, kind)| {
            service(&name, json!({"type": kind, "ports": [{"port": 80}], "selector": {"app": "a"}}))
        });
        let maps = (name(), "[a-z]{0,3}").prop_map(|(name, text)| {
            let mut object = Object::new(Kind::ConfigMap, "default", &name);
            object.set(&["data"], json!({"text": text}));
            object
        });
        let pods = (name(), any::<bool>()).prop_map(|(name, holds)| {
            let mut object = pod(&name);
            if holds {
                object.set(&["metadata", "finalizers"], json!(["example.com/held"]));
            }
            object
        });
        prop_oneof![services, maps, pods, name().prop_map(|name| node(&name))]
    };
    let propagation =
        prop::sample::select(vec![Propagation::Background, Propagation::Foreground, Propagation::Orphan]);
    prop_oneof![
        4 => object().prop_map(Change::Create),
        3 => object().prop_map(Change::Update),
        1 => object().prop_map(Change::UpdateStatus),
        3 => (name(), name()).prop_map(|(pod, node)| Change::Bind {
            pod: Key::new(Kind::Pod, "default", pod),
            uid: "".into(),
            node: node.into(),
        }),
        3 => (key(), prop::option::of(0_i64..40), propagation).prop_map(|(key, grace_period_seconds, propagation)| {
            Change::Delete { key, preconditions: Preconditions::default(), grace_period_seconds, propagation }
        }),
        2 => (key(), prop::sample::select(vec!["example.com/held", "foregroundDeletion", "orphan", "kubernetes"]))
            .prop_map(|(key, finalizer)| Change::Finalize { key, uid: "".into(), finalizer: finalizer.into() }),
    ]
}

fn addresses_and_ports_are_given_once(state: &State) {
    let (mut addresses, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for service in state.snapshot().list(Kind::Service) {
        let object = service.object();
        let address = object.str_at(&["spec", "clusterIP"]).expect("every service here has one");
        assert!(addresses.insert(address.to_owned()), "{address} is given twice");
        for port in object.list_at(&["spec", "ports"]).iter().filter_map(|port| port["nodePort"].as_u64()) {
            assert!(ports.insert(port), "node port {port} is given twice");
        }
    }
}

fn no_node_holds_more_than_it_has(state: &State) {
    let mut used: BTreeMap<String, Resources> = BTreeMap::new();
    for (_, pod) in state.snapshot().all::<Pod>() {
        let Some(spec) = &pod.spec else { continue };
        let Some(node) = spec.node_name.clone() else { continue };
        let sum = used.entry(node).or_default();
        *sum = sum.plus(requests(spec));
    }
    let room = Resources { milli_cpu: 1000, memory_bytes: 1 << 30 };
    assert!(used.values().all(|used| used.fits(room)), "{used:?}");
}

fn what_may_go_is_gone(state: &State) {
    for stored in state.snapshot().iter() {
        assert!(!may_go(stored.object()), "{} has nothing to wait for", stored.key());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_laws_hold_after_any_changes(changes in prop::collection::vec(change(), 1..60)) {
        let mut cluster = Cluster::founded();
        let mut uids: BTreeMap<Key, String> = BTreeMap::new();
        for change in changes {
            let before = cluster.state.snapshot().revision();
            let mut context =
                Context { now: cluster.now, random: &mut cluster.random, settings: &cluster.settings };
            let event = match cluster.state.apply(change, &mut context) {
                Ok((event, _)) => event,
                Err(_) => None,
            };
            let after = cluster.state.snapshot().revision();
            prop_assert_eq!(after, before + u64::from(event.is_some()), "a revision for each event, and no other");
            if let Some(event) = event {
                let uid = event.object.uid().to_string();
                match event.event_type() {
                    EventType::Added => drop(uids.insert(event.key.clone(), uid)),
                    EventType::Modified => {
                        let known = uids.entry(event.key.clone()).or_insert_with(|| uid.clone());
                        prop_assert_eq!(&*known, &uid);
                    }
                    EventType::Deleted => drop(uids.remove(&event.key)),
                }
            }
            addresses_and_ports_are_given_once(&cluster.state);
            no_node_holds_more_than_it_has(&cluster.state);
            what_may_go_is_gone(&cluster.state);
        }
    }
}
