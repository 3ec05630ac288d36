use serde_json::{Value, json};

use super::*;

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "payment", "namespace": "default"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "payment"}},
            "template": {
                "metadata": {"labels": {"app": "payment"}},
                "spec": {"containers": [{"name": "payment", "image": "payment:1"}]},
            },
        },
    })
}

fn pod(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
}

/// What is wrong, once defaults are set, as `path: message` lines.
fn errors(value: Value) -> Vec<String> {
    let mut object = Object::from_value(value).unwrap();
    crate::default::set_defaults(&mut object);
    check(&object).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_error(value: Value, expected: &str) {
    let errors = errors(value);
    assert!(errors.iter().any(|error| error.contains(expected)), "{expected:?} is not among {errors:#?}");
}

#[test]
fn a_plain_deployment_is_right() {
    assert_eq!(errors(deployment()), [""; 0]);
}

#[test]
fn every_mistake_is_told_at_once() {
    let mut value = deployment();
    value["spec"]["replicas"] = json!(-1);
    value["spec"]["replicaz"] = json!(3);
    value["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = json!("always");
    value["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": 5}]);
    value["metadata"]["name"] = json!("Payment");
    let errors = errors(value);
    assert_eq!(errors.len(), 5, "{errors:#?}");
    for expected in [
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        "spec.replicaz: Unknown field: did you mean \"replicas\"?",
        "imagePullPolicy: Unsupported value: \"always\": did you mean \"Always\"?",
        "env[0].value: Invalid value: 5: must be a string, this is a number; write it in quotes",
        "metadata.name: Invalid value: \"Payment\"",
    ] {
        assert!(errors.iter().any(|error| error.contains(expected)), "{expected:?} is not among {errors:#?}");
    }
}

#[test]
fn a_selector_must_select_the_template() {
    let mut value = deployment();
    value["spec"]["template"]["metadata"]["labels"] = json!({"app": "inventory"});
    assert_error(value, "spec.template.metadata.labels: Invalid value");
    let mut value = deployment();
    value["spec"]["selector"] = json!({});
    assert_error(value, "spec.selector: Invalid value: {}: must not be empty");
}

#[test]
fn what_is_missing_is_named() {
    let mut value = deployment();
    value["spec"].as_object_mut().unwrap().remove("selector");
    assert_error(value, "spec.selector: Required value");
    assert_error(pod(json!({"containers": []})), "spec.containers: Required value");
    assert_error(pod(json!({"containers": [{"image": "a"}]})), "spec.containers[0].name: Required value");
    assert_error(pod(json!({"containers": [{"name": "a"}]})), "spec.containers[0].image: Required value");
    assert_error(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}}), "metadata.name: Required value");
}

#[test]
fn a_kind_that_is_not_served_gets_the_nearest_one() {
    assert_error(json!({"apiVersion": "apps/v1", "kind": "Deploymnet"}), "did you mean \"Deployment\"?");
    assert_error(json!({"apiVersion": "v1", "kind": "Deployment"}), "apiVersion: Unsupported value: \"v1\"");
    assert_error(json!({}), "kind: Required value");
}

