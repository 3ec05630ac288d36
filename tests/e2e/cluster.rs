//! A cluster for one test, driven by the commands that a user types.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::slot::{self, Slot};
use super::{leftovers, wait};

/// How long anything may take that is not expected to take long: test machines are small and busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A cluster that is taken down, with everything of it, when the test ends.
#[derive(Debug)]
pub(crate) struct Cluster {
    slot: Slot,
}

/// Whether this process may make containers; says SKIPPED if not.
pub(crate) fn may_run(test: &str) -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os("MINIKUBE_ISH_NO_SKIP").is_none(), "{test} needs root");
    eprintln!("SKIPPED {test}: needs root");
    false
}

impl Cluster {
    /// A cluster that is not up yet. What a killed run left in its slot is cleaned up.
    pub(crate) fn new() -> Self {
        let slot = slot::take();
        let cluster = Self { slot };
        cluster.ok(&["down", "--purge"]);
        assert_eq!(cluster.leftovers(), Vec::<String>::new(), "before the test");
        cluster
    }

    /// A cluster whose nodes are Ready.
    pub(crate) fn up(nodes: u16) -> Self {
        let cluster = Self::new();
        cluster.start(nodes);
        cluster
    }

    /// `up` with this test's addresses; it must succeed.
    #[track_caller]
    pub(crate) fn start(&self, nodes: u16) -> String {
        let done = self.try_start(nodes);
        assert_eq!(done.code, 0, "up failed\n{}\n{}", done.stdout, done.stderr);
        done.stdout
    }

    /// `up` with this test's addresses, whatever comes of it.
    pub(crate) fn try_start(&self, nodes: u16) -> Done {
        self.run(&[
            "up",
            &format!("--nodes={nodes}"),
            &format!("--cluster-cidr={}", self.slot.cidr),
            &format!("--address={}", self.slot.address),
        ])
    }

    /// The cluster's range of addresses.
    pub(crate) fn cidr(&self) -> &str {
        &self.slot.cidr
    }

    /// The loopback address of the API and the front.
    pub(crate) fn address(&self) -> std::net::Ipv4Addr {
        self.slot.address
    }

    /// Kills a node as a power failure would: its agent, its launcher and everything that it runs, at once.
    pub(crate) fn kill_node(&self, node: &str) {
        let needle = format!("/{}/nodes/{node}/", self.slot.cluster);
        let cgroup = format!("/minikube-ish/{}/{node}/", self.slot.cluster);
        let agent = self.pid(&format!("node-agent-{node}"));
        for pid in leftovers::pids(|command, cgroups| command.contains(&needle) || cgroups.contains(&cgroup))
        {
            // It may have ended with one that was killed before it.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = kill(Pid::from_raw(agent), Signal::SIGKILL);
    }

    /// The command with this cluster's name, not yet run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .env("MINIKUBE_ISH_CLUSTER", &self.slot.cluster)
            .env("MINIKUBE_ISH_STATE", &self.slot.state_root)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command of ours.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        done(&mut self.command(arguments))
    }

    /// Runs a command of ours that must succeed; its output.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, 0, "{arguments:?} failed\n{}\n{}", done.stdout, done.stderr);
        done.stdout
    }

    /// Runs a command of ours that must fail; what it says.
    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_ne!(done.code, 0, "{arguments:?} succeeded\n{}\n{}", done.stdout, done.stderr);
        done.stderr
    }

    /// Objects as the API has them, by `get -o json`.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = ["get"].iter().chain(arguments).chain(&["-o", "json"]).copied().collect();
        serde_json::from_str(&self.ok(&arguments)).expect("get -o json prints JSON")
    }

    /// The pods of a label selector, as the API has them.
    #[track_caller]
    pub(crate) fn pods(&self, selector: &str) -> Vec<Value> {
        let mut list = self.json(&["pods", "-l", selector]);
        list["items"].as_array_mut().map(std::mem::take).expect("a list has items")
    }

    /// Waits until exactly `count` pods of a selector are there and Ready.
    #[track_caller]
    pub(crate) fn wait_ready(&self, selector: &str, count: usize) -> Vec<Value> {
        wait::until(&format!("{count} pods of {selector} Ready"), PATIENCE, || {
            let pods = self.pods(selector);
            if pods.len() == count && pods.iter().all(is_ready) { Ok(pods) } else { Err(summary(&pods)) }
        })
    }

    /// The real kubectl, with this cluster's kubeconfig.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Done {
        let cache = self.state().join("kubectl-cache");
        done(
            Command::new(kubectl())
                .env("KUBECONFIG", self.state().join("kubeconfig"))
                .arg(format!("--cache-dir={}", cache.display()))
                .args(arguments)
                .stdin(Stdio::null()),
        )
    }

    /// The cluster's state folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.slot.state_root.join(&self.slot.cluster)
    }

    /// Where a process's pid file is.
    pub(crate) fn pid(&self, process: &str) -> i32 {
        let path = format!("/run/minikube-ish/{}/{process}.pid", self.slot.cluster);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let value: Value = serde_json::from_str(&text).expect("a pid file is JSON");
        i32::try_from(value["pid"].as_i64().expect("a pid")).expect("pids fit")
    }

    /// The front's URL.
    pub(crate) fn front(&self) -> String {
        format!("http://{}:8080", self.slot.address)
    }

    /// What of this cluster is on the machine.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        leftovers::of(&self.slot.cluster, &self.slot.cidr)
    }

    /// Takes it down and looks at what is left.
    pub(crate) fn assert_nothing_left(&self) {
        self.ok(&["down", "--purge"]);
        assert_eq!(self.leftovers(), Vec::<String>::new());
        let state = self.state();
        assert!(!state.try_exists().expect("the folder above is readable"), "{} is left", state.display());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_what_happened();
            let _ = self.run(&["down", "--purge"]);
        } else {
            self.assert_nothing_left();
        }
    }
}

impl Cluster {
    fn show_what_happened(&self) {
        for arguments in [&["get", "pods", "-A", "-o", "wide"][..], &["events", "-A"], &["status"]] {
            let done = self.run(arguments);
            eprintln!("--- {arguments:?}\n{}{}", done.stdout, done.stderr);
        }
        let logs = std::fs::read_dir(self.state().join("logs")).into_iter().flatten().flatten();
        for log in logs {
            let text = std::fs::read_to_string(log.path()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("--- {}\n{last}", log.path().display());
        }
    }
}

/// Whether a pod says that it is Ready.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions.into_iter().any(|it| it["type"] == "Ready" && it["status"] == "True")
}

fn summary(pods: &[Value]) -> String {
    let line = |pod: &Value| {
        let containers = &pod["status"]["containerStatuses"];
        format!("{} {} ready={} {containers}", pod["metadata"]["name"], pod["status"]["phase"], is_ready(pod))
    };
    pods.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The machine's own kubectl, or the one that `make setup` got.
fn kubectl() -> &'static str {
    let own = "/usr/bin/kubectl";
    let fetched = concat!(env!("CARGO_MANIFEST_DIR"), "/target/kubectl-1.20/usr/bin/kubectl");
    if std::fs::exists(own).unwrap_or(false) { own } else { fetched }
}

/// Our binary.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_minikube-ish"))
}

/// The folder with our binary and the examples' programs.
pub(crate) fn binaries() -> &'static Path {
    binary().parent().expect("a binary lies in a folder")
}

/// Runs a command to its end.
pub(crate) fn done(command: &mut Command) -> Done {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    Done {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
