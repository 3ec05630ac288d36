//! `completion`: a script that completes commands in a shell.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::print;

/// clap_complete's bash script writes a name with a hyphen in two ways, and then finds no subcommand again.
const MISSPELT: &str = "minikube__subcmd__ish";
const SPELT: &str = "minikube__ish";

#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell: source <(minikube-ish completion bash)
    shell: Shell,
}

pub(super) fn run(args: &CompletionArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "minikube-ish", &mut script);
    let script = String::from_utf8_lossy(&script).replace(MISSPELT, SPELT);
    print::line(script.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
