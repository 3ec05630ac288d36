//! An agent that is killed costs nobody anything.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::lifecycle::pid_of;
use super::world::{app, first, world};

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
    let died = world.wait_status(&dies, "a restart", |status| first(status).restart_count == 1);
    let exit = first(&died).last_state.as_ref().and_then(|state| state.terminated.as_ref());
    assert_eq!(exit.map(|exit| exit.exit_code), Some(137), "no exit code is lost");
    let new = world.assign("new", json!({ "containers": [app(&["sleep"])] }));
    let new_ip = world.wait_ready(&new).pod_ip;
    assert_ne!(new_ip, after.pod_ip, "an address that is taken is not given again");
    for uid in [kept, dies, new] {
        world.remove(&uid);
    }
}
