//! `exec`: a command in a container, with the exit code of the command.

use std::process::ExitCode;

use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams};

use super::connection::Connection;
use super::terminal::{self, Raw};
use super::{attach, pods, print};

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// POD, or KIND/NAME of something that has pods
    #[arg(value_name = "WHAT")]
    what: String,
    /// The namespace to work in
    #[arg(short, long)]
    namespace: Option<String>,
    /// The container
    #[arg(short, long)]
    container: Option<String>,
    /// Pass standard input on
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// The command, after --
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

pub(super) async fn run(args: ExecArgs, connection: &Connection) -> anyhow::Result<ExitCode> {
    let session = connection.open(args.namespace.as_deref()).await?;
    let pod = pods::one(&session, &args.what).await?;
    let container = pods::container(&pod, args.container.as_deref())?;
    let tty = args.tty && terminal::is_interactive();
    if args.tty && !tty {
        print::note("There is no terminal here; going on without -t");
    }
    let parameters = AttachParams {
        container: Some(container.to_owned()),
        stdin: args.stdin,
        stdout: true,
        // A terminal has one stream for both.
        stderr: !tty,
        tty,
        ..AttachParams::default()
    };
    let pods: Api<Pod> = Api::namespaced(session.client(), session.namespace());
    let process = pods.exec(pod.name(), args.command, &parameters).await?;
    let raw = if tty && args.stdin { Some(Raw::enter()?) } else { None };
    let code = attach::carry(process, tty).await;
    drop(raw);
    Ok(ExitCode::from(code?))
}
