//! Tables as the server sends them and as terminals show them. Pure.

use manifests::Object;
use serde_json::Value;

/// Between two columns, as kubectl has it.
const GAP: usize = 3;

/// A `meta.k8s.io/v1` Table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Above 0: only in wide tables.
    pub(super) priority: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    /// The metadata of the row's object.
    pub(super) object: Object,
}

/// What of a table is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    pub(super) wide: bool,
    pub(super) namespace: bool,
    pub(super) labels: bool,
    /// Put before names: `pod` gives `pod/a`.
    pub(super) prefix: Option<String>,
}

impl Table {
    /// Reads a Table. None: the server sent something else.
    pub(super) fn read(value: &Value) -> Option<Table> {
        if value["kind"] != "Table" {
            return None;
        }
        let columns = value["columnDefinitions"].as_array().into_iter().flatten().map(|column| Column {
            name: column["name"].as_str().unwrap_or_default().to_owned(),
            priority: column["priority"].as_i64().unwrap_or_default(),
        });
        let rows = value["rows"].as_array().into_iter().flatten().map(|row| Row {
            cells: row["cells"].as_array().into_iter().flatten().map(cell).collect(),
            object: Object::from_value(row["object"].clone()).unwrap_or_default(),
        });
        Some(Table { columns: columns.collect(), rows: rows.collect() })
    }

    /// The head of the table.
    pub(super) fn header(&self, shown: &Shown) -> Vec<String> {
        let namespace = shown.namespace.then(|| "NAMESPACE".to_owned());
        let columns = self.visible(shown).map(|(_, column)| column.name.to_uppercase());
        let labels = shown.labels.then(|| "LABELS".to_owned());
        namespace.into_iter().chain(columns).chain(labels).collect()
    }

    /// One line of the table.
    pub(super) fn line(&self, row: &Row, shown: &Shown) -> Vec<String> {
        let namespace = shown.namespace.then(|| row.object.namespace().unwrap_or_default().to_owned());
        let cells = self.visible(shown).map(|(index, column)| {
            let text = row.cells.get(index).cloned().unwrap_or_default();
            match &shown.prefix {
                Some(prefix) if column.name.eq_ignore_ascii_case("name") => format!("{prefix}/{text}"),
                _ => text,
            }
        });
        let labels = shown.labels.then(|| labels(&row.object));
        namespace.into_iter().chain(cells).chain(labels).collect()
    }

    fn visible(&self, shown: &Shown) -> impl Iterator<Item = (usize, &Column)> {
        self.columns.iter().enumerate().filter(|(_, column)| shown.wide || column.priority == 0)
    }
}

/// `a=b,c=d`, or `<none>`.
pub(super) fn labels(object: &Object) -> String {
    let pairs: Vec<String> = object.labels().iter().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => plain(text),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => plain(&value.to_string()),
    }
}

/// Text that can do nothing to a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Columns that are as wide as what was shown in them so far, so that lines that come later still align.
#[derive(Debug, Default)]
pub(super) struct Columns {
    widths: Vec<usize>,
}

impl Columns {
    /// Makes room for lines that will be shown together.
    pub(super) fn fit(&mut self, cells: &[String]) {
        self.widths.resize(self.widths.len().max(cells.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }

    /// One aligned line, without the newline.
    pub(super) fn line(&mut self, cells: &[String]) -> String {
        self.fit(cells);
        let padded = cells.iter().zip(&self.widths).map(|(cell, width)| format!("{cell:<0$}", width + GAP));
        padded.collect::<String>().trim_end().to_owned()
    }
}

/// Lines that align with one another.
pub(super) fn aligned(lines: &[Vec<String>]) -> Vec<String> {
    let mut columns = Columns::default();
    lines.iter().for_each(|line| columns.fit(line));
    lines.iter().map(|line| columns.line(line)).collect()
}

#[cfg(test)]
mod tests;
