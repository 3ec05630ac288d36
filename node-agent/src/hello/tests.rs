use super::*;

fn config() -> Config {
    Config {
        node_name: "node-1".into(),
        node_address: "10.64.1.1".parse().expect("an address"),
        pod_cidr: Some("10.65.1.0/24".parse().expect("a range")),
        labels: [("disk".to_owned(), "fast".to_owned())].into(),
        state_dir: "/state".into(),
        run_dir: "/run".into(),
        image_store: "/images".into(),
        launcher_socket: "/run/launcher.sock".into(),
        launcher_command: Vec::new(),
        cgroup_root: "minikube-ish/test".into(),
        control_plane: "https://10.64.0.1:6444".into(),
        ca_pem: String::new(),
        token: None,
    }
}

#[test]
fn a_node_says_its_labels_range_and_room() {
    let machine = Machine {
        cpus: 2,
        memory_bytes: 1 << 30,
        kernel_version: "6.1".into(),
        machine_id: String::new(),
        boot_id: "b".into(),
        os_image: "Debian".into(),
    };
    let node: Node = serde_json::from_slice(&hello(&config(), &machine).node).expect("a node");
    let labels = node.metadata.labels.expect("labels");
    assert_eq!((labels["disk"].as_str(), labels["kubernetes.io/hostname"].as_str()), ("fast", "node-1"));
    assert_eq!(node.spec.and_then(|spec| spec.pod_cidr).as_deref(), Some("10.65.1.0/24"));
    let status = node.status.expect("a status");
    assert_eq!(status.capacity.expect("capacity")["memory"].0, "1048576Ki");
    assert_eq!(status.allocatable.expect("allocatable")["memory"].0, "786432Ki");
}

#[test]
fn this_machine_can_be_looked_at() {
    let machine = Machine::look().expect("facts");
    assert!(
        machine.cpus > 0 && machine.memory_bytes > 0 && !machine.kernel_version.is_empty(),
        "{machine:?}"
    );
}
