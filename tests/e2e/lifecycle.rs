//! A cluster comes, stays, goes, and comes back.

use super::cluster::{Cluster, may_run};

#[test]
fn a_cluster_comes_up_once_and_goes_without_a_trace() {
    if !may_run("a_cluster_comes_up_once_and_goes_without_a_trace") {
        return;
    }
    let cluster = Cluster::new();
    let first = cluster.start(2);
    assert!(first.contains("2 nodes Ready"), "{first}");
    let second = cluster.start(2);
    assert!(second.contains("is up"), "{second}");
    let status = cluster.ok(&["status", "-o", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["nodes"].as_array().map(Vec::len), Some(2), "{status}");
    cluster.assert_nothing_left();
}
