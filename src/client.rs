//! What a user says to a cluster: `get`, `apply`, `scale`, `logs` and the like, as one more client of its Kubernetes
//! API. Works with any cluster that a kubeconfig leads to; knows nothing of how ours is made.

use std::io;
use std::process::ExitCode;

use clap::Subcommand;

mod apply;
mod attach;
mod clock;
mod completion;
mod connection;
mod delete;
mod describe;
mod duration;
mod events;
mod exec;
mod failure;
mod get;
mod kubeconfig;
mod logs;
mod pods;
mod print;
mod rollout;
mod scale;
mod selection;
mod session;
mod source;
mod table;
mod terminal;
mod wait;

pub(crate) use connection::{Connection, ConnectionArgs};

/// The commands that speak to a cluster's API.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Make the cluster be as manifests say: files, folders, or - for standard input
    Apply(apply::ApplyArgs),
    /// Show objects: KIND, KIND NAME, KIND/NAME, or several kinds as pods,svc
    Get(get::GetArgs),
    /// Set how many replicas run: NAME, KIND/NAME or KIND NAME
    Scale(scale::ScaleArgs),
    /// Show one object in full, with its events
    Describe(describe::DescribeArgs),
    /// Show what containers print
    Logs(logs::LogsArgs),
    /// Run a command in a container
    Exec(exec::ExecArgs),
    /// Delete objects: KIND NAME, KIND/NAME, -f FILE, -l LABELS or --all
    Delete(delete::DeleteArgs),
    /// Show what happened, in order
    Events(events::EventsArgs),
    /// Follow or restart a rollout
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Wait until objects are as asked
    Wait(wait::WaitArgs),
    /// Print the path of the kubeconfig, or merge it into kubectl's
    Kubeconfig(kubeconfig::KubeconfigArgs),
    /// Print a script that completes commands in a shell
    Completion(completion::CompletionArgs),
}

/// Runs one command; the exit code is 0 when all of it was done.
pub(crate) async fn run(command: ClientCommand, connection: &Connection) -> anyhow::Result<ExitCode> {
    let done = match command {
        ClientCommand::Apply(args) => apply::run(args, connection).await,
        ClientCommand::Get(args) => get::run(args, connection).await,
        ClientCommand::Scale(args) => scale::run(args, connection).await,
        ClientCommand::Describe(args) => describe::run(args, connection).await,
        ClientCommand::Logs(args) => logs::run(args, connection).await,
        ClientCommand::Exec(args) => exec::run(args, connection).await,
        ClientCommand::Delete(args) => delete::run(args, connection).await,
        ClientCommand::Events(args) => events::run(args, connection).await,
        ClientCommand::Rollout(command) => rollout::run(command, connection).await,
        ClientCommand::Wait(args) => wait::run(args, connection).await,
        ClientCommand::Kubeconfig(args) => kubeconfig::run(&args, connection),
        ClientCommand::Completion(args) => completion::run(&args),
    };
    done.or_else(
        |error| if is_reader_gone(&error) { Ok(ExitCode::SUCCESS) } else { Err(failure::explain(error)) },
    )
}

/// Whether whoever read our output, such as `head`, has had enough.
fn is_reader_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
