//! Fields that are accepted and not acted on: one table, from which users are warned and `docs/fields.md` is made.
//!
//! Silence about an ignored field is worse than a refusal; a refusal for a field that changes little would sink whole
//! applications. So they are taken, kept, served again, and said.

use std::fmt;

use serde_json::{Map, Value};

use crate::field::FieldPath;
use crate::kind::Kind;
use crate::object::Object;

mod table;

use table::{Ignored, POD_SPEC, RULES};

/// A field of an object that has no effect here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where it is set.
    pub path: FieldPath,
    /// The field as the table has it, `spec.containers[*].tty`: the same for all objects of a kind.
    pub field: String,
    /// What happens instead.
    pub instead: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} is not acted on: {}", self.field, self.instead)
    }
}

/// The fields that this object sets and that nothing acts on, in the order of the table.
///
/// Values that mean what happens anyway, such as `sessionAffinity: None`, are not warned of.
pub fn not_acted_on(object: &Object) -> Vec<Warning> {
    let Some(kind) = object.kind() else { return Vec::new() };
    rules(kind).flat_map(|(prefix, rule)| warnings(object, prefix, rule)).collect()
}

/// The rules for a kind, each with the path that it starts at.
fn rules(kind: Kind) -> impl Iterator<Item = (&'static str, &'static Ignored)> {
    let pod = match kind {
        Kind::Pod => Some("spec"),
        Kind::Deployment | Kind::ReplicaSet => Some("spec.template.spec"),
        Kind::Namespace
        | Kind::Node
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::ServiceAccount
        | Kind::Service
        | Kind::Event
        | Kind::EndpointSlice
        | Kind::Ingress
        | Kind::Lease => None,
    };
    let of_pod = pod.into_iter().flat_map(|prefix| POD_SPEC.iter().map(move |rule| (prefix, rule)));
    let of_kind = RULES.iter().filter(move |(of, _)| *of == kind).flat_map(|(_, rules)| rules.iter());
    of_pod.chain(of_kind.map(|rule| ("", rule)))
}

fn warnings(object: &Object, prefix: &str, rule: &Ignored) -> Vec<Warning> {
    let field = if prefix.is_empty() { rule.path.to_owned() } else { format!("{prefix}.{}", rule.path) };
    let steps: Vec<&str> = field.split('.').collect();
    let mut found = Vec::new();
    find_in_map(&object.0, &steps, &FieldPath::root(), &mut found);
    let effective = found.into_iter().filter(|(_, value)| !is_empty(value) && !rule.is_harmless(value));
    effective.map(|(path, _)| Warning { path, field: field.clone(), instead: rule.instead }).collect()
}

/// The values at a pattern of field names, where `name[*]` stands for every item and `*` for every key.
fn find_in_map<'a>(
    fields: &'a Map<String, Value>,
    steps: &[&str],
    path: &FieldPath,
    found: &mut Vec<(FieldPath, &'a Value)>,
) {
    let Some((step, rest)) = steps.split_first() else { return };
    let (name, each) = match step.strip_suffix("[*]") {
        Some(name) => (name, true),
        None => (*step, false),
    };
    for (key, value) in fields.iter().filter(|(key, _)| name == "*" || *key == name) {
        let path = path.field(key);
        if !each {
            find(value, rest, &path, found);
        }
        for (index, item) in value.as_array().filter(|_| each).into_iter().flatten().enumerate() {
            find(item, rest, &path.index(index), found);
        }
    }
}

fn find<'a>(value: &'a Value, rest: &[&str], path: &FieldPath, found: &mut Vec<(FieldPath, &'a Value)>) {
    match (rest, value) {
        ([], value) => found.push((path.clone(), value)),
        (rest, Value::Object(fields)) => find_in_map(fields, rest, path, found),
        _ => {}
    }
}

/// What says nothing: null, false, empty texts, lists and maps.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// The whole table as the markdown of `docs/fields.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Fields that are accepted and not acted on\n\n\
         Every field of the Kubernetes API that the served kinds have is accepted, kept and served again. These have no\n\
         effect yet; `apply` says so with a `note:`, and the API with a `Warning:` header. Fields that Kubernetes does not\n\
         know are refused. This page is made from `manifests/src/effect/table.rs`, which a test holds it to.\n",
    );
    section(&mut text, "Pods, and the pod templates of Deployments and ReplicaSets (under `spec`)", POD_SPEC);
    for (kind, rules) in RULES {
        section(&mut text, &kind.to_string(), rules);
    }
    text
}

fn section(text: &mut String, title: &str, rules: &[Ignored]) {
    text.push_str(&format!("\n## {title}\n\n| field | instead |\n|---|---|\n"));
    for rule in rules {
        text.push_str(&format!("| `{}` | {} |\n", rule.path, rule.instead));
    }
}

#[cfg(test)]
mod tests;
