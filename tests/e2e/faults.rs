//! What dies, and what does not notice: agents, the control plane, nodes.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::cluster::{Cluster, PATIENCE, is_ready, may_run};
use super::{shop, wait};

fn kill_process(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the process is there");
}

/// Container ids and restart counts, by pod.
fn lives(pods: &[Value]) -> Vec<(String, String, i64)> {
    let mut lives: Vec<_> = pods
        .iter()
        .map(|pod| {
            let container = &pod["status"]["containerStatuses"][0];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let restarts = container["restartCount"].as_i64().unwrap_or(-1);
            (text(&pod["metadata"]["name"]), text(&container["containerID"]), restarts)
        })
        .collect();
    lives.sort();
    lives
}

#[test]
fn containers_outlive_their_agent_and_no_line_is_lost() {
    if !may_run("containers_outlive_their_agent_and_no_line_is_lost") {
        return;
    }
    let cluster = Cluster::up(1);
    shop::pack_tools(&cluster);
    let count = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.02; done";
    shop::apply(&cluster, &shop::deployment("counter", 3, count));
    let before = lives(&cluster.wait_ready("app=counter", 3));
    kill_process(cluster.pid("node-agent-node-1"));
    cluster.start(1);
    let after = lives(&cluster.wait_ready("app=counter", 3));
    assert_eq!(before, after, "a container was restarted or replaced");
    let lines = wait::until("lines from after the restart", PATIENCE, || {
        let lines = cluster.ok(&["logs", "deployment/counter"]);
        if lines.lines().count() > 100 { Ok(lines) } else { Err(lines) }
    });
    for (line, number) in lines.lines().zip(1..) {
        assert_eq!(line, format!("line {number}"));
    }
}

#[test]
fn an_exit_while_the_agent_is_away_is_not_lost() {
    if !may_run("an_exit_while_the_agent_is_away_is_not_lost") {
        return;
    }
    let cluster = Cluster::up(1);
    shop::pack_tools(&cluster);
    shop::apply(&cluster, &shop::pod("leaver", "sleep 1; echo bye; exit 7"));
    shop::wait_container(&cluster, "leaver", "running", |it| it["state"]["running"].as_object().map(|_| ()));
    kill_process(cluster.pid("node-agent-node-1"));
    // It ends in the agent's absence: the agent comes back only after that.
    wait::until("the container ends", PATIENCE, || {
        let output = std::process::Command::new("pgrep").args(["-f", "sleep 1; echo bye"]).output();
        let alive = output.is_ok_and(|output| output.status.success());
        if alive { Err("it lives".to_owned()) } else { Ok(()) }
    });
    cluster.start(1);
    let code = shop::wait_container(&cluster, "leaver", "terminated", |it| {
        it["state"]["terminated"]["exitCode"].as_i64()
    });
    assert_eq!(code, 7);
    assert_eq!(cluster.ok(&["logs", "leaver"]), "bye\n");
}

#[test]
fn no_acknowledged_write_is_lost_when_the_control_plane_is_killed() {
    if !may_run("no_acknowledged_write_is_lost_when_the_control_plane_is_killed") {
        return;
    }
    let cluster = Cluster::up(1);
    let pid = cluster.pid("control-plane");
    let acknowledged = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut acknowledged = Vec::new();
            for index in 0..10_000 {
                let name = format!("write-{index}");
                let manifest = serde_json::json!({
                    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": name},
                });
                if shop::apply_text(&cluster, &manifest.to_string()).code != 0 {
                    break;
                }
                acknowledged.push(name);
            }
            acknowledged
        });
        wait::until("some writes", PATIENCE, || {
            let maps = cluster.json(&["configmaps"]);
            let count = maps["items"].as_array().map_or(0, Vec::len);
            if count >= 10 { Ok(()) } else { Err(count.to_string()) }
        });
        kill_process(pid);
        writer.join().expect("the writer ends")
    });
    cluster.start(1);
    let maps = cluster.json(&["configmaps"]);
    let kept: Vec<&str> = maps["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it["metadata"]["name"].as_str())
        .collect();
    for name in &acknowledged {
        assert!(kept.contains(&name.as_str()), "{name} was acknowledged and is gone; kept: {kept:?}");
    }
}

#[test]
fn pods_of_a_killed_node_are_ready_elsewhere_within_seconds() {
    if !may_run("pods_of_a_killed_node_are_ready_elsewhere_within_seconds") {
        return;
    }
    let cluster = Cluster::up(3);
    shop::pack_tools(&cluster);
    shop::apply(&cluster, &shop::deployment("worker", 6, "sleep 1000"));
    let pods = cluster.wait_ready("app=worker", 6);
    let on_victim = |pod: &Value| pod["spec"]["nodeName"] == "node-2";
    assert!(pods.iter().any(on_victim), "spreading puts pods on every node");
    cluster.kill_node("node-2");
    #[expect(clippy::disallowed_methods, reason = "a test's own stopwatch")]
    let start = Instant::now();
    wait::until("six pods Ready on the other nodes", Duration::from_secs(20), || {
        let pods = cluster.pods("app=worker");
        let ready = pods.iter().filter(|pod| is_ready(pod) && !on_victim(pod)).count();
        if ready == 6 { Ok(()) } else { Err(format!("{ready} of 6")) }
    });
    eprintln!("six pods were Ready elsewhere {:?} after the node was killed", start.elapsed());
}

#[test]
fn what_was_stored_runs_again_after_down_and_up() {
    if !may_run("what_was_stored_runs_again_after_down_and_up") {
        return;
    }
    let cluster = Cluster::up(2);
    shop::pack_tools(&cluster);
    shop::apply(&cluster, &shop::deployment("stayer", 2, "sleep 1000"));
    shop::apply(&cluster, &shop::pod("once", "exit 0"));
    cluster.wait_ready("app=stayer", 2);
    let ended = |it: &Value| Some(it["state"]["terminated"]["finishedAt"].as_str()?.to_owned());
    let before = shop::wait_container(&cluster, "once", "an end", ended);
    cluster.ok(&["down"]);
    assert_eq!(cluster.leftovers(), Vec::<String>::new());
    cluster.start(2);
    cluster.wait_ready("app=stayer", 2);
    let after = shop::wait_container(&cluster, "once", "an end", ended);
    assert_eq!(before, after, "a pod that had succeeded was run again");
}
