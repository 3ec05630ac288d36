//! Pods from their assignment to their end.

use std::time::Instant;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, PodStatus};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime::client::Client;
use runtime::protocol::ContainerState;
use serde_json::{Value, json};

use super::world::{World, add_image, app, exec, first, is_ready, pod, waiting_reason, with, world};

/// A restart that takes longer is not one that users do not notice; the median must be far below.
const RESTART_MEDIAN_MAX_MS: u128 = 100;
const KILLS: u32 = 7;

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a test measures")]
    Instant::now()
}

/// The host's id of a container's first process.
pub(crate) fn pid_of(world: &World, uid: &str) -> i32 {
    let listing = Client::connect(&world.config.launcher_socket).and_then(|mut client| client.list());
    let containers = listing.expect("a listing").containers.into_iter();
    containers
        .filter(|container| container.sandbox == uid)
        .find_map(|container| match container.state {
            ContainerState::Running(started) => Some(started.pid),
            ContainerState::Starting | ContainerState::Exited(_) | ContainerState::Failed(_) => None,
        })
        .expect("it runs")
}

fn terminated(status: &PodStatus) -> Option<&ContainerStateTerminated> {
    first(status).state.as_ref()?.terminated.as_ref()
}

pub(crate) fn a_pod_runs_and_is_ready() {
    let world = world();
    let begun = now();
    let probe = json!({ "tcpSocket": { "port": 8080 } });
    let container = with(app(&["serve", "8080"]), json!({ "readinessProbe": probe }));
    let uid = world.assign("plain", json!({ "containers": [container] }));
    let status = world.wait_ready(&uid);
    println!("  assigned to ready: {:?}", begun.elapsed());
    let ip = status.pod_ip.expect("an address");
    assert!(ip.starts_with("10.211.7."), "{ip}");
    let answered = world.block_on(tokio::net::TcpStream::connect((ip.as_str(), 8080)));
    drop(answered.expect("the pod answers at its address"));
    world.remove(&uid);
    let listing = Client::connect(&world.config.launcher_socket).and_then(|mut client| client.list());
    assert!(listing.expect("a listing").sandboxes.iter().all(|sandbox| sandbox.id != uid));
}

pub(crate) fn a_killed_container_restarts() {
    let world = world();
    let probe = json!({ "httpGet": { "port": 8080, "path": "/" }, "periodSeconds": 10 });
    let container = with(app(&["serve", "8080"]), json!({ "readinessProbe": probe }));
    let uid = world.assign("killed", json!({ "containers": [container] }));
    let ip = world.wait_ready(&uid).pod_ip;
    let mut took = Vec::new();
    for restart in 1..=KILLS {
        // Whoever kills faster than this is a fault of the machine; the status knows only whole seconds.
        let started =
            first(&world.wait_ready(&uid)).state.clone().and_then(|state| state.running?.started_at);
        let old_enough = started.expect("it runs").0 + jiff::SignedDuration::from_millis(1200);
        world.block_on(async {
            let left = old_enough.duration_since(node_agent::clock::now());
            tokio::time::sleep(std::time::Duration::try_from(left).unwrap_or_default()).await;
        });
        let pid = pid_of(world, &uid);
        let begun = now();
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
        let restarts = i32::try_from(restart).expect("few");
        let status = world.wait_status(&uid, "a restart", |status| {
            is_ready(status) && first(status).restart_count == restarts
        });
        took.push(begun.elapsed().as_millis());
        assert_eq!(status.pod_ip, ip, "the same sandbox");
    }
    took.sort_unstable();
    println!("  killed to ready, ms: {took:?}");
    assert!(took[took.len() / 2] <= RESTART_MEDIAN_MAX_MS, "{took:?}");
    world.remove(&uid);
}

pub(crate) fn a_crash_loop_backs_off() {
    let world = world();
    let uid = world.assign("crash", json!({ "containers": [app(&["exit", "3"])] }));
    let status = world.wait_status(&uid, "CrashLoopBackOff", |status| {
        waiting_reason(status) == Some("CrashLoopBackOff") && first(status).restart_count >= 2
    });
    let last = first(&status).last_state.as_ref().and_then(|state| state.terminated.as_ref());
    assert_eq!(last.map(|last| last.exit_code), Some(3));
    world.wait("BackOff", |said| said.events.iter().any(|event| event.reason == "BackOff"));
    world.remove(&uid);
}

pub(crate) fn a_missing_command() {
    let world = world();
    let container = with(app(&[]), json!({ "command": ["/no/such/program"] }));
    let uid = world.assign("missing", json!({ "restartPolicy": "Never", "containers": [container] }));
    let status = world.wait_status(&uid, "a failed pod", |status| status.phase.as_deref() == Some("Failed"));
    let exit = terminated(&status).expect("it ended");
    assert_eq!((exit.exit_code, exit.reason.as_deref()), (128, Some("StartError")));
    assert!(exit.message.as_ref().is_some_and(|message| message.contains("/no/such/program")), "{exit:?}");
    world.remove(&uid);
}

