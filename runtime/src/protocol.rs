//! What crosses the launcher's socket: requests, answers, events, failures. Plain data, no behaviour beyond
//! reading it; knows nothing of sockets or of how a container is made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use oci_spec::runtime::{LinuxResources, Spec};
use serde::{Deserialize, Serialize};

/// Free-form marks that the launcher keeps and gives back in [`Listing`], so that a restarted client recognises
/// what it started.
pub type Labels = BTreeMap<String, String>;

/// The namespaces that the containers of one group share: net, ipc, uts, held by one waiting process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxSpec {
    /// Unique on this launcher; one path component.
    pub id: String,
    /// The host name inside; at most 64 bytes.
    pub hostname: String,
    /// The group's cgroup, one path component under the launcher's `cgroup_root`, e.g. `pod<uid>`.
    pub cgroup: String,
    /// Stay in the launcher's network namespace instead of getting a new one.
    pub host_network: bool,
    /// Namespaced kernel parameters, e.g. `net.core.somaxconn`.
    pub sysctls: BTreeMap<String, String>,
    /// Limits for the whole group; none by default.
    pub resources: Option<LinuxResources>,
    /// Kept and given back.
    pub labels: Labels,
}

/// A sandbox that exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sandbox {
    /// As in its [`SandboxSpec`].
    pub id: String,
    /// The waiting process that holds the namespaces. 0 if it is gone.
    pub pid: i32,
    /// Whether the waiting process lives. A dead sandbox can only be removed.
    pub alive: bool,
    /// Kept and given back.
    pub labels: Labels,
}

impl Sandbox {
    /// Where the network namespace can be opened while the sandbox lives.
    #[must_use]
    pub fn netns_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.pid))
    }
}

/// Where a container's own changes to its root filesystem go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Writable {
    /// A directory of this container alone, on a real filesystem; made if missing. `remove` deletes what the launch
    /// made in it (`upper`, `work`), and itself if it is empty then.
    Directory(PathBuf),
    /// Memory, gone with the container. The bytes count against the container's memory limit.
    Memory {
        /// The most it may hold; the kernel's default (half the memory) if `None`.
        limit_bytes: Option<u64>,
    },
}

/// Which system calls are filtered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// The field's default profile, see [`crate::defaults::seccomp`].
    #[default]
    Default,
    /// `linux.seccomp` of the spec; no filter at all if it is absent.
    Spec,
}

/// Where and how the output of a container is kept, in the CRI log format
/// (`<rfc3339nano> stdout|stderr F|P <line>`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    /// The current file; its directory must exist. Older ones are beside it as `<path>.1`, `<path>.2`, …
    pub path: PathBuf,
    /// A file that has reached this is rotated.
    pub size_max_bytes: u64,
    /// How many files are kept, the current one included; at least 1.
    pub files_max: u32,
}

/// One container to start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Unique on this launcher; one path component. A restart is a new container with a new id.
    pub id: String,
    /// The sandbox to join.
    pub sandbox: String,
    /// The OCI runtime spec. Start from [`crate::defaults::spec`]. `root.path` and the namespaces are ignored:
    /// the root comes from `lower_dirs`, and every container has its own pid, mount and cgroup namespaces.
    /// `process.user.username`, if set, wins over the numbers: a user as an image names it (`name`, `name:group`,
    /// `1000:1000`), looked up in the container's own `/etc/passwd` and `/etc/group`.
    pub spec: Spec,
    /// Unpacked image layers, topmost first; at least one.
    pub lower_dirs: Vec<PathBuf>,
    /// The writable layer.
    pub writable: Writable,
    /// Output goes nowhere if `None`.
    pub log: Option<LogSpec>,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// Keep stdin open (and silent) instead of `/dev/null`.
    pub stdin: bool,
    /// Kept and given back.
    pub labels: Labels,
}

/// A container whose program runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its first process, as seen from the host.
    pub pid: i32,
    /// When its program was executed.
    pub started_at: Timestamp,
}

/// How a container, or an executed process, came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// 0–255 as given to `exit`, or 128 + the signal's number.
    pub code: i32,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// The kernel killed something inside for want of memory, and the container did not end well.
    pub oom_killed: bool,
    /// When its program was executed.
    pub started_at: Timestamp,
    /// When its end was seen.
    pub finished_at: Timestamp,
    /// Nobody saw the end (its monitor was killed): `code` is 137 by convention, not by observation.
    pub unobserved: bool,
}

/// Where a container is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    /// Being set up; becomes `Running` or `Failed`.
    Starting,
    /// Its program runs; becomes `Exited`.
    Running(Started),
    /// Its program has ended. Only `remove` follows.
    Exited(Exit),
    /// Its program never ran. Only `remove` follows.
    Failed(Failure),
}

/// One container, as [`Listing`] tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// As in its [`ContainerSpec`].
    pub id: String,
    /// As in its [`ContainerSpec`].
    pub sandbox: String,
    /// Where it is in its life.
    pub state: ContainerState,
    /// Kept and given back.
    pub labels: Labels,
}

/// Everything that a launcher knows: what is not removed is listed, across restarts of either side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// By id.
    pub sandboxes: Vec<Sandbox>,
    /// By id.
    pub containers: Vec<Container>,
}

