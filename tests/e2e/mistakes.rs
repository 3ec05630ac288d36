//! What users get wrong, and what they are told: what was wrong, where, and what would be right.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::cluster::{Cluster, binary, done, may_run};
use super::shop;

#[test]
fn mistakes_in_manifests_are_named_all_at_once_and_nothing_is_half_done() {
    if !may_run("mistakes_in_manifests_are_named_all_at_once_and_nothing_is_half_done") {
        return;
    }
    let cluster = Cluster::up(1);
    let manifest = "apiVersion: v1
kind: ConfigMap
metadata: {name: fine}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicaz: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: other}}
    spec:
      containers: [{name: Main, image: it, ports: [{containerPort: 70000}]}]
";
    let done = shop::apply_text(&cluster, manifest);
    assert_ne!(done.code, 0);
    for wanted in ["replicaz", "replicas", ":9:", "70000", "Main"] {
        assert!(done.stderr.contains(wanted), "{wanted:?} is not in\n{}", done.stderr);
    }
    assert!(cluster.fails(&["get", "configmap", "fine"]).contains("not found"), "half of it was applied");

    let anchors: String = (1..10)
        .map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")))
        .collect();
    let hostile: [(&str, String, &str); 5] = [
        ("empty", String::new(), ""),
        ("no YAML", "{{{".to_owned(), ""),
        ("an unknown kind", "apiVersion: v1\nkind: Podd\nmetadata: {name: a}\n".to_owned(), "Pod"),
        ("a bomb", format!("a0: &a0 x\n{anchors}"), ""),
        ("too deep", "[".repeat(100_000), ""),
    ];
    for (what, text, hint) in hostile {
        let done = shop::apply_text(&cluster, &text);
        assert_ne!(done.code, 0, "{what} was taken");
        assert!(done.stderr.contains("error") && done.stderr.contains(hint), "{what}: {}", done.stderr);
        assert!(!done.stderr.contains("panicked"), "{what}: {}", done.stderr);
    }

    let namespaced =
        shop::pod("lost", "true").replace(r#""name":"lost""#, r#""name":"lost","namespace":"nowhere""#);
    let done = shop::apply_text(&cluster, &namespaced);
    assert!(done.stderr.contains("nowhere"), "{}", done.stderr);
}

#[test]
fn mistakes_on_the_command_line_say_what_would_be_right() {
    if !may_run("mistakes_on_the_command_line_say_what_would_be_right") {
        return;
    }
    let cluster = Cluster::new();
    let before = cluster.fails(&["get", "pods"]);
    assert!(before.contains("up"), "{before}");
    let taken = cluster.fails(&["up", "--cluster-cidr", "10.64.0.0/20"]);
    assert!(taken.contains("/14"), "{taken}");
    let many = cluster.fails(&["up", "--nodes", "1000"]);
    assert!(many.contains("100"), "{many}");
    cluster.start(1);
    let unknown = cluster.fails(&["get", "podz"]);
    assert!(unknown.contains("podz") && unknown.contains("did you mean"), "{unknown}");
    let nobody = cluster.fails(&["scale", "nobody", "--replicas", "2"]);
    assert!(nobody.contains("nobody"), "{nobody}");
    let missing = cluster.fails(&["apply", "-f", "/no/such/file.yaml"]);
    assert!(missing.contains("/no/such/file.yaml"), "{missing}");
}

#[test]
fn a_taken_port_is_named_and_two_ups_do_not_fight() {
    if !may_run("a_taken_port_is_named_and_two_ups_do_not_fight") {
        return;
    }
    let cluster = Cluster::new();
    let address = cluster.address();
    let blocker = std::net::TcpListener::bind((address, 6443)).expect("the port is free");
    let done = cluster.try_start(1);
    assert_ne!(done.code, 0);
    assert!(done.stderr.contains("6443"), "{}", done.stderr);
    drop(blocker);
    let both = std::thread::scope(|scope| {
        let first = scope.spawn(|| cluster.try_start(1));
        let second = scope.spawn(|| cluster.try_start(1));
        [first.join().expect("it ends"), second.join().expect("it ends")]
    });
    assert!(both.iter().any(|done| done.code == 0), "{both:?}");
    for refused in both.iter().filter(|done| done.code != 0) {
        assert!(refused.stderr.contains("at work"), "{}", refused.stderr);
    }
    cluster.ok(&["status"]);
}

#[test]
fn who_is_not_root_is_told_so() {
    if !may_run("who_is_not_root_is_told_so") {
        return;
    }
    const NOBODY: u32 = 65_534;
    // The build's folder may be closed to others.
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("minikube-ish");
    std::fs::copy(binary(), &copy).expect("a copy of the binary");
    for path in [folder.path(), &copy] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("ours to open");
    }
    for command in ["up", "down"] {
        let done = done(Command::new(&copy).arg(command).uid(NOBODY).current_dir("/"));
        assert_ne!(done.code, 0, "{command}: {}", done.stdout);
        assert!(done.stderr.contains("root") && done.stderr.contains("sudo"), "{command}: {}", done.stderr);
    }
}
