//! What a container is, seen from inside: its own namespaces, few capabilities, filtered calls, hidden paths.

use std::fs;

use oci_spec::runtime::Mount;
use runtime::client::ExecStdio;
use runtime::protocol::{ExecSpec, Failure, Seccomp};

use crate::Test;
use crate::house::House;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_container_has_namespaces_of_its_own_and_shares_its_sandboxs",
        a_container_has_namespaces_of_its_own_and_shares_its_sandboxs,
    ),
    ("a_container_is_process_one_and_sees_no_other", a_container_is_process_one_and_sees_no_other),
    (
        "capabilities_are_the_fields_default_and_nothing_is_gained",
        capabilities_are_the_fields_default_and_nothing_is_gained,
    ),
    ("forbidden_calls_are_refused", forbidden_calls_are_refused),
    ("kernel_paths_are_masked_or_read_only", kernel_paths_are_masked_or_read_only),
    ("a_device_made_inside_does_not_open", a_device_made_inside_does_not_open),
    ("the_host_is_out_of_sight", the_host_is_out_of_sight),
    ("a_user_by_name_gets_its_groups_and_no_rights", a_user_by_name_gets_its_groups_and_no_rights),
    ("a_read_only_root_is_read_only", a_read_only_root_is_read_only),
    (
        "a_volume_is_seen_and_a_link_in_the_image_leads_nowhere_else",
        a_volume_is_seen_and_a_link_in_the_image_leads_nowhere_else,
    ),
    ("no_descriptor_of_ours_reaches_the_program", no_descriptor_of_ours_reaches_the_program),
    (
        "our_own_executable_cannot_be_written_through_a_container",
        our_own_executable_cannot_be_written_through_a_container,
    ),
    ("a_missing_working_directory_is_made", a_missing_working_directory_is_made),
    (
        "no_working_directory_and_no_command_is_reached_through_our_descriptors",
        no_working_directory_and_no_command_is_reached_through_our_descriptors,
    ),
    ("the_hosts_devices_work_and_cannot_be_changed", the_hosts_devices_work_and_cannot_be_changed),
];

/// More descriptors than a launch ever has open.
const DESCRIPTORS: std::ops::RangeInclusive<i32> = 3..=40;

fn a_container_has_namespaces_of_its_own_and_shares_its_sandboxs() {
    let mut house = House::new();
    let script =
        "for ns in pid mnt cgroup net ipc uts; do echo $ns $(readlink /proc/self/ns/$ns); done; hostname";
    let (exit, output) = house.run("a", script);
    assert_eq!(exit.code, 0, "{output}");
    let link = |pid: &str, ns: &str| fs::read_link(format!("/proc/{pid}/ns/{ns}")).expect("is there");
    let pause = house.sandbox.pid.to_string();
    for ns in ["pid", "mnt", "cgroup", "net", "ipc", "uts"] {
        let inside = output.lines().find_map(|line| line.strip_prefix(&format!("{ns} "))).expect("is told");
        assert_ne!(inside, link("self", ns).to_str().expect("is text"), "{ns} is not the host's");
        let shared = inside == link(&pause, ns).to_str().expect("is text");
        assert_eq!(shared, ["net", "ipc", "uts"].contains(&ns), "{ns}");
    }
    assert_eq!(output.lines().last(), Some("web-0"));
    house.end();
}

fn a_container_is_process_one_and_sees_no_other() {
    let mut house = House::new();
    let (_, output) = house.run("a", "echo $$; ls -d /proc/[0-9]* | wc -l");
    assert!(output.starts_with("1\n"), "{output}");
    let seen: u32 = output.lines().last().expect("is told").trim().parse().expect("is a number");
    assert!(seen <= 4, "{output}");
    house.end();
}

fn capabilities_are_the_fields_default_and_nothing_is_gained() {
    let mut house = House::new();
    let (_, output) = house.run("a", "cat /proc/self/status");
    let line = |name: &str| {
        let found = output.lines().find_map(|line| line.strip_prefix(name)).expect("is told");
        found.trim().to_owned()
    };
    // Docker's fourteen, as Docker prints them.
    assert_eq!(line("CapBnd:"), "00000000a80425fb");
    assert_eq!(line("CapEff:"), "00000000a80425fb");
    assert_eq!(line("CapPrm:"), "00000000a80425fb");
    assert_eq!(line("CapInh:"), "0000000000000000");
    assert_eq!(line("CapAmb:"), "0000000000000000");
    assert_eq!(line("NoNewPrivs:"), "1");
    assert_eq!(line("Seccomp:"), "2");
    assert_eq!(line("SigIgn:"), "0000000000000000");
    assert_eq!(line("SigBlk:"), "0000000000000000");
    house.end();
}

