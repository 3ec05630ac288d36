//! Every example, applied as it stands.

use std::process::Command;

use super::cluster::{Cluster, PATIENCE, done, may_run};
use super::{supermarket, wait};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn hello_is_answered_by_every_replica() {
    if !may_run("hello_is_answered_by_every_replica") {
        return;
    }
    let cluster = Cluster::up(2);
    supermarket::pack_images(&cluster);
    cluster.ok(&["apply", "-f", &format!("{ROOT}/examples/hello/hello.yaml")]);
    cluster.wait_ready("app=hello", 3);
    let mut answers = std::collections::BTreeSet::new();
    wait::until("an answer of each of the three", PATIENCE, || {
        let mut curl = Command::new("curl");
        let answer = done(curl.args(["-sS", "--fail", "-H", "Host: hello.localhost"]).arg(cluster.front()));
        answers.insert(answer.stdout);
        if answers.len() >= 3 { Ok(()) } else { Err(format!("{answers:?} {}", answer.stderr)) }
    });
    assert!(answers.iter().all(|answer| answer.contains("good morning")), "{answers:?}");
}

#[test]
fn what_goes_wrong_in_the_chaos_example_is_said_by_name() {
    if !may_run("what_goes_wrong_in_the_chaos_example_is_said_by_name") {
        return;
    }
    let cluster = Cluster::up(1);
    supermarket::pack_images(&cluster);
    cluster.ok(&["apply", "-f", &format!("{ROOT}/examples/chaos/crashloop.yaml")]);
    wait::until("every trouble by its name", PATIENCE, || {
        let table = cluster.ok(&["get", "pods", "-l", "example=chaos"]);
        let named = ["CrashLoopBackOff", "OOMKilled", "ImagePullBackOff", "StartError"];
        if named.iter().all(|name| table.contains(name)) { Ok(()) } else { Err(table) }
    });
    cluster.ok(&["delete", "-f", &format!("{ROOT}/examples/chaos/crashloop.yaml")]);
}
