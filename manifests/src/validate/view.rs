//! A look at one field of an object, which remembers where it is; and the checks that all kinds share.
//! What is absent, or of the wrong type, reads as absent: the schema check has already said so.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::field::{FieldError, FieldPath};
use crate::name::Verdict;
use crate::object::Object;

/// The largest port.
const PORT_MAX: i64 = 65_535;

/// One field, there or not.
#[derive(Debug, Clone)]
pub(super) struct View<'a> {
    pub(super) path: FieldPath,
    value: Option<&'a Value>,
}

/// A whole object, from which views begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Root<'a>(pub(super) &'a Object);

impl<'a> Root<'a> {
    /// The field of this name.
    pub(super) fn field(self, name: &str) -> View<'a> {
        View { path: FieldPath::root().field(name), value: self.0.0.get(name) }
    }
}

impl<'a> View<'a> {
    /// The field of this name.
    pub(super) fn field(&self, name: &str) -> View<'a> {
        View { path: self.path.field(name), value: self.value.and_then(|value| value.get(name)) }
    }

    /// The value, unless absent or null.
    pub(super) fn value(&self) -> Option<&'a Value> {
        self.value.filter(|value| !value.is_null())
    }

    pub(super) fn is_set(&self) -> bool {
        self.value().is_some()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.value?.as_str()
    }

    pub(super) fn text_or_empty(&self) -> &'a str {
        self.text().unwrap_or_default()
    }

    pub(super) fn int(&self) -> Option<i64> {
        self.value?.as_i64()
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Vec<View<'a>> {
        let items = self.value.and_then(Value::as_array).into_iter().flatten().enumerate();
        items.map(|(index, value)| View { path: self.path.index(index), value: Some(value) }).collect()
    }

    /// The entries of a map.
    pub(super) fn entries(&self) -> Vec<(&'a str, View<'a>)> {
        let entries = self.value.and_then(Value::as_object).into_iter().flatten();
        entries
            .map(|(key, value)| (key.as_str(), View { path: self.path.field(key), value: Some(value) }))
            .collect()
    }

    pub(super) fn invalid(&self, detail: impl Into<String>) -> FieldError {
        FieldError::invalid(self.path.clone(), self.value.unwrap_or(&Value::Null), detail)
    }

    /// A key of this map that is not acceptable.
    pub(super) fn invalid_key(&self, key: &str, detail: impl Into<String>) -> FieldError {
        FieldError::invalid(self.path.field(key), &key.into(), detail)
    }

    pub(super) fn required(&self, detail: impl Into<String>) -> FieldError {
        FieldError::required(self.path.clone(), detail)
    }

    pub(super) fn forbidden(&self, detail: impl Into<String>) -> FieldError {
        FieldError::forbidden(self.path.clone(), detail)
    }

    /// A text that is there must pass `verdict`.
    pub(super) fn check_text(&self, verdict: impl Fn(&str) -> Verdict, errors: &mut Vec<FieldError>) {
        if let Some(Err(detail)) = self.text().map(verdict) {
            errors.push(self.invalid(detail));
        }
    }

    /// A text must be there, and pass `verdict`. Its absence is the schema's to tell where the schema demands it.
    pub(super) fn require_text(&self, verdict: impl Fn(&str) -> Verdict, errors: &mut Vec<FieldError>) {
        match self.text() {
            Some("") => errors.push(self.required("")),
            _ => self.check_text(verdict, errors),
        }
    }

    /// A text that is there must be one of these.
    pub(super) fn check_one_of(&self, supported: &[&str], errors: &mut Vec<FieldError>) {
        if let Some(text) = self.text()
            && !supported.contains(&text)
        {
            errors.push(FieldError::not_supported(self.path.clone(), text, supported));
        }
    }

    /// A number that is there must not be below `least`.
    pub(super) fn check_at_least(&self, least: i64, errors: &mut Vec<FieldError>) {
        if self.int().is_some_and(|number| number < least) {
            errors.push(self.invalid(format!("must be greater than or equal to {least}")));
        }
    }

    /// A number that is there must be a port.
    pub(super) fn check_port(&self, errors: &mut Vec<FieldError>) {
        if self.int().is_some_and(|number| !(1..=PORT_MAX).contains(&number)) {
            errors.push(self.invalid(format!("must be between 1 and {PORT_MAX}")));
        }
    }

    /// A number must be a port, a text the name of one.
    pub(super) fn check_port_or_name(&self, errors: &mut Vec<FieldError>) {
        self.check_port(errors);
        self.check_text(crate::name::port_name, errors);
    }

    /// An absolute path that does not climb.
    pub(super) fn check_inner_path(&self, errors: &mut Vec<FieldError>) {
        let Some(text) = self.text() else { return };
        if text.starts_with('/') {
            errors.push(self.invalid("must be a relative path"));
        }
        if text.split('/').any(|part| part == "..") {
            errors.push(self.invalid("must not contain '..'"));
        }
    }
}

/// No two of these items may have the same `key`; the second is the one in the wrong.
pub(super) fn check_unique<'a>(
    items: &[View<'a>],
    key: impl Fn(&View<'a>) -> Option<String>,
    field: &str,
    errors: &mut Vec<FieldError>,
) {
    let mut seen = BTreeSet::new();
    for item in items {
        let Some(key) = key(item) else { continue };
        if !seen.insert(key.clone()) {
            errors.push(FieldError::duplicate(item.path.fields(field), key));
        }
    }
}

/// Exactly one of these fields must be set.
pub(super) fn check_exactly_one(view: &View<'_>, fields: &[&str], errors: &mut Vec<FieldError>) {
    let set: Vec<&&str> = fields.iter().filter(|field| view.field(field).is_set()).collect();
    match set.as_slice() {
        [] => errors.push(view.required(format!("must specify one of {}", fields.join(", ")))),
        [_] => {}
        [first, rest @ ..] => {
            let more = |field: &&&str| view.field(field).forbidden(format!("may not be set beside {first}"));
            errors.extend(rest.iter().map(more));
        }
    }
}
