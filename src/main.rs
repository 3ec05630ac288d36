//! `minikube-ish`: every role is a subcommand of one binary.
//!
//! This file parses flags and calls a room. What a user says to a cluster is in `client`, a whole cluster on this
//! machine is `local`, and the processes that a cluster is made of are `roles`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks on its terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod chaos;
mod client;
mod front;
mod image;
mod local;
mod output;
mod roles;

use client::{Connection, ConnectionArgs};
use local::layout::Layout;

/// A Kubernetes-style mini orchestrator in one small binary.
#[derive(Debug, Parser)]
#[command(
    name = "minikube-ish",
    version,
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Which cluster of this machine
    #[arg(long, global = true, default_value = "default", env = "MINIKUBE_ISH_CLUSTER", value_parser = cluster_name)]
    cluster: String,
    /// Where clusters keep their state
    #[arg(long, global = true, hide = true, env = "MINIKUBE_ISH_STATE")]
    state_root: Option<PathBuf>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Global {
    fn layout(&self) -> Layout {
        Layout::new(&self.cluster, self.state_root.as_deref())
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Client(client::ClientCommand),
    /// Start a cluster on this machine, in the background
    Up(local::up::UpArgs),
    /// Stop the cluster of this machine; what it stores is kept
    Down(local::down::DownArgs),
    /// Show the processes, nodes and addresses of the cluster
    Status(local::status::StatusArgs),
    /// Pack, load, list and remove images
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// Break things on purpose, and report what was noticed
    Chaos(chaos::ChaosArgs),
    /// Say what this machine lacks, and how to get it
    Doctor,
    #[command(flatten)]
    Role(roles::Role),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let layout = cli.global.layout();
    match cli.command {
        Command::Client(command) => {
            let connection = Connection::new(&cli.global.connection, layout.kubeconfig());
            block_on(client::run(command, &connection))
        }
        Command::Role(role) => roles::run(role),
        Command::Up(args) => block_on(local::up::run(&layout, args)),
        Command::Down(args) => block_on(local::down::run(&layout, &args)),
        Command::Status(args) => block_on(local::status::run(&layout, &args)),
        Command::Image(command) => image::run(command, &layout.images()).map(|()| ExitCode::SUCCESS),
        Command::Chaos(args) => block_on(chaos::run(&layout, args)),
        Command::Doctor => Ok(output::doctor(&runtime::doctor::checks())),
    }
}

fn block_on(future: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(future)
}

/// A cluster's name is part of the names of folders, network namespaces and cgroups.
fn cluster_name(name: &str) -> Result<String, String> {
    const NAME_MAX: usize = 32;
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !plain || name.is_empty() || name.len() > NAME_MAX || name.starts_with('-') || name.ends_with('-') {
        return Err(format!("use at most {NAME_MAX} of a-z, 0-9 and '-', not at the ends"));
    }
    Ok(name.to_owned())
}
