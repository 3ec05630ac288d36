//! `describe`: one object in full, in words, with what happened to it.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use manifests::{Kind, Object};

use super::connection::Connection;
use super::get::{Filter, Scope};
use super::session::{Place, Query, Session};
use super::{clock, events, pods, print, selection, table};

mod page;
mod pod;
mod resource;

use page::Page;

#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// KIND, KIND NAME… or KIND/NAME…; a name may be only begun
    #[arg(required = true, value_name = "WHAT")]
    what: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    filter: Filter,
}

pub(super) async fn run(args: DescribeArgs, connection: &Connection) -> anyhow::Result<ExitCode> {
    let session = args.scope.open(connection).await?;
    let mut objects = Vec::new();
    for selection in selection::parse(&args.what)? {
        let place = args.scope.place(&session, selection.kind);
        if selection.names.is_empty() {
            objects.extend(session.list(place, &args.filter.query()).await?.0);
        }
        for name in &selection.names {
            objects.extend(named(&session, place, name).await?);
        }
    }
    if objects.is_empty() {
        print::note("No resources found");
    }
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            print::line("\n")?;
        }
        let around = around(&session, object).await?;
        for line in describe(object, &around).render() {
            print::line(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The object of this name; failing that, those whose names begin with it.
async fn named(session: &Session, place: Place<'_>, name: &str) -> anyhow::Result<Vec<Object>> {
    if let Some(object) = session.find(place, name).await? {
        return Ok(vec![object]);
    }
    let (mut objects, _) = session.list(place, &Query::default()).await?;
    let near = manifests::field::nearest(name, objects.iter().map(Object::name)).map(str::to_owned);
    objects.retain(|object| object.name().starts_with(name));
    if objects.is_empty() {
        let plural = place.kind.info().plural;
        match near {
            Some(near) => bail!("{plural} {name:?} not found; did you mean {near:?}?"),
            None => bail!("{plural} {name:?} not found"),
        }
    }
    Ok(objects)
}

/// What else belongs on an object's page.
#[derive(Debug, Default)]
struct Around {
    events: Vec<Object>,
    /// The pods on a node.
    pods: Vec<Object>,
    /// The endpoints of a service.
    slices: Vec<Object>,
    /// The ReplicaSets of a Deployment.
    replica_sets: Vec<Object>,
}

async fn around(session: &Session, object: &Object) -> anyhow::Result<Around> {
    let mut around = Around { events: events::of(session, object).await?, ..Around::default() };
    let near = |kind| Place { kind, namespace: object.namespace() };
    match object.kind() {
        Some(Kind::Node) => {
            let fields = Some(format!("spec.nodeName={}", object.name()));
            let everywhere = Place { kind: Kind::Pod, namespace: None };
            around.pods = session.list(everywhere, &Query { labels: None, fields }).await?.0;
        }
        Some(Kind::Service) => {
            let labels = Some(format!("kubernetes.io/service-name={}", object.name()));
            around.slices = session.list(near(Kind::EndpointSlice), &Query { labels, fields: None }).await?.0;
        }
        Some(kind @ Kind::Deployment) => {
            let labels = Some(pods::selector(kind, object)?);
            let (mut sets, _) = session.list(near(Kind::ReplicaSet), &Query { labels, fields: None }).await?;
            sets.retain(|set| set.controller().is_some_and(|owner| owner.uid == object.uid()));
            around.replica_sets = sets;
        }
        _ => {}
    }
    Ok(around)
}

fn describe(object: &Object, around: &Around) -> Page {
    let mut page = Page::default();
    match object.kind() {
        Some(Kind::Pod) => pod::describe(object, &mut page),
        Some(Kind::Node) => resource::describe_node(object, &around.pods, &mut page),
        Some(Kind::Deployment) => resource::describe_deployment(object, &around.replica_sets, &mut page),
        Some(Kind::Service) => resource::describe_service(object, &around.slices, &mut page),
        Some(Kind::Secret) => resource::describe_secret(object, &mut page),
        _ => resource::describe_any(object, &mut page),
    }
    describe_events(&around.events, &mut page);
    page
}

fn describe_events(events: &[Object], page: &mut Page) {
    if events.is_empty() {
        return page.field(0, "Events", "<none>");
    }
    page.section(0, "Events");
    let now = clock::now();
    let mut lines = vec![["Type", "Reason", "Age", "From", "Message"].map(str::to_owned).to_vec()];
    lines.extend(events.iter().map(|event| {
        let text = |path: &[&str]| table::plain(event.str_at(path).unwrap_or_default());
        let from = event.str_at(&["source", "component"]).or(event.str_at(&["reportingComponent"]));
        vec![
            text(&["type"]),
            text(&["reason"]),
            events::seen(event, now),
            table::plain(from.unwrap_or_default()),
            text(&["message"]),
        ]
    }));
    page.table(1, &lines);
}

#[cfg(test)]
mod tests;
