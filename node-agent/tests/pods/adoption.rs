//! An agent that is killed costs nobody anything.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::PodStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime::client::Client;
use serde_json::{Value, json};

use super::lifecycle::pid_of;
use super::world::{World, app, first, world};

pub(crate) fn the_next_agent_adopts_everything() {
    let world = world();
    let kept = world.assign("kept", json!({ "containers": [app(&["serve", "8080"])] }));
    let dies = world.assign("dies", json!({ "containers": [app(&["serve", "8080"])] }));
    let before = world.wait_ready(&kept);
    world.wait_ready(&dies);
    let (kept_pid, dying_pid) = (pid_of(world, &kept), pid_of(world, &dies));
    world.kill_agent();
    kill(Pid::from_raw(dying_pid), Signal::SIGKILL).expect("it runs without its agent");
    world.start_agent();
    let after = world.wait_ready(&kept);
    assert_eq!(first(&after).restart_count, 0);
    assert_eq!(pid_of(world, &kept), kept_pid, "the same process");
    assert_eq!(after.pod_ip, before.pod_ip);
    assert_eq!(ready_since(&after), ready_since(&before), "an agent's restart changes no condition");
    let died = world.wait_status(&dies, "a restart", |status| first(status).restart_count == 1);
    let exit = first(&died).last_state.as_ref().and_then(|state| state.terminated.as_ref());
    assert_eq!(exit.map(|exit| exit.exit_code), Some(137), "no exit code is lost");
    let new = world.assign("new", json!({ "containers": [app(&["sleep"])] }));
    let new_ip = world.wait_ready(&new).pod_ip;
    assert_ne!(new_ip, after.pod_ip, "an address that is taken is not given again");
    for uid in [kept, dies, new] {
        world.remove(&uid);
        assert!(!checkpoint(world, &uid).try_exists().expect("a look"), "an ended pod leaves no checkpoint");
    }
}

pub(crate) fn unwritten_run() {
    let world = world();
    let spec = json!({ "restartPolicy": "Never", "containers": [app(&["sleep"])] });
    let uid = world.assign("unwritten", spec);
    world.wait_ready(&uid);
    let pid = pid_of(world, &uid);
    world.kill_agent();
    forget_state(&checkpoint(world, &uid));
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs without its agent");
    world.start_agent();
    let status = world.wait_status(&uid, "its end", |status| status.phase.as_deref() == Some("Failed"));
    let exit = first(&status).state.as_ref().and_then(|state| state.terminated.as_ref());
    assert_eq!(exit.map(|exit| exit.exit_code), Some(137));
    assert_eq!(first(&status).restart_count, 0);
    world.remove(&uid);
}

pub(crate) fn unwritten_pod() {
    let world = world();
    let uid = world.assign("assigned", json!({ "containers": [app(&["serve", "8080"])] }));
    world.wait_ready(&uid);
    world.kill_agent();
    let folder = checkpoint(world, &uid);
    forget_state(&folder);
    edit(&folder.join("assignment.json"), |saved| {
        saved["pod"]["metadata"]["deletionTimestamp"] = json!("2030-01-01T00:00:00Z");
        saved["pod"]["metadata"]["deletionGracePeriodSeconds"] = json!(0);
    });
    world.start_agent();
    world.wait("the pod to be gone", |said| said.gone.contains(&uid));
    let listing = Client::connect(&world.config.launcher_socket).and_then(|mut client| client.list());
    let listing = listing.expect("a listing");
    assert!(listing.sandboxes.iter().all(|sandbox| sandbox.id != uid));
    assert!(listing.containers.iter().all(|container| container.sandbox != uid));
}

fn ready_since(status: &PodStatus) -> Option<Time> {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == "Ready")?.last_transition_time.clone()
}

fn checkpoint(world: &World, uid: &str) -> PathBuf {
    world.config.run_dir.join("memory/pods").join(uid)
}

/// As if the agent had been killed before it wrote down what it did; it may have been.
fn forget_state(folder: &Path) {
    let removed = std::fs::remove_file(folder.join("state.json"));
    assert!(removed.is_ok() || !folder.join("state.json").try_exists().expect("a look"), "{removed:?}");
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let bytes = std::fs::read(path).expect("a checkpoint");
    let mut value: Value = serde_json::from_slice(&bytes).expect("JSON");
    change(&mut value);
    std::fs::write(path, value.to_string()).expect("writable");
}
