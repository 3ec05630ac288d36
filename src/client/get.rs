//! `get`: objects as tables, JSON, YAML or names, once or as they change.

use std::process::ExitCode;

use clap::Args;
use futures::StreamExt;
use kube::core::WatchEvent;
use manifests::{Kind, Object};
use serde_json::Value;

use super::connection::Connection;
use super::print::{self, Format};
use super::selection::{self, Selection};
use super::session::{Form, Place, Query, Session};
use super::table::{Columns, Row, Shown, Table};

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// KIND, KIND NAME…, KIND/NAME…, or several kinds as pods,svc
    #[arg(required = true, value_name = "WHAT")]
    what: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    filter: Filter,
    /// How to put the objects out
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    /// Go on and show every change
    #[arg(short, long)]
    watch: bool,
    /// Show labels in a column of their own
    #[arg(long)]
    show_labels: bool,
    /// Leave out the head of tables
    #[arg(long)]
    no_headers: bool,
    /// Nothing found is no failure
    #[arg(long)]
    ignore_not_found: bool,
}

/// Which namespace a command works in.
#[derive(Debug, Clone, Args)]
pub(super) struct Scope {
    /// The namespace to work in
    #[arg(short, long)]
    pub(super) namespace: Option<String>,
    /// Work in all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(super) all_namespaces: bool,
}

/// Which objects of a collection a command is about.
#[derive(Debug, Clone, Args)]
pub(super) struct Filter {
    /// Only objects with these labels: app=shop,tier!=back
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = label_selector)]
    pub(super) selector: Option<String>,
    /// Only objects with these fields: status.phase=Running
    #[arg(long, value_name = "FIELDS", value_parser = field_selector)]
    pub(super) field_selector: Option<String>,
}

impl Scope {
    pub(super) async fn open(&self, connection: &Connection) -> anyhow::Result<Session> {
        connection.open(self.namespace.as_deref()).await
    }

    /// Where objects of a kind are looked for.
    pub(super) fn place<'s>(&self, session: &'s Session, kind: Kind) -> Place<'s> {
        if self.all_namespaces { Place { kind, namespace: None } } else { session.place(kind) }
    }
}

impl Filter {
    pub(super) fn query(&self) -> Query {
        Query { labels: self.selector.clone(), fields: self.field_selector.clone() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.selector.is_none() && self.field_selector.is_none()
    }
}

/// Refuses a selector that the server would refuse, before anything is asked.
pub(super) fn label_selector(text: &str) -> Result<String, String> {
    manifests::selector::Selector::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn field_selector(text: &str) -> Result<String, String> {
    manifests::selector::FieldSelector::parse(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

pub(super) async fn run(args: GetArgs, connection: &Connection) -> anyhow::Result<ExitCode> {
    let selections = selection::parse(&args.what)?;
    let named = selections.iter().any(|selection| !selection.names.is_empty());
    anyhow::ensure!(!named || args.filter.is_empty(), "a name and a selector cannot be used together");
    anyhow::ensure!(
        !named || !args.scope.all_namespaces,
        "objects are named within one namespace; leave out -A"
    );
    let session = args.scope.open(connection).await?;
    let get = Get { args: &args, session: &session, many: selections.len() > 1 };
    match args.output {
        _ if args.watch => get.watch(&selections).await,
        None | Some(Format::Wide) => get.tables(&selections).await,
        Some(format) => get.objects(&selections, format).await,
    }
}

struct Get<'a> {
    args: &'a GetArgs,
    session: &'a Session,
    /// Several kinds: names are shown with theirs.
    many: bool,
}

impl Get<'_> {
    fn shown(&self, kind: Kind) -> Shown {
        Shown {
            wide: self.args.output == Some(Format::Wide),
            namespace: self.args.scope.all_namespaces && kind.info().namespaced,
            labels: self.args.show_labels,
            prefix: self.many.then(|| kind.qualified()),
        }
    }

    async fn tables(&self, selections: &[Selection]) -> anyhow::Result<ExitCode> {
        let mut missing = Missing::default();
        let mut shown_any = false;
        for selection in selections {
            let table = self.table(selection, &mut missing).await?;
            if table.rows.is_empty() {
                continue;
            }
            if shown_any {
                print::line("")?;
            }
            shown_any = true;
            self.print_table(&table, &self.shown(selection.kind))?;
        }
        if !shown_any && missing.count == 0 && !self.args.ignore_not_found {
            self.note_nothing(selections);
        }
        Ok(missing.exit_code())
    }

    /// The table of a selection; what is missing of it is said at once.
    async fn table(&self, selection: &Selection, missing: &mut Missing) -> anyhow::Result<Table> {
        let place = self.args.scope.place(self.session, selection.kind);
        if selection.names.is_empty() {
            let answer = self.session.table(place, None, &self.args.filter.query()).await?;
            return Ok(read_table(&answer));
        }
        let mut whole = Table::default();
        for name in &selection.names {
            match self.session.table(place, Some(name), &Query::default()).await {
                Ok(answer) => {
                    let table = read_table(&answer);
                    whole.columns = table.columns;
                    whole.rows.extend(table.rows);
                }
                Err(error) => missing.take(error, self.args.ignore_not_found)?,
            }
        }
        Ok(whole)
    }

    fn print_table(&self, table: &Table, shown: &Shown) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        if !self.args.no_headers {
            lines.push(table.header(shown));
        }
        lines.extend(table.rows.iter().map(|row| table.line(row, shown)));
        for line in super::table::aligned(&lines) {
            print::line(&line)?;
        }
        Ok(())
    }

    fn note_nothing(&self, selections: &[Selection]) {
        let namespaced = selections.iter().any(|selection| selection.kind.info().namespaced);
        if namespaced && !self.args.scope.all_namespaces {
            print::note(&format!("No resources found in {} namespace.", self.session.namespace()));
        } else {
            print::note("No resources found");
        }
    }

    async fn objects(&self, selections: &[Selection], format: Format) -> anyhow::Result<ExitCode> {
        let mut missing = Missing::default();
        let mut objects = Vec::new();
        for selection in selections {
            let place = self.args.scope.place(self.session, selection.kind);
            if selection.names.is_empty() {
                objects.extend(self.session.list(place, &self.args.filter.query()).await?.0);
            }
            for name in &selection.names {
                match self.session.get(place, name).await {
                    Ok(object) => objects.push(object),
                    Err(error) => missing.take(error, self.args.ignore_not_found)?,
                }
            }
        }
        let one = matches!(selections, [selection] if selection.names.len() == 1);
        if !(one && objects.is_empty()) {
            print::objects(objects, one, format)?;
        }
        Ok(missing.exit_code())
    }

    /// Shows what is there, then every change, until interrupted.
    async fn watch(&self, selections: &[Selection]) -> anyhow::Result<ExitCode> {
        let [selection] = selections else { anyhow::bail!("only one kind can be watched at a time") };
        let query = match selection.names.as_slice() {
            [] => self.args.filter.query(),
            [name] => Query::named(name),
            _ => anyhow::bail!("only one name, or all, can be watched at a time"),
        };
        let mut screen = Screen {
            get: self,
            shown: self.shown(selection.kind),
            columns: Columns::default(),
            table: Table::default(),
        };
        let place = self.args.scope.place(self.session, selection.kind);
        loop {
            let revision = screen.show_present(place, &query).await?;
            let mut events =
                std::pin::pin!(self.session.watch(place, &query, &revision, screen.form()).await?);
            while let Some(event) = events.next().await {
                match event? {
                    WatchEvent::Added(value) | WatchEvent::Modified(value) | WatchEvent::Deleted(value) => {
                        screen.show(&value)?;
                    }
                    WatchEvent::Bookmark(_) => {}
                    // The revision is too old: begin anew with what is there now.
                    WatchEvent::Error(_) => break,
                }
            }
        }
    }
}

/// What a watch has shown so far.
struct Screen<'a> {
    get: &'a Get<'a>,
    shown: Shown,
    columns: Columns,
    table: Table,
}

