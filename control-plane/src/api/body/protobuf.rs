//! Bodies in Kubernetes' protobuf: what `kubectl create KIND` and Go's typed clients send, and send in no other form.
//!
//! `k8s\0`, then a `runtime.Unknown` with the object's type and its bytes. The bytes are turned into the same JSON that
//! the client would have sent, by the tables in [`messages`]. What the tables do not know is refused, never dropped:
//! half an object is worse than none.
//!
//! Reference: `generated.proto` of each API group; <https://protobuf.dev/programming-guides/encoding/>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

mod messages;

/// What every such body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// A field of a message.
struct Field {
    number: u64,
    /// Its name in JSON.
    name: &'static str,
    is: Type,
}

/// What a field holds.
enum Type {
    Text,
    Texts,
    /// A number or flag whose zero says something.
    Number,
    Flag,
    /// A number or flag whose zero is what Go writes for "not set".
    Count,
    Mark,
    Time,
    IntOrString,
    /// Texts by key.
    TextMap,
    /// Bytes by key.
    BytesMap,
    One(&'static [Field]),
    Many(&'static [Field]),
    /// A Go embedded struct: nested here, part of its parent in JSON.
    Inline(&'static [Field]),
    /// Only the server writes it.
    Ignored,
}

/// Why a body in protobuf cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtobufError {
    /// It breaks off, or is none.
    #[error("not the protobuf of a Kubernetes object")]
    Malformed,
    /// A kind that no table describes.
    #[error("{0} is not read in protobuf here; send JSON")]
    UnknownKind(String),
    /// A field that no table describes.
    #[error("field {number} of {parent} is not read in protobuf here; send JSON")]
    UnknownField {
        /// The number of the field.
        number: u64,
        /// What it is in.
        parent: &'static str,
    },
}

type Fields = Map<String, Value>;

/// The JSON of a body in protobuf.
pub(super) fn value(body: &[u8]) -> Result<Value, ProtobufError> {
    let envelope = body.strip_prefix(MAGIC).ok_or(ProtobufError::Malformed)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for item in Items(envelope) {
        match item? {
            (1, Wire::Bytes(meta)) => {
                for item in Items(meta) {
                    match item? {
                        (1, Wire::Bytes(bytes)) => api_version = text(bytes)?,
                        (2, Wire::Bytes(bytes)) => kind = text(bytes)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let table = messages::of(&api_version, &kind);
    let table = table.ok_or_else(|| ProtobufError::UnknownKind(format!("{api_version} {kind}")))?;
    let mut fields = Fields::new();
    decode(raw, table, "the object", &mut fields)?;
    fields.insert("apiVersion".into(), api_version.into());
    fields.insert("kind".into(), kind.into());
    Ok(Value::Object(fields))
}

fn decode(
    bytes: &[u8],
    table: &'static [Field],
    parent: &'static str,
    into: &mut Fields,
) -> Result<(), ProtobufError> {
    for item in Items(bytes) {
        let (number, wire) = item?;
        let field = table.iter().find(|field| field.number == number);
        let field = field.ok_or(ProtobufError::UnknownField { number, parent })?;
        match wire {
            Wire::Varint(number) => scalar(field, number, into)?,
            Wire::Bytes(bytes) => composite(field, bytes, into)?,
        }
    }
    Ok(())
}

fn scalar(field: &Field, number: u64, into: &mut Fields) -> Result<(), ProtobufError> {
    let value = match field.is {
        Type::Number | Type::Count => json!(number.cast_signed()),
        Type::Flag | Type::Mark => json!(number != 0),
        Type::Ignored => return Ok(()),
        Type::Text
        | Type::Texts
        | Type::Time
        | Type::IntOrString
        | Type::TextMap
        | Type::BytesMap
        | Type::One(_)
        | Type::Many(_)
        | Type::Inline(_) => return Err(ProtobufError::Malformed),
    };
    let says_nothing = matches!(field.is, Type::Count | Type::Mark) && number == 0;
    if !says_nothing {
        into.insert(field.name.to_owned(), value);
    }
    Ok(())
}

fn composite(field: &Field, bytes: &[u8], into: &mut Fields) -> Result<(), ProtobufError> {
    let name = field.name;
    match field.is {
        Type::Text if bytes.is_empty() => {}
        Type::Text => drop(into.insert(name.to_owned(), json!(text(bytes)?))),
        Type::Texts => list(into, name)?.push(json!(text(bytes)?)),
        Type::Time => into.extend(time(bytes)?.map(|time| (name.to_owned(), time))),
        Type::IntOrString => drop(into.insert(name.to_owned(), int_or_string(bytes)?)),
        Type::TextMap => {
            let (key, value) = pair(bytes)?;
            map(into, name)?.insert(key, json!(text(value)?));
        }
        Type::BytesMap => {
            let (key, value) = pair(bytes)?;
            map(into, name)?.insert(key, json!(BASE64.encode(value)));
        }
        Type::One(table) => decode(bytes, table, name, map(into, name)?)?,
        Type::Many(table) => {
            let mut item = Fields::new();
            decode(bytes, table, name, &mut item)?;
            list(into, name)?.push(Value::Object(item));
        }
        Type::Inline(table) => decode(bytes, table, name, into)?,
        Type::Ignored => {}
        Type::Number | Type::Flag | Type::Count | Type::Mark => return Err(ProtobufError::Malformed),
    }
    Ok(())
}

fn list<'a>(into: &'a mut Fields, name: &str) -> Result<&'a mut Vec<Value>, ProtobufError> {
    into.entry(name).or_insert_with(|| json!([])).as_array_mut().ok_or(ProtobufError::Malformed)
}

fn map<'a>(into: &'a mut Fields, name: &str) -> Result<&'a mut Fields, ProtobufError> {
    into.entry(name).or_insert_with(|| json!({})).as_object_mut().ok_or(ProtobufError::Malformed)
}

fn text(bytes: &[u8]) -> Result<String, ProtobufError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ProtobufError::Malformed)
}

/// An entry of a map.
fn pair(bytes: &[u8]) -> Result<(String, &[u8]), ProtobufError> {
    let (mut key, mut value) = (String::new(), &[][..]);
    for item in Items(bytes) {
        match item? {
            (1, Wire::Bytes(bytes)) => key = text(bytes)?,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => return Err(ProtobufError::Malformed),
        }
    }
    Ok((key, value))
}

/// A time; one that is not set is an empty message.
fn time(bytes: &[u8]) -> Result<Option<Value>, ProtobufError> {
    for item in Items(bytes) {
        if let (1, Wire::Varint(seconds)) = item? {
            let time = Timestamp::from_second(seconds.cast_signed()).map_err(|_| ProtobufError::Malformed)?;
            return Ok(Some(json!(time.to_string())));
        }
    }
    Ok(None)
}

fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut is_text, mut number, mut word) = (false, 0, String::new());
    for item in Items(bytes) {
        match item? {
            (1, Wire::Varint(kind)) => is_text = kind == 1,
            (2, Wire::Varint(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(bytes)) => word = text(bytes)?,
            _ => return Err(ProtobufError::Malformed),
        }
    }
    Ok(if is_text { json!(word) } else { json!(number) })
}

/// A value as it is on the wire; Kubernetes' messages have no other forms.
enum Wire<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, one after another.
struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (first, rest) = self.0.split_first().ok_or(ProtobufError::Malformed)?;
            self.0 = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ProtobufError::Malformed)
    }

    fn item(&mut self) -> Result<(u64, Wire<'a>), ProtobufError> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| ProtobufError::Malformed)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(ProtobufError::Malformed)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            _ => return Err(ProtobufError::Malformed),
        };
        Ok((tag >> 3, wire))
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<(u64, Wire<'a>), ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let item = self.item();
        if item.is_err() {
            self.0 = &[];
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests;
