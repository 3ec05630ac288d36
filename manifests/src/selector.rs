//! Label and field selectors, in kubectl's words: `app=shop,tier in (front,back),!canary` and
//! `metadata.name=x,status.phase!=Running`. Reading, printing and matching; nothing here looks at a whole store.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a grammar names the tokens that it takes and refuses the rest"
)]

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde_json::Value;

use crate::name;
use crate::object::Object;

mod lexer;

use lexer::{Lexer, Token};

/// Requirements in one selector; a longer one is refused.
const REQUIREMENTS_MAX: usize = 1_000;

/// A selector that does not read as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text breaks off or goes on where it should not.
    #[error("selector {selector:?}: expected {expected}, found {found}")]
    Syntax {
        /// The whole selector.
        selector: String,
        /// What could have followed.
        expected: &'static str,
        /// What did.
        found: String,
    },
    /// A key or value that no label can have.
    #[error("selector: {text:?} {rule}")]
    Label {
        /// The key or value.
        text: String,
        /// What it must be.
        rule: String,
    },
    /// An operator that a `LabelSelector` does not know, or one with the wrong number of values.
    #[error("selector: key {key:?}: {problem}")]
    Requirement {
        /// The requirement's key.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// More than [`REQUIREMENTS_MAX`] requirements.
    #[error("selector has more than {REQUIREMENTS_MAX} requirements")]
    TooLong,
}

/// A selector over labels; all of its requirements must hold. Empty, it selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

/// One condition on the label `key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What must hold of it.
    pub test: Test,
}

/// What must hold of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It is there and has one of the values.
    In(Vec<String>),
    /// It is absent, or has none of the values.
    NotIn(Vec<String>),
    /// It is there.
    Exists,
    /// It is absent.
    Absent,
    /// It is there and a whole number above the bound.
    GreaterThan(i64),
    /// It is there and a whole number below the bound.
    LessThan(i64),
}

impl Test {
    /// Whether a label of this value, or an absent one, passes.
    pub fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|v| v.parse::<i64>().ok());
        match self {
            Test::In(values) => value.is_some_and(|v| values.iter().any(|one| one == v)),
            Test::NotIn(values) => !value.is_some_and(|v| values.iter().any(|one| one == v)),
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::GreaterThan(bound) => number().is_some_and(|n| n > *bound),
            Test::LessThan(bound) => number().is_some_and(|n| n < *bound),
        }
    }
}

impl Selector {
    /// Selects everything.
    pub fn everything() -> Selector {
        Selector::default()
    }

    /// A selector of these requirements, sorted by key so that equal selectors print alike.
    pub fn new(mut requirements: Vec<Requirement>) -> Selector {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Selector { requirements }
    }

    /// Reads kubectl's text form.
    pub fn parse(text: &str) -> Result<Selector, SelectorError> {
        let mut lexer = Lexer::new(text);
        let mut requirements = Vec::new();
        if lexer.peek() == Token::End {
            return Ok(Selector::everything());
        }
        loop {
            requirements.push(requirement(&mut lexer)?);
            if requirements.len() > REQUIREMENTS_MAX {
                return Err(SelectorError::TooLong);
            }
            match lexer.next() {
                Token::End => return Ok(Selector::new(requirements)),
                Token::Comma => {}
                other => return Err(lexer.unexpected("',' or the end", other)),
            }
        }
    }

