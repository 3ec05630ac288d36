//! Strategic merge patch: a merge patch whose lists merge by key, as the schema of the patched kind says.
//!
//! Pure. Directives: `$patch: delete|replace|merge`, `$retainKeys`, `$setElementOrder/FIELD`,
//! `$deleteFromPrimitiveList/FIELD`; `null` deletes. The merge keys are those of the schema
//! that is served to clients, so that kubectl computes its patches by the same.
//! Reference: Kubernetes' `strategicpatch` package and
//! <https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md>.

use std::collections::HashSet;

use manifests::schema::{ListMerge, Place};
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";

/// Why a strategic merge patch cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum StrategicError {
    /// A `$patch` directive of an unknown word.
    #[error("unknown directive $patch: {0}")]
    UnknownDirective(String),
    /// An element of a list that merges by key does not have the key.
    #[error("map: {element} does not contain declared merge key: {merge_key}")]
    MissingMergeKey {
        /// The key that the schema names.
        merge_key: String,
        /// The element, shortened.
        element: String,
    },
    /// A directive whose value is of a wrong type, or an element of a wrong type.
    #[error("{0} is not of the type that its place in the patch requires")]
    WrongType(String),
}

/// A place in the schema; `None` where the schema knows nothing, and then lists are replaced.
type Schema = Option<Place>;

fn field(schema: Schema, name: &str) -> Schema {
    schema?.field(name)
}

fn list_merge(schema: Schema) -> Option<ListMerge> {
    schema?.list_merge()
}

/// Applies a patch to a document of the schema's type.
pub(super) fn apply(
    document: &mut Map<String, Value>,
    patch: Map<String, Value>,
    schema: Schema,
) -> Result<(), StrategicError> {
    merge_map(document, patch, schema)
}

fn merge_map(
    into: &mut Map<String, Value>,
    mut patch: Map<String, Value>,
    schema: Schema,
) -> Result<(), StrategicError> {
    match take_directive(&mut patch)? {
        Some(Directive::Replace) => {
            *into = without_directives(patch);
            return Ok(());
        }
        Some(Directive::Delete) => {
            into.clear();
            return Ok(());
        }
        Some(Directive::Merge) | None => {}
    }
    if let Some(keys) = patch.remove(RETAIN_KEYS) {
        let keys = list(keys, RETAIN_KEYS)?;
        into.retain(|field, _| keys.iter().any(|key| key.as_str() == Some(field)));
    }
    let (directives, fields): (Vec<_>, Vec<_>) =
        patch.into_iter().partition(|(field, _)| field.starts_with('$'));
    let mut orders = Map::new();
    for (directive, value) in directives {
        if let Some(field) = directive.strip_prefix(ELEMENT_ORDER) {
            orders.insert(field.to_owned(), value);
        } else if let Some(field) = directive.strip_prefix(DELETE_PRIMITIVES) {
            let gone = list(value, &directive)?;
            if let Some(Value::Array(items)) = into.get_mut(field) {
                items.retain(|item| !gone.contains(item));
            }
        } else {
            into.insert(directive, value);
        }
    }
    for (field, value) in fields {
        merge_field(into, field, value, schema)?;
    }
    for (field, order) in orders {
        if let Some(Value::Array(items)) = into.get_mut(&field) {
            let merge_key = match list_merge(self::field(schema, &field)) {
                Some(ListMerge::ByKey(key)) => Some(key),
                Some(ListMerge::Primitives) | None => None,
            };
            set_order(items, &list(order, ELEMENT_ORDER)?, merge_key);
        }
    }
    Ok(())
}

fn merge_field(
    into: &mut Map<String, Value>,
    field: String,
    patch: Value,
    schema: Schema,
) -> Result<(), StrategicError> {
    let schema = self::field(schema, &field);
    let merge = list_merge(schema);
    match (into.get_mut(&field), patch) {
        (_, Value::Null) => {
            into.remove(&field);
        }
        (Some(Value::Object(old)), Value::Object(patch)) => {
            let deletes = patch.get(DIRECTIVE).and_then(Value::as_str) == Some("delete");
            if deletes {
                into.remove(&field);
            } else {
                merge_map(old, patch, schema)?;
            }
        }
        (old, Value::Array(patch)) if merge.is_some() => {
            let mut items = match old {
                Some(Value::Array(items)) => std::mem::take(items),
                _ => Vec::new(),
            };
            merge_list(&mut items, patch, schema)?;
            into.insert(field, Value::Array(items));
        }
        (_, Value::Object(patch)) => {
            if patch.get(DIRECTIVE).and_then(Value::as_str) != Some("delete") {
                into.insert(field, Value::Object(without_directives(patch)));
            }
        }
        (_, patch @ (Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_))) => {
            into.insert(field, patch);
        }
    }
    Ok(())
}

