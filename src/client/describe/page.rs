//! A page of names and values, whose values align within a block. Pure.

use manifests::Object;

use crate::client::table;

/// Per level.
const INDENT: usize = 2;

/// A page in the making.
#[derive(Debug, Default)]
pub(super) struct Page {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    level: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Field { name: String, value: String },
    Text(String),
}

impl Page {
    /// `Name:  value`.
    pub(super) fn field(&mut self, level: usize, name: &str, value: impl Into<String>) {
        let value = table::plain(&value.into());
        self.lines.push(Line { level, content: Content::Field { name: name.to_owned(), value } });
    }

    /// `Name:  value`, if there is one.
    pub(super) fn field_if(&mut self, level: usize, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.field(level, name, value);
        }
    }

    /// `Name:`, under which more follows.
    pub(super) fn section(&mut self, level: usize, name: &str) {
        self.text(level, format!("{name}:"));
    }

    /// A line as it is.
    pub(super) fn text(&mut self, level: usize, text: impl Into<String>) {
        let text = table::plain(&text.into());
        self.lines.push(Line { level, content: Content::Text(text) });
    }

    /// Lines in columns.
    pub(super) fn table(&mut self, level: usize, lines: &[Vec<String>]) {
        table::aligned(lines).into_iter().for_each(|line| self.text(level, line));
    }

    /// Several values under one name, a line each; `<none>` if there are none.
    pub(super) fn values(&mut self, level: usize, name: &str, values: &[String]) {
        let mut values = values.iter();
        self.field(level, name, values.next().map_or("<none>", String::as_str));
        for value in values {
            self.field(level, "", value.as_str());
        }
    }

    /// What every object's page begins with.
    pub(super) fn head(&mut self, object: &Object) {
        self.field(0, "Name", object.name());
        self.field_if(0, "Namespace", object.namespace());
        let pairs = |map: std::collections::BTreeMap<&str, &str>, separator: &str| {
            let shown = map.into_iter().filter(|(key, _)| *key != manifests::merge::LAST_APPLIED);
            shown.map(|(key, value)| format!("{key}{separator}{value}")).collect::<Vec<_>>()
        };
        self.values(0, "Labels", &pairs(object.labels(), "="));
        self.values(0, "Annotations", &pairs(object.annotations(), ": "));
    }

    /// The page as lines.
    pub(super) fn render(&self) -> Vec<String> {
        self.lines.iter().enumerate().map(|(index, line)| self.render_line(index, line)).collect()
    }

    fn render_line(&self, index: usize, line: &Line) -> String {
        let indent = " ".repeat(line.level * INDENT);
        match &line.content {
            Content::Text(text) => format!("{indent}{text}").trim_end().to_owned(),
            Content::Field { name, value } => {
                let label = if name.is_empty() { String::new() } else { format!("{name}:") };
                let width = self.block_width(index, line.level);
                format!("{indent}{label:<width$}{value}").trim_end().to_owned()
            }
        }
    }

    /// How wide names are in the block of fields around a line: those of its level, up to a line of a higher one.
    fn block_width(&self, index: usize, level: usize) -> usize {
        let in_block = |line: &&Line| line.level >= level;
        let width = |line: &Line| match &line.content {
            Content::Field { name, .. } if line.level == level => name.chars().count(),
            Content::Field { .. } | Content::Text(_) => 0,
        };
        let after = self.lines[index..].iter().take_while(in_block).map(width);
        let before = self.lines[..index].iter().rev().take_while(in_block).map(width);
        after.chain(before).max().unwrap_or_default() + ":  ".len()
    }
}
