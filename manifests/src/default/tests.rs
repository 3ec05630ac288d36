use proptest::prelude::*;

use super::*;

fn defaulted(value: Value) -> Value {
    let mut object = Object::from_value(value).unwrap();
    set_defaults(&mut object);
    let once = object.clone();
    set_defaults(&mut object);
    assert_eq!(object, once, "defaulting twice changes nothing");
    object.into_value()
}

#[test]
fn a_deployment_gets_the_defaults_of_kubernetes() {
    let deployment = defaulted(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop", "creationTimestamp": null},
        "spec": {"selector": {}, "template": {"spec": {
            "serviceAccountName": "till",
            "containers": [{
                "name": "shop", "image": "localhost:5000/shop", "ports": [{"containerPort": 80}],
                "readinessProbe": {"httpGet": {"port": 80}},
                "resources": {"limits": {"cpu": 1}},
            }],
            "volumes": [{"name": "scratch"}, {"name": "config", "configMap": {"name": "c"}}],
        }}},
    }));
    let spec = &deployment["spec"];
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    assert_eq!(
        (&spec["replicas"], &spec["revisionHistoryLimit"], &spec["progressDeadlineSeconds"]),
        (&json!(1), &json!(10), &json!(600))
    );
    let pod = &spec["template"]["spec"];
    assert_eq!((&pod["restartPolicy"], &pod["dnsPolicy"]), (&json!("Always"), &json!("ClusterFirst")));
    assert_eq!(pod["serviceAccount"], "till");
    let container = &pod["containers"][0];
    assert_eq!(container["imagePullPolicy"], "Always");
    assert_eq!(container["ports"][0]["protocol"], "TCP");
    assert_eq!(container["readinessProbe"]["httpGet"], json!({"port": 80, "path": "/", "scheme": "HTTP"}));
    assert_eq!(container["readinessProbe"]["failureThreshold"], 3);
    assert_eq!(
        container["resources"],
        json!({"limits": {"cpu": "1"}}),
        "a template keeps its requests as written"
    );
    assert_eq!(pod["volumes"][0]["emptyDir"], json!({}));
    assert_eq!(pod["volumes"][1]["configMap"]["defaultMode"], 420);
    assert_eq!(deployment["metadata"], json!({"name": "shop"}));
}

#[test]
fn a_recreate_strategy_stays_without_rolling_update() {
    let strategy = json!({"type": "Recreate"});
    let deployment =
        defaulted(json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"strategy": strategy}}));
    assert_eq!(deployment["spec"]["strategy"], strategy);
}

#[test]
fn images_are_pulled_always_only_for_the_latest() {
    for (image, policy) in [
        ("redis", "Always"),
        ("redis:latest", "Always"),
        ("localhost:5000/redis", "Always"),
        ("redis:8", "IfNotPresent"),
        ("localhost:5000/redis:8", "IfNotPresent"),
        ("redis@sha256:00", "IfNotPresent"),
    ] {
        let pod =
            defaulted(json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": image}]}}));
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], policy, "{image}");
    }
}

#[test]
fn a_pod_asks_for_its_limits() {
    let resources = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1m"}});
    let pod = defaulted(
        json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"resources": resources}]}}),
    );
    assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"], json!({"cpu": "1m", "memory": "1Gi"}));
}

#[test]
fn amounts_written_as_numbers_become_text() {
    let limits = json!({"cpu": 0.05, "memory": 1000.0, "example.com/slots": 3});
    let pod = defaulted(
        json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"resources": {"limits": limits}}]}}),
    );
    let expected = json!({"cpu": "50m", "memory": "1000", "example.com/slots": "3"});
    assert_eq!(pod["spec"]["containers"][0]["resources"]["limits"], expected);
}

#[test]
fn a_service_port_leads_to_the_same_port() {
    let service = defaulted(json!({"apiVersion": "v1", "kind": "Service", "spec": {
        "type": "LoadBalancer", "ports": [{"port": 80}, {"port": 81, "targetPort": "web", "protocol": "UDP"}],
    }}));
    let spec = &service["spec"];
    assert_eq!(spec["ports"][0], json!({"port": 80, "targetPort": 80, "protocol": "TCP"}));
    assert_eq!(spec["ports"][1], json!({"port": 81, "targetPort": "web", "protocol": "UDP"}));
    assert_eq!(
        (&spec["externalTrafficPolicy"], &spec["sessionAffinity"]),
        (&json!("Cluster"), &json!("None"))
    );
}

#[test]
fn string_data_of_a_secret_becomes_data_and_wins() {
    let secret = defaulted(json!({"apiVersion": "v1", "kind": "Secret",
        "data": {"a": "b2xk", "b": "Yg=="}, "stringData": {"a": "new"}}));
    assert_eq!(secret["data"], json!({"a": "bmV3", "b": "Yg=="}));
    assert_eq!((secret.get("stringData"), &secret["type"]), (None, &json!("Opaque")));
}

/// Any JSON, with field names that the defaults look at.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop::sample::select(vec!["", "latest", "ClientIP", "LoadBalancer", "a:b", "ä"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        let name = prop::sample::select(vec![
            "spec",
            "template",
            "containers",
            "ports",
            "volumes",
            "configMap",
            "strategy",
            "type",
            "env",
            "valueFrom",
            "fieldRef",
            "resources",
            "limits",
            "cpu",
            "image",
            "livenessProbe",
            "httpGet",
            "metadata",
            "stringData",
            "projected",
            "sources",
            "sessionAffinity",
            "name",
            "port",
            "hostNetwork",
            "data",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.prop_map(str::to_owned), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn defaulting_is_idempotent_and_never_panics(kind in prop::sample::select(Kind::ALL.to_vec()), spec in any_json(), rest in any_json()) {
        let mut object = json!({});
        if let Value::Object(rest) = rest {
            object = Value::Object(rest);
        }
        object["spec"] = spec;
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.info().kind.into();
        defaulted(object);
    }
}