/// What a container uses, right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// All memory charged to it, the page cache included.
    pub memory_bytes: u64,
    /// Memory that cannot be taken back easily: without the inactive file cache.
    pub working_set_bytes: u64,
    /// Processor time since its start.
    pub cpu_ns: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Kills for want of memory since its start.
    pub oom_kills: u64,
}

/// Who a process runs as; `None` in an [`ExecSpec`] means as the container does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecUser {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub additional_gids: Vec<u32>,
}

/// One more process in a running container, confined as the container is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// The container to enter.
    pub container: String,
    /// The program and its arguments; looked up in the container's `PATH`.
    pub argv: Vec<String>,
    /// `NAME=value`, over the container's own environment.
    pub env: Vec<String>,
    /// The container's own if `None`.
    pub cwd: Option<PathBuf>,
    /// The container's own if `None`.
    pub user: Option<ExecUser>,
    /// Give it a terminal of this size; its master side comes back with the answer.
    pub terminal: Option<WindowSize>,
}

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Characters per line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// Something that a subscriber is told. Level-triggered: an event says *when* to look, [`Listing`] says what is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A container's program ended; or it never ran (code 128), and whoever asked for its start has gone.
    Exited {
        /// The container.
        id: String,
        /// How.
        exit: Exit,
    },
    /// A sandbox's waiting process died; its containers still run, but a new sandbox is needed.
    SandboxDied {
        /// The sandbox.
        id: String,
    },
}

/// Why the launcher did not do what it was asked. The words are for people; the variants are for programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Failure {
    /// No such program in the container.
    #[error("executable {command:?} not found in the container")]
    CommandNotFound {
        /// As in `process.args[0]`.
        command: String,
    },
    /// The program exists and cannot be executed.
    #[error("cannot execute {command:?}: {}", errno_text(*errno))]
    CommandNotExecutable {
        /// As in `process.args[0]`.
        command: String,
        /// What execve(2) said: `EACCES`, `ENOEXEC`, …
        errno: i32,
    },
    /// `process.cwd` is not there or not a directory.
    #[error("cannot enter working directory {path:?}: {}", errno_text(*errno))]
    WorkingDirectory {
        /// As in the spec.
        path: PathBuf,
        /// What the kernel said.
        errno: i32,
    },
    /// An image layer's directory is not there.
    #[error("cannot open layer {path:?}: {}", errno_text(*errno))]
    LayerMissing {
        /// As in `lower_dirs`.
        path: PathBuf,
        /// What the kernel said.
        errno: i32,
    },
    /// The host side of a bind mount is not there.
    #[error("cannot open mount source {path:?}: {}", errno_text(*errno))]
    MountSourceMissing {
        /// As in the spec's mount.
        path: PathBuf,
        /// What the kernel said.
        errno: i32,
    },
    /// A field of a spec does not make sense.
    #[error("{field}: {reason}")]
    BadSpec {
        /// Its path, e.g. `spec.process.args`.
        field: String,
        /// What would be right.
        reason: String,
    },
    /// A step of setting the container up failed in the kernel.
    #[error("{step}: {}", errno_text(*errno))]
    Step {
        /// What was being done, with its object.
        step: String,
        /// What the kernel said.
        errno: i32,
    },
    /// There is no such sandbox or container.
    #[error("no {kind} {id:?}")]
    NotFound {
        /// `sandbox` or `container`.
        kind: String,
        /// The id that was asked for.
        id: String,
    },
    /// The id is taken.
    #[error("{kind} {id:?} exists already")]
    AlreadyExists {
        /// `sandbox` or `container`.
        kind: String,
        /// The id that was asked for.
        id: String,
    },
    /// The container is not running (any more).
    #[error("container {id:?} is not running")]
    NotRunning {
        /// The container.
        id: String,
    },
    /// The sandbox still has containers, or the container still runs.
    #[error("{kind} {id:?} is still in use")]
    InUse {
        /// `sandbox` or `container`.
        kind: String,
        /// The id that was asked for.
        id: String,
    },
    /// The process that sets up or watches the container was killed before it could answer.
    #[error("the monitor of {id:?} died")]
    MonitorDied {
        /// The container.
        id: String,
    },
    /// A named limit of the launcher is reached.
    #[error("limit reached: {limit}")]
    Limit {
        /// The limit's name and value.
        limit: String,
    },
}

fn errno_text(errno: i32) -> &'static str {
    nix::errno::Errno::from_raw(errno).desc()
}

/// A request, as the client frames it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Request {
    CreateSandbox(Box<SandboxSpec>),
    RemoveSandbox { id: String },
    Start(Box<ContainerSpec>),
    Signal { id: String, signal: i32 },
    Remove { id: String },
    Exec(ExecSpec),
    List,
    Stats { id: String },
    Subscribe,
    Shutdown { kill: bool },
}

/// The launcher's answer to one [`Request`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Sandbox(Sandbox),
    Started(Started),
    Executed { pid: i32 },
    Listing(Listing),
    Stats(Stats),
    Done,
    Failed(Failure),
}

/// What an executed process' monitor writes, once, on the pipe that the client holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ExecOutcome {
    Exited(Exit),
    Failed(Failure),
}
