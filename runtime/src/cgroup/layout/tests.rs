use super::*;

const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

const UNIFIED: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";

#[test]
fn a_hybrid_machine_is_v1_with_a_v2_directory_beside() {
    let layout = layout(HYBRID, "").expect("has cgroups");
    assert!(!layout.is_v2());
    assert_eq!(layout.unified_beside_v1(), Some(Path::new("/sys/fs/cgroup/unified")));
    let roots: Vec<_> = layout.roots().collect();
    assert_eq!(roots.len(), 4, "cpu and cpuacct are one hierarchy: {roots:?}");
    assert_eq!(layout.memory_root(), Path::new("/sys/fs/cgroup/memory"));
}

#[test]
fn a_unified_machine_offers_what_its_root_says() {
    let layout = layout(UNIFIED, "cpu io memory pids").expect("has cgroups");
    assert_eq!(layout.v2_root(), Some(Path::new("/sys/fs/cgroup")));
    assert_eq!(layout.controllers(), ["memory", "cpu", "pids"]);
}

#[test]
fn a_machine_without_cgroups_has_no_layout() {
    assert_eq!(layout("23 1 0:21 / /proc rw - proc proc rw", ""), None);
}

#[test]
fn a_line_cut_short_is_passed_over() {
    assert_eq!(layout("1 2 3\n - cgroup2\n30 23", ""), None);
}

#[test]
fn shares_become_weights_within_bounds() {
    assert_eq!(weight_of_shares(0), 1);
    assert_eq!(weight_of_shares(1024), 39);
    assert_eq!(weight_of_shares(u64::MAX), 10_000);
}

#[test]
fn a_memory_limit_grants_no_swap_unless_asked() {
    assert_eq!(swap_value(100, None, false), 100);
    assert_eq!(swap_value(100, None, true), 0);
    assert_eq!(swap_value(100, Some(150), true), 50);
    assert_eq!(swap_value(100, Some(-1), true), -1);
}
