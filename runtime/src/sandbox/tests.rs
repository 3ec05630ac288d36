use super::*;

fn spec(sysctl: &str) -> SandboxSpec {
    SandboxSpec {
        id: "a".into(),
        cgroup: "a".into(),
        sysctls: BTreeMap::from([(sysctl.into(), "1".into())]),
        ..SandboxSpec::default()
    }
}

#[test]
fn a_parameter_of_its_own_namespaces_is_taken() {
    assert_eq!(check(&spec("net.ipv4.ip_unprivileged_port_start")), Ok(()));
    assert_eq!(check(&spec("kernel.shmmax")), Ok(()));
}

#[test]
fn a_parameter_of_the_host_is_refused() {
    for name in ["kernel.core_pattern", "vm.overcommit_memory", "net.../../kernel.core_pattern", "net./etc"] {
        assert!(matches!(check(&spec(name)), Err(Failure::BadSpec { .. })), "{name}");
    }
}

#[test]
fn the_hosts_own_network_is_not_tuned_from_a_sandbox() {
    let spec = SandboxSpec { host_network: true, ..spec("net.ipv4.ip_forward") };
    assert!(matches!(check(&spec), Err(Failure::BadSpec { .. })));
}

#[test]
fn an_id_that_is_a_path_is_refused() {
    for id in ["", ".", "..", "a/b", "a b"] {
        let spec = SandboxSpec { id: id.into(), cgroup: "a".into(), ..SandboxSpec::default() };
        assert!(matches!(check(&spec), Err(Failure::BadSpec { .. })), "{id}");
    }
}
