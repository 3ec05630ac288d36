use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use manifests::{Kind, Object};
use serde_json::{Value, json};

use crate::change::{Change, Preconditions, Propagation};
use crate::manager::testing::{World, deployment};
use crate::snapshot::Key;

fn delete(world: &mut World, kind: Kind, name: &str, propagation: Propagation) {
    world.apply(Change::Delete {
        key: Key::new(kind, "default", name),
        preconditions: Preconditions::default(),
        grace_period_seconds: None,
        propagation,
    });
}

fn owned(name: &str, owners: &[Value]) -> Object {
    let mut map = Object::new(Kind::ConfigMap, "default", name);
    map.set(&["metadata", "ownerReferences"], owners.to_vec());
    map
}

fn reference(world: &mut World, name: &str) -> Value {
    let owner = world.create(Object::new(Kind::ConfigMap, "default", name));
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": &**owner.uid()})
}

#[test]
fn an_orphaned_set_and_its_pods_stay() {
    let mut world = World::new(&["n1"]);
    world.create(deployment("shop", 2));
    world.run();
    delete(&mut world, Kind::Deployment, "shop", Propagation::Orphan);
    world.run();
    assert!(world.find::<Deployment>("shop").is_none());
    let sets: Vec<ReplicaSet> = world.all();
    assert_eq!((sets.len(), world.all::<Pod>().len()), (1, 2));
    assert!(sets[0].metadata.owner_references.as_ref().is_none_or(Vec::is_empty));
}

#[test]
fn in_the_foreground_the_owner_goes_last() {
    let mut world = World::new(&["n1"]);
    world.create(deployment("shop", 2));
    world.run();
    delete(&mut world, Kind::Deployment, "shop", Propagation::Foreground);
    world.settle();
    assert!(world.find::<Deployment>("shop").is_some(), "it waits for its pods");
    assert_eq!(world.all::<Pod>().iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()).count(), 2);
    world.run();
    assert!(world.find::<Deployment>("shop").is_none());
    assert_eq!((world.all::<ReplicaSet>().len(), world.all::<Pod>().len()), (0, 0));
}

#[test]
fn with_one_of_two_owners_gone_only_the_reference_goes() {
    let mut world = World::new(&[]);
    let owners = [reference(&mut world, "a"), reference(&mut world, "b")];
    world.create(owned("child", &owners));
    world.settle();
    world.delete(Kind::ConfigMap, "a");
    world.settle();
    let child: ConfigMap = world.find("child").expect("it stays");
    let left = child.metadata.owner_references.expect("some");
    assert_eq!(left.iter().map(|owner| owner.name.as_str()).collect::<Vec<_>>(), ["b"]);
    world.delete(Kind::ConfigMap, "b");
    world.settle();
    assert!(world.find::<ConfigMap>("child").is_none());
}

#[test]
fn an_owner_of_the_same_name_with_another_uid_owns_nothing() {
    let mut world = World::new(&[]);
    reference(&mut world, "a");
    let stale = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "00000000-0000-4000-8000-000000000000"});
    world.create(owned("child", &[stale]));
    world.settle();
    assert!(world.find::<ConfigMap>("child").is_none());
}

#[test]
fn owners_of_kinds_that_are_not_ours_are_left_out_of_account() {
    let mut world = World::new(&[]);
    let foreign = json!({"apiVersion": "example.com/v1", "kind": "Shop", "name": "a", "uid": "u"});
    world.create(owned("child", &[foreign]));
    world.settle();
    assert!(world.find::<ConfigMap>("child").is_some());
}
