//! `down`: ends a cluster and takes down everything that it made; with `--purge` its state too.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use runtime::client::Client;

use super::config::{ClusterConfig, LocalNode};
use super::layout::Layout;
use super::process::Process;
use super::{lock, mounts, processes, underlay};

/// How long a process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// Forget what it stored: objects, keys, images, emptyDirs; folders of hostPath volumes are yours and stay
    #[arg(long)]
    purge: bool,
}

/// Ends the cluster. What is not there any more is passed over, so that it can be said again after a crash.
pub(crate) async fn run(layout: &Layout, args: &DownArgs) -> anyhow::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        bail!("a cluster is root's: run it as root, e.g. with sudo");
    }
    if !layout.state().try_exists()? {
        println!("cluster {:?} does not exist", layout.cluster());
        return Ok(ExitCode::SUCCESS);
    }
    let lock = lock::take(layout)?;
    let config = ClusterConfig::load(&layout.config())?.unwrap_or_default();
    // The control plane first: it must not take the end of the nodes for their death.
    end(layout, "control-plane").await?;
    end(layout, "front").await?;
    let nodes = nodes_of(layout, &config)?;
    for node in &nodes {
        end(layout, &processes::agent_name(node)).await?;
    }
    for node in &nodes {
        end_containers(layout, node).await?;
    }
    underlay::destroy(layout.cluster(), &config).await.context("cannot take the network down")?;
    sweep(&layout.cgroup())?;
    mounts::unmount_below(layout.run())?;
    remove(layout.run())?;
    if args.purge {
        remove(layout.state())?;
    }
    drop(lock);
    println!("cluster {:?} is down{}", layout.cluster(), if args.purge { " and forgotten" } else { "" });
    Ok(ExitCode::SUCCESS)
}

async fn end(layout: &Layout, name: &str) -> anyhow::Result<()> {
    match Process::find(&layout.pid_file(name)) {
        Some(process) => process.end(PATIENCE).await.with_context(|| format!("cannot end {name}")),
        None => Ok(()),
    }
}

/// The nodes of the configuration and those that left a folder: `up --nodes` may have been smaller last time.
fn nodes_of(layout: &Layout, config: &ClusterConfig) -> anyhow::Result<Vec<LocalNode>> {
    let largest = ClusterConfig { nodes: super::config::NODES_MAX, ..config.clone() };
    let left = |node: &LocalNode| layout.node_run(&node.name).try_exists();
    let mut nodes = Vec::new();
    for (index, node) in largest.node_list().into_iter().enumerate() {
        if index < usize::from(config.nodes) || left(&node)? {
            nodes.push(node);
        }
    }
    Ok(nodes)
}

/// Ends every container of a node, whether or not its launcher still lives.
async fn end_containers(layout: &Layout, node: &LocalNode) -> anyhow::Result<()> {
    let socket = layout.launcher_socket(&node.name);
    let cgroup = layout.node_cgroup(&node.name);
    let name = node.name.clone();
    let end = move || {
        if let Ok(mut client) = Client::connect(&socket) {
            client.shutdown(true).with_context(|| format!("the launcher of {name} did not end"))?;
        }
        sweep(&cgroup)
    };
    tokio::task::spawn_blocking(end).await.context("an end was cut short")?
}

fn sweep(cgroup: &Path) -> anyhow::Result<()> {
    let cgroup = cgroup.to_string_lossy();
    runtime::launcher::sweep(&cgroup).with_context(|| format!("cannot end what is left in cgroup {cgroup}"))
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", path.display())),
    }
}
