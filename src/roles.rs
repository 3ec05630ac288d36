//! The processes that a cluster is made of, each a subcommand that runs in the foreground.
//!
//! On real machines an operator starts them; for a local cluster `up` does, in the background.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use ipnet::Ipv4Net;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::front::FrontArgs;

/// One role.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Run a control plane in the foreground
    ControlPlane(ControlPlaneArgs),
    /// Run a node agent in the foreground
    NodeAgent(NodeAgentArgs),
    /// Run a front in the foreground
    LoadBalancer(FrontArgs),
    /// Keep the containers of one node; started by its agent
    #[command(hide = true)]
    Launcher(LauncherArgs),
}

#[derive(Debug, Args)]
pub(crate) struct Background {
    /// Leave the terminal's session, and say on standard output when ready
    #[arg(long, hide = true)]
    background: bool,
}

impl Background {
    fn in_background(&self) -> bool {
        self.background
    }
}

#[derive(Debug, Args)]
pub(crate) struct ControlPlaneArgs {
    /// Where the store and the keys live
    #[arg(long, default_value = "/var/lib/minikube-ish/control-plane")]
    state_dir: PathBuf,
    /// Where users and kubectl reach the API, HTTPS
    #[arg(long, default_value = "127.0.0.1:6443")]
    api_address: SocketAddr,
    /// Where nodes and fronts dial in, gRPC over TLS
    #[arg(long, default_value = "0.0.0.0:6444")]
    fleet_address: SocketAddr,
    /// Further names and addresses for the certificate
    #[arg(long = "name")]
    names: Vec<String>,
    /// Addresses of pods; each node gets a /24 of it
    #[arg(long, default_value = "10.65.0.0/16")]
    pod_cidr: Ipv4Net,
    /// Addresses of services
    #[arg(long, default_value = "10.66.0.0/16")]
    service_cidr: Ipv4Net,
    /// Where to write the administrator's kubeconfig
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    background: Background,
}

#[derive(Debug, Args)]
pub(crate) struct NodeAgentArgs {
    /// The node's name in the cluster
    #[arg(long)]
    name: String,
    /// The address at which other nodes reach this one
    #[arg(long)]
    address: IpAddr,
    /// Where the control plane takes nodes: https://HOST:PORT
    #[arg(long)]
    control_plane: String,
    /// The cluster's CA certificate (pki/ca.pem of the control plane)
    #[arg(long)]
    ca: PathBuf,
    /// The file of the join token (pki/join.token of the control plane); needed until the node has joined
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// The node's pod range; without it the control plane chooses one
    #[arg(long)]
    pod_cidr: Option<Ipv4Net>,
    /// Labels of the node: key=value
    #[arg(long = "label", value_parser = label)]
    labels: Vec<(String, String)>,
    /// What outlives a reboot
    #[arg(long, default_value = "/var/lib/minikube-ish/node")]
    state_dir: PathBuf,
    /// What lives as long as the containers
    #[arg(long, default_value = "/run/minikube-ish/node")]
    run_dir: PathBuf,
    /// The image store
    #[arg(long, default_value = "/var/lib/minikube-ish/images")]
    images: PathBuf,
    /// The cgroup below which everything of this node lives
    #[arg(long, default_value = "minikube-ish/node")]
    cgroup: PathBuf,
    #[command(flatten)]
    background: Background,
}

#[derive(Debug, Args)]
pub(crate) struct LauncherArgs {
    #[arg(long)]
    socket: PathBuf,
    #[arg(long)]
    state_dir: PathBuf,
    #[arg(long)]
    cgroup_root: String,
}

/// Runs a role until it is told to end.
pub(crate) fn run(role: Role) -> anyhow::Result<ExitCode> {
    match role {
        // Before anything else: it forks, and so must never have had a second thread.
        Role::Launcher(args) => launcher(args),
        Role::ControlPlane(args) => control_plane(args),
        Role::NodeAgent(args) => node_agent(args),
        Role::LoadBalancer(args) => load_balancer(args),
    }
}