fn forbidden_calls_are_refused() {
    let mut house = House::new();
    let script = "unshare -r true; echo $?; mount -t tmpfs t /tmp; echo $?; hostname other; echo $?";
    let (_, output) = house.run("a", script);
    assert!(!output.lines().any(|line| line == "0"), "{output}");
    assert!(output.contains("Operation not permitted"), "{output}");
    // Without the filter, creating a user namespace works: it is the filter that forbids it.
    let mut spec = house.shell("b", "unshare -U true");
    spec.seccomp = Seccomp::Spec;
    assert_eq!(house.run_spec(spec).0.code, 0, "{}", house.output("b"));
    // A filter also loads when new privileges may be gained.
    let mut spec = house.shell("c", "unshare -U true; echo $?; cat /proc/self/status");
    spec.spec.process_mut().as_mut().expect("has one").set_no_new_privileges(Some(false));
    let (_, output) = house.run_spec(spec);
    assert!(output.contains("Seccomp:\t2") && output.contains("NoNewPrivs:\t0"), "{output}");
    assert!(output.contains("unshare: "), "{output}");
    house.end();
}

fn kernel_paths_are_masked_or_read_only() {
    let mut house = House::new();
    let script = "cat /proc/kcore | wc -c; cat /proc/keys | wc -c; ls /sys/firmware | wc -l; \
        echo 1 > /proc/sys/kernel/panic; echo $?; touch /sys/x; echo $?; echo b > /proc/sysrq-trigger; echo $?; \
        ls /sys/fs/cgroup | wc -l; touch /sys/fs/cgroup/x; echo $?";
    let (_, output) = house.run("a", script);
    let lines: Vec<&str> =
        output.lines().filter(|line| line.trim().parse::<u32>().is_ok()).map(str::trim).collect();
    assert_eq!(lines[..3], ["0", "0", "0"], "{output}");
    assert!(lines[3..6].iter().all(|code| *code != "0"), "{output}");
    assert_ne!(lines[6], "0", "the limits can be seen: {output}");
    assert_ne!(lines[7], "0", "and not be changed: {output}");
    assert!(output.contains("Read-only file system"), "{output}");
    house.end();
}

fn a_device_made_inside_does_not_open() {
    let mut house = House::new();
    let script = "for place in /tmp /dev /dev/shm; do mknod $place/mine c 1 3 && cat $place/mine; done; \
        cat /dev/null && echo fine; head -c 4 /dev/urandom | wc -c";
    let (_, output) = house.run("a", script);
    assert_eq!(output.matches("Permission denied").count(), 3, "{output}");
    assert!(output.lines().any(|line| line == "fine") && output.lines().any(|line| line == "4"), "{output}");
    house.end();
}

fn the_host_is_out_of_sight() {
    let mut house = House::new();
    let (_, output) = house.run("a", "ls /; ls /..; cat /proc/mounts");
    assert!(!output.lines().any(|line| line == "work") && !output.contains("minikube-ish"), "{output}");
    let hosts = output.lines().filter(|line| line.contains("ext4") || line.contains("oldroot")).count();
    assert_eq!(hosts, 0, "{output}");
    house.end();
}

fn a_user_by_name_gets_its_groups_and_no_rights() {
    let mut house = House::new();
    let mut spec =
        house.shell("a", "id; echo $HOME; cat /proc/self/status; touch /x; echo done > /dev/stdout");
    let user = spec.spec.process_mut().as_mut().expect("has one").user_mut();
    user.set_username(Some("shop".into()));
    let (exit, output) = house.run_spec(spec);
    assert_eq!(exit.code, 0, "{output}");
    assert!(output.contains("uid=1234(shop) gid=1235(shop)") && output.contains("77(tills)"), "{output}");
    assert!(output.contains("/home/shop") && output.contains("CapEff:\t0000000000000000"), "{output}");
    assert!(output.contains("Permission denied") && output.contains("done"), "{output}");
    house.end();
}

fn a_read_only_root_is_read_only() {
    let mut house = House::new();
    let mut spec = house.shell("a", "touch /x; echo $?; touch /dev/shm/x; echo $?");
    spec.spec.root_mut().as_mut().expect("has one").set_readonly(Some(true));
    let (_, output) = house.run_spec(spec);
    assert!(output.contains("Read-only file system") && output.lines().any(|line| line == "0"), "{output}");
    house.end();
}

fn a_volume_is_seen_and_a_link_in_the_image_leads_nowhere_else() {
    let mut house = House::new();
    let volume = house.folder.path().join("volume");
    let layer = house.folder.path().join("hostile-image");
    fs::create_dir_all(&volume).expect("can be made");
    fs::create_dir_all(&layer).expect("can be made");
    fs::write(volume.join("price"), "42").expect("can be written");
    // An image that wants its mounts to land in the host's /tmp.
    std::os::unix::fs::symlink("/../../../../tmp", layer.join("escape")).expect("can be made");
    let mut spec = house.shell("a", "cat /escape/in/price; echo; touch /escape/in/y; echo $?; ls /tmp");
    spec.lower_dirs.insert(0, layer);
    let mut mount = Mount::default();
    mount.set_destination("/escape/in".into()).set_source(Some(volume)).set_typ(Some("bind".into()));
    mount.set_options(Some(vec!["rbind".into(), "ro".into()]));
    spec.spec.mounts_mut().as_mut().expect("has some").push(mount);
    let (_, output) = house.run_spec(spec);
    assert!(
        output.contains("42\n") && output.contains("Read-only") && output.lines().any(|line| line == "in"),
        "{output}"
    );
    assert!(
        !std::path::Path::new("/tmp/in").try_exists().expect("can be looked at"),
        "the host is untouched"
    );
    house.end();
}

