//! Manifests, as users write them: YAML or JSON text to objects, and every mistake in it with its line.
//!
//! Kept apart from IO: whoever has a file, a folder or a pipe brings the text and a name for it. The only place that
//! knows the YAML library.

use std::fmt;

use serde_json::Value;

use crate::field::{FieldError, FieldPath, Reason, Step, nearest};
use crate::kind::Kind;
use crate::object::{Object, json_type};
use crate::validate;

mod escape;
mod scalar;
mod tree;

use tree::{At, Content, Node};

/// What a text may cost before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of one text.
    pub text_bytes: usize,
    /// Levels of lists and maps.
    pub depth: usize,
    /// Values in one text, with aliases followed.
    pub nodes: usize,
    /// Documents in one text.
    pub documents: usize,
    /// Mistakes that are told; the rest are counted.
    pub problems: usize,
}

impl Limits {
    /// Roomy for people, tight for bombs.
    pub const DEFAULT: Limits =
        Limits { text_bytes: 8 << 20, depth: 64, nodes: 500_000, documents: 1_000, problems: 100 };
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The objects, in their order, as written; also those with mistakes.
    pub documents: Vec<Document>,
    /// Every mistake, in the order of lines. With any, nothing should be applied.
    pub problems: Vec<Problem>,
}

/// One object of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The object, without defaults.
    pub object: Object,
    /// Where it came from.
    pub file: String,
    /// The line that it begins at, from 1.
    pub line: usize,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The name that the text was given.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// `Deployment payment`, where that far could be read.
    pub object: Option<String>,
    /// The field's path; empty where the mistake is in the text itself.
    pub path: String,
    /// What was wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if let Some(object) = &self.object {
            write!(formatter, "{object}: ")?;
        }
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)
    }
}

/// Reads and checks a text that is called `file` in messages.
pub fn read(file: &str, text: &[u8]) -> Reading {
    read_within(file, text, &Limits::DEFAULT)
}

/// [`read`] within other limits.
pub fn read_within(file: &str, text: &[u8], limits: &Limits) -> Reading {
    let mut reader = Reader { file, reading: Reading::default() };
    match decode(text, limits) {
        Err(flaw) => reader.flaw(flaw),
        Ok(text) => {
            let (documents, flaws) = tree::documents(text, limits);
            documents.iter().for_each(|document| reader.document(document));
            flaws.into_iter().for_each(|flaw| reader.flaw(flaw));
        }
    }
    reader.finish(limits)
}

/// The text as characters, if it may be read at all.
fn decode<'t>(text: &'t [u8], limits: &Limits) -> Result<&'t str, tree::Flaw> {
    if text.len() > limits.text_bytes {
        let message = format!("refused: more than {} bytes of text", limits.text_bytes);
        return Err(tree::Flaw { at: At { line: 1, column: 1 }, message });
    }
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    std::str::from_utf8(text).map_err(|error| {
        let before = String::from_utf8_lossy(&text[..error.valid_up_to()]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        tree::Flaw { at: At { line, column }, message: "not UTF-8 text".to_owned() }
    })
}

struct Reader<'f> {
    file: &'f str,
    reading: Reading,
}

