//! Which cluster a command speaks to, and as whom.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use super::session::Session;

/// The flags that choose a cluster.
#[derive(Debug, Args)]
pub(crate) struct ConnectionArgs {
    /// The kubeconfig that leads to the cluster, instead of the one of this machine's cluster
    #[arg(long, global = true, value_name = "FILE", env = "MINIKUBE_ISH_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
}

/// The way to a cluster.
#[derive(Debug)]
pub(crate) struct Connection {
    kubeconfig: PathBuf,
    is_local: bool,
}

impl Connection {
    /// The cluster that the flags name, else the one on this machine, whose kubeconfig is at `local`.
    pub(crate) fn new(args: &ConnectionArgs, local: PathBuf) -> Connection {
        match &args.kubeconfig {
            Some(path) => Connection { kubeconfig: path.clone(), is_local: false },
            None => Connection { kubeconfig: local, is_local: true },
        }
    }

    /// The kubeconfig in use.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Reads the kubeconfig; says what to do if it is not there.
    pub(super) fn read(&self) -> anyhow::Result<kube::config::Kubeconfig> {
        let path = &self.kubeconfig;
        let is_there = path.try_exists().with_context(|| format!("cannot look for {}", path.display()))?;
        if !is_there && self.is_local {
            bail!("there is no cluster on this machine yet; start one with: minikube-ish up");
        }
        if !is_there {
            bail!("there is no kubeconfig at {}", path.display());
        }
        kube::config::Kubeconfig::read_from(path)
            .with_context(|| format!("cannot use the kubeconfig {}", path.display()))
    }

    /// Opens a session. `namespace` is what the user asked for; without it, the kubeconfig's counts.
    pub(super) async fn open(&self, namespace: Option<&str>) -> anyhow::Result<Session> {
        let path = self.kubeconfig.display();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(self.read()?, &options).await;
        let config = config.with_context(|| format!("cannot use the kubeconfig {path}"))?;
        Session::open(config, namespace)
    }
}
