//! `completion`: a script that completes commands in a shell.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::print;

#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell: source <(minikube-ish completion bash)
    shell: Shell,
}

pub(super) fn run(args: &CompletionArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "minikube-ish", &mut script);
    print::line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitCode::SUCCESS)
}
