//! `up`: starts what is missing of a cluster and returns when every node is Ready.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use ipnet::Ipv4Net;
use tokio::task::JoinSet;

use super::config::{ClusterConfig, LocalNode};
use super::layout::Layout;
use super::process::{Process, Start};
use super::{lock, processes, readiness, underlay};

const READY_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// How many nodes [default: 1, or as many as last time]
    #[arg(long)]
    nodes: Option<u16>,
    /// Addresses of the cluster, all of them; a /14 or larger [default: 10.64.0.0/14]
    #[arg(long)]
    cluster_cidr: Option<Ipv4Net>,
    /// The loopback address where the front and the API listen [default: 127.0.0.1]
    #[arg(long)]
    address: Option<std::net::Ipv4Addr>,
    /// The API's port [default: 6443]
    #[arg(long)]
    api_port: Option<u16>,
    /// The port where the front takes HTTP for every Ingress [default: 8080]
    #[arg(long)]
    http_port: Option<u16>,
}

/// Starts the cluster.
pub(crate) async fn run(layout: &Layout, args: UpArgs) -> anyhow::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        bail!("containers need namespaces, cgroups and mounts: run it as root, e.g. with sudo");
    }
    let _lock = lock::take(layout)?;
    let config = settle(args, ClusterConfig::load(&layout.config())?)?;
    let missing: Vec<String> = processes::names(&config)
        .into_iter()
        .filter(|name| Process::find(&layout.pid_file(name)).is_none())
        .collect();
    if missing.is_empty() {
        println!("cluster {:?} is up", layout.cluster());
        print_ways_in(layout, &config);
        return Ok(ExitCode::SUCCESS);
    }
    check_ports(&config, &missing)?;
    let mut timeline = Timeline::start();
    make_folders(layout, &config)?;
    underlay::create(layout.cluster(), &config).await.context("cannot make the cluster's network")?;
    // Not before the range has proved to be free: what is on record cannot be changed any more.
    config.save(&layout.config())?;
    timeline.reached("network of the nodes");
    start_missing(layout, &config, &missing, &mut timeline).await?;
    let names = config.node_list().into_iter().map(|node| node.name).collect();
    let client = readiness::client(&layout.kubeconfig()).await?;
    readiness::nodes_ready(client, names, READY_PATIENCE).await?;
    timeline.reached(&format!("{} nodes Ready", config.nodes));
    print_ways_in(layout, &config);
    Ok(ExitCode::SUCCESS)
}

/// What was asked for, on top of how the cluster was made.
fn settle(args: UpArgs, saved: Option<ClusterConfig>) -> anyhow::Result<ClusterConfig> {
    let first = saved.is_none();
    let mut config = saved.unwrap_or_default();
    let made = config.clone();
    config.nodes = args.nodes.unwrap_or(config.nodes);
    config.cluster_cidr = args.cluster_cidr.unwrap_or(config.cluster_cidr);
    config.address = args.address.unwrap_or(config.address);
    config.api_port = args.api_port.unwrap_or(config.api_port);
    config.http_port = args.http_port.unwrap_or(config.http_port);
    config.check()?;
    if config.nodes < made.nodes && !first {
        bail!("the cluster has {} nodes; it can grow, but not shrink: `down --purge` it first", made.nodes);
    }
    if !first && config.cluster_cidr != made.cluster_cidr {
        bail!(
            "the cluster was made with --cluster-cidr {}, and what it stores depends on that: \
             `down --purge` it first, or choose another --cluster",
            made.cluster_cidr
        );
    }
    Ok(config)
}

/// Before anything is made: whether what is to be started can listen.
fn check_ports(config: &ClusterConfig, missing: &[String]) -> anyhow::Result<()> {
    for (process, flag, port) in
        [("control-plane", "--api-port", config.api_port), ("front", "--http-port", config.http_port)]
    {
        let address = (config.address, port);
        if missing.iter().any(|name| name == process)
            && let Err(error) = std::net::TcpListener::bind(address)
        {
            bail!("cannot listen at {}:{port}: {error}; choose another {flag} or --address", config.address);
        }
    }
    Ok(())
}

fn make_folders(layout: &Layout, config: &ClusterConfig) -> anyhow::Result<()> {
    let nodes = config.node_list();
    let per_node = nodes.iter().flat_map(|node| [layout.node_state(&node.name), layout.node_run(&node.name)]);
    for folder in [layout.images(), layout.front(), layout.run().to_owned()].into_iter().chain(per_node) {
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    Ok(())
}

/// The control plane first: it founds the authority that the others join. These start all at once.
async fn start_missing(
    layout: &Layout,
    config: &ClusterConfig,
    missing: &[String],
    timeline: &mut Timeline,
) -> anyhow::Result<()> {
    let is_missing = |name: &str| missing.iter().any(|missing| missing == name);
    if is_missing("control-plane") {
        let start = processes::control_plane(layout, config);
        start_here(start).await?;
        timeline.reached("control plane");
    }
    let mut starting = JoinSet::new();
    if is_missing("front") {
        starting.spawn(start_here(processes::front(layout, config)));
    }
    for node in config.node_list() {
        if is_missing(&processes::agent_name(&node)) {
            let start = processes::node_agent(layout, config, &node);
            starting.spawn(start_in_node(layout.cluster().to_owned(), node, start));
        }
    }
    while let Some(started) = starting.join_next().await {
        started.context("a start was cut short")??;
    }
    timeline.reached("front and node agents");
    Ok(())
}

async fn start_here(start: Start) -> anyhow::Result<()> {
    on_a_thread(move || {
        let child = start.command()?.spawn().with_context(|| format!("cannot start {}", start.name))?;
        start.wait_ready(child)
    })
    .await
}

async fn start_in_node(cluster: String, node: LocalNode, start: Start) -> anyhow::Result<()> {
    on_a_thread(move || {
        let child = underlay::spawn_in(&cluster, &node.name, start.command()?)
            .with_context(|| format!("cannot start {}", start.name))?;
        start.wait_ready(child)
    })
    .await
}

/// Waiting for a child's first line blocks.
async fn on_a_thread(start: impl FnOnce() -> anyhow::Result<Process> + Send + 'static) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(start).await.context("a start was cut short")??;
    Ok(())
}

fn print_ways_in(layout: &Layout, config: &ClusterConfig) {
    let us = match layout.cluster() {
        "default" => "minikube-ish".to_owned(),
        other => format!("minikube-ish --cluster {other}"),
    };
    println!("\n  front      http://{}:{}", config.address, config.http_port);
    println!("  kubectl    kubectl --kubeconfig {} get pods -A", layout.kubeconfig().display());
    println!("  next       {us} apply -f FILE · {us} status · {us} down");
}

/// Prints each stretch of the way as it is done, with the time that it took.
struct Timeline {
    start: Instant,
    last: Instant,
}

impl Timeline {
    #[expect(clippy::disallowed_methods, reason = "a command's own stopwatch")]
    fn start() -> Self {
        let now = Instant::now();
        Self { start: now, last: now }
    }

    #[expect(clippy::disallowed_methods, reason = "a command's own stopwatch")]
    fn reached(&mut self, what: &str) {
        let now = Instant::now();
        let (stretch, total) = (now - self.last, now - self.start);
        println!("  {:>6} ms  {what:<28} (+{} ms)", total.as_millis(), stretch.as_millis());
        self.last = now;
    }
}
