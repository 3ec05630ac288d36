//! The supermarket: opened, scaled, and attacked while customers shop.

use std::process::{Command, Stdio};

use super::cluster::{Cluster, binaries, binary, done, may_run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Packs the supermarket's images.
pub(crate) fn pack_images(cluster: &Cluster) {
    let mut images = Command::new(format!("{ROOT}/examples/supermarket/images.sh"));
    let template = cluster.command(&[]);
    images
        .args([binaries(), binary()])
        .envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let packed = done(&mut images);
    assert_eq!(packed.code, 0, "{}{}", packed.stdout, packed.stderr);
}

/// The manifest `examples/supermarket/supermarket.yaml`, with a folder of this cluster's own for the database: on one
/// machine two clusters would write to the same.
pub(crate) fn manifest(cluster: &Cluster) -> String {
    let text = std::fs::read_to_string(format!("{ROOT}/examples/supermarket/supermarket.yaml"))
        .expect("the manifest");
    let folder = "/var/lib/minikube-ish/supermarket/data";
    assert!(text.contains(folder), "the manifest keeps its data in {folder}");
    let path = cluster.state().join("supermarket.yaml");
    let own = cluster.state().join("supermarket-data");
    std::fs::write(&path, text.replace(folder, &own.to_string_lossy()))
        .expect("the state folder can be written");
    path.to_string_lossy().into_owned()
}

/// Packs the images and applies the manifest; returns when everything is Ready.
fn open(cluster: &Cluster) {
    pack_images(cluster);
    cluster.ok(&["apply", "-f", &manifest(cluster)]);
    cluster.wait_ready("app=database", 1);
    cluster.wait_ready("app=inventory", 2);
    cluster.wait_ready("app=payment", 2);
}

#[test]
fn customers_notice_neither_scaling_nor_killed_containers() {
    if !may_run("customers_notice_neither_scaling_nor_killed_containers") {
        return;
    }
    let cluster = Cluster::up(3);
    open(&cluster);
    let front = cluster.front();
    let customers = Command::new(binaries().join("customers"))
        .args(["--url", &front, "--host", "supermarket.localhost", "--for", "20s", "--rate", "50"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("customers");
    cluster.ok(&["scale", "payment", "--replicas", "4"]);
    cluster.wait_ready("app=payment", 4);
    let report = cluster.ok(&["chaos", "kill", "-l", "app=payment", "--every", "1s", "--for", "8s"]);
    cluster.ok(&["scale", "payment", "--replicas", "2"]);
    let output = customers.wait_with_output().expect("customers end");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "customers noticed:\n{said}\n{report}");
    assert_eq!(cluster.pods("app=inventory").len(), 2, "inventory is not payment");
}
