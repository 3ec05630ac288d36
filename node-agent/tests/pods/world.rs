//! One node for all tests, and what it reports.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use node_agent::Config;
use node_agent::assignment::Assignment;
use node_agent::link::Command;
use node_agent::node::{Node, Parts};
use proto::PodRef;
use proto::node_report::Report;
use runtime::image::{PackSpec, Store, pack};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long anything that is expected may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The image with the test program.
pub(crate) const IMAGE: &str = "agent-test:v1";

/// What the node has said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) statuses: BTreeMap<String, PodStatus>,
    /// Every status, in order, with the pod's uid.
    pub(crate) history: Vec<(String, PodStatus)>,
    pub(crate) gone: Vec<String>,
    pub(crate) events: Vec<proto::Event>,
}

/// A running agent.
pub(crate) struct Agent {
    runtime: Runtime,
    node: Arc<Node>,
    pub(crate) parts: Parts,
    said: watch::Receiver<Said>,
}

/// What outlives an agent.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: Config,
    agent: Mutex<Option<Agent>>,
}

static WORLD: OnceLock<World> = OnceLock::new();

/// The node that all tests share.
pub(crate) fn world() -> &'static World {
    WORLD.get_or_init(World::new)
}

/// Ends everything: containers, launcher, cgroups.
pub(crate) fn end() {
    let Some(world) = WORLD.get() else { return };
    drop(world.agent().take());
    if let Ok(mut client) = runtime::client::Client::connect(&world.config.launcher_socket) {
        client.shutdown(true).expect("the launcher ends");
    }
    let _ = nix::mount::umount2(&world.config.run_dir.join("memory"), nix::mount::MntFlags::MNT_DETACH);
    std::fs::remove_dir_all(world.folder.path()).expect("nothing of it is in use");
}

impl World {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("agent-test-").tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let store = Store::open(&path("images")).expect("an image store");
        add_image(&store, IMAGE);
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let us = std::env::current_exe().expect("our own executable");
        std::fs::create_dir_all(path("run")).expect("a folder");
        let cgroup = format!("minikube-ish-agent-test-{}", std::process::id());
        let config = Config {
            node_name: "node-1".into(),
            node_address: [10, 210, 0, 1].into(),
            pod_cidr: None,
            labels: BTreeMap::new(),
            state_dir: path("state"),
            run_dir: path("run"),
            image_store: path("images"),
            launcher_socket: path("run/launcher.sock"),
            launcher_command: vec![
                text(us),
                "launcher".into(),
                text(path("run/launcher.sock")),
                text(path("run/launcher")),
                cgroup.clone(),
            ],
            cgroup_root: cgroup.into(),
            control_plane: String::new(),
            ca_pem: String::new(),
            token: None,
        };
        let agent = Mutex::new(Some(Agent::start(&config)));
        Self { folder, config, agent }
    }

    /// The agent at work.
    pub(crate) fn agent(&self) -> MutexGuard<'_, Option<Agent>> {
        self.agent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the agent as abruptly as a thread can be ended.
    pub(crate) fn kill_agent(&self) {
        let agent = self.agent().take().expect("an agent");
        agent.runtime.shutdown_background();
    }

    /// Starts the next agent.
    pub(crate) fn start_agent(&self) {
        *self.agent() = Some(Agent::start(&self.config));
    }

    /// Tells the node something.
    pub(crate) fn tell(&self, command: Command) {
        let agent = self.agent();
        let agent = agent.as_ref().expect("an agent");
        agent.runtime.block_on(agent.node.obey(command));
    }

    /// Assigns a pod of this spec and returns its uid.
    pub(crate) fn assign(&self, name: &str, spec: Value) -> String {
        self.assign_with(pod(name, spec), &[])
    }

    /// Assigns a pod and what it refers to.
    pub(crate) fn assign_with(&self, pod: Value, references: &[Value]) -> String {
        let bytes = |value: &Value| Bytes::from(value.to_string());
        let wire = proto::Assignment { pod: bytes(&pod), references: references.iter().map(bytes).collect() };
        let assignment = Assignment::decode(&wire).expect("the test's pod is one");
        let uid = assignment.pod.metadata.uid.clone().expect("the test's pod has one");
        self.tell(Command::Assign(Box::new(assignment)));
        uid
    }

    /// Waits until what the node has said is as expected.
    pub(crate) fn wait(&self, what: &str, mut expected: impl FnMut(&Said) -> bool) -> Said {
        let agent = self.agent();
        let agent = agent.as_ref().expect("an agent");
        let mut said = agent.said.clone();
        let waited = agent.runtime.block_on(async {
            timeout(PATIENCE, said.wait_for(|said| expected(said)))
                .await
                .map(|said| said.map(|said| said.clone()))
        });
        match waited {
            Ok(Ok(said)) => said,
            Ok(Err(_)) | Err(_) => {
                panic!("waited in vain for {what}; the node said:\n{}", agent.said.borrow().brief())
            }
        }
    }

    /// Waits until the pod's status is as expected.
    pub(crate) fn wait_status(
        &self,
        uid: &str,
        what: &str,
        expected: impl Fn(&PodStatus) -> bool,
    ) -> PodStatus {
        let said = self.wait(what, |said| said.statuses.get(uid).is_some_and(&expected));
        said.statuses[uid].clone()
    }

    /// Waits until the pod is ready.
    pub(crate) fn wait_ready(&self, uid: &str) -> PodStatus {
        self.wait_status(uid, "a ready pod", is_ready)
    }

    /// Ends a pod without grace and waits until it is gone.
    pub(crate) fn remove(&self, uid: &str) {
        self.tell(Command::Forget(PodRef { uid: uid.into(), ..PodRef::default() }));
        self.wait("the pod to be gone", |said| said.gone.iter().any(|gone| gone == uid));
    }

    /// The lines of a container's log, without their heads.
    pub(crate) fn log(&self, name: &str, container: &str, attempt: u32) -> Vec<String> {
        let folder = self.config.state_dir.join("logs").join(format!("default_{name}_uid-{name}"));
        let path = folder.join(container).join(format!("{attempt}.log"));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).map(str::to_owned).collect()
    }

    /// Runs something on the agent's runtime.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.agent().as_ref().expect("an agent").runtime.block_on(work)
    }
}

