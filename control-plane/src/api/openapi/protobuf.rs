//! The OpenAPI v2 document in the protobuf form that kubectl asks for: gnostic's `OpenAPIv2.proto`.
//!
//! Only what our document has is written, with the field numbers of
//! <https://github.com/google/gnostic/blob/main/openapiv2/OpenAPIv2.proto>.

use serde_json::{Map, Value};

/// A message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A text; what is no text, or empty, is not written.
    fn text(&mut self, field: u64, value: &Value) {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            self.bytes(field, text.as_bytes());
        }
    }

    fn flag(&mut self, field: u64, value: bool) {
        self.varint(field << 3);
        self.varint(u64::from(value));
    }

    fn message(&mut self, field: u64, message: &Message) {
        self.bytes(field, &message.0);
    }

    /// A map, which gnostic writes as a list of pairs of name and value.
    fn named(&mut self, field: u64, value: &Value, encode: impl Fn(&Value) -> Message) {
        for (name, value) in value.as_object().into_iter().flatten() {
            self.message(field, &pair(name, &encode(value)));
        }
    }

    /// Everything that begins with `x-`, as YAML text.
    fn extensions(&mut self, field: u64, map: &Map<String, Value>) {
        for (name, value) in map.iter().filter(|(name, _)| name.starts_with("x-")) {
            let mut any = Message::default();
            any.bytes(2, value.to_string().as_bytes());
            self.message(field, &pair(name, &any));
        }
    }
}

fn pair(name: &str, value: &Message) -> Message {
    let mut pair = Message::default();
    pair.bytes(1, name.as_bytes());
    pair.message(2, value);
    pair
}

/// A whole document.
pub(super) fn document(document: &Value) -> Vec<u8> {
    let mut info = Message::default();
    info.text(1, &document["info"]["title"]);
    info.text(2, &document["info"]["version"]);
    let mut paths = Message::default();
    paths.named(2, &document["paths"], path_item);
    let mut definitions = Message::default();
    definitions.named(1, &document["definitions"], schema);
    let mut message = Message::default();
    message.text(1, &document["swagger"]);
    message.message(2, &info);
    message.message(8, &paths);
    message.message(9, &definitions);
    message.0
}

fn path_item(item: &Value) -> Message {
    let mut message = Message::default();
    message.message(8, &operation(&item["patch"]));
    message
}

fn operation(operation: &Value) -> Message {
    let mut message = Message::default();
    message.text(3, &operation["description"]);
    message.text(5, &operation["operationId"]);
    for value in operation["parameters"].as_array().into_iter().flatten() {
        message.message(8, &parameter(value));
    }
    let mut responses = Message::default();
    responses.named(1, &operation["responses"], |response| {
        let mut inner = Message::default();
        inner.text(1, &response["description"]);
        let mut value = Message::default();
        value.message(1, &inner);
        value
    });
    message.message(9, &responses);
    if let Value::Object(map) = operation {
        message.extensions(13, map);
    }
    message
}

/// ParametersItem ▸ Parameter ▸ NonBodyParameter ▸ QueryParameterSubSchema.
fn parameter(parameter: &Value) -> Message {
    let mut query = Message::default();
    query.text(2, &parameter["in"]);
    query.text(4, &parameter["name"]);
    query.text(6, &parameter["type"]);
    wrapped(1, &wrapped(2, &wrapped(3, &query)))
}

fn wrapped(field: u64, inner: &Message) -> Message {
    let mut outer = Message::default();
    outer.message(field, inner);
    outer
}

fn schema(schema: &Value) -> Message {
    let mut message = Message::default();
    let Value::Object(map) = schema else { return message };
    message.text(1, &schema["$ref"]);
    message.text(2, &schema["format"]);
    message.text(4, &schema["description"]);
    for name in schema["required"].as_array().into_iter().flatten() {
        message.text(19, name);
    }
    match &schema["additionalProperties"] {
        Value::Bool(allowed) => {
            let mut item = Message::default();
            item.flag(2, *allowed);
            message.message(21, &item);
        }
        value @ Value::Object(_) => {
            let mut item = Message::default();
            item.message(1, &self::schema(value));
            message.message(21, &item);
        }
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
    }
    if schema["type"].is_string() {
        let mut item = Message::default();
        item.text(1, &schema["type"]);
        message.message(22, &item);
    }
    if schema["items"].is_object() {
        let mut item = Message::default();
        item.message(1, &self::schema(&schema["items"]));
        message.message(23, &item);
    }
    if schema["properties"].is_object() {
        let mut properties = Message::default();
        properties.named(1, &schema["properties"], self::schema);
        message.message(25, &properties);
    }
    message.extensions(31, map);
    message
}