pub(crate) fn an_absent_image() {
    let world = world();
    let container = with(app(&["sleep"]), json!({ "image": "agent-test:later" }));
    let uid = world.assign("later", json!({ "containers": [container] }));
    world.wait_status(&uid, "ErrImagePull", |status| waiting_reason(status) == Some("ErrImagePull"));
    let status = world
        .wait_status(&uid, "ImagePullBackOff", |status| waiting_reason(status) == Some("ImagePullBackOff"));
    let message = first(&status).state.as_ref().and_then(|state| state.waiting.as_ref()?.message.clone());
    assert!(
        message.as_ref().is_some_and(|message| message.contains("minikube-ish image load")),
        "{message:?}"
    );
    let store = runtime::image::Store::open(&world.config.image_store).expect("the store");
    add_image(&store, "agent-test:later");
    world.wait_ready(&uid);
    world.remove(&uid);
}

pub(crate) fn a_pod_waits_for_its_config_map() {
    let world = world();
    let variable = json!([{ "name": "COLOUR",
        "valueFrom": { "configMapKeyRef": { "name": "paint", "key": "colour" } } }]);
    let spec = json!({ "containers": [with(app(&["env", "COLOUR"]), json!({ "env": variable }))] });
    let uid = world.assign("paint", spec.clone());
    world.wait_status(&uid, "CreateContainerConfigError", |status| {
        waiting_reason(status) == Some("CreateContainerConfigError")
    });
    world.assign_with(pod("paint", spec), &[config_map("paint", "colour", "green")]);
    world.wait_ready(&uid);
    wait_log(world, "paint", "green");
    world.remove(&uid);
}

pub(crate) fn volumes() {
    let world = world();
    let spec = json!({
        "containers": [with(app(&["show", "/config/deep/colour"]), json!({
            "volumeMounts": [
                { "name": "config", "mountPath": "/config" },
                { "name": "secret", "mountPath": "/secret", "readOnly": true },
                { "name": "scratch", "mountPath": "/scratch" },
                { "name": "fast", "mountPath": "/fast", "subPath": "inner/place" },
                { "name": "about", "mountPath": "/about" },
            ],
        }))],
        "volumes": [
            { "name": "config", "configMap": { "name": "paint", "items": [{ "key": "colour", "path": "deep/colour" }] } },
            { "name": "secret", "secret": { "secretName": "key", "defaultMode": 0o400 } },
            { "name": "scratch", "emptyDir": {} },
            { "name": "fast", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } },
            { "name": "about", "downwardAPI": { "items": [
                { "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
        ],
    });
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "key", "namespace": "default" },
        "data": { "password": "aHVzaA==" } });
    let uid = world
        .assign_with(pod("volumes", spec.clone()), &[config_map("paint", "colour", "green"), secret.clone()]);
    world.wait_ready(&uid);
    wait_log(world, "volumes", "green");
    let root = format!("/proc/{}/root", pid_of(world, &uid));
    let read = |path: &str| std::fs::read_to_string(format!("{root}{path}"));
    assert_eq!(read("/secret/password").expect("a secret"), "hush");
    assert!(read("/about/labels").expect("labels").contains("app=\"volumes\""));
    assert!(read("/etc/hosts").expect("hosts").contains("volumes"));
    assert!(read("/etc/resolv.conf").expect("resolver").contains("default.svc.cluster.local"));
    std::fs::write(format!("{root}/scratch/file"), "x").expect("emptyDir is writable");
    std::fs::write(format!("{root}/fast/file"), vec![0; 2 << 20]).expect_err("it is limited to 1 MiB");
    world.assign_with(pod("volumes", spec), &[config_map("paint", "colour", "blue"), secret]);
    let changed = std::path::Path::new(&root).join("config/deep/colour");
    wait_until("the new colour", || std::fs::read_to_string(&changed).is_ok_and(|text| text == "blue"));
    assert_eq!(first(&world.wait_ready(&uid)).restart_count, 0);
    world.remove(&uid);
    assert!(!world.config.state_dir.join("pods").join(&uid).try_exists().expect("a look"));
}

