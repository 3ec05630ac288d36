//! What tests put into a cluster: a small image of everyday tools, and manifests around it.

use super::cluster::Cluster;
use super::wait;

/// The image of everyday tools.
pub(crate) const TOOLS: &str = "tools:1";

/// Packs the image of everyday tools.
pub(crate) fn pack_tools(cluster: &Cluster) {
    let programs = ["sh", "sleep", "cat", "ls", "ps", "head", "dd", "seq", "id", "touch", "true"]
        .map(|name| format!("/bin/{name}"));
    let found: Vec<String> = programs
        .into_iter()
        .map(|path| {
            let usr = format!("/usr{path}");
            if std::fs::exists(&path).unwrap_or(false) { path } else { usr }
        })
        .collect();
    let arguments: Vec<&str> =
        ["image", "pack", "-t", TOOLS].into_iter().chain(found.iter().map(String::as_str)).collect();
    cluster.ok(&arguments);
}

/// A Deployment of containers that run a shell script.
pub(crate) fn deployment(name: &str, replicas: u32, script: &str) -> String {
    serde_json::json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": pod_spec(script),
            },
        },
    })
    .to_string()
}

/// A Pod that runs a shell script once.
pub(crate) fn pod(name: &str, script: &str) -> String {
    let mut spec = pod_spec(script);
    spec["restartPolicy"] = "Never".into();
    serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec,
    })
    .to_string()
}

fn pod_spec(script: &str) -> serde_json::Value {
    serde_json::json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": TOOLS, "command": ["sh", "-c", script]}],
    })
}

/// Applies a manifest that is given as text.
#[track_caller]
pub(crate) fn apply(cluster: &Cluster, manifest: &str) -> String {
    let done = apply_text(cluster, manifest);
    assert_eq!(done.code, 0, "apply failed\n{}\n{}", done.stdout, done.stderr);
    done.stdout
}

/// Applies a manifest that is given as text, whatever comes of it.
pub(crate) fn apply_text(cluster: &Cluster, manifest: &str) -> super::cluster::Done {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    std::fs::write(file.path(), manifest).expect("a manifest");
    let path = file.path().to_string_lossy().into_owned();
    cluster.run(&["apply", "-f", &path])
}

/// Waits until a pod's first container has a state for which `wanted` finds something.
#[track_caller]
pub(crate) fn wait_container<T>(
    cluster: &Cluster,
    pod: &str,
    what: &str,
    wanted: impl Fn(&serde_json::Value) -> Option<T>,
) -> T {
    wait::until(&format!("{pod}: {what}"), super::cluster::PATIENCE, || {
        let pod = cluster.json(&["pod", pod]);
        let container = &pod["status"]["containerStatuses"][0];
        wanted(container).ok_or_else(|| pod["status"].to_string())
    })
}
