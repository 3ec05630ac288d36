use serde_json::json;

use super::*;

fn described(value: serde_json::Value) -> String {
    let object = Object::from_value(value).unwrap();
    describe(&object, &Around::default()).render().join("\n")
}

#[test]
fn a_pod_is_told_with_its_containers_and_why_they_ended() {
    let text = described(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "payment", "namespace": "shop", "labels": {"app": "payment", "tier": "back"}},
        "spec": {"nodeName": "node-1", "containers": [{
            "name": "payment", "image": "payment:1", "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "readinessProbe": {"httpGet": {"port": 80, "path": "/ok", "scheme": "HTTP"}, "timeoutSeconds": 1,
                "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
            "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api"}}}],
            "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": true}],
        }]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{
            "name": "payment", "ready": true, "restartCount": 2, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
        }]},
    }));
    for expected in [
        "Name:            payment",
        "Labels:          app=payment",
        "                 tier=back",
        "    State:          Running",
        "      Reason:     OOMKilled",
        "      Exit Code:  137",
        "    Restart Count:  2",
        "    Readiness:      http-get http://:80/ok delay=0s timeout=1s period=10s #success=1 #failure=3",
        "      KEY:  <set to the key 'api' of secret 'keys'>",
        "    Mounts:         /data from data (ro)",
        "Events:          <none>",
    ] {
        assert!(text.lines().any(|line| line.starts_with(expected)), "{expected:?} is not in\n{text}");
    }
}

#[test]
fn a_secret_is_told_by_its_keys_only() {
    let text = described(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "data": {"api": "aHVudGVyMg=="},
    }));
    assert!(text.contains("api:  7 bytes") && !text.contains("aHVudGVyMg"), "{text}");
}

#[test]
fn anything_else_is_told_field_by_field() {
    let text = described(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "front"},
        "spec": {"rules": [{"host": "shop.local", "http": {"paths": [{"path": "/", "pathType": "Prefix"}]}}]},
    }));
    for expected in ["spec:", "  rules:", "    host:  shop.local", "        pathType:  Prefix"] {
        assert!(text.lines().any(|line| line.starts_with(expected)), "{expected:?} is not in\n{text}");
    }
}

#[test]
fn an_event_cannot_write_to_the_terminal() {
    let event =
        Object::from_value(json!({"type": "Warning", "reason": "R", "message": "a\u{1b}[2Jb\nc"})).unwrap();
    let mut page = Page::default();
    describe_events(&[event], &mut page);
    assert!(page.render().iter().all(|line| !line.contains(char::is_control)));
}