pub(crate) fn probes() {
    let world = world();
    let readiness =
        with(exec(&["exists", "/tmp/ready"]), json!({ "periodSeconds": 1, "failureThreshold": 1 }));
    let liveness =
        with(exec(&["exists", "/tmp/alive"]), json!({ "periodSeconds": 1, "failureThreshold": 1 }));
    let container = with(
        app(&["sleep"]),
        json!({
            "readinessProbe": readiness, "livenessProbe": liveness,
            "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
            "lifecycle": { "postStart": exec(&["touch", "/tmp/alive"]) },
        }),
    );
    let spec = json!({ "terminationGracePeriodSeconds": 1, "containers": [container],
        "volumes": [{ "name": "tmp", "emptyDir": {} }] });
    let uid = world.assign("probes", spec);
    world.wait_status(&uid, "a pod that runs and is not ready", |status| {
        status.phase.as_deref() == Some("Running") && !is_ready(status)
    });
    let file = |name: &str| world.config.state_dir.join("pods").join(&uid).join("volumes/tmp").join(name);
    std::fs::write(file("ready"), "").expect("a file");
    world.wait_ready(&uid);
    std::fs::remove_file(file("ready")).expect("a file");
    world.wait_status(&uid, "a pod that is not ready", |status| !is_ready(status));
    std::fs::remove_file(file("alive")).expect("a file");
    world.wait_status(&uid, "a restart", |status| first(status).restart_count == 1);
    world.wait("Unhealthy", |said| said.events.iter().any(|event| event.reason == "Unhealthy"));
    world.remove(&uid);
}

pub(crate) fn init_containers() {
    let world = world();
    let mounts = json!({ "volumeMounts": [{ "name": "work", "mountPath": "/work" }] });
    let init = with(with(app(&["touch", "/work/done"]), json!({ "name": "init" })), mounts.clone());
    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [init],
        "containers": [with(app(&["exists", "/work/done"]), mounts)],
        "volumes": [{ "name": "work", "emptyDir": {} }],
    });
    let uid = world.assign("init", spec);
    world.wait_status(&uid, "success", |status| status.phase.as_deref() == Some("Succeeded"));
    world.remove(&uid);
}

pub(crate) fn ignores_sigterm() {
    let world = world();
    let spec = json!({ "containers": [app(&["deaf"])] });
    let uid = world.assign("deaf", spec.clone());
    world.wait_ready(&uid);
    let begun = now();
    let mut deleted = pod("deaf", spec);
    deleted["metadata"]["deletionTimestamp"] = json!("2030-01-01T00:00:00Z");
    deleted["metadata"]["deletionGracePeriodSeconds"] = json!(1);
    world.assign_with(deleted, &[]);
    world.wait("the pod to be gone", |said| said.gone.contains(&uid));
    assert!(begun.elapsed().as_millis() >= 1000, "it had its grace");
}

pub(crate) fn out_of_memory() {
    let world = world();
    let container = with(app(&["hog"]), json!({ "resources": { "limits": { "memory": "32Mi" } } }));
    let uid = world.assign("hog", json!({ "restartPolicy": "Never", "containers": [container] }));
    let status = world.wait_status(&uid, "its end", |status| status.phase.as_deref() == Some("Failed"));
    let exit = terminated(&status).expect("it ended");
    assert_eq!((exit.exit_code, exit.reason.as_deref()), (137, Some("OOMKilled")));
    world.remove(&uid);
}

pub(crate) fn read_only_files() {
    let world = world();
    let uid = world.assign("writes", json!({ "containers": [app(&["sleep"])] }));
    world.wait_ready(&uid);
    let root = format!("/proc/{}/root", pid_of(world, &uid));
    for file in ["hosts", "hostname", "resolv.conf"] {
        let refused = std::fs::write(format!("{root}/etc/{file}"), "x").expect_err(file);
        assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{file}");
    }
    world.remove(&uid);
}

pub(crate) fn private_folders() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world();
    for folder in ["pods", "logs"] {
        let metadata = std::fs::metadata(world.config.state_dir.join(folder)).expect("made at the start");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o700, "{folder}");
    }
}

pub(crate) fn skipped_probe() {
    let world = world();
    let container = with(app(&["sleep"]), json!({ "readinessProbe": { "grpc": { "port": 1 } } }));
    let uid = world.assign("skipped", json!({ "containers": [container] }));
    world.wait_ready(&uid);
    world.wait("ProbeSkipped", |said| said.events.iter().any(|event| event.reason == "ProbeSkipped"));
    world.remove(&uid);
}

pub(crate) fn forgotten() {
    let world = world();
    let uid = world.assign("forgotten", json!({ "containers": [app(&["deaf"])] }));
    world.wait_ready(&uid);
    let begun = now();
    world.remove(&uid);
    println!("  forgotten to gone: {:?}", begun.elapsed());
    assert!(begun.elapsed().as_secs() < 5);
}

fn config_map(name: &str, key: &str, value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "default" },
        "data": { key: value } })
}

fn wait_log(world: &World, name: &str, line: &str) {
    wait_until(line, || world.log(name, "app", 0).iter().any(|found| found == line));
}

/// For what nobody reports: a file that another process writes.
pub(crate) fn wait_until(what: &str, mut expected: impl FnMut() -> bool) {
    let deadline = now() + super::world::PATIENCE;
    while !expected() {
        assert!(now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}
