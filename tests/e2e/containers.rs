//! Containers that misbehave, one by one: each is held, and named.

use super::cluster::{Cluster, PATIENCE, may_run};
use super::{shop, wait};

fn reason_waiting(container: &serde_json::Value) -> Option<String> {
    Some(container["state"]["waiting"]["reason"].as_str()?.to_owned())
}

fn terminated(container: &serde_json::Value) -> Option<serde_json::Value> {
    let state = &container["state"]["terminated"];
    let last = &container["lastState"]["terminated"];
    [state, last].into_iter().find(|it| it.is_object()).cloned()
}

#[test]
fn every_way_to_fail_has_its_name() {
    if !may_run("every_way_to_fail_has_its_name") {
        return;
    }
    let cluster = Cluster::up(1);
    shop::pack_tools(&cluster);

    let absent = shop::pod("no-image", "true").replace(shop::TOOLS, "nobody/nothing:9");
    shop::apply(&cluster, &absent);
    shop::wait_container(&cluster, "no-image", "ImagePullBackOff", |it| {
        reason_waiting(it).filter(|reason| reason == "ImagePullBackOff")
    });
    let why = cluster.ok(&["describe", "pod", "no-image"]);
    assert!(why.contains("nobody/nothing:9") && why.contains("image"), "{why}");

    let command = shop::pod("no-command", "true").replace(r#""sh","-c","true""#, r#""/no/such/program""#);
    shop::apply(&cluster, &command);
    let state = shop::wait_container(&cluster, "no-command", "an end", terminated);
    assert!(state["message"].as_str().is_some_and(|it| it.contains("/no/such/program")), "{state}");

    shop::apply(&cluster, &shop::pod("leaver", "exit 3"));
    assert_eq!(shop::wait_container(&cluster, "leaver", "an end", terminated)["exitCode"], 3);

    let hungry = shop::pod(
        "hungry",
        "head -c 200m /dev/zero | tail -c 1 >/dev/null; x=$(head -c 100000000 /dev/zero | cat -v); echo survived",
    );
    let hungry = hungry.replace(r#""image""#, r#""resources":{"limits":{"memory":"20Mi"}},"image""#);
    shop::apply(&cluster, &hungry);
    let state = shop::wait_container(&cluster, "hungry", "an end", terminated);
    assert_eq!(
        (state["reason"].as_str(), state["exitCode"].as_i64()),
        (Some("OOMKilled"), Some(137)),
        "{state}"
    );

    shop::apply(&cluster, &shop::deployment("looper", 1, "exit 1"));
    let pod = wait::until("the looper's pod", PATIENCE, || {
        let pods = cluster.pods("app=looper");
        let name = pods.first().and_then(|pod| pod["metadata"]["name"].as_str()).map(str::to_owned);
        name.ok_or_else(|| "none".to_owned())
    });
    shop::wait_container(&cluster, &pod, "CrashLoopBackOff", |it| {
        reason_waiting(it).filter(|reason| reason == "CrashLoopBackOff")
    });
}

#[test]
fn a_container_that_ignores_sigterm_ends_after_its_grace() {
    if !may_run("a_container_that_ignores_sigterm_ends_after_its_grace") {
        return;
    }
    let cluster = Cluster::up(1);
    shop::pack_tools(&cluster);
    shop::apply(&cluster, &shop::pod("deaf", "trap '' TERM; while true; do sleep 1; done"));
    shop::wait_container(&cluster, "deaf", "running", |it| it["state"]["running"].as_object().map(|_| ()));
    cluster.ok(&["delete", "pod", "deaf"]);
    assert!(cluster.fails(&["get", "pod", "deaf"]).contains("not found"));
}

#[test]
fn bombs_hurt_only_their_own_container() {
    if !may_run("bombs_hurt_only_their_own_container") {
        return;
    }
    let cluster = Cluster::up(1);
    shop::pack_tools(&cluster);
    shop::apply(&cluster, &shop::deployment("neighbour", 1, "sleep 1000"));
    shop::apply(&cluster, &shop::deployment("forker", 1, "f() { f | f & }; while true; do f; sleep 1; done"));
    shop::apply(&cluster, &shop::deployment("talker", 1, "while true; do seq 1 100000; done"));
    cluster.wait_ready("app=neighbour", 1);
    cluster.wait_ready("app=talker", 1);
    // The node still does its work: start something beside the bombs, run something in the neighbour.
    shop::apply(&cluster, &shop::pod("newcomer", "echo here"));
    shop::wait_container(&cluster, "newcomer", "an end", terminated);
    assert_eq!(cluster.ok(&["logs", "newcomer"]), "here\n");
    let neighbour = cluster.pods("app=neighbour");
    assert_eq!(neighbour[0]["status"]["containerStatuses"][0]["restartCount"], 0, "{neighbour:?}");
    let logged = folder_bytes(&cluster.state().join("nodes"));
    assert!(logged < 512 << 20, "the flood took {logged} bytes of disk: logs must rotate");
    for name in ["forker", "talker"] {
        cluster.ok(&["delete", "deployment", name]);
    }
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn an_image_that_is_removed_stays_for_the_containers_that_run_from_it() {
    if !may_run("an_image_that_is_removed_stays_for_the_containers_that_run_from_it") {
        return;
    }
    let cluster = Cluster::up(1);
    shop::pack_tools(&cluster);
    shop::apply(&cluster, &shop::deployment("tenant", 1, "sleep 1000"));
    cluster.wait_ready("app=tenant", 1);
    cluster.ok(&["image", "rm", shop::TOOLS]);
    assert_eq!(
        cluster.ok(&["exec", "deployment/tenant", "--", "sh", "-c", "cat /etc/hostname | head -c 6"]),
        "tenant"
    );
}
