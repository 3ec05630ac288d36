//! `delete`: objects go, and by default the command waits until they are gone.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use manifests::{Kind, Object};

use super::connection::Connection;
use super::get::{Filter, Scope};
use super::session::{Place, Session};
use super::source::Sources;
use super::{duration, failure, print, selection};

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// KIND NAME…, KIND/NAME…, or KIND with -l or --all
    #[arg(value_name = "WHAT")]
    what: Vec<String>,
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    filter: Filter,
    /// All objects of the kind in the namespace
    #[arg(long)]
    all: bool,
    /// How many seconds pods may take to end, instead of what they say themselves
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<u32>,
    /// End pods at once, without grace
    #[arg(long, conflicts_with = "grace_period")]
    force: bool,
    /// Wait until the objects are gone
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    wait: bool,
    /// How long to wait
    #[arg(long, default_value = "2m", value_parser = duration::parse)]
    timeout: Duration,
    /// What is not there is no failure
    #[arg(long)]
    ignore_not_found: bool,
}

/// One object to delete.
#[derive(Debug, Clone)]
struct Target {
    kind: Kind,
    namespace: Option<String>,
    name: String,
}

impl Target {
    fn place(&self) -> Place<'_> {
        Place { kind: self.kind, namespace: self.namespace.as_deref() }
    }

    fn of(object: &Object, session: &Session) -> Option<Target> {
        let kind = object.kind()?;
        let namespace = object.namespace().unwrap_or(session.namespace()).to_owned();
        let namespace = kind.info().namespaced.then_some(namespace);
        Some(Target { kind, namespace, name: object.name().to_owned() })
    }
}

pub(super) async fn run(args: DeleteArgs, connection: &Connection) -> anyhow::Result<ExitCode> {
    let session = args.scope.open(connection).await?;
    let targets = targets(&args, &session).await?;
    if targets.is_empty() {
        print::note("No resources found");
        return Ok(ExitCode::SUCCESS);
    }
    let grace = if args.force { Some(0) } else { args.grace_period };
    let mut going = Vec::new();
    let mut missing = 0;
    for target in targets {
        match session.delete(target.place(), &target.name, grace).await {
            Ok(answer) => {
                print::line(&format!("{} {:?} deleted", target.kind.qualified(), target.name))?;
                going.push((target, uid(&answer)));
            }
            Err(error) if failure::is_not_found(&error) => {
                if !args.ignore_not_found {
                    missing += 1;
                    print::error(&failure::explain(error.into()).to_string());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    if args.wait {
        wait(&session, &going, args.timeout).await?;
    }
    Ok(if missing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The uid of what was deleted, in either shape of answer: the object, or a `Status` about it.
fn uid(answer: &serde_json::Value) -> String {
    let of_object = answer["metadata"]["uid"].as_str();
    of_object.or(answer["details"]["uid"].as_str()).unwrap_or_default().to_owned()
}

async fn targets(args: &DeleteArgs, session: &Session) -> anyhow::Result<Vec<Target>> {
    if !args.sources.filenames.is_empty() {
        if !args.what.is_empty() {
            bail!("-f says what to delete; leave out the rest");
        }
        let mut documents = args.sources.read()?;
        // In the opposite order of their making: what uses others goes first.
        documents.reverse();
        return Ok(documents.iter().filter_map(|document| Target::of(&document.object, session)).collect());
    }
    let mut targets = Vec::new();
    for selection in selection::parse(&args.what)? {
        let place = args.scope.place(session, selection.kind);
        if selection.names.is_empty() {
            if args.filter.is_empty() && !args.all {
                bail!("say which {}: by name, by -l LABELS, or --all", selection.kind.info().plural);
            }
            let (objects, _) = session.list(place, &args.filter.query()).await?;
            targets.extend(objects.iter().filter_map(|object| Target::of(object, session)));
        }
        if !selection.names.is_empty() && (args.all || !args.filter.is_empty()) {
            bail!("a name cannot be used together with -l or --all");
        }
        let namespace = place.namespace.map(str::to_owned);
        let named = |name| Target { kind: selection.kind, namespace: namespace.clone(), name };
        targets.extend(selection.names.into_iter().map(named));
    }
    Ok(targets)
}

/// Waits until every object is gone, or another one has its name.
async fn wait(session: &Session, going: &[(Target, String)], timeout: Duration) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + timeout;
    for (target, uid) in going {
        let gone = |object: Option<&Object>| object.is_none_or(|object| object.uid() != uid).then_some(());
        let gone = session.follow(target.place(), &target.name, gone);
        match tokio::time::timeout_at(deadline, gone).await {
            Ok(result) => result?,
            Err(_) => bail!(
                "{}/{} was asked to go and is not gone yet; see: minikube-ish describe {} {}",
                target.kind.qualified(),
                target.name,
                target.kind.info().singular,
                target.name
            ),
        }
    }
    Ok(())
}
