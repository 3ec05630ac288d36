use super::*;

#[test]
fn an_old_kernel_is_named_with_the_remedy() {
    let check = kernel("4.19.0-27-amd64\n");
    assert_eq!(check.status, Status::Missing);
    assert!(check.detail.contains("4.19") && check.remedy.contains("5.12"), "{check:?}");
    assert_eq!(kernel("5.12.0").status, Status::Ok);
    assert_eq!(kernel("6.1.0-18-amd64").status, Status::Ok);
    assert_eq!(kernel("").status, Status::Missing);
}

#[test]
fn a_missing_controller_is_named() {
    let mount = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
    let layout = crate::cgroup::layout::layout(mount, "cpu pids");
    let missing: Vec<Check> =
        cgroups(layout.as_ref()).into_iter().filter(|check| check.status == Status::Missing).collect();
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].name, "cgroup memory");
}

#[test]
fn a_kernel_without_overlay_is_told_how_to_get_it() {
    assert_eq!(filesystem("overlay", "nodev\tproc\n\text4\n").status, Status::Missing);
    assert_eq!(filesystem("overlay", "nodev\toverlay\n").status, Status::Ok);
}

#[test]
fn what_is_found_needs_no_remedy() {
    for check in checks() {
        assert_eq!(check.status == Status::Ok, check.remedy.is_empty(), "{check:?}");
    }
}
