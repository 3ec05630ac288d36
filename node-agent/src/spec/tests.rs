//! What a pod's words become.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::Pod;
use oci_spec::runtime::Capability;
use proptest::prelude::*;
use runtime::protocol::Seccomp;
use serde_json::{Value, json};

use super::user::Accounts;
use super::*;
use crate::assignment::Assignment;

fn facts() -> Facts {
    Facts {
        pod_ip: Some([10, 0, 0, 7].into()),
        host_ip: [192, 168, 0, 1].into(),
        node_name: "node-1".into(),
        node_cpu_milli: 4000,
        node_memory_bytes: 8 << 30,
    }
}

fn image() -> ImageConfig {
    ImageConfig {
        entrypoint: vec!["/bin/app".into()],
        cmd: vec!["--default".into()],
        env: vec!["PATH=/bin".into(), "FROM=image".into()],
        ..ImageConfig::default()
    }
}

fn references() -> References {
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "shop" },
        "data": { "COLOUR": "green" } });
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "db" },
        "data": { "password": "aHVzaA==" } });
    let wire = proto::Assignment {
        pod:
            json!({ "metadata": { "name": "a", "namespace": "b", "uid": "c" }, "spec": { "containers": [] } })
                .to_string()
                .into(),
        references: vec![map.to_string().into(), secret.to_string().into()],
    };
    Assignment::decode(&wire).expect("an assignment").references
}

fn pod(container: Value, more: Value) -> Pod {
    let mut spec = json!({ "containers": [container] });
    spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let pod = json!({ "metadata": { "name": "shop-1", "namespace": "default", "uid": "u", "labels": { "app": "shop" } },
        "spec": spec });
    serde_json::from_value(pod).expect("a pod")
}

fn built(container: Value, more: Value) -> Result<Built, SpecError> {
    let pod = pod(container, more);
    let container = pod.spec.as_ref().expect("a spec").containers[0].clone();
    let accounts = Accounts { passwd: "app:x:1000:1001::/:/bin/sh\n".into(), group: "staff:x:50:\n".into() };
    build(Inputs {
        pod: &pod,
        container: &container,
        references: &references(),
        image: &image(),
        accounts: &accounts,
        facts: &facts(),
        mounts: Vec::new(),
    })
}

fn args(container: Value) -> Vec<String> {
    let built = built(container, json!({})).expect("a spec");
    built.spec.process().as_ref().and_then(|process| process.args().clone()).expect("args")
}

fn env_of(container: Value) -> Result<Vec<String>, SpecError> {
    let built = built(container, json!({}))?;
    Ok(built.spec.process().as_ref().and_then(|process| process.env().clone()).expect("an environment"))
}

fn granted(built: &Built) -> HashSet<Capability> {
    let process = built.spec.process().as_ref().expect("a process");
    process.capabilities().as_ref().and_then(|sets| sets.bounding().clone()).expect("capabilities")
}

#[test]
fn a_command_sets_aside_entrypoint_and_cmd() {
    assert_eq!(args(json!({ "name": "app" })), ["/bin/app", "--default"]);
    assert_eq!(args(json!({ "name": "app", "args": ["x"] })), ["/bin/app", "x"]);
    assert_eq!(args(json!({ "name": "app", "command": ["/sh"] })), ["/sh"]);
    assert_eq!(args(json!({ "name": "app", "command": ["/sh"], "args": ["x"] })), ["/sh", "x"]);
}

#[test]
fn variables_are_expanded_in_commands_and_in_later_variables() {
    let container = json!({ "name": "app", "args": ["$(TO)", "$(UNKNOWN)", "$$(TO)"],
        "env": [{ "name": "WHO", "value": "you" }, { "name": "TO", "value": "to $(WHO)" }] });
    assert_eq!(args(container), ["/bin/app", "to you", "$(UNKNOWN)", "$(TO)"]);
}

