use k8s_openapi::api::core::v1::Namespace;
use manifests::{Kind, Object};
use serde_json::json;

use crate::manager::testing::{World, deployment};

#[test]
fn a_namespace_says_what_it_still_waits_for_and_goes_with_the_last_of_it() {
    let mut world = World::new(&["n1"]);
    world.create(Object::new(Kind::Namespace, "", "shop"));
    let mut payment = deployment("payment", 1);
    payment.set(&["metadata", "namespace"], "shop");
    world.create(payment);
    world.run();
    world.delete(Kind::Namespace, "shop");
    world.settle();
    let namespace: Namespace = world.find("shop").expect("its pod is still ending");
    let status = serde_json::to_value(namespace.status).expect("JSON");
    assert_eq!(status["phase"], "Terminating");
    let message = json!("Some resources are remaining: pods has 1 resource instances");
    let conditions = status["conditions"].as_array().expect("some");
    assert!(
        conditions.iter().any(|it| it["message"].as_str().is_some_and(|text| text.contains("pods has 1"))),
        "{message}"
    );
    world.run();
    assert!(world.find::<Namespace>("shop").is_none());
}

#[test]
fn an_empty_namespace_goes_at_once() {
    let mut world = World::new(&[]);
    world.create(Object::new(Kind::Namespace, "", "shop"));
    world.delete(Kind::Namespace, "shop");
    world.settle();
    assert!(world.find::<Namespace>("shop").is_none());
}
