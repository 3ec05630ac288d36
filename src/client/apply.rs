//! `apply`: the cluster becomes as manifests say. A three-way merge with the record that kubectl keeps as well, so
//! that both can be used by turns; written with the revision that was read, so that nobody's change is lost.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use manifests::read::Document;
use manifests::{Kind, Object, effect, merge};

use super::connection::Connection;
use super::failure;
use super::print::{self, Format};
use super::session::{Place, Session};
use super::source::Sources;

/// How often an object that others write at the same time is tried.
const CONFLICTS_MAX: usize = 10;

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    sources: Sources,
    /// The namespace of objects that name none
    #[arg(short, long)]
    namespace: Option<String>,
    /// Ask the server what it would do, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Put the objects out instead of saying what was done
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

/// What applying an object did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Created,
    Configured,
    Unchanged,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Created => "created",
            Outcome::Configured => "configured",
            Outcome::Unchanged => "unchanged",
        }
    }
}

pub(super) async fn run(args: ApplyArgs, connection: &Connection) -> anyhow::Result<ExitCode> {
    if args.sources.filenames.is_empty() {
        bail!("say what to apply, such as: minikube-ish apply -f shop.yaml");
    }
    let documents = args.sources.read()?;
    let session = connection.open(args.namespace.as_deref()).await?;
    let objects = prepare(documents, &session, args.namespace.as_deref())?;
    note_fields_without_effect(&objects);
    let mut done = Vec::new();
    let mut failures = 0;
    for object in &objects {
        match apply(&session, object, args.dry_run).await {
            Ok((outcome, object)) => {
                if args.output.is_none() {
                    let dry = if args.dry_run { " (dry run)" } else { "" };
                    print::line(&format!("{} {}{dry}", print::name(&object), outcome.word()))?;
                }
                done.push(object);
            }
            Err(error) if matches!(error, kube::Error::Api(_)) => {
                failures += 1;
                print::error(&format!("{}: {}", print::name(object), failure::explain(error.into())));
            }
            // The cluster itself is away: the rest would fail alike.
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(format) = args.output {
        print::objects(done, objects.len() == 1, format)?;
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Gives objects their namespace, and puts namespaces before what lives in them.
fn prepare(documents: Vec<Document>, session: &Session, asked: Option<&str>) -> anyhow::Result<Vec<Object>> {
    let mut objects = Vec::with_capacity(documents.len());
    for Document { mut object, file, line } in documents {
        // Read without a mistake, so it is of a kind of ours.
        let Some(kind) = object.kind() else { continue };
        if kind.info().namespaced {
            match (object.namespace(), asked) {
                (Some(own), Some(asked)) if own != asked => {
                    bail!(
                        "{file}:{line}: {} is in namespace {own:?}, but -n says {asked:?}",
                        print::name(&object)
                    );
                }
                (Some(_), _) => {}
                (None, _) => object.set(&["metadata", "namespace"], session.namespace()),
            }
        }
        if object.name().is_empty() {
            bail!("{file}:{line}: apply needs a name, not generateName: it could not find the object again");
        }
        objects.push(object);
    }
    objects.sort_by_key(|object| object.kind() != Some(Kind::Namespace));
    Ok(objects)
}

/// Says once for each kind and field what is accepted and has no effect.
fn note_fields_without_effect(objects: &[Object]) {
    let mut said = BTreeSet::new();
    for object in objects {
        for warning in effect::not_acted_on(object) {
            if said.insert((object.kind(), warning.field.clone())) {
                print::note(&format!("note: {}: {warning}", object.kind_name()));
            }
        }
    }
}

async fn apply(session: &Session, object: &Object, dry: bool) -> Result<(Outcome, Object), kube::Error> {
    let Some(kind) = object.kind() else { return Ok((Outcome::Unchanged, object.clone())) };
    let place = Place { kind, namespace: object.namespace() };
    let wanted = merge::with_record(object);
    let mut conflicts = 0;
    loop {
        match attempt(session, place, &wanted, dry).await {
            Err(error) if failure::is_conflict(&error) && conflicts < CONFLICTS_MAX => conflicts += 1,
            outcome => return outcome,
        }
    }
}

/// One try on what is there now.
async fn attempt(
    session: &Session,
    place: Place<'_>,
    wanted: &Object,
    dry: bool,
) -> Result<(Outcome, Object), kube::Error> {
    let Some(current) = session.find(place, wanted.name()).await? else {
        return Ok((Outcome::Created, session.create(place, wanted, dry).await?));
    };
    let mut merged = merge::apply(place.kind, wanted, &current);
    // As the server would store it: a quantity in other words is no change.
    manifests::default::set_defaults(&mut merged);
    if merged == current {
        return Ok((Outcome::Unchanged, current));
    }
    let stored = session.replace(place, &merged, dry).await?;
    let unchanged = !dry && stored.resource_version() == current.resource_version();
    Ok((if unchanged { Outcome::Unchanged } else { Outcome::Configured }, stored))
}
