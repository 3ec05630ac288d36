//! A container's environment. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVarSource, Pod};

use crate::assignment::References;
use crate::spec::Facts;
use crate::spec::field::{self, FieldError};

/// An environment that cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvError {
    /// What a variable takes its value from is not there (yet).
    #[error("{kind} {name:?} not found")]
    ReferenceMissing {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// It is there and lacks the key.
    #[error("couldn't find key {key} in {kind} {name:?}")]
    KeyMissing {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// The bytes are no text, or hold a NUL.
    #[error("key {key} of {kind} {name:?} is not text")]
    NotText {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// A field that cannot be read.
    #[error("environment variable {variable}")]
    Field {
        /// Which one.
        variable: String,
        /// Why.
        #[source]
        source: FieldError,
    },
    /// A source that this node does not know.
    #[error("environment variable {variable} has a source that is not supported")]
    UnknownSource {
        /// Which one.
        variable: String,
    },
}

/// The variables that the pod says, in order; later ones may use earlier ones as `$(NAME)`.
///
/// # Errors
/// When a source is missing that is not optional.
pub fn environment(
    pod: &Pod,
    container: &Container,
    references: &References,
    facts: &Facts,
) -> Result<Vec<(String, String)>, EnvError> {
    let mut variables = Vec::new();
    for source in container.env_from.iter().flatten() {
        variables.extend(from_source(source, references)?);
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value_from, &variable.value) {
            (Some(source), _) => sourced(pod, container, references, facts, &variable.name, source)?,
            (None, Some(value)) => Some(expand(value, &variables)),
            (None, None) => Some(String::new()),
        };
        variables.extend(value.map(|value| (variable.name.clone(), value)));
    }
    Ok(variables)
}

/// One `NAME=value` per name: later lists win over earlier ones.
#[must_use]
pub fn merged(default: &[String], image: &[String], pod: &[(String, String)]) -> Vec<String> {
    let mut all: BTreeMap<&str, &str> = BTreeMap::new();
    for line in default.iter().chain(image) {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        all.insert(name, value);
    }
    all.extend(pod.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    all.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// Replaces `$(NAME)` by the variable's value; `$$` is a dollar; what is not known stays as it is.
#[must_use]
pub fn expand(text: &str, variables: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        if let Some(after) = tail.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let reference = tail.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        let value = reference.and_then(|(name, after)| Some((lookup(name, variables)?, after)));
        if let Some((value, after)) = value {
            out.push_str(value);
            rest = after;
        } else {
            out.push('$');
            rest = tail;
        }
    }
    out.push_str(rest);
    out
}

fn lookup<'a>(name: &str, variables: &'a [(String, String)]) -> Option<&'a str> {
    variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn from_source(source: &EnvFromSource, references: &References) -> Result<Vec<(String, String)>, EnvError> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    let (kind, name, optional) = match (&source.config_map_ref, &source.secret_ref) {
        (Some(map), _) => ("configmap", &map.name, map.optional),
        (None, Some(secret)) => ("secret", &secret.name, secret.optional),
        (None, None) => return Ok(Vec::new()),
    };
    let Some(data) = data_of(kind, name, references) else {
        return missing(kind, name, optional).map(|()| Vec::new());
    };
    // What cannot be a variable's value is skipped, as Kubernetes does: nobody asked for it by name.
    let texts = data.into_iter().filter_map(|(key, value)| Some((format!("{prefix}{key}"), text(&value)?)));
    Ok(texts.collect())
}

fn sourced(
    pod: &Pod,
    container: &Container,
    references: &References,
    facts: &Facts,
    variable: &str,
    source: &EnvVarSource,
) -> Result<Option<String>, EnvError> {
    let field_error = |source| EnvError::Field { variable: variable.to_owned(), source };
    if let Some(selector) = &source.field_ref {
        return field::field(pod, facts, selector).map(Some).map_err(field_error);
    }
    if let Some(selector) = &source.resource_field_ref {
        return field::resource(pod, Some(container), facts, selector).map(Some).map_err(field_error);
    }
    if let Some(selector) = &source.config_map_key_ref {
        return keyed("configmap", &selector.name, &selector.key, selector.optional, references);
    }
    if let Some(selector) = &source.secret_key_ref {
        return keyed("secret", &selector.name, &selector.key, selector.optional, references);
    }
    Err(EnvError::UnknownSource { variable: variable.to_owned() })
}

fn keyed(
    kind: &'static str,
    name: &str,
    key: &str,
    optional: Option<bool>,
    references: &References,
) -> Result<Option<String>, EnvError> {
    let Some(mut data) = data_of(kind, name, references) else {
        return missing(kind, name, optional).map(|()| None);
    };
    let object = || (name.to_owned(), key.to_owned());
    match data.remove(key) {
        None if optional == Some(true) => Ok(None),
        None => {
            let (name, key) = object();
            Err(EnvError::KeyMissing { kind, name, key })
        }
        Some(bytes) => text(&bytes).map(Some).ok_or_else(|| {
            let (name, key) = object();
            EnvError::NotText { kind, name, key }
        }),
    }
}

fn missing(kind: &'static str, name: &str, optional: Option<bool>) -> Result<(), EnvError> {
    if optional == Some(true) {
        return Ok(());
    }
    Err(EnvError::ReferenceMissing { kind, name: name.to_owned() })
}

/// The content of a ConfigMap or Secret, or nothing if it was not assigned.
#[must_use]
pub fn data_of(kind: &str, name: &str, references: &References) -> Option<BTreeMap<String, Vec<u8>>> {
    if kind == "secret" {
        let secret = references.secrets.get(name)?;
        let bytes = secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()));
        let texts =
            secret.string_data.iter().flatten().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
        return Some(bytes.chain(texts).collect());
    }
    let map = references.config_maps.get(name)?;
    let texts = map.data.iter().flatten().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
    let bytes = map.binary_data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()));
    Some(texts.chain(bytes).collect())
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).map(str::to_owned)
}
