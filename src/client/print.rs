//! How answers are put out: lines on standard output, notes on standard error, objects as JSON, YAML or names.

use std::io::{self, Write};

use clap::ValueEnum;
use manifests::Object;
use serde_json::{Value, json};

/// How objects are put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table with more columns
    Wide,
    /// The objects as the API has them
    Json,
    /// The same as YAML
    Yaml,
    /// KIND/NAME only
    Name,
}

/// One line on standard output. An error means that nobody reads it any more.
pub(super) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// One line on standard error, about what was done.
pub(super) fn note(text: &str) {
    // Nobody to tell is no reason to fail.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Something went wrong with one of several things.
pub(super) fn error(text: &str) {
    note(&format!("error: {text}"));
}

/// `deployment.apps/payment`.
pub(super) fn name(object: &Object) -> String {
    let kind = object.kind().map_or_else(|| object.kind_name().to_lowercase(), manifests::Kind::qualified);
    format!("{kind}/{}", object.name())
}

/// One object, or several as a `List`, as JSON or YAML.
pub(super) fn objects(objects: Vec<Object>, alone: bool, format: Format) -> anyhow::Result<()> {
    if format == Format::Name {
        for object in &objects {
            line(&name(object))?;
        }
        return Ok(());
    }
    match <[Object; 1]>::try_from(objects) {
        Ok([object]) if alone => document(&object.into_value(), format),
        Ok([object]) => document(&list(vec![object]), format),
        Err(objects) => document(&list(objects), format),
    }
}

/// Several objects as one.
fn list(objects: Vec<Object>) -> Value {
    let items: Vec<Value> = objects.into_iter().map(Object::into_value).collect();
    json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
}

/// A JSON value as JSON or YAML text.
pub(super) fn document(value: &Value, format: Format) -> anyhow::Result<()> {
    let text = match format {
        Format::Yaml => serde_saphyr::to_string(value)?,
        Format::Json | Format::Wide | Format::Name => serde_json::to_string_pretty(value)?,
    };
    Ok(line(text.trim_end())?)
}
