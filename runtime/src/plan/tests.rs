use oci_spec::runtime::Spec;

use super::*;
use crate::cgroup::layout::layout;
use crate::protocol::{Labels, Seccomp};

const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";

fn host() -> Layout {
    layout(V2, "cpu memory pids").expect("has cgroups")
}

fn spec() -> Spec {
    let mut spec = crate::defaults::spec();
    let process = spec.process_mut().as_mut().expect("the default has a process");
    process.set_args(Some(vec!["/bin/true".into()]));
    spec
}

fn container(spec: Spec) -> ContainerSpec {
    ContainerSpec {
        id: "c".into(),
        sandbox: "s".into(),
        spec,
        lower_dirs: vec!["/layers/top".into(), "/layers/base".into()],
        writable: Writable::Memory { limit_bytes: None },
        log: None,
        seccomp: Seccomp::Default,
        stdin: false,
        labels: Labels::new(),
    }
}

fn place(steps: &[Step], wanted: impl Fn(&Step) -> bool) -> usize {
    steps.iter().position(wanted).expect("is among the steps")
}

#[test]
fn the_sandbox_is_joined_first_and_the_root_entered_last() {
    let plan = plan_launch(&container(spec()), None, &host()).expect("is fine");
    assert_eq!(plan.steps.first(), Some(&Step::JoinSandbox));
    assert_eq!(plan.steps.last(), Some(&Step::EnterRoot));
}

#[test]
fn nothing_shows_the_cgroup_before_it_is_joined() {
    let steps = plan_launch(&container(spec()), None, &host()).expect("is fine").steps;
    let shown = place(&steps, |step| matches!(step, Step::MountFilesystem(fs) if fs.kind == "cgroup2"));
    let namespace = place(&steps, |step| *step == Step::NewCgroupNamespace);
    let joined = place(&steps, |step| *step == Step::AwaitCgroup);
    assert!(joined < namespace && namespace < shown);
}

#[test]
fn no_file_system_but_that_of_dev_honours_devices() {
    let steps = plan_launch(&container(spec()), None, &host()).expect("is fine").steps;
    for step in &steps {
        if let Step::MountFilesystem(filesystem) = step {
            let nodev = filesystem.flags.contains(nix::mount::MsFlags::MS_NODEV);
            assert_eq!(nodev, filesystem.kind != "devpts", "{filesystem:?}");
        }
    }
}

#[test]
fn the_default_container_gains_no_privileges() {
    let process = plan_launch(&container(spec()), None, &host()).expect("is fine").process;
    assert!(process.no_new_privileges);
    assert!(!process.capabilities.bounding.contains(&Capability::CAP_SYS_ADMIN));
    assert!(process.capabilities.ambient.is_empty() && process.capabilities.inheritable.is_empty());
}

#[test]
fn a_container_without_a_program_is_refused() {
    let mut spec = spec();
    spec.process_mut().as_mut().expect("has one").set_args(None);
    let refused = plan_launch(&container(spec), None, &host());
    assert!(matches!(refused, Err(Failure::BadSpec { field, .. }) if field == "spec.process.args"));
}

#[test]
fn a_bad_environment_is_refused_without_telling_its_value() {
    let mut spec = spec();
    spec.process_mut().as_mut().expect("has one").set_env(Some(vec!["TOKEN\0=hunter2".into()]));
    let refused = plan_launch(&container(spec), None, &host()).expect_err("has a NUL");
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
}

#[test]
fn an_executed_process_is_confined_as_its_container() {
    let exec = ExecSpec { argv: vec!["sh".into()], env: vec!["A=b".into()], ..ExecSpec::default() };
    let own = plan_process(&spec(), None).expect("is fine");
    let plan = plan_exec(&spec(), &exec, None).expect("is fine");
    assert_eq!(plan.capabilities, own.capabilities);
    assert_eq!(plan.no_new_privileges, own.no_new_privileges);
    assert_eq!(plan.env.last().map(String::as_str), Some("A=b"));
}

#[test]
fn a_bind_mount_is_private_and_without_devices_unless_asked() {
    let mut mount = oci_spec::runtime::Mount::default();
    mount
        .set_destination("/data".into())
        .set_source(Some("/srv/data".into()))
        .set_typ(Some("bind".into()))
        .set_options(Some(vec!["rbind".into(), "ro".into()]));
    let steps = mounts::plan_mount(&mount, &host()).expect("is fine");
    let [Step::Bind(bind)] = steps.as_slice() else { panic!("is one bind: {steps:?}") };
    let set = crate::sys::mount::MOUNT_ATTR_RDONLY | crate::sys::mount::MOUNT_ATTR_NODEV;
    assert_eq!(bind.attributes.set, set);
    assert_eq!(bind.attributes.propagation, nix::mount::MsFlags::MS_PRIVATE.bits());
    assert!(bind.recursive);
}