fn merge_list(into: &mut Vec<Value>, patch: Vec<Value>, schema: Schema) -> Result<(), StrategicError> {
    let Some(ListMerge::ByKey(key)) = list_merge(schema) else {
        let mut known: HashSet<String> = into.iter().map(Value::to_string).collect();
        into.extend(patch.into_iter().filter(|item| known.insert(item.to_string())));
        return Ok(());
    };
    let replaces = patch.iter().any(|item| is_directive_alone(item, "replace"));
    if replaces {
        into.clear();
    }
    for item in patch {
        if is_directive_alone(&item, "replace") {
            continue;
        }
        merge_element(into, item, key, schema.and_then(Place::item))?;
    }
    Ok(())
}

fn merge_element(
    into: &mut Vec<Value>,
    element: Value,
    key: &str,
    schema: Schema,
) -> Result<(), StrategicError> {
    let Value::Object(mut element) = element else {
        return Err(StrategicError::WrongType(element.to_string()));
    };
    let Some(id) = element.get(key).cloned() else {
        let text: String = Value::Object(element).to_string().chars().take(200).collect();
        return Err(StrategicError::MissingMergeKey { merge_key: key.to_owned(), element: text });
    };
    match take_directive(&mut element)? {
        Some(Directive::Delete) => into.retain(|item| !same_key(item, key, &id)),
        Some(Directive::Replace) => {
            into.retain(|item| !same_key(item, key, &id));
            into.push(Value::Object(without_directives(element)));
        }
        Some(Directive::Merge) | None => match into.iter_mut().find(|item| same_key(item, key, &id)) {
            Some(Value::Object(old)) => merge_map(old, element, schema)?,
            Some(other) => *other = Value::Object(without_directives(element)),
            None => {
                let mut new = Map::new();
                merge_map(&mut new, element, schema)?;
                into.push(Value::Object(new));
            }
        },
    }
    Ok(())
}

/// Puts the elements that `order` names into its order; the others keep their place among them.
fn set_order(items: &mut Vec<Value>, order: &[Value], merge_key: Option<&str>) {
    let rank = |item: &Value| {
        order.iter().position(|named| match merge_key {
            Some(key) => named.get(key).is_some_and(|id| same_key(item, key, id)),
            None => named == item,
        })
    };
    let ranked: Vec<(usize, Option<usize>)> =
        items.iter().enumerate().map(|(at, item)| (at, rank(item))).collect();
    let mut named: Vec<(usize, usize)> =
        ranked.iter().filter_map(|(at, rank)| Some(((*rank)?, *at))).collect();
    named.sort_unstable();
    let mut others = ranked.iter().filter(|(_, rank)| rank.is_none()).map(|(at, _)| *at).peekable();
    let mut positions = Vec::with_capacity(items.len());
    for (_, at) in named {
        while let Some(other) = others.next_if(|other| *other < at) {
            positions.push(other);
        }
        positions.push(at);
    }
    positions.extend(others);
    *items = positions.into_iter().map(|at| std::mem::take(&mut items[at])).collect();
}

enum Directive {
    Delete,
    Replace,
    Merge,
}

fn take_directive(patch: &mut Map<String, Value>) -> Result<Option<Directive>, StrategicError> {
    let Some(directive) = patch.remove(DIRECTIVE) else { return Ok(None) };
    match directive.as_str() {
        Some("delete") => Ok(Some(Directive::Delete)),
        Some("replace") => Ok(Some(Directive::Replace)),
        Some("merge") => Ok(Some(Directive::Merge)),
        _ => Err(StrategicError::UnknownDirective(directive.to_string())),
    }
}

fn is_directive_alone(item: &Value, directive: &str) -> bool {
    item.as_object()
        .is_some_and(|map| map.len() == 1 && map.get(DIRECTIVE).and_then(Value::as_str) == Some(directive))
}

fn same_key(item: &Value, key: &str, id: &Value) -> bool {
    item.get(key).is_some_and(|value| value == id)
}

fn list(value: Value, what: &str) -> Result<Vec<Value>, StrategicError> {
    if let Value::Array(items) = value {
        return Ok(items);
    }
    Err(StrategicError::WrongType(format!("{what}: {value}")))
}

/// A part of a patch as a plain document: what it adds, without directives and deletions.
fn without_directives(patch: Map<String, Value>) -> Map<String, Value> {
    let fields = patch.into_iter().filter(|(field, value)| !is_directive(field) && !value.is_null());
    fields.map(|(field, value)| (field, plain(value))).collect()
}

fn is_directive(field: &str) -> bool {
    field == DIRECTIVE
        || field == RETAIN_KEYS
        || field.starts_with(ELEMENT_ORDER)
        || field.starts_with(DELETE_PRIMITIVES)
}

fn plain(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(without_directives(map)),
        Value::Array(items) => {
            let kept = items.into_iter().filter(|item| {
                !matches!(item.get(DIRECTIVE).and_then(Value::as_str), Some("delete" | "replace"))
            });
            Value::Array(kept.map(plain).collect())
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

#[cfg(test)]
mod tests;