impl World {
    /// Runs something beside, on the agent's runtime.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.agent().as_ref().expect("an agent").runtime.spawn(work);
    }
}

impl Agent {
    fn start(config: &Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let parts = Parts::new(config);
        let welcome = proto::Welcome {
            heartbeat_interval_ms: 1000,
            lease_duration_ms: 3000,
            pod_cidr: "10.211.7.0/24".into(),
            cluster_pod_cidr: "10.211.0.0/16".into(),
            service_cidr: "10.212.0.0/16".into(),
            cluster_dns: "10.212.0.10".into(),
            cluster_domain: "cluster.local".into(),
        };
        let node = runtime.block_on(Node::start(config, &parts, &welcome)).expect("a node");
        let (sender, said) = watch::channel(Said::default());
        let outbox = Arc::clone(&parts.outbox);
        runtime.spawn(async move {
            loop {
                let report = outbox.next().await;
                sender.send_modify(|said| said.take(report));
            }
        });
        Self { runtime, node: Arc::new(node), parts, said }
    }
}

impl Said {
    /// For people who look for a fault.
    fn brief(&self) -> String {
        let statuses = self.statuses.iter().map(|(uid, status)| {
            let containers: Vec<_> = status
                .container_statuses
                .iter()
                .flatten()
                .map(|one| (&one.name, &one.state, &one.last_state))
                .collect();
            format!("{uid}: {} {}", status.phase.as_deref().unwrap_or_default(), json!(containers))
        });
        let events =
            self.events.iter().rev().take(10).map(|event| format!("{}: {}", event.reason, event.message));
        statuses.chain(events).collect::<Vec<_>>().join("\n")
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::PodStatus(report) => {
                let uid = report.pod.expect("a status is of a pod").uid;
                let status: PodStatus = serde_json::from_slice(&report.status).expect("a status is JSON");
                self.history.push((uid.clone(), status.clone()));
                self.statuses.insert(uid, status);
            }
            Report::PodGone(report) => self.gone.push(report.pod.expect("a pod").uid),
            Report::Event(event) => self.events.push(event),
            Report::Hello(_) | Report::Heartbeat(_) | Report::ServicesApplied(_) => {}
        }
    }
}

/// Packs the test program.
pub(crate) fn add_image(store: &Store, name: &str) {
    let us = std::env::current_exe().expect("our own executable");
    let program = std::path::Path::new("/usr/bin").join(us.file_name().expect("a file"));
    let spec = PackSpec {
        name: name.into(),
        binaries: vec![us],
        entrypoint: Some(vec![program.to_string_lossy().into_owned(), "program".into()]),
        cmd: vec!["sleep".into()],
        env: Vec::new(),
        files: Vec::new(),
        working_dir: None,
        user: None,
        ca_certificates: false,
    };
    pack(store, &spec).expect("the image");
}

/// A pod with this spec; its uid is `uid-NAME`.
pub(crate) fn pod(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "default", "uid": format!("uid-{name}"), "labels": { "app": name } },
        "spec": spec,
    })
}

/// A container `app` that runs a test program.
pub(crate) fn app(arguments: &[&str]) -> Value {
    json!({ "name": "app", "image": IMAGE, "args": arguments })
}

/// The value with further fields.
pub(crate) fn with(mut value: Value, more: Value) -> Value {
    let (Value::Object(fields), Value::Object(more)) = (&mut value, more) else { panic!("two objects") };
    fields.extend(more);
    value
}

/// The full path of the test program in its image.
pub(crate) fn program() -> String {
    let us = std::env::current_exe().expect("our own executable");
    format!("/usr/bin/{}", us.file_name().expect("a file").to_string_lossy())
}

/// An exec action of the test program.
pub(crate) fn exec(arguments: &[&str]) -> Value {
    let program = program();
    let command: Vec<&str> =
        [program.as_str(), "program"].into_iter().chain(arguments.iter().copied()).collect();
    json!({ "exec": { "command": command } })
}

/// Whether the pod may get requests.
pub(crate) fn is_ready(status: &PodStatus) -> bool {
    status.conditions.iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
}

/// The first container's status.
pub(crate) fn first(status: &PodStatus) -> &ContainerStatus {
    &status.container_statuses.as_ref().expect("there are containers")[0]
}

/// Why the first container waits.
pub(crate) fn waiting_reason(status: &PodStatus) -> Option<&str> {
    first(status).state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}
