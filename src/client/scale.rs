//! `scale`: how many replicas run. A bare name means the Deployment of that name, or else the ReplicaSet.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use manifests::Kind;
use serde_json::json;

use super::connection::Connection;
use super::print;
use super::selection;
use super::session::{Patch, Query, Session};

#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// NAME, KIND/NAME… or KIND NAME…
    #[arg(required = true, value_name = "WHAT")]
    what: Vec<String>,
    /// How many
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(0..))]
    replicas: i32,
    /// Only if so many are wanted now
    #[arg(long)]
    current_replicas: Option<i64>,
    /// The namespace to work in
    #[arg(short, long)]
    namespace: Option<String>,
}

pub(super) async fn run(args: ScaleArgs, connection: &Connection) -> anyhow::Result<ExitCode> {
    let session = connection.open(args.namespace.as_deref()).await?;
    for (kind, name) in targets(&session, &args.what).await? {
        let place = session.place(kind);
        if let Some(expected) = args.current_replicas {
            let wanted = session.get(place, &name).await?.i64_at(&["spec", "replicas"]).unwrap_or(1);
            if wanted != expected {
                bail!(
                    "{}/{name} is at {wanted} replicas, not {expected}; nothing was changed",
                    kind.qualified()
                );
            }
        }
        let patch = json!({"spec": {"replicas": args.replicas}});
        session.patch(place, &name, "scale", (Patch::Merge, &patch)).await?;
        print::line(&format!("{}/{name} scaled", kind.qualified()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the words mean: objects of kinds that have replicas.
async fn targets(session: &Session, words: &[String]) -> anyhow::Result<Vec<(Kind, String)>> {
    if let [name] = words
        && !name.contains('/')
    {
        return Ok(vec![(kind_of(session, name).await?, name.clone())]);
    }
    let mut targets = Vec::new();
    for selection in selection::parse(words)? {
        let info = selection.kind.info();
        if !info.scale {
            bail!("{} have no replicas; deployments and replicasets do", info.plural);
        }
        if selection.names.is_empty() {
            bail!("say which of the {}", info.plural);
        }
        targets.extend(selection.names.into_iter().map(|name| (selection.kind, name)));
    }
    Ok(targets)
}

/// The kind of the object with replicas that has this name.
async fn kind_of(session: &Session, name: &str) -> anyhow::Result<Kind> {
    for kind in [Kind::Deployment, Kind::ReplicaSet] {
        if session.find(session.place(kind), name).await?.is_some() {
            return Ok(kind);
        }
    }
    let (deployments, _) = session.list(session.place(Kind::Deployment), &Query::default()).await?;
    let namespace = session.namespace();
    match manifests::field::nearest(name, deployments.iter().map(manifests::Object::name)) {
        Some(near) => bail!("no deployment called {name:?} in namespace {namespace}; did you mean {near:?}?"),
        None => bail!(
            "no deployment called {name:?} in namespace {namespace}; see: minikube-ish get deployments -A"
        ),
    }
}
