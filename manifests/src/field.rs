//! Where in an object something is, and what is wrong with it: the words that validation, the reader and the API's
//! `Status` causes share. Source: apimachinery `pkg/util/validation/field`.

use std::fmt;

use serde_json::Value;

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into a map, by key.
    Field(String),
    /// Into a list, by position.
    Index(usize),
}

/// The way from an object's root to a field: `spec.containers[0].image`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(pub Vec<Step>);

impl FieldPath {
    /// The object itself.
    pub fn root() -> FieldPath {
        FieldPath::default()
    }

    /// A path of field names joined by dots.
    pub fn new(dotted: &str) -> FieldPath {
        FieldPath(dotted.split('.').map(|name| Step::Field(name.to_owned())).collect())
    }

    /// The path of a field under this one. A name with dots is one key.
    pub fn field(&self, name: &str) -> FieldPath {
        self.step(Step::Field(name.to_owned()))
    }

    /// The path of fields under this one, joined by dots.
    pub fn fields(&self, dotted: &str) -> FieldPath {
        dotted.split('.').fold(self.clone(), |path, name| path.field(name))
    }

    /// The path of an item of this list.
    pub fn index(&self, index: usize) -> FieldPath {
        self.step(Step::Index(index))
    }

    fn step(&self, step: Step) -> FieldPath {
        let mut steps = Vec::with_capacity(self.0.len() + 1);
        steps.extend_from_slice(&self.0);
        steps.push(step);
        FieldPath(steps)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(formatter, "[{index}]")?,
                Step::Field(name) if name.contains(['.', '/', ' ', '[']) => write!(formatter, "[{name}]")?,
                Step::Field(name) if position == 0 => formatter.write_str(name)?,
                Step::Field(name) => write!(formatter, ".{name}")?,
            }
        }
        Ok(())
    }
}

/// The kinds of mistakes, as Kubernetes tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Something is missing.
    Required,
    /// A value is not acceptable.
    Invalid,
    /// A value is none of the known ones.
    NotSupported,
    /// A value is there twice where it may be there once.
    Duplicate,
    /// A field may not be set here, or may not change.
    Forbidden,
    /// More than is allowed.
    TooMany,
    /// A value of the wrong JSON type.
    TypeInvalid,
    /// A field that the schema does not know.
    UnknownField,
}

impl Reason {
    /// The `reason` of a cause in a `Status`.
    pub fn cause(self) -> &'static str {
        match self {
            Reason::Required => "FieldValueRequired",
            Reason::Invalid => "FieldValueInvalid",
            Reason::NotSupported => "FieldValueNotSupported",
            Reason::Duplicate => "FieldValueDuplicate",
            Reason::Forbidden => "FieldValueForbidden",
            Reason::TooMany => "FieldValueTooMany",
            Reason::TypeInvalid => "FieldValueTypeInvalid",
            Reason::UnknownField => "FieldManagerUnknownField",
        }
    }

    fn lead(self) -> &'static str {
        match self {
            Reason::Required => "Required value",
            Reason::Invalid | Reason::TypeInvalid => "Invalid value",
            Reason::NotSupported => "Unsupported value",
            Reason::Duplicate => "Duplicate value",
            Reason::Forbidden => "Forbidden",
            Reason::TooMany => "Too many",
            Reason::UnknownField => "Unknown field",
        }
    }
}

/// One thing that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where.
    pub path: FieldPath,
    /// What sort of mistake.
    pub reason: Reason,
    /// What was there, as JSON, where that helps; never the content of a Secret.
    pub value: Option<String>,
    /// What would be right; may be empty.
    pub detail: String,
}

impl FieldError {
    /// Something is missing.
    pub fn required(path: FieldPath, detail: impl Into<String>) -> FieldError {
        FieldError { path, reason: Reason::Required, value: None, detail: detail.into() }
    }

    /// A value is not acceptable.
    pub fn invalid(path: FieldPath, value: &Value, detail: impl Into<String>) -> FieldError {
        FieldError { path, reason: Reason::Invalid, value: Some(shown(value)), detail: detail.into() }
    }

    /// A text is none of the known ones; the nearest of them is named.
    pub fn not_supported(path: FieldPath, value: &str, supported: &[&str]) -> FieldError {
        let all: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
        let mut detail = format!("supported values: {}", all.join(", "));
        if let Some(near) = nearest(value, supported.iter().copied()) {
            detail = format!("did you mean {near:?}? {detail}");
        }
        FieldError { path, reason: Reason::NotSupported, value: Some(shown(&value.into())), detail }
    }

    /// A value is there twice.
    pub fn duplicate(path: FieldPath, value: impl Into<Value>) -> FieldError {
        FieldError {
            path,
            reason: Reason::Duplicate,
            value: Some(shown(&value.into())),
            detail: String::new(),
        }
    }

    /// A field may not be set, or may not change.
    pub fn forbidden(path: FieldPath, detail: impl Into<String>) -> FieldError {
        FieldError { path, reason: Reason::Forbidden, value: None, detail: detail.into() }
    }

    /// What is wrong, without the path, as Kubernetes words it: `Invalid value: -1: must be ...`.
    pub fn message(&self) -> String {
        let parts = [Some(self.reason.lead()), self.value.as_deref(), Some(self.detail.as_str())];
        let parts: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        parts.join(": ")
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message())
    }
}

/// Longest piece of a value that a message quotes.
const SHOWN_LEN_MAX: usize = 120;

/// A value as a message quotes it.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_LEN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The known word that a mistyped one is most like, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LIKENESS_MIN: f64 = 0.7;
    let lower = word.to_lowercase();
    let scored = known.into_iter().map(|one| (strsim::jaro_winkler(&lower, &one.to_lowercase()), one));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= LIKENESS_MIN).then_some(best.1)
}

#[cfg(test)]
mod tests;