    /// Selects what has all of these labels, as a Service's or a ReplicationController's selector does.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Selector {
        let equal = |(key, value): (&str, &str)| Requirement {
            key: key.to_owned(),
            test: Test::In(vec![value.to_owned()]),
        };
        Selector::new(labels.into_iter().map(equal).collect())
    }

    /// Reads a `LabelSelector` of a manifest. An empty one selects everything.
    pub fn from_label_selector(selector: &LabelSelector) -> Result<Selector, SelectorError> {
        let labels = selector.match_labels.iter().flatten().map(|(k, v)| (k.as_str(), v.as_str()));
        let mut requirements = Selector::from_labels(labels).requirements;
        for expression in selector.match_expressions.iter().flatten() {
            requirements.push(from_expression(expression)?);
        }
        Ok(Selector::new(requirements))
    }

    /// The requirements, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether it selects everything.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether these labels are selected. `labels` looks one up by key.
    pub fn matches_with<'a>(&self, labels: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.test.holds(labels(&requirement.key)))
    }

    /// Whether these labels are selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_with(|key| labels.get(key).map(String::as_str))
    }

    /// Whether this object's labels are selected.
    pub fn matches_object(&self, object: &Object) -> bool {
        self.matches_with(|key| object.label(key))
    }
}

/// One of `key`, `!key`, `key=v`, `key==v`, `key!=v`, `key in (a,b)`, `key notin (a,b)`, `key>1`, `key<1`.
fn requirement(lexer: &mut Lexer<'_>) -> Result<Requirement, SelectorError> {
    let (negated, key) = match lexer.next() {
        Token::Word(key) => (false, key),
        Token::Not => match lexer.next() {
            Token::Word(key) => (true, key),
            other => return Err(lexer.unexpected("a label's key", other)),
        },
        other => return Err(lexer.unexpected("a label's key or '!'", other)),
    };
    label(key, name::qualified_name)?;
    let test = if negated { Test::Absent } else { test(lexer)? };
    Ok(Requirement { key: key.to_owned(), test })
}

fn label(text: &str, verdict: fn(&str) -> name::Verdict) -> Result<(), SelectorError> {
    verdict(text).map_err(|rule| SelectorError::Label { text: text.to_owned(), rule })
}

fn test(lexer: &mut Lexer<'_>) -> Result<Test, SelectorError> {
    match lexer.peek() {
        Token::End | Token::Comma => return Ok(Test::Exists),
        _ => {}
    }
    match lexer.next() {
        Token::Equal => Ok(Test::In(vec![label_value(lexer)?])),
        Token::NotEqual => Ok(Test::NotIn(vec![label_value(lexer)?])),
        Token::Greater => Ok(Test::GreaterThan(number(lexer)?)),
        Token::Less => Ok(Test::LessThan(number(lexer)?)),
        Token::Word("in") => Ok(Test::In(values(lexer)?)),
        Token::Word("notin") => Ok(Test::NotIn(values(lexer)?)),
        other => Err(lexer.unexpected("an operator: '=', '!=', 'in', 'notin'", other)),
    }
}

/// The value after `=`; nothing at all is the empty value.
fn label_value(lexer: &mut Lexer<'_>) -> Result<String, SelectorError> {
    match lexer.peek() {
        Token::End | Token::Comma => Ok(String::new()),
        Token::Word(value) => {
            lexer.next();
            label(value, name::label_value)?;
            Ok(value.to_owned())
        }
        other => Err(lexer.unexpected("a value", other)),
    }
}

fn number(lexer: &mut Lexer<'_>) -> Result<i64, SelectorError> {
    match lexer.next() {
        Token::Word(text) => text.parse().map_err(|_| lexer.unexpected("a whole number", Token::Word(text))),
        other => Err(lexer.unexpected("a whole number", other)),
    }
}

/// `(a,b)`, at least one value; `(a,)` has the empty value too.
fn values(lexer: &mut Lexer<'_>) -> Result<Vec<String>, SelectorError> {
    match lexer.next() {
        Token::Open => {}
        other => return Err(lexer.unexpected("'('", other)),
    }
    let mut values = Vec::new();
    loop {
        let value = match lexer.peek() {
            Token::Word(value) => {
                lexer.next();
                value
            }
            _ => "",
        };
        label(value, name::label_value)?;
        values.push(value.to_owned());
        match lexer.next() {
            Token::Close => break,
            Token::Comma => {}
            other => return Err(lexer.unexpected("',' or ')'", other)),
        }
    }
    values.sort();
    values.dedup();
    Ok(values)
}

