use super::*;

fn config(name: &str, server: &str) -> Kubeconfig {
    Kubeconfig::from_yaml(&format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\n\
         clusters: [{{name: {name}, cluster: {{server: \"{server}\"}}}}]\n\
         contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}}}}}]\n\
         users: [{{name: {name}, user: {{token: t}}}}]\n"
    ))
    .unwrap()
}

#[test]
fn merging_replaces_what_is_ours_and_keeps_what_is_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/config");
    let theirs = merged(config("work", "https://work"), config("minikube-ish", "https://old"));
    write(&path, &merged(theirs, config("minikube-ish", "https://new"))).unwrap();
    let read = Kubeconfig::read_from(&path).unwrap();
    let servers: Vec<_> =
        read.clusters.iter().filter_map(|one| one.cluster.as_ref()?.server.clone()).collect();
    assert_eq!(servers, ["https://work", "https://new"]);
    assert_eq!((read.contexts.len(), read.auth_infos.len()), (2, 2));
    assert_eq!(read.current_context.as_deref(), Some("minikube-ish"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}
