//! An object against its schema: fields that are not known, values of the wrong type, what is missing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use crate::field::{FieldError, FieldPath, Reason, nearest};
use crate::kind::Kind;
use crate::object::{Object, json_type};
use crate::quantity::Quantity;
use crate::schema::{Place, Shape};

/// Deeper objects than any schema of ours are not walked.
const DEPTH_MAX: usize = 64;

pub(super) fn check_shape(kind: Kind, object: &Object) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut walk = Walk { errors: &mut errors, lenient: false, secret: false };
    for (name, value) in &object.0 {
        walk.secret = kind == Kind::Secret && name != "metadata";
        // Statuses are written by us, in parts; what they lack is nobody's mistake.
        walk.lenient = name == "status";
        let path = FieldPath::root().field(name);
        match Place::root(kind).field(name) {
            Some(place) => walk.value(place, value, &path, 1),
            None => walk.unknown(Place::root(kind), &path, name),
        }
    }
    errors.extend(missing(Place::root(kind), &object.0, &FieldPath::root()));
    errors
}

/// The required fields that are not there.
fn missing(place: Place, fields: &Map<String, Value>, path: &FieldPath) -> Vec<FieldError> {
    let required = place.definition().map(|definition| definition.required.as_slice()).unwrap_or_default();
    let absent = required.iter().filter(|name| fields.get(*name).is_none_or(Value::is_null));
    absent.map(|name| FieldError::required(path.field(name), "")).collect()
}

struct Walk<'e> {
    errors: &'e mut Vec<FieldError>,
    /// What is missing is not told.
    lenient: bool,
    /// What was found is not quoted.
    secret: bool,
}

impl Walk<'_> {
    fn value(&mut self, place: Place, value: &Value, path: &FieldPath, depth: usize) {
        if depth > DEPTH_MAX {
            return self.wrong(path, value, "nested too deeply");
        }
        match (place.shape(), value) {
            (_, Value::Null) | (Shape::Any, _) => {}
            (Shape::List(_), Value::Array(items)) => {
                let Some(place) = place.item() else { return };
                for (index, item) in items.iter().enumerate() {
                    self.value(place, item, &path.index(index), depth + 1);
                }
            }
            (Shape::Type(_) | Shape::MapOf(_), Value::Object(fields)) => {
                self.fields(place, fields, path, depth)
            }
            (shape, value) => {
                if let Some(problem) = scalar_problem(shape, value) {
                    self.wrong(path, value, &problem);
                }
            }
        }
    }

    fn fields(&mut self, place: Place, fields: &Map<String, Value>, path: &FieldPath, depth: usize) {
        for (name, value) in fields {
            let path = path.field(name);
            match place.field(name) {
                Some(place) => self.value(place, value, &path, depth + 1),
                None => self.unknown(place, &path, name),
            }
        }
        if !self.lenient {
            self.errors.extend(missing(place, fields, path));
        }
    }

    fn wrong(&mut self, path: &FieldPath, value: &Value, detail: &str) {
        let mut error = FieldError::invalid(path.clone(), value, detail);
        error.reason = Reason::TypeInvalid;
        error.value = error.value.filter(|_| !self.secret);
        self.errors.push(error);
    }

    fn unknown(&mut self, place: Place, path: &FieldPath, name: &str) {
        let known = place.definition().into_iter().flat_map(|definition| definition.fields.keys());
        let detail = match nearest(name, known.map(String::as_str)) {
            Some(near) => format!("did you mean {near:?}?"),
            None => String::new(),
        };
        self.errors.push(FieldError {
            path: path.clone(),
            reason: Reason::UnknownField,
            value: None,
            detail,
        });
    }
}

/// What is wrong with a value where a plain one belongs, or with a plain one where none belongs.
fn scalar_problem(shape: &Shape, value: &Value) -> Option<String> {
    let expected = match shape {
        Shape::Any => return None,
        Shape::String => "a string",
        Shape::Boolean => "true or false",
        Shape::Integer { .. } => "a whole number",
        Shape::Number => "a number",
        Shape::Time => "a time such as 2026-01-31T12:00:00Z",
        Shape::Bytes => "base64",
        Shape::IntOrString => "a whole number or a string",
        Shape::Quantity => "a quantity such as 500m, 1.5 or 64Mi",
        Shape::List(_) => "a list",
        Shape::MapOf(_) | Shape::Type(_) => "a map",
    };
    let fits = match (shape, value) {
        (Shape::String, Value::String(_)) | (Shape::Boolean, Value::Bool(_)) => true,
        (Shape::Number, Value::Number(_)) => true,
        (Shape::Integer { bits: 32 }, Value::Number(number)) => {
            number.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
        }
        (Shape::Integer { .. }, Value::Number(number)) => number.is_i64(),
        (Shape::Time, Value::String(text)) => text.parse::<k8s_openapi::jiff::Timestamp>().is_ok(),
        (Shape::Bytes, Value::String(text)) => BASE64.decode(text).is_ok(),
        (Shape::IntOrString, Value::String(_)) => true,
        (Shape::IntOrString, Value::Number(number)) => {
            number.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
        }
        (Shape::Quantity, Value::String(text)) => text.parse::<Quantity>().is_ok(),
        (Shape::Quantity, Value::Number(number)) => number.to_string().parse::<Quantity>().is_ok(),
        _ => false,
    };
    if fits {
        return None;
    }
    let hint = match (shape, value) {
        (Shape::String, Value::Number(_) | Value::Bool(_)) => "; write it in quotes",
        (Shape::Integer { .. }, Value::String(text)) if text.parse::<i64>().is_ok() => {
            "; write it without quotes"
        }
        (Shape::Boolean, Value::String(text)) if text == "true" || text == "false" => {
            "; write it without quotes"
        }
        _ => "",
    };
    Some(format!("must be {expected}, this is {}{hint}", json_type(value)))
}