#[test]
fn containers_are_checked() {
    let container = |extra: Value| {
        let mut container = json!({"name": "a", "image": "a:1"});
        container.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        pod(json!({"containers": [container]}))
    };
    for (extra, expected) in [
        (json!({"name": "A"}), "name: Invalid value"),
        (json!({"image": " a"}), "image: Invalid value"),
        (
            json!({"ports": [{"containerPort": 70000}]}),
            "containerPort: Invalid value: 70000: must be between",
        ),
        (json!({"ports": [{"containerPort": 1, "protocol": "tcp"}]}), "did you mean \"TCP\"?"),
        (json!({"livenessProbe": {}}), "livenessProbe: Required value: must specify one of exec"),
        (
            json!({"livenessProbe": {"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}}),
            "tcpSocket: Forbidden",
        ),
        (json!({"livenessProbe": {"httpGet": {"port": 0}}}), "httpGet.port: Invalid value"),
        (json!({"volumeMounts": [{"name": "data", "mountPath": "/d"}]}), "no volume of this name"),
        (
            json!({"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]}),
            "valueFrom: Invalid",
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodename"}}}]}),
            "did you mean \"spec.nodeName\"?",
        ),
        (
            json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
            "requests.cpu: Invalid value",
        ),
        (
            json!({"resources": {"limits": {"memory": "64Mo"}}}),
            "limits.memory: Invalid value: \"64Mo\": must be a quantity",
        ),
        (json!({"restartPolicy": "Always"}), "restartPolicy: Forbidden"),
    ] {
        assert_error(container(extra), expected);
    }
}

#[test]
fn names_within_a_pod_are_unique() {
    let twice = json!([{"name": "a", "image": "a"}, {"name": "a", "image": "b"}]);
    assert_error(pod(json!({"containers": twice})), "spec.containers[1].name: Duplicate value: \"a\"");
    let volumes =
        json!({"containers": [{"name": "a", "image": "a"}], "volumes": [{"name": "v"}, {"name": "v"}]});
    assert_error(pod(volumes), "spec.volumes[1].name: Duplicate value: \"v\"");
}

#[test]
fn volumes_have_one_source_that_says_what_it_needs() {
    let with = |volume: Value| pod(json!({"containers": [{"name": "a", "image": "a"}], "volumes": [volume]}));
    assert_error(with(json!({"name": "v", "secret": {}})), "secret.secretName: Required value");
    assert_error(with(json!({"name": "v", "hostPath": {"path": "/a/../b"}})), "hostPath.path: Invalid value");
    assert_error(
        with(json!({"name": "v", "emptyDir": {}, "hostPath": {"path": "/a"}})),
        "Forbidden: may not be set beside",
    );
    assert_error(
        with(json!({"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "../k"}]}})),
        "must not contain '..'",
    );
}

#[test]
fn services_are_checked() {
    let service =
        |spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec});
    assert_eq!(errors(service(json!({"ports": [{"port": 80}]}))), [""; 0]);
    assert_eq!(errors(service(json!({"clusterIP": "None"}))), [""; 0]);
    assert_error(service(json!({})), "spec.ports: Required value");
    assert_error(
        service(json!({"ports": [{"port": 80}, {"port": 81}]})),
        "spec.ports[0].name: Required value",
    );
    assert_error(
        service(json!({"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]})),
        "spec.ports[1].port: Duplicate",
    );
    assert_error(
        service(json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 80}]})),
        "clusterIP: Invalid",
    );
    assert_error(service(json!({"ports": [{"port": 80, "nodePort": 30000}]})), "nodePort: Forbidden");
}

#[test]
fn ingresses_are_checked() {
    let ingress = |spec: Value| json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"}, "spec": spec});
    let rule = |backend: Value| json!({"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]});
    assert_eq!(errors(ingress(rule(json!({"service": {"name": "s", "port": {"number": 80}}})))), [""; 0]);
    assert_error(ingress(json!({})), "spec: Required value");
    assert_error(ingress(rule(json!({"service": {"name": "s"}}))), "backend.service.port: Required value");
    let no_type = json!({"rules": [{"host": "1.2.3.4", "http": {"paths": [{"path": "a", "backend": {}}]}}]});
    assert_error(ingress(no_type.clone()), "pathType: Required value");
    assert_error(ingress(no_type), "must be a DNS name");
}

#[test]
fn a_secret_is_never_quoted() {
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "hunter2!"}});
    let errors = errors(secret);
    assert_eq!(errors.len(), 1);
    assert!(!errors[0].contains("hunter2"), "{errors:?}");
}

#[test]
fn what_must_not_change_is_told() {
    let object = |value: Value| Object::from_value(value).unwrap();
    let mut changed = deployment();
    changed["spec"]["selector"]["matchLabels"]["app"] = json!("other");
    let errors = check_update(&object(deployment()), &object(changed));
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].path.to_string(), "spec.selector");

    let (old, mut image) = (
        pod(json!({"containers": [{"name": "a", "image": "a"}]})),
        pod(json!({"containers": [{"name": "a", "image": "b"}], "nodeName": "n"})),
    );
    assert_eq!(check_update(&object(old.clone()), &object(image.clone())), []);
    image["spec"]["containers"][0]["args"] = json!(["x"]);
    assert_eq!(check_update(&object(old), &object(image)).len(), 1);
}