impl Screen<'_> {
    fn form(&self) -> Form {
        match self.get.args.output {
            None | Some(Format::Wide) => Form::Table,
            Some(Format::Json | Format::Yaml | Format::Name) => Form::Objects,
        }
    }

    /// Shows what is there, and returns the revision of it.
    async fn show_present(&mut self, place: Place<'_>, query: &Query) -> anyhow::Result<String> {
        let session = self.get.session;
        if self.form() == Form::Objects {
            let (objects, revision) = session.list(place, query).await?;
            for object in objects {
                self.show(&object.into_value())?;
            }
            return Ok(revision);
        }
        let answer = session.table(place, None, query).await?;
        self.show(&answer)?;
        Ok(answer["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned())
    }

    fn show(&mut self, value: &Value) -> anyhow::Result<()> {
        if self.form() == Form::Objects {
            let object = Object::from_value(value.clone())?;
            return print::objects(vec![object], true, self.get.args.output.unwrap_or(Format::Json));
        }
        let table = read_table(value);
        let mut lines = Vec::new();
        // Only the first table of a watch says its columns.
        if self.table.columns.is_empty() && !table.columns.is_empty() {
            self.table.columns.clone_from(&table.columns);
            self.columns.fit(&roomy(&self.table.header(&self.shown)));
            if !self.get.args.no_headers {
                lines.push(self.table.header(&self.shown));
            }
        }
        lines.extend(table.rows.iter().map(|row| self.table.line(row, &self.shown)));
        lines.iter().for_each(|line| self.columns.fit(line));
        for line in lines {
            print::line(&self.columns.line(&line))?;
        }
        Ok(())
    }
}

/// A line as wide as a watch may come to need, so that what comes later still aligns.
fn roomy(header: &[String]) -> Vec<String> {
    let longest =
        |name: &String| if name == "STATUS" { "ContainerCreating".to_owned() } else { String::new() };
    header.iter().map(longest).collect()
}

/// A Table; of a server that sends none, the names.
fn read_table(answer: &Value) -> Table {
    if let Some(table) = Table::read(answer) {
        return table;
    }
    let column = super::table::Column { name: "Name".to_owned(), priority: 0 };
    let items = answer["items"].as_array().map_or(std::slice::from_ref(answer), Vec::as_slice);
    let rows = items.iter().filter_map(|item| Object::from_value(item.clone()).ok());
    let rows = rows.map(|object| Row { cells: vec![object.name().to_owned()], object });
    Table { columns: vec![column], rows: rows.collect() }
}

/// What was asked for by name and is not there.
#[derive(Debug, Default)]
struct Missing {
    count: usize,
}

impl Missing {
    /// Notes an object that is not there; passes any other error on.
    fn take(&mut self, error: kube::Error, ignored: bool) -> anyhow::Result<()> {
        if !super::failure::is_not_found(&error) {
            return Err(error.into());
        }
        if !ignored {
            self.count += 1;
            print::error(&super::failure::explain(error.into()).to_string());
        }
        Ok(())
    }

    fn exit_code(&self) -> ExitCode {
        if self.count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
