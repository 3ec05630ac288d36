//! `rollout`: following a Deployment's change until every pod is of the new kind, and starting one.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use manifests::{Kind, Object};
use serde_json::{Value, json};

use super::connection::Connection;
use super::session::{Patch, Session};
use super::{clock, duration, print, selection};

#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Follow a rollout until it is done
    Status(StatusArgs),
    /// Replace all pods, a few at a time
    Restart(Target),
    /// Hold a rollout where it is
    Pause(Target),
    /// Let a rollout that is held go on
    Resume(Target),
}

#[derive(Debug, Args)]
pub(crate) struct Target {
    /// NAME, deployment/NAME or deployment NAME
    #[arg(required = true, value_name = "WHAT")]
    what: Vec<String>,
    /// The namespace to work in
    #[arg(short, long)]
    namespace: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    target: Target,
    /// Wait until it is done; false: say how it stands
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    watch: bool,
    /// How long to wait; 0s is for ever
    #[arg(long, default_value = "0s", value_parser = duration::parse)]
    timeout: Duration,
}

pub(super) async fn run(command: RolloutCommand, connection: &Connection) -> anyhow::Result<ExitCode> {
    match command {
        RolloutCommand::Status(args) => status(args, connection).await,
        RolloutCommand::Restart(target) => {
            let now = clock::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let annotations = json!({"kubectl.kubernetes.io/restartedAt": now});
            let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
            change(&target, &patch, "restarted", connection).await
        }
        RolloutCommand::Pause(target) => {
            change(&target, &json!({"spec": {"paused": true}}), "paused", connection).await
        }
        RolloutCommand::Resume(target) => {
            change(&target, &json!({"spec": {"paused": null}}), "resumed", connection).await
        }
    }
}

impl Target {
    async fn open(&self, connection: &Connection) -> anyhow::Result<Session> {
        connection.open(self.namespace.as_deref()).await
    }

    /// The names of the Deployments that are meant.
    fn names(&self) -> anyhow::Result<Vec<String>> {
        if let [name] = self.what.as_slice()
            && !name.contains('/')
        {
            return Ok(vec![name.clone()]);
        }
        let mut names = Vec::new();
        for selection in selection::parse(&self.what)? {
            if selection.kind != Kind::Deployment {
                bail!("only deployments are rolled out, not {}", selection.kind.info().plural);
            }
            names.extend(selection.names);
        }
        if names.is_empty() { bail!("say which deployment") } else { Ok(names) }
    }
}

async fn change(
    target: &Target,
    patch: &Value,
    word: &str,
    connection: &Connection,
) -> anyhow::Result<ExitCode> {
    let session = target.open(connection).await?;
    for name in target.names()? {
        session.patch(session.place(Kind::Deployment), &name, "", (Patch::Merge, patch)).await?;
        print::line(&format!("deployment.apps/{name} {word}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(args: StatusArgs, connection: &Connection) -> anyhow::Result<ExitCode> {
    let session = args.target.open(connection).await?;
    let place = session.place(Kind::Deployment);
    for name in args.target.names()? {
        let mut last = String::new();
        let mut told = Ok(());
        // A deployment that is not there is an error of its own.
        let first = session.get(place, &name).await?;
        if !args.watch {
            let (Progress::Done(text) | Progress::Waiting(text) | Progress::Stuck(text)) = progress(&first);
            print::line(&text)?;
            continue;
        }
        let judge = |object: Option<&Object>| {
            let Some(object) = object else {
                return Some(Progress::Stuck(format!("deployment {name:?} was deleted")));
            };
            let progress = progress(object);
            if let Progress::Waiting(text) = &progress {
                if text != &last {
                    told = print::line(text);
                    last.clone_from(text);
                }
                return None;
            }
            Some(progress)
        };
        let verdict = within(args.timeout, session.follow(place, &name, judge)).await?;
        told?;
        match verdict {
            Progress::Done(text) => print::line(&text)?,
            Progress::Stuck(text) | Progress::Waiting(text) => bail!(text),
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn within<T>(
    timeout: Duration,
    future: impl Future<Output = Result<T, kube::Error>>,
) -> anyhow::Result<T> {
    if timeout.is_zero() {
        return Ok(future.await?);
    }
    match tokio::time::timeout(timeout, future).await {
        Ok(result) => Ok(result?),
        Err(_) => bail!("timed out waiting for the rollout"),
    }
}

/// How a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Progress {
    Done(String),
    Waiting(String),
    Stuck(String),
}

/// Reads a Deployment's status as kubectl does. Source: kubectl `pkg/polymorphichelpers/rollout_status.go`.
fn progress(deployment: &Object) -> Progress {
    let name = deployment.name();
    let status = |field: &str| deployment.i64_at(&["status", field]).unwrap_or_default();
    let waiting = |what: String| {
        Progress::Waiting(format!("Waiting for deployment {name:?} rollout to finish: {what}..."))
    };
    if status("observedGeneration") < deployment.generation() {
        return Progress::Waiting("Waiting for deployment spec update to be observed...".to_owned());
    }
    let late = |condition: &Value| {
        condition["type"] == "Progressing" && condition["reason"] == "ProgressDeadlineExceeded"
    };
    if deployment.list_at(&["status", "conditions"]).iter().any(late) {
        let hint = "see why: minikube-ish describe deployment";
        return Progress::Stuck(format!("deployment {name:?} exceeded its progress deadline; {hint} {name}"));
    }
    let wanted = deployment.i64_at(&["spec", "replicas"]).unwrap_or(1);
    let (all, updated, available) =
        (status("replicas"), status("updatedReplicas"), status("availableReplicas"));
    if updated < wanted {
        return waiting(format!("{updated} out of {wanted} new replicas have been updated"));
    }
    if all > updated {
        return waiting(format!("{} old replicas are pending termination", all - updated));
    }
    if available < updated {
        return waiting(format!("{available} of {updated} updated replicas are available"));
    }
    Progress::Done(format!("deployment {name:?} successfully rolled out"))
}

#[cfg(test)]
mod tests;
