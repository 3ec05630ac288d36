//! `events`: what happened, oldest first, and what happens next with -w.

use std::process::ExitCode;

use clap::Args;
use futures::StreamExt;
use jiff::Timestamp;
use kube::core::WatchEvent;
use manifests::{Kind, Object};

use super::connection::Connection;
use super::get::Scope;
use super::session::{Form, Query};
use super::table::{Columns, plain};
use super::{clock, duration, print, selection};

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    scope: Scope,
    /// Only about this object: KIND/NAME
    #[arg(long = "for", value_name = "KIND/NAME")]
    about: Option<String>,
    /// Only of these types: Normal, Warning
    #[arg(long, value_delimiter = ',')]
    types: Vec<String>,
    /// Go on and show what happens
    #[arg(short, long)]
    watch: bool,
    /// Leave out the head of the table
    #[arg(long)]
    no_headers: bool,
}

pub(super) async fn run(args: EventsArgs, connection: &Connection) -> anyhow::Result<ExitCode> {
    let session = args.scope.open(connection).await?;
    let place = args.scope.place(&session, Kind::Event);
    let query = Query { labels: None, fields: args.about.as_deref().map(about).transpose()? };
    let wanted = |event: &Object| {
        let type_ = event.str_at(&["type"]).unwrap_or_default();
        args.types.is_empty() || args.types.iter().any(|one| one.eq_ignore_ascii_case(type_))
    };
    let (events, revision) = session.list(place, &query).await?;
    let events = sorted(events.into_iter().filter(wanted).collect());
    if events.is_empty() && !args.watch {
        print::note("No events found");
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = Vec::new();
    if !args.no_headers {
        lines.push(header(args.scope.all_namespaces));
    }
    lines.extend(events.iter().map(|event| row(event, args.scope.all_namespaces, clock::now())));
    let mut columns = Columns::default();
    lines.iter().for_each(|line| columns.fit(line));
    for line in &lines {
        print::line(&columns.line(line))?;
    }
    if !args.watch {
        return Ok(ExitCode::SUCCESS);
    }
    let mut changes = std::pin::pin!(session.watch(place, &query, &revision, Form::Objects).await?);
    while let Some(change) = changes.next().await {
        if let WatchEvent::Added(value) | WatchEvent::Modified(value) = change? {
            let event = Object::from_value(value)?;
            if wanted(&event) {
                print::line(&columns.line(&row(&event, args.scope.all_namespaces, clock::now())))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The field selector of events about an object.
fn about(word: &str) -> anyhow::Result<String> {
    let selections = selection::parse(&[word.to_owned()])?;
    match selections.as_slice() {
        [one] if one.names.len() == 1 => {
            let kind = one.kind.info().kind;
            Ok(format!("involvedObject.kind={kind},involvedObject.name={}", one.names[0]))
        }
        _ => anyhow::bail!("{word:?} is not of the form KIND/NAME"),
    }
}

/// The events about one object, oldest first.
pub(super) async fn of(
    session: &super::session::Session,
    object: &Object,
) -> Result<Vec<Object>, kube::Error> {
    let namespace = object.namespace().unwrap_or("default");
    let place = super::session::Place { kind: Kind::Event, namespace: Some(namespace) };
    let fields = format!("involvedObject.kind={},involvedObject.name={}", object.kind_name(), object.name());
    let (events, _) = session.list(place, &Query { labels: None, fields: Some(fields) }).await?;
    let same = |event: &Object| {
        let uid = event.str_at(&["involvedObject", "uid"]).unwrap_or_default();
        uid.is_empty() || uid == object.uid() || object.kind() == Some(Kind::Node)
    };
    Ok(sorted(events.into_iter().filter(same).collect()))
}

fn sorted(mut events: Vec<Object>) -> Vec<Object> {
    // Many happen in the same second: the revision tells which came first.
    events.sort_by_key(|event| (last_seen(event), event.resource_version()));
    events
}

/// When an event was last seen, by whichever field says so.
fn last_seen(event: &Object) -> Option<Timestamp> {
    let fields: [&[&str]; 4] = [
        &["series", "lastObservedTime"],
        &["lastTimestamp"],
        &["eventTime"],
        &["metadata", "creationTimestamp"],
    ];
    fields.iter().find_map(|path| event.str_at(path)?.parse().ok())
}

fn header(namespace: bool) -> Vec<String> {
    let columns = ["NAMESPACE", "LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];
    columns.iter().skip(usize::from(!namespace)).map(|name| (*name).to_owned()).collect()
}

fn row(event: &Object, namespace: bool, now: Timestamp) -> Vec<String> {
    let text = |path: &[&str]| plain(event.str_at(path).unwrap_or_default());
    let object =
        format!("{}/{}", text(&["involvedObject", "kind"]).to_lowercase(), text(&["involvedObject", "name"]));
    let own = namespace.then(|| event.namespace().unwrap_or_default().to_owned());
    let rest = [seen(event, now), text(&["type"]), text(&["reason"]), object, text(&["message"])];
    own.into_iter().chain(rest).collect()
}

/// `5s`, or `5s (x3 over 2m)` for what happened several times.
pub(super) fn seen(event: &Object, now: Timestamp) -> String {
    let Some(last) = last_seen(event) else { return "<unknown>".to_owned() };
    let count = event.i64_at(&["series", "count"]).or(event.i64_at(&["count"])).unwrap_or(1);
    let first = event.str_at(&["firstTimestamp"]).and_then(|text| text.parse().ok());
    match first {
        Some(first) if count > 1 => {
            format!("{} (x{count} over {})", duration::age(last, now), duration::age(first, now))
        }
        _ => duration::age(last, now),
    }
}

#[cfg(test)]
mod tests;
