//! Waiting until every node of a cluster is Ready, by watching, not by asking again and again.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Node;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};

/// A client with the rights of a kubeconfig.
///
/// # Errors
/// When the file is not there or is no kubeconfig.
pub(crate) async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let config =
        Kubeconfig::read_from(kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Returns when all nodes of these names are Ready.
///
/// # Errors
/// Which of them are not, when `patience` is over.
pub(crate) async fn nodes_ready(
    client: Client,
    names: BTreeSet<String>,
    patience: Duration,
) -> anyhow::Result<()> {
    let mut missing = names;
    let watch = async {
        let nodes = watcher(Api::<Node>::all(client), watcher::Config::default()).applied_objects();
        let mut nodes = nodes.boxed();
        while let Some(node) = nodes.try_next().await? {
            let name = node.metadata.name.clone().unwrap_or_default();
            if is_ready(&node) {
                missing.remove(&name);
            }
            if missing.is_empty() {
                return Ok(());
            }
        }
        bail!("the control plane ended the watch")
    };
    match tokio::time::timeout(patience, watch).await {
        Ok(watched) => watched,
        Err(_) => {
            let missing: Vec<String> = missing.into_iter().collect();
            bail!("not Ready after {} s: {}", patience.as_secs(), missing.join(", "))
        }
    }
}

/// Whether a node says that it can take pods.
pub(crate) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
