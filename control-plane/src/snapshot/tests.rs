use super::*;
use serde_json::json;

fn stored(kind: Kind, namespace: &str, name: &str, revision: u64, more: serde_json::Value) -> Arc<Stored> {
    let mut object = Object::new(kind, namespace, name);
    for (field, value) in more.as_object().expect("a map") {
        match field.as_str() {
            "spec" => object.set(&["spec"], value.clone()),
            field => object.set(&["metadata", field], value.clone()),
        }
    }
    Arc::new(Stored::new(Key::new(kind, namespace, name), object, revision))
}

fn names<'a>(found: impl Iterator<Item = &'a Arc<Stored>>) -> Vec<String> {
    found.map(|stored| stored.key().to_string()).collect()
}

#[test]
fn listing_a_namespace_does_not_run_into_one_whose_name_begins_alike() {
    let mut snapshot = Snapshot::default();
    for (revision, namespace) in [(1, "shop"), (2, "shop-a"), (3, "sho")] {
        snapshot.insert(stored(Kind::ConfigMap, namespace, "x", revision, json!({})));
    }
    snapshot.insert(stored(Kind::Secret, "shop", "x", 4, json!({})));
    assert_eq!(names(snapshot.list_namespaced(Kind::ConfigMap, "shop")), ["ConfigMap/shop/x"]);
    assert_eq!(snapshot.list(Kind::ConfigMap).count(), 3);
    assert_eq!(snapshot.revision(), 4);
}

#[test]
fn a_pod_moves_in_the_index_when_it_is_bound_and_leaves_it_when_it_is_removed() {
    let mut snapshot = Snapshot::default();
    snapshot.insert(stored(Kind::Pod, "d", "p", 1, json!({"spec": {"containers": []}})));
    let before = snapshot.clone();
    snapshot.insert(stored(Kind::Pod, "d", "p", 2, json!({"spec": {"containers": [], "nodeName": "n1"}})));
    assert_eq!((snapshot.pods_on("").count(), snapshot.pods_on("n1").count()), (0, 1));
    assert_eq!((before.pods_on("").count(), before.pods_on("n1").count()), (1, 0));
    snapshot.remove(&Key::new(Kind::Pod, "d", "p"), 3);
    assert_eq!((snapshot.pods_on("n1").count(), snapshot.revision()), (0, 3));
}

#[test]
fn dependents_are_found_by_the_uid_of_any_owner() {
    let mut snapshot = Snapshot::default();
    let owner = |uid: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": "o", "uid": uid});
    snapshot.insert(stored(Kind::Pod, "d", "p", 1, json!({"ownerReferences": [owner("a"), owner("b")]})));
    assert_eq!(snapshot.dependents("b").count(), 1);
    snapshot.insert(stored(Kind::Pod, "d", "p", 2, json!({"ownerReferences": [owner("a")]})));
    assert_eq!((snapshot.dependents("a").count(), snapshot.dependents("b").count()), (1, 0));
}

#[test]
fn an_object_is_read_only_as_its_own_type() {
    let pod = stored(Kind::Pod, "d", "p", 1, json!({"spec": {"containers": []}}));
    assert!(pod.typed::<Pod>().is_some());
    assert!(pod.typed::<Service>().is_none());
}
