//! The three-way merge of `apply`: what the user wants now, less what the user wanted before and no longer does, into
//! what is there, leaving alone what others have set.
//!
//! The same outcome as kubectl's client-side apply, by the same lists' keys, so that both can be used by turns.

use serde_json::{Map, Value};

use crate::kind::Kind;
use crate::object::Object;
use crate::schema::{ListMerge, ListType, Place};

/// Where the last applied version is kept; the same annotation as kubectl's.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

type Fields = Map<String, Value>;

/// A wanted object with the record of itself that the next apply will need; its `status` is nobody's to apply.
pub fn with_record(wanted: &Object) -> Object {
    let mut wanted = wanted.clone();
    wanted.0.remove("status");
    wanted.remove(&["metadata", "annotations", LAST_APPLIED]);
    let mut record = wanted.clone();
    if let Some(metadata) = record.0.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
    }
    let text = format!("{}\n", record.into_value());
    wanted.set(&["metadata", "annotations", LAST_APPLIED], text);
    wanted
}

/// What `current` becomes when `wanted`, which carries its record, is applied to it.
pub fn apply(kind: Kind, wanted: &Object, current: &Object) -> Object {
    let last = current.annotation(LAST_APPLIED).and_then(|text| Object::from_json(text.as_bytes()).ok());
    let last = last.unwrap_or_default();
    Object(merge_fields(Some(Place::root(kind)), &last.0, &wanted.0, &current.0))
}

fn merge_fields(place: Option<Place>, last: &Fields, wanted: &Fields, current: &Fields) -> Fields {
    let mut merged = current.clone();
    merged.retain(|name, _| wanted.contains_key(name) || !last.contains_key(name));
    // A union, such as a strategy or a volume's source: the old arm goes when another one comes.
    if place.is_some_and(Place::retains_keys) {
        merged.retain(|name, _| wanted.contains_key(name));
    }
    for (name, value) in wanted {
        if value.is_null() {
            merged.remove(name);
            continue;
        }
        let place = place.and_then(|place| place.field(name));
        let value = merge_value(place, last.get(name), value, current.get(name));
        merged.insert(name.clone(), value);
    }
    merged
}

fn merge_value(place: Option<Place>, last: Option<&Value>, wanted: &Value, current: Option<&Value>) -> Value {
    match (wanted, current) {
        (Value::Object(wanted), Some(Value::Object(current))) => {
            let nothing = Map::new();
            let last = last.and_then(Value::as_object).unwrap_or(&nothing);
            Value::Object(merge_fields(place, last, wanted, current))
        }
        (Value::Array(wanted), Some(Value::Array(current))) => {
            let last = last.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            match place.and_then(|place| Some((place, place.list_merge()?))) {
                Some((place, ListMerge::ByKey(key))) => merge_items(place, key, last, wanted, current).into(),
                Some((_, ListMerge::Primitives)) => merge_primitives(last, wanted, current).into(),
                None => wanted.clone().into(),
            }
        }
        _ => wanted.clone(),
    }
}

/// Items as wanted and in that order, each merged with the one of the same key; then those of others.
fn merge_items(place: Place, key: &str, last: &[Value], wanted: &[Value], current: &[Value]) -> Vec<Value> {
    let keys = match place.list_type() {
        ListType::Map(keys) => keys,
        ListType::Atomic | ListType::Set => &[],
    };
    let same = |a: &Value, b: &Value| is_same_item(key, keys, a, b);
    let mut merged = Vec::with_capacity(wanted.len());
    for item in wanted {
        let before = last.iter().find(|one| same(one, item));
        let there = current.iter().find(|one| same(one, item));
        let mut value = merge_value(place.item(), before, item, there);
        if place.retains_keys()
            && let Some(fields) = value.as_object_mut()
        {
            fields.retain(|name, _| item.get(name).is_some());
        }
        merged.push(value);
    }
    let of_others = |one: &&Value| ![wanted, last].iter().any(|list| list.iter().any(|item| same(item, one)));
    merged.extend(current.iter().filter(of_others).cloned());
    merged
}

/// Whether two items are the same one: by the merge key, and by the other keys where both say them.
fn is_same_item(key: &str, keys: &[&str], a: &Value, b: &Value) -> bool {
    let equal = |key: &str| matches!((a.get(key), b.get(key)), (Some(a), Some(b)) if a == b);
    let differ = |key: &&str| matches!((a.get(*key), b.get(*key)), (Some(a), Some(b)) if a != b);
    equal(key) && !keys.iter().any(differ)
}

fn merge_primitives(last: &[Value], wanted: &[Value], current: &[Value]) -> Vec<Value> {
    let kept = current.iter().filter(|value| wanted.contains(value) || !last.contains(value));
    let mut merged: Vec<Value> = kept.cloned().collect();
    for value in wanted {
        if !merged.contains(value) {
            merged.push(value.clone());
        }
    }
    merged
}

#[cfg(test)]
mod tests;
