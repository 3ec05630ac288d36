//! Limits hold, and the kernel's kills are told as what they are.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxPidsBuilder, LinuxResources};
use runtime::protocol::ContainerSpec;

use crate::Test;
use crate::house::{House, wait_for};

pub(crate) const TESTS: &[Test] = &[
    (
        "a_container_that_fills_its_memory_is_killed_and_said_to_be",
        a_container_that_fills_its_memory_is_killed_and_said_to_be,
    ),
    (
        "a_container_that_forks_without_end_hurts_only_itself",
        a_container_that_forks_without_end_hurts_only_itself,
    ),
    (
        "the_limits_are_seen_from_inside_and_the_use_from_outside",
        the_limits_are_seen_from_inside_and_the_use_from_outside,
    ),
];

fn limit(spec: &mut ContainerSpec, change: impl FnOnce(&mut LinuxResources)) {
    let linux = spec.spec.linux_mut().as_mut().expect("the default has it");
    let mut resources = LinuxResources::default();
    resources.set_devices(None);
    change(&mut resources);
    linux.set_resources(Some(resources));
}

fn memory(bytes: i64) -> impl FnOnce(&mut LinuxResources) {
    let mut memory = LinuxMemory::default();
    memory.set_limit(Some(bytes));
    move |resources| {
        resources.set_memory(Some(memory));
    }
}

fn a_container_that_fills_its_memory_is_killed_and_said_to_be() {
    let mut house = House::new();
    let mut spec = house.shell("a", "exec tail /dev/zero");
    limit(&mut spec, memory(16 << 20));
    let (exit, _) = house.run_spec(spec);
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (137, Some(libc::SIGKILL), true));
    // Its own killing is no want of memory.
    house.client.start(house.command("b", &["sleep", "1000"])).expect("starts");
    house.client.signal("b", libc::SIGKILL).expect("it runs");
    assert!(!house.await_exit("b").oom_killed);
    house.end();
}

fn a_container_that_forks_without_end_hurts_only_itself() {
    let mut house = House::new();
    let mut spec = house.shell("a", "bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done");
    limit(&mut spec, |resources| {
        resources.set_pids(Some(LinuxPidsBuilder::default().limit(32).build().expect("is complete")));
    });
    house.client.start(spec).expect("starts");
    wait_for("the fork to be refused", || house.output("a").contains("fork").then_some(()));
    assert!(house.client.stats("a").expect("it runs").pids <= 32);
    house.client.signal("a", libc::SIGKILL).expect("it runs");
    house.await_exit("a");
    house.end();
}

fn the_limits_are_seen_from_inside_and_the_use_from_outside() {
    let mut house = House::new();
    let mut spec = house.shell(
        "a",
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us \
         /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max 2>/dev/null; cat /proc/self/cgroup; echo up; \
         while :; do :; done",
    );
    limit(&mut spec, |resources| {
        memory(64 << 20)(resources);
        let mut cpu = LinuxCpu::default();
        cpu.set_shares(Some(512)).set_period(Some(100_000)).set_quota(Some(50_000));
        resources.set_cpu(Some(cpu));
    });
    house.client.start(spec).expect("starts");
    wait_for("its lines", || house.output("a").contains("up").then_some(()));
    let output = house.output("a");
    assert!(output.contains("67108864") && output.contains("50000"), "{output}");
    let paths: Vec<&str> = output.lines().filter_map(|line| line.split(':').nth(2)).collect();
    assert!(
        paths.iter().filter(|path| **path == "/").count() >= 1,
        "its own cgroup is the root of all: {output}"
    );
    let stats =
        wait_for("some use", || house.client.stats("a").ok().filter(|stats| stats.cpu_ns > 1_000_000));
    assert!(stats.memory_bytes > 0 && stats.memory_bytes < 64 << 20 && stats.pids == 1, "{stats:?}");
    house.end();
}