impl Reader<'_> {
    /// One document: nothing, an object, or a list of objects.
    fn document(&mut self, node: &Node) {
        match &node.content {
            Content::Scalar(Value::Null) => {}
            Content::Map(_) if is_list(node) => self.list(node),
            Content::Map(_) => self.object(node),
            Content::Scalar(_) | Content::List(_) => {
                let found = json_type(&node.to_value());
                self.problem(
                    node.at,
                    None,
                    "",
                    format!("expected an object with apiVersion and kind, found {found}"),
                );
            }
        }
    }

    fn list(&mut self, node: &Node) {
        match node.get("items").map(|entry| &entry.node.content) {
            Some(Content::List(items)) => items.iter().for_each(|item| self.document(item)),
            None | Some(Content::Scalar(Value::Null)) => {}
            Some(Content::Scalar(_) | Content::Map(_)) => {
                self.problem(node.at, None, "items", "must be a list".to_owned());
            }
        }
    }

    fn object(&mut self, node: &Node) {
        let Ok(object) = Object::from_value(node.to_value()) else { return };
        let called = format!("{} {}", object.kind_name(), object.name());
        let called = Some(called.trim().to_owned()).filter(|called| !called.is_empty());
        for error in validate::check_as_written(&object) {
            let message = unserved(&object, &error).unwrap_or_else(|| error.message());
            self.problem(locate(node, &error), called.clone(), &error.path.to_string(), message);
        }
        self.reading.documents.push(Document { object, file: self.file.to_owned(), line: node.at.line });
    }

    fn flaw(&mut self, flaw: tree::Flaw) {
        self.problem(flaw.at, None, "", flaw.message);
    }

    fn problem(&mut self, at: At, object: Option<String>, path: &str, message: String) {
        let (file, path) = (self.file.to_owned(), path.to_owned());
        self.reading.problems.push(Problem { file, line: at.line, column: at.column, object, path, message });
    }

    fn finish(mut self, limits: &Limits) -> Reading {
        self.reading.problems.sort_by_key(|problem| (problem.line, problem.column));
        let more = self.reading.problems.len().saturating_sub(limits.problems);
        if more > 0 {
            self.reading.problems.truncate(limits.problems);
            let at = self
                .reading
                .problems
                .last()
                .map_or(At { line: 1, column: 1 }, |last| At { line: last.line, column: last.column });
            self.problem(at, None, "", format!("and {more} more mistakes after this"));
        }
        self.reading
    }
}

/// Whether this is a `List`, or a `PodList` and the like, whose items are the objects.
fn is_list(node: &Node) -> bool {
    let kind = node.get("kind").map(|entry| &entry.node.content);
    let Some(Content::Scalar(Value::String(kind))) = kind else { return false };
    let of_ours = |kind: &str| Kind::ALL.iter().any(|known| known.info().kind == kind);
    kind == "List" || kind.strip_suffix("List").is_some_and(of_ours)
}

/// Where a mistake is: at its field, or at the nearest thing around it that was written.
fn locate(root: &Node, error: &FieldError) -> At {
    let mut found = root;
    let mut at = root.at;
    for (position, step) in error.path.0.iter().enumerate() {
        let inner = match (step, &found.content) {
            (Step::Field(name), _) => found.get(name).map(|entry| (entry.at, &entry.node)),
            (Step::Index(index), Content::List(items)) => items.get(*index).map(|item| (item.at, item)),
            (Step::Index(_), Content::Scalar(_) | Content::Map(_)) => None,
        };
        let Some((key, node)) = inner else { return at };
        let is_last = position + 1 == error.path.0.len();
        // A wrong value is pointed at by its value; what is missing inside, or unknown, by its key.
        let by_key = matches!(error.reason, Reason::Required | Reason::UnknownField | Reason::Forbidden);
        at = if is_last && !by_key { node.at } else { key };
        found = node;
    }
    at
}

/// Kinds that Kubernetes has and this cluster does not serve.
const UNSERVED: [&str; 26] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "CronJob",
    "CustomResourceDefinition",
    "DaemonSet",
    "Endpoints",
    "Gateway",
    "HTTPRoute",
    "HorizontalPodAutoscaler",
    "IngressClass",
    "Job",
    "LimitRange",
    "MutatingWebhookConfiguration",
    "NetworkPolicy",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "PodTemplate",
    "PriorityClass",
    "ReplicationController",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "StatefulSet",
    "StorageClass",
    "ValidatingWebhookConfiguration",
];

/// A better word than "unsupported" for a kind that is right elsewhere.
fn unserved(object: &Object, error: &FieldError) -> Option<String> {
    let kind = object.kind_name();
    if error.path != FieldPath::new("kind") || error.reason != Reason::NotSupported {
        return None;
    }
    if UNSERVED.contains(&kind) {
        return Some(format!("{kind} is a kind of Kubernetes that this cluster does not serve"));
    }
    let kinds = Kind::ALL.iter().map(|known| known.info().kind);
    let hint = nearest(kind, kinds).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
    Some(format!("there is no kind {kind:?}{hint}"))
}

#[cfg(test)]
mod tests;
