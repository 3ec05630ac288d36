//! What a cluster could leave on the machine, found by its name.

use std::fs;
use std::process::Command;

/// Everything on this machine that carries the cluster's name: processes, mounts, cgroups, network namespaces,
/// nft tables, folders; and every link with an address of its range.
pub(crate) fn of(cluster: &str, cidr: &str) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(processes(cluster));
    found.extend(lines_of(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), "mount", cluster));
    found.extend(cgroups(cluster));
    found.extend(lines_of(&run("ip", &["netns", "list"]), "netns", &format!("mki-{cluster}-")));
    found.extend(lines_of(&run("nft", &["list", "tables"]), "nft", &format!("mki-{cluster}")));
    let range = cidr.split(".0.").next().unwrap_or(cidr);
    found.extend(lines_of(&run("ip", &["-o", "addr"]), "link", &format!(" {range}.")));
    let run_dir = format!("/run/minikube-ish/{cluster}");
    if fs::exists(&run_dir).unwrap_or(true) {
        found.push(format!("folder {run_dir}"));
    }
    found
}

fn processes(cluster: &str) -> Vec<String> {
    let needle = format!("/{cluster}/");
    let cgroup = format!("/minikube-ish{needle}");
    let ours = |command: &str, cgroups: &str| {
        (command.contains("minikube-ish") && command.contains(&needle)) || cgroups.contains(&cgroup)
    };
    pids(ours).into_iter().map(|pid| format!("process {pid}: {}", command_of(pid))).collect()
}

/// The processes for whose command line and cgroups `wanted` holds.
pub(crate) fn pids(wanted: impl Fn(&str, &str) -> bool) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let cgroups = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    pids.filter(|&pid| !is_zombie(pid) && wanted(&command_of(pid), &cgroups(pid))).collect()
}

/// An orphan that has ended is the machine's first process to bury, and some test machines have one that never does.
fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, fields)| fields.starts_with('Z'))
}

fn command_of(pid: i32) -> String {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&command).replace('\0', " ")
}

fn cgroups(cluster: &str) -> Vec<String> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let roots = hierarchies.map(|entry| entry.path()).chain(["/sys/fs/cgroup".into()]);
    let ours = roots.map(|root| root.join("minikube-ish").join(cluster));
    ours.filter(|path| path.try_exists().unwrap_or(true))
        .map(|path| format!("cgroup {}", path.display()))
        .collect()
}

fn lines_of(text: &str, what: &str, needle: &str) -> Vec<String> {
    text.lines().filter(|line| line.contains(needle)).map(|line| format!("{what} {line}")).collect()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output =
        output.unwrap_or_else(|error| panic!("cannot run {program}: {error}; `make setup` installs it"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