fn no_descriptor_of_ours_reaches_the_program() {
    let mut house = House::new();
    let (_, output) = house.run("a", "ls /proc/self/fd");
    // ls itself has the folder open as 3.
    assert_eq!(output.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"], "{output}");
    house.end();
}

fn a_missing_working_directory_is_made() {
    let mut house = House::new();
    let mut spec = house.shell("a", "readlink /proc/self/cwd");
    spec.spec.process_mut().as_mut().expect("has one").set_cwd("/srv/shop".into());
    let (exit, output) = house.run_spec(spec);
    assert_eq!((exit.code, output.as_str()), (0, "/srv/shop"));
    house.end();
}

/// CVE-2024-21626: a directory of the host that is open while a container starts is a way out of it.
fn no_working_directory_and_no_command_is_reached_through_our_descriptors() {
    let mut house = House::new();
    house.client.start(house.command("running", &["sleep", "1000"])).expect("starts");
    for descriptor in DESCRIPTORS {
        let place = format!("/proc/self/fd/{descriptor}");
        let id = format!("cwd{descriptor}");
        let mut spec = house.command(&id, &["true"]);
        spec.spec.process_mut().as_mut().expect("has one").set_cwd(place.clone().into());
        let refused = house.client.start(spec).expect_err("it is no directory of the container");
        assert!(matches!(refused.failure(), Some(Failure::WorkingDirectory { .. })), "{place}: {refused}");
        let cwd = Some(place.clone().into());
        let spec =
            ExecSpec { container: "running".into(), argv: vec!["true".into()], cwd, ..Default::default() };
        let refused = house.client.exec(&spec, &ExecStdio::default()).expect_err("neither later");
        assert!(matches!(refused.failure(), Some(Failure::WorkingDirectory { .. })), "{place}: {refused}");
        // Below an image's layer, and from any directory of the host down from its root.
        for way in ["bin/true", "../bin/true", "../../../../../../bin/true"] {
            let command = format!("{place}/{way}");
            let id = format!("command{descriptor}-{}", way.len());
            let started = house.client.start(house.command(&id, &[&command]));
            started.expect_err("it is no program of the container");
            let spec = ExecSpec { container: "running".into(), argv: vec![command], ..ExecSpec::default() };
            house.client.exec(&spec, &ExecStdio::default()).expect_err("neither later");
        }
    }
    house.end();
}

/// The containers' devices, what masks hide behind, and what stdin is, are the host's own inodes. What is tried
/// leaves them as they are even where it is not refused.
fn the_hosts_devices_work_and_cannot_be_changed() {
    let mut house = House::new();
    let script = "for file in /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /proc/keys /dev/stdin; do \
            chmod 666 $file; chown 0:0 $file; done; \
        echo x > /dev/null && echo x >> /proc/keys && cat < /dev/null && cat /dev/stdin && echo void; \
        head -c 3 /dev/zero | wc -c; cat /etc/passwd > /dev/full";
    let (_, output) = house.run("a", script);
    assert_eq!(output.matches("Read-only file system").count(), 16, "{output}");
    assert!(output.contains("void\n3\n") && output.contains("No space left"), "{output}");
    house.client.start(house.command("b", &["sleep", "1000"])).expect("starts");
    let said = fs::File::create(house.folder.path().join("said")).expect("can be made");
    let argv = ["chmod", "666", "/dev/stdin", "/dev/stdout"].map(String::from).to_vec();
    let spec = ExecSpec { container: "b".into(), argv, ..ExecSpec::default() };
    let stdio = ExecStdio { stderr: Some(said.into()), ..ExecStdio::default() };
    house.client.exec(&spec, &stdio).expect("starts").wait().expect("it ends");
    let said = fs::read_to_string(house.folder.path().join("said")).expect("is there");
    assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
    house.end();
}

fn our_own_executable_cannot_be_written_through_a_container() {
    let mut house = House::new();
    // A program that is a way to whoever executes it.
    let layer = house.folder.path().join("hostile-image");
    fs::create_dir_all(&layer).expect("can be made");
    std::os::unix::fs::symlink("/proc/self/exe", layer.join("trap")).expect("can be made");
    let mut spec = house.command("a", &["/trap"]);
    spec.lower_dirs.insert(0, layer);
    let _ = house.client.start(spec);
    for pid in [house.launcher_pid().to_string(), house.sandbox.pid.to_string()] {
        let way_in = fs::File::open(format!("/proc/{pid}/exe")).expect("root may look");
        let flags = nix::sys::statvfs::fstatvfs(&way_in).expect("is a file").flags();
        assert!(flags.contains(nix::sys::statvfs::FsFlags::ST_RDONLY), "{flags:?}");
    }
    house.end();
}
