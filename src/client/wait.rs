//! `wait`: until objects have a condition, are gone, or have a value in a field.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use manifests::Object;

use super::connection::Connection;
use super::get::{Filter, Scope};
use super::{duration, print, selection};

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// KIND/NAME…, KIND NAME…, or KIND with -l or --all
    #[arg(required = true, value_name = "WHAT")]
    what: Vec<String>,
    /// condition=NAME, condition=NAME=false, delete, create, or jsonpath={.status.phase}=Running
    #[arg(long = "for", value_name = "GOAL", value_parser = goal)]
    goal: Goal,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    filter: Filter,
    /// All objects of the kind in the namespace
    #[arg(long)]
    all: bool,
    /// How long to wait
    #[arg(long, default_value = "30s", value_parser = duration::parse)]
    timeout: Duration,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Goal {
    Gone,
    There,
    Condition { name: String, status: String },
    Field { path: Vec<String>, value: Option<String> },
}

fn goal(text: &str) -> Result<Goal, String> {
    let problem = || format!("{text:?} is none of condition=NAME, delete, create, jsonpath={{.a.b}}=VALUE");
    match text {
        "delete" => return Ok(Goal::Gone),
        "create" => return Ok(Goal::There),
        _ => {}
    }
    let (kind, rest) = text.split_once('=').ok_or_else(problem)?;
    match kind {
        "condition" => {
            let (name, status) = rest.split_once('=').unwrap_or((rest, "true"));
            Ok(Goal::Condition { name: name.to_owned(), status: status.to_owned() })
        }
        "jsonpath" => {
            let rest = rest.trim_matches('\'');
            let (path, value) = match rest.split_once("}=") {
                Some((path, value)) => (path, Some(value.to_owned())),
                None => (rest.trim_end_matches('}'), None),
            };
            let path = path.trim_start_matches('{').strip_prefix('.').ok_or_else(problem)?;
            Ok(Goal::Field { path: path.split('.').map(str::to_owned).collect(), value })
        }
        _ => Err(problem()),
    }
}

impl Goal {
    /// Whether an object, or its absence, is what is waited for.
    fn is_met(&self, object: Option<&Object>) -> bool {
        let Some(object) = object else { return self == &Goal::Gone };
        match self {
            Goal::Gone => false,
            Goal::There => true,
            Goal::Condition { name, status } => {
                let current = object.i64_at(&["status", "observedGeneration"]).unwrap_or(i64::MAX)
                    >= object.generation();
                let mut conditions = object.list_at(&["status", "conditions"]).iter();
                let said = |condition: &serde_json::Value, field: &str, expected: &str| {
                    condition[field].as_str().is_some_and(|text| text.eq_ignore_ascii_case(expected))
                };
                current && conditions.any(|one| said(one, "type", name) && said(one, "status", status))
            }
            Goal::Field { path, value } => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let found = object.at(&path).map(|found| match found.as_str() {
                    Some(text) => text.to_owned(),
                    None => found.to_string(),
                });
                found.is_some() && value.as_ref().is_none_or(|value| found.as_ref() == Some(value))
            }
        }
    }
}

pub(super) async fn run(args: WaitArgs, connection: &Connection) -> anyhow::Result<ExitCode> {
    let session = args.scope.open(connection).await?;
    let deadline = tokio::time::Instant::now() + args.timeout;
    let mut targets = Vec::new();
    for selection in selection::parse(&args.what)? {
        let place = args.scope.place(&session, selection.kind);
        let mut names = selection.names;
        if names.is_empty() {
            if args.filter.is_empty() && !args.all {
                bail!("say which {}: by name, by -l LABELS, or --all", selection.kind.info().plural);
            }
            let (objects, _) = session.list(place, &args.filter.query()).await?;
            names.extend(objects.iter().map(|object| object.name().to_owned()));
        }
        targets.extend(names.into_iter().map(|name| (place, name)));
    }
    if targets.is_empty() && args.goal != Goal::Gone {
        bail!("nothing matches: there is nothing to wait for");
    }
    let mut failures = 0;
    for (place, name) in targets {
        let shown = format!("{}/{name}", place.kind.qualified());
        if args.goal != Goal::Gone && args.goal != Goal::There && session.find(place, &name).await?.is_none()
        {
            bail!("{shown} is not there; to wait for that, use --for=create");
        }
        let met = session.follow(place, &name, |object| args.goal.is_met(object).then_some(()));
        match tokio::time::timeout_at(deadline, met).await {
            Ok(result) => {
                result?;
                print::line(&format!("{shown} condition met"))?;
            }
            Err(_) => {
                failures += 1;
                print::error(&format!("timed out waiting for the condition on {shown}"));
            }
        }
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests;