fn launcher(args: LauncherArgs) -> anyhow::Result<ExitCode> {
    log_to_stderr();
    runtime::launcher::run(&runtime::launcher::Config {
        socket: args.socket,
        state_dir: args.state_dir,
        cgroup_root: args.cgroup_root,
    })
    .context("the launcher ended")?;
    Ok(ExitCode::SUCCESS)
}

fn control_plane(args: ControlPlaneArgs) -> anyhow::Result<ExitCode> {
    let in_background = args.background.in_background();
    let config = control_plane::Config {
        state_dir: args.state_dir,
        api_address: args.api_address,
        fleet_address: args.fleet_address,
        names: args.names,
        pod_cidr: args.pod_cidr,
        service_cidr: args.service_cidr,
        kubeconfig: args.kubeconfig,
    };
    serve(in_background, async move |shutdown, ready| {
        control_plane::run(config, shutdown, ready).await.context("the control plane ended")
    })
}

fn node_agent(args: NodeAgentArgs) -> anyhow::Result<ExitCode> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let in_background = args.background.in_background();
    let socket = args.run_dir.join("launcher.sock");
    let cgroup = args.cgroup.to_string_lossy().into_owned();
    // Containers' environments hold secrets: they lie where the agent keeps the other ones, never on a disk. It makes
    // that memory before it starts a launcher.
    let launcher_state = args.run_dir.join("memory/launcher");
    let config = node_agent::Config {
        launcher_command: launcher_command(&socket, &launcher_state, &cgroup)?,
        node_name: args.name,
        node_address: args.address,
        pod_cidr: args.pod_cidr,
        labels: args.labels.into_iter().collect::<BTreeMap<_, _>>(),
        state_dir: args.state_dir,
        run_dir: args.run_dir,
        image_store: args.images,
        launcher_socket: socket,
        cgroup_root: args.cgroup,
        control_plane: args.control_plane,
        ca_pem: read(&args.ca)?,
        token: args.token_file.as_deref().map(read).transpose()?.map(|token| token.trim().to_owned()),
    };
    serve(in_background, async move |shutdown, ready| {
        node_agent::run(config, shutdown, ready).await.context("the node agent ended")
    })
}

fn load_balancer(args: FrontArgs) -> anyhow::Result<ExitCode> {
    let in_background = args.background.in_background();
    serve(in_background, async move |shutdown, ready| crate::front::run(args, shutdown, ready).await)
}

fn launcher_command(socket: &Path, state_dir: &Path, cgroup: &str) -> anyhow::Result<Vec<String>> {
    let us = std::env::current_exe().context("our own executable is gone")?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Ok(vec![
        text(&us),
        "launcher".to_owned(),
        format!("--socket={}", text(socket)),
        format!("--state-dir={}", text(state_dir)),
        format!("--cgroup-root={cgroup}"),
    ])
}

/// Says, once, that a role is ready to be used.
pub(crate) type Ready = Box<dyn FnOnce() + Send>;

/// Runs a role on a runtime of its own until it ends or is asked to (SIGTERM, SIGINT).
pub(crate) fn serve<F>(
    in_background: bool,
    role: impl FnOnce(CancellationToken, Ready) -> F,
) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<()>>,
{
    log_to_stderr();
    raise_open_files();
    if in_background {
        nix::unistd::setsid().context("cannot leave the terminal's session")?;
    }
    let ready: Ready = Box::new(move || {
        if in_background {
            // Whoever started us may have gone already; then nobody is left to tell.
            let _ = writeln!(std::io::stdout(), "ready");
        }
        tracing::info!("ready");
    });
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(async {
        let shutdown = CancellationToken::new();
        tokio::spawn(cancel_on_signal(shutdown.clone()));
        role(shutdown, ready).await
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn cancel_on_signal(shutdown: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    shutdown.cancel();
}

/// As many open files as we may have: every connection is one, and the usual limit is for interactive programs.
fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("MINIKUBE_ISH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label is key=value")?;
    Ok((key.to_owned(), value.to_owned()))
}
