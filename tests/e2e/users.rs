//! The commands of the README, as a user types them, and kubectl's beside them.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::cluster::{Cluster, may_run};
use super::shop;

#[test]
fn the_commands_do_what_the_readme_says() {
    if !may_run("the_commands_do_what_the_readme_says") {
        return;
    }
    let cluster = Cluster::up(2);
    shop::pack_tools(&cluster);
    let manifest = shop::deployment("web", 2, "echo hello; exec sleep 1000");
    assert_eq!(shop::apply(&cluster, &manifest), "deployment.apps/web created\n");
    assert_eq!(shop::apply(&cluster, &manifest), "deployment.apps/web unchanged\n");
    let more = shop::deployment("web", 3, "echo hello; exec sleep 1000");
    assert_eq!(shop::apply(&cluster, &more), "deployment.apps/web configured\n");
    cluster.wait_ready("app=web", 3);

    for spelling in [&["web"][..], &["deployment/web"], &["deploy", "web"], &["deploy/web"]] {
        let arguments: Vec<&str> =
            ["scale"].iter().chain(spelling).chain(&["--replicas", "2"]).copied().collect();
        let said = cluster.ok(&arguments);
        assert!(said.contains("web"), "{said}");
    }
    cluster.wait_ready("app=web", 2);
    cluster.ok(&["rollout", "status", "deployment/web"]);

    let name = look_at_pods(&cluster);
    look_inside(&cluster, &name);
    assert!(cluster.ok(&["delete", "deploy", "web"]).contains("deleted"));
    cluster.ok(&["wait", "--for=delete", "pod", "-l", "app=web"]);
    assert_eq!(cluster.pods("app=web").len(), 0);
    for shell in ["bash", "zsh", "fish"] {
        assert!(cluster.ok(&["completion", shell]).contains("minikube-ish"));
    }
}

/// Shows the pods in every way; the name of one.
fn look_at_pods(cluster: &Cluster) -> String {
    let table = cluster.ok(&["get", "pods", "-o", "wide"]);
    let header: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(header[..7], ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"], "{table}");
    assert_eq!(table.lines().count(), 3, "{table}");
    let names = cluster.ok(&["get", "pods", "-l", "app=web", "-o", "name"]);
    let name = names.lines().next().and_then(|line| line.strip_prefix("pod/")).expect("a pod");
    assert!(cluster.ok(&["get", "po,deploy", "-A"]).contains("deployment.apps/web"));
    assert!(cluster.ok(&["get", "pod", name, "-o", "yaml"]).contains("restartPolicy: Always"));
    name.to_owned()
}

fn look_inside(cluster: &Cluster, name: &str) {
    assert_eq!(cluster.ok(&["logs", name]), "hello\n");
    assert_eq!(cluster.ok(&["exec", name, "--", "sh", "-c", "echo $((6*7))"]), "42\n");
    assert_eq!(cluster.run(&["exec", name, "--", "sh", "-c", "exit 9"]).code, 9);
    let described = cluster.ok(&["describe", "deployment", "web"]);
    assert!(described.contains("Replicas") && described.contains("ScalingReplicaSet"), "{described}");
    assert!(cluster.ok(&["events"]).contains("Scheduled"));
    assert!(cluster.ok(&["image", "ls"]).contains("tools"));
}

#[test]
fn logs_and_watches_follow() {
    if !may_run("logs_and_watches_follow") {
        return;
    }
    let cluster = Cluster::up(1);
    shop::pack_tools(&cluster);
    let mut watch = cluster.command(&["get", "pods", "-w"]).stdout(Stdio::piped()).spawn().expect("a watch");
    shop::apply(&cluster, &shop::pod("talker", "for i in $(seq 1 50); do echo line $i; sleep 0.02; done"));
    shop::wait_container(&cluster, "talker", "started", |it| {
        (it["state"]["running"].is_object() || it["state"]["terminated"].is_object()).then_some(())
    });
    let followed = cluster.ok(&["logs", "-f", "talker"]);
    assert_eq!(followed.lines().count(), 50, "{followed}");
    let mut seen = BufReader::new(watch.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(seen.any(|line| line.contains("talker") && line.contains("Completed")), "the watch saw no end");
    watch.kill().expect("the watch runs");
    watch.wait().expect("it ends");
}

#[test]
fn a_real_kubectl_works() {
    if !may_run("a_real_kubectl_works") {
        return;
    }
    let cluster = Cluster::up(2);
    shop::pack_tools(&cluster);
    let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    std::fs::write(file.path(), shop::deployment("web", 2, "echo hello; exec sleep 1000"))
        .expect("a manifest");
    let path = file.path().to_string_lossy().into_owned();
    let kubectl = |arguments: &[&str]| {
        let done = cluster.kubectl(arguments);
        assert_eq!(done.code, 0, "kubectl {arguments:?}\n{}\n{}", done.stdout, done.stderr);
        done.stdout
    };
    assert!(kubectl(&["apply", "-f", &path]).contains("created"));
    assert!(kubectl(&["apply", "-f", &path]).contains("unchanged"));
    kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    kubectl(&["scale", "deployment/web", "--replicas=3"]);
    cluster.wait_ready("app=web", 3);
    assert!(kubectl(&["get", "pods", "-A"]).contains("Running"));
    assert!(kubectl(&["logs", "deployment/web"]).contains("hello"));
    assert!(kubectl(&["exec", "deployment/web", "--", "sh", "-c", "echo inside"]).contains("inside"));
    assert!(kubectl(&["describe", "deployment", "web"]).contains("ScalingReplicaSet"));
    kubectl(&["delete", "-f", &path, "--timeout=60s"]);
    assert!(kubectl(&["get", "deployments"]).is_empty());
}