fn from_expression(expression: &LabelSelectorRequirement) -> Result<Requirement, SelectorError> {
    let key = expression.key.clone();
    let problem = |problem| SelectorError::Requirement { key: key.clone(), problem };
    let values = expression.values.clone().unwrap_or_default();
    let test = match (expression.operator.as_str(), values.is_empty()) {
        ("In", false) => Test::In(values),
        ("NotIn", false) => Test::NotIn(values),
        ("In" | "NotIn", true) => return Err(problem("In and NotIn need at least one value")),
        ("Exists", true) => Test::Exists,
        ("DoesNotExist", true) => Test::Absent,
        ("Exists" | "DoesNotExist", false) => return Err(problem("Exists and DoesNotExist take no values")),
        _ => return Err(problem("operator must be In, NotIn, Exists or DoesNotExist")),
    };
    Ok(Requirement { key, test })
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                formatter.write_str(",")?;
            }
            requirement.fmt(formatter)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.test {
            Test::In(values) if values.len() == 1 => write!(formatter, "{key}={}", values[0]),
            Test::NotIn(values) if values.len() == 1 => write!(formatter, "{key}!={}", values[0]),
            Test::In(values) => write!(formatter, "{key} in ({})", values.join(",")),
            Test::NotIn(values) => write!(formatter, "{key} notin ({})", values.join(",")),
            Test::Exists => formatter.write_str(key),
            Test::Absent => write!(formatter, "!{key}"),
            Test::GreaterThan(bound) => write!(formatter, "{key}>{bound}"),
            Test::LessThan(bound) => write!(formatter, "{key}<{bound}"),
        }
    }
}

/// A selector over fields; all of its requirements must hold. Empty, it selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// The requirements, as written.
    pub requirements: Vec<FieldRequirement>,
}

/// `path=value` or `path!=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRequirement {
    /// Field names joined by dots: `spec.nodeName`.
    pub path: String,
    /// What the field must be, or must not be.
    pub value: String,
    /// Whether it must be (`=`) or must not be (`!=`).
    pub equal: bool,
}

impl FieldSelector {
    /// Reads `a.b=c,d.e!=f`. Within a value `\`, `,` and `=` are written with a backslash before them.
    pub fn parse(text: &str) -> Result<FieldSelector, SelectorError> {
        let parts = lexer::split_unescaped(text, ',');
        if parts.len() > REQUIREMENTS_MAX {
            return Err(SelectorError::TooLong);
        }
        let written = parts.into_iter().filter(|part| !part.trim().is_empty());
        let requirements = written.map(field_requirement).collect::<Result<_, _>>()?;
        Ok(FieldSelector { requirements })
    }

    /// Whether it selects everything.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether the object is selected. A field that is absent is the empty text.
    pub fn matches(&self, object: &Object) -> bool {
        self.requirements.iter().all(|requirement| requirement.holds(object))
    }

    /// The name that the selector asks for, if it asks for one: what a single-object watch sends.
    pub fn name(&self) -> Option<&str> {
        let named = self.requirements.iter().find(|one| one.path == "metadata.name" && one.equal);
        named.map(|one| one.value.as_str())
    }
}

impl FieldRequirement {
    fn holds(&self, object: &Object) -> bool {
        let path: Vec<&str> = self.path.split('.').collect();
        let text = match object.at(&path) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        (text == self.value) == self.equal
    }
}

fn field_requirement(part: &str) -> Result<FieldRequirement, SelectorError> {
    let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
        (path, value, false)
    } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (path, value, true)
    } else {
        return Err(SelectorError::Syntax {
            selector: part.to_owned(),
            expected: "path=value or path!=value",
            found: "no operator".to_owned(),
        });
    };
    Ok(FieldRequirement { path: path.trim().to_owned(), value: lexer::unescape(value.trim()), equal })
}

#[cfg(test)]
mod tests;
