//! Every command of the documentation, run as it stands there.

use std::process::{Command, Stdio};

use super::cluster::{Cluster, binaries, done, may_run};
use super::supermarket;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// How long a command that never ends by itself is given to show that it works.
const GLIMPSE: &str = "2s";

/// The lines of a document that are commands of ours.
fn commands(document: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("{ROOT}/{document}")).expect("a document");
    let code = text.lines().filter_map(|line| line.strip_prefix("    "));
    let ours = code.filter(|line| line.starts_with("minikube-ish ") || line.starts_with("kubectl "));
    ours.map(|line| line.split(" #").next().unwrap_or(line).trim_end().to_owned()).collect()
}

fn goes_on(command: &str) -> bool {
    command.contains(" -w") || command.contains("logs -f")
}

/// Runs a line in a shell that knows our binary, in the tree's root.
fn run(cluster: &Cluster, line: &str) {
    let template = cluster.command(&[]);
    let path = format!("{}:{}", binaries().display(), std::env::var("PATH").unwrap_or_default());
    let line = if goes_on(line) { format!("timeout {GLIMPSE} {line}") } else { line.to_owned() };
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &line])
        .current_dir(ROOT)
        .env("PATH", path)
        .envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null());
    let done = done(&mut shell);
    let ended_well = done.code == 0 || (goes_on(&line) && done.code == 124);
    assert!(ended_well, "{line}\n{}\n{}", done.stdout, done.stderr);
}

#[test]
fn every_command_of_the_readme_works() {
    if !may_run("every_command_of_the_readme_works") {
        return;
    }
    let cluster = Cluster::up(3);
    supermarket::pack_images(&cluster);
    // With addresses of its own on record, the README's plain `up` is this test's cluster.
    cluster.ok(&["down"]);
    let lines = commands("README.md");
    assert!(lines.len() >= 8, "{lines:?}");
    for line in lines {
        let line = line.replace("examples/supermarket/supermarket.yaml", &supermarket::manifest(&cluster));
        run(&cluster, &line.replace("--for 20s", "--for 4s"));
        if line.contains(" apply ") {
            for (app, replicas) in [("database", 1), ("inventory", 2), ("payment", 2)] {
                cluster.wait_ready(&format!("app={app}"), replicas);
            }
        }
    }
}

#[test]
fn every_command_of_the_docs_works() {
    if !may_run("every_command_of_the_docs_works") {
        return;
    }
    let cluster = Cluster::up(1);
    for document in ["docs/images.md", "docs/network.md", "docs/troubleshooting.md"] {
        for line in commands(document).into_iter().filter(|line| !line.contains("image load")) {
            run(&cluster, &line);
        }
    }
}

/// The tour of `make demo`, shortened, with the binaries of this build.
#[test]
fn the_tour_succeeds_twice_in_a_row() {
    if !may_run("the_tour_succeeds_twice_in_a_row") {
        return;
    }
    let cluster = Cluster::new();
    let flags = format!("--cluster-cidr={} --address={}", cluster.cidr(), cluster.address());
    std::fs::create_dir_all(cluster.state()).expect("a state folder");
    let manifest = supermarket::manifest(&cluster);
    for _ in 0..2 {
        let template = cluster.command(&[]);
        let mut tour = Command::new(format!("{ROOT}/examples/supermarket/demo.sh"));
        tour.arg(binaries())
            .env("DEMO_SECONDS", "5")
            .env("DEMO_UP_FLAGS", &flags)
            .env("DEMO_MANIFEST", &manifest)
            .envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdin(Stdio::null());
        let done = done(&mut tour);
        assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
        assert!(done.stdout.contains("stays open"), "{}", done.stdout);
    }
}