#[test]
fn the_environment_comes_from_everywhere_and_the_pod_wins() {
    let env = env_of(json!({ "name": "app",
        "envFrom": [{ "prefix": "SHOP_", "configMapRef": { "name": "shop" } }],
        "env": [
            { "name": "FROM", "value": "pod" },
            { "name": "PASSWORD", "valueFrom": { "secretKeyRef": { "name": "db", "key": "password" } } },
            { "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
            { "name": "APP", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['app']" } } },
            { "name": "CPUS", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu" } } },
            { "name": "MAYBE", "valueFrom": { "secretKeyRef": { "name": "no", "key": "no", "optional": true } } },
        ] }));
    let expected =
        ["APP=shop", "CPUS=4", "FROM=pod", "IP=10.0.0.7", "PASSWORD=hush", "PATH=/bin", "SHOP_COLOUR=green"];
    assert_eq!(env.expect("an environment"), expected);
}

#[test]
fn what_is_missing_is_named() {
    let error = |source: Value| {
        let container = json!({ "name": "app", "env": [{ "name": "X", "valueFrom": source }] });
        env_of(container).expect_err("it is missing").to_string()
    };
    let of_map = |name: &str, key: &str| error(json!({ "configMapKeyRef": { "name": name, "key": key } }));
    assert_eq!(of_map("nope", "k"), "configmap \"nope\" not found");
    assert_eq!(of_map("shop", "k"), "couldn't find key k in configmap \"shop\"");
}

#[test]
fn limits_are_hard_and_requests_are_shares() {
    let resources = json!({ "limits": { "cpu": "500m", "memory": "64Mi" }, "requests": { "cpu": "250m" } });
    let built = built(json!({ "name": "app", "resources": resources }), json!({})).expect("a spec");
    let resources =
        built.spec.linux().as_ref().and_then(|linux| linux.resources().clone()).expect("resources");
    let cpu = resources.cpu().as_ref().expect("cpu");
    assert_eq!((cpu.quota(), cpu.period(), cpu.shares()), (Some(50_000), Some(100_000), Some(256)));
    assert_eq!(resources.memory().as_ref().and_then(|memory| memory.limit()), Some(64 << 20));
    assert_eq!(resources.pids().as_ref().map(|pids| pids.limit()), Some(resources::PIDS_MAX));
}

#[test]
fn a_pod_that_says_nothing_is_confined() {
    let built = built(json!({ "name": "app" }), json!({})).expect("a spec");
    assert_eq!(built.seccomp, Seccomp::Default);
    assert_eq!(granted(&built), runtime::defaults::capabilities());
}

#[test]
fn capabilities_are_dropped_and_added() {
    let context = json!({ "capabilities": { "drop": ["all"], "add": ["NET_BIND_SERVICE", "CAP_SYS_TIME"] },
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true });
    let built = built(json!({ "name": "app", "securityContext": context }), json!({})).expect("a spec");
    assert_eq!(granted(&built), HashSet::from([Capability::NetBindService, Capability::SysTime]));
    let process = built.spec.process().as_ref().expect("a process");
    assert_eq!(process.no_new_privileges(), Some(true));
    assert_eq!(built.spec.root().as_ref().and_then(|root| root.readonly()), Some(true));
}

#[test]
fn a_capability_that_does_not_exist_is_refused() {
    let context = json!({ "capabilities": { "add": ["FLY"] } });
    let refused = built(json!({ "name": "app", "securityContext": context }), json!({}));
    assert!(matches!(refused, Err(SpecError::Security(_))));
}

#[test]
fn a_privileged_container_is_not_filtered() {
    let built = built(json!({ "name": "app", "securityContext": { "privileged": true } }), json!({}))
        .expect("a spec");
    assert_eq!(built.seccomp, Seccomp::Spec);
    assert!(granted(&built).contains(&Capability::SysAdmin));
    assert_eq!(built.spec.linux().as_ref().and_then(|linux| linux.masked_paths().clone()), None);
}

#[test]
fn the_containers_user_wins_over_the_pods_and_root_is_refused_where_it_must_not_be() {
    let uid = |container: Value, pod: Value| {
        let container = json!({ "name": "app", "securityContext": container });
        let built = built(container, json!({ "securityContext": pod }))?;
        Ok::<_, SpecError>(built.spec.process().as_ref().expect("a process").user().uid())
    };
    assert_eq!(uid(json!({ "runAsUser": 5 }), json!({ "runAsUser": 6 })), Ok(5));
    assert_eq!(uid(json!({}), json!({ "runAsUser": 6 })), Ok(6));
    assert_eq!(uid(json!({}), json!({ "runAsNonRoot": true })), Err(SpecError::User(user::UserError::Root)));
}

#[test]
fn an_images_named_user_is_looked_up() {
    let pod = pod(json!({ "name": "app" }), json!({}));
    let container = &pod.spec.as_ref().expect("a spec").containers[0];
    let accounts = Accounts { passwd: "app:x:1000:1001::/:/bin/sh\n".into(), group: "staff:x:50:\n".into() };
    let named = |name: &str| {
        let image = ImageConfig { user: name.into(), ..image() };
        user::user(&pod, container, &image, &accounts).map(|user| (user.uid(), user.gid()))
    };
    assert_eq!(named("app"), Ok((1000, 1001)));
    assert_eq!(named("app:staff"), Ok((1000, 50)));
    assert_eq!(named("7"), Ok((7, 0)));
    assert!(named("nobody").is_err());
}

#[test]
fn hosts_and_resolver_say_who_and_where_the_pod_is() {
    let more = json!({ "hostname": "db-0", "subdomain": "db",
        "hostAliases": [{ "ip": "1.2.3.4", "hostnames": ["old", "older"] }],
        "dnsConfig": { "options": [{ "name": "ndots", "value": "2" }] } });
    let pod = pod(json!({ "name": "app" }), more);
    let hosts = files::hosts(&pod, Some([10, 0, 0, 7].into()), "cluster.local");
    assert!(hosts.contains("10.0.0.7\tdb-0.db.default.svc.cluster.local\tdb-0\n"));
    assert!(hosts.contains("1.2.3.4\told\tolder\n"));
    let resolver = files::resolv_conf(&pod, "nameserver 10.9.0.10\n", "nameserver 8.8.8.8\n");
    assert_eq!(resolver, "nameserver 10.9.0.10\noptions ndots:2\n");
}

proptest! {
    #[test]
    fn expansion_never_panics_and_text_without_dollars_stays(text in ".{0,64}") {
        let variables = [("A".to_owned(), "b".to_owned())];
        let expanded = env::expand(&text, &variables);
        if !text.contains('$') {
            prop_assert_eq!(expanded, text);
        }
    }
}
