//! Where a local cluster keeps what it keeps. Pure.
//!
//!     /var/lib/minikube-ish/<cluster>/     what outlives a reboot
//!         cluster.json                     how it was made
//!         kubeconfig                       the way in, 0600
//!         control-plane/                   store, keys
//!         nodes/<node>/                    identity, logs of containers
//!         front/                           identity
//!         images/                          shared by all nodes
//!         logs/<process>.log
//!     /run/minikube-ish/<cluster>/         what lives as long as the processes
//!         <process>.pid
//!         nodes/<node>/                    sockets, checkpoints

use std::path::{Path, PathBuf};

/// The folder of all clusters' state; the environment may move it, for tests.
const STATE_ROOT: &str = "/var/lib/minikube-ish";
const RUN_ROOT: &str = "/run/minikube-ish";

/// The folders of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    cluster: String,
    state: PathBuf,
    run: PathBuf,
}

impl Layout {
    /// The folders of the cluster named `cluster`; `state_root` in place of the usual one.
    pub(crate) fn new(cluster: &str, state_root: Option<&Path>) -> Self {
        Self {
            cluster: cluster.to_owned(),
            state: state_root.unwrap_or(Path::new(STATE_ROOT)).join(cluster),
            run: Path::new(RUN_ROOT).join(cluster),
        }
    }

    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    pub(crate) fn run(&self) -> &Path {
        &self.run
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.state.join("cluster.json")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    pub(crate) fn control_plane(&self) -> PathBuf {
        self.state.join("control-plane")
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.control_plane().join("pki/ca.pem")
    }

    pub(crate) fn join_token(&self) -> PathBuf {
        self.control_plane().join("pki/join.token")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.state.join("images")
    }

    pub(crate) fn front(&self) -> PathBuf {
        self.state.join("front")
    }

    pub(crate) fn node_state(&self, node: &str) -> PathBuf {
        self.state.join("nodes").join(node)
    }

    pub(crate) fn node_run(&self, node: &str) -> PathBuf {
        self.run.join("nodes").join(node)
    }

    pub(crate) fn launcher_socket(&self, node: &str) -> PathBuf {
        self.node_run(node).join("launcher.sock")
    }

    /// Relative to the root of each cgroup hierarchy.
    pub(crate) fn cgroup(&self) -> PathBuf {
        Path::new("minikube-ish").join(&self.cluster)
    }

    pub(crate) fn node_cgroup(&self, node: &str) -> PathBuf {
        self.cgroup().join(node)
    }

    pub(crate) fn pid_file(&self, process: &str) -> PathBuf {
        self.run.join(format!("{process}.pid"))
    }

    pub(crate) fn log(&self, process: &str) -> PathBuf {
        self.state.join("logs").join(format!("{process}.log"))
    }

    /// Held by whoever brings the cluster up or down.
    pub(crate) fn lock(&self) -> PathBuf {
        self.state.join("lock")
    }
}
