//! The shapes of all kinds: from the schemas that `k8s-openapi` generates, with the merging of lists put in.
//!
//! Two faces. [`definitions`] is the JSON that the API serves as OpenAPI. [`Place`] walks the same shapes field by
//! field, for whoever merges patches or checks objects. Knows shapes only; what values mean is `validate`'s.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::api::{apps, coordination, core, discovery, networking};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::kind::Kind;

mod rules;

/// How a strategic merge patch merges a list. Without one, the patch's list replaces the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListMerge {
    /// Items are maps; those with the same value under this key are merged.
    ByKey(&'static str),
    /// Items are plain values; those of the patch are added.
    Primitives,
}

/// How server-side apply owns a list (`x-kubernetes-list-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListType {
    /// As a whole.
    Atomic,
    /// Each value by itself.
    Set,
    /// Each item by itself, told apart by these fields together.
    Map(&'static [&'static str]),
}

/// What a value must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Anything at all.
    Any,
    String,
    /// RFC 3339.
    Time,
    /// Base64.
    Bytes,
    Boolean,
    Integer {
        bits: u32,
    },
    Number,
    /// A number or a string: `80`, `http`, `25%`, and quantities.
    IntOrString,
    Quantity,
    List(Box<Shape>),
    /// Any keys, values of one shape.
    MapOf(Box<Shape>),
    /// The definition of this name.
    Type(String),
}

/// A type with named fields.
#[derive(Debug)]
pub(crate) struct Definition {
    name: String,
    pub(crate) fields: BTreeMap<String, Shape>,
    pub(crate) required: Vec<String>,
}

struct Schemas {
    definitions: Map<String, Value>,
    types: BTreeMap<String, Definition>,
}

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(Schemas::generate);

/// The definitions of all kinds and of what they are made of, by name, for `definitions` of an OpenAPI v2 document.
///
/// They refer to one another as `#/definitions/NAME`. Kinds carry `x-kubernetes-group-version-kind`, merging lists
/// `x-kubernetes-patch-strategy`, `x-kubernetes-patch-merge-key`, `x-kubernetes-list-type` and `-map-keys`.
pub fn definitions() -> &'static Map<String, Value> {
    &SCHEMAS.definitions
}

/// How a strategic merge patch merges the list at a path of field names; list items are passed through:
/// `["spec", "template", "spec", "containers", "env"]`.
pub fn list_merge(kind: Kind, path: &[&str]) -> Option<ListMerge> {
    path.iter().try_fold(Place::root(kind), |place, field| place.items().field(field))?.list_merge()
}

/// A field's place in the schema of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    shape: &'static Shape,
    rule: Option<&'static rules::Rule>,
}

/// The places of the kinds themselves.
static ROOTS: LazyLock<BTreeMap<Kind, Shape>> = LazyLock::new(|| {
    Kind::ALL.into_iter().map(|kind| (kind, Shape::Type(kind.info().definition.to_owned()))).collect()
});

impl Place {
    /// The object itself.
    pub fn root(kind: Kind) -> Place {
        Place { shape: &ROOTS[&kind], rule: None }
    }

    /// The field of this name: of a type, or any key of a map. None: the schema does not know it.
    pub fn field(self, name: &str) -> Option<Place> {
        if let Some(definition) = self.definition() {
            let shape = definition.fields.get(name)?;
            return Some(Place { shape, rule: rules::rule(&definition.name, name) });
        }
        self.inner(|shape| if let Shape::MapOf(values) = shape { Some(values) } else { None })
    }

    /// The items of this list.
    pub fn item(self) -> Option<Place> {
        self.inner(|shape| if let Shape::List(items) = shape { Some(items) } else { None })
    }

    /// The place of all values inside this one; in what may be anything, everything may be anything.
    fn inner(self, shape_inside: impl Fn(&'static Shape) -> Option<&'static Shape>) -> Option<Place> {
        if self.shape == &Shape::Any {
            return Some(self);
        }
        shape_inside(self.shape).map(|shape| Place { shape, rule: None })
    }

    /// The items, if this is a list; itself, if not.
    fn items(self) -> Place {
        self.item().unwrap_or(self)
    }

    /// How a strategic merge patch merges this list. None: it replaces it.
    pub fn list_merge(self) -> Option<ListMerge> {
        self.rule.and_then(|rule| rule.merge)
    }

    /// Whether a change drops the fields that it does not name (`retainKeys`): of this map, or of this list's items.
    pub fn retains_keys(self) -> bool {
        self.rule.is_some_and(|rule| rule.retain_keys)
    }

    /// How server-side apply owns this list.
    pub fn list_type(self) -> ListType {
        self.rule.map_or(ListType::Atomic, |rule| rule.list_type)
    }

    pub(crate) fn shape(self) -> &'static Shape {
        self.shape
    }

    /// The type with named fields at this place, if it is one.
    pub(crate) fn definition(self) -> Option<&'static Definition> {
        let Shape::Type(name) = self.shape else { return None };
        SCHEMAS.types.get(name)
    }
}

impl Schemas {
    fn generate() -> Schemas {
        let mut definitions = generated();
        definitions.iter_mut().for_each(|(name, schema)| decorate(name, schema));
        for kind in Kind::ALL {
            let info = kind.info();
            if let Some(schema) = definitions.get_mut(info.definition) {
                schema["x-kubernetes-group-version-kind"] =
                    json!([{"group": info.group, "version": info.version, "kind": info.kind}]);
            }
        }
        let types =
            definitions.iter().filter_map(|(name, schema)| Some((name.clone(), definition(name, schema)?)));
        Schemas { types: types.collect(), definitions }
    }
}

/// The schemas as generated, by definition name.
fn generated() -> Map<String, Value> {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/definitions".into());
    let mut generator = SchemaGenerator::new(settings);
    generator.subschema_for::<core::v1::Namespace>();
    generator.subschema_for::<core::v1::Node>();
    generator.subschema_for::<core::v1::ConfigMap>();
    generator.subschema_for::<core::v1::Secret>();
    generator.subschema_for::<core::v1::ServiceAccount>();
    generator.subschema_for::<core::v1::Service>();
    generator.subschema_for::<core::v1::Pod>();
    generator.subschema_for::<core::v1::Event>();
    generator.subschema_for::<apps::v1::ReplicaSet>();
    generator.subschema_for::<apps::v1::Deployment>();
    generator.subschema_for::<discovery::v1::EndpointSlice>();
    generator.subschema_for::<networking::v1::Ingress>();
    generator.subschema_for::<coordination::v1::Lease>();
    generator.subschema_for::<meta::DeleteOptions>();
    generator.subschema_for::<meta::Status>();
    generator.take_definitions(true).into_iter().collect()
}

/// Puts the merging of lists into a definition.
fn decorate(name: &str, schema: &mut Value) {
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
    for (field, schema) in fields {
        let Some(rule) = rules::rule(name, field) else { continue };
        let strategy = match (rule.merge, rule.retain_keys) {
            (Some(_), true) => "merge,retainKeys",
            (Some(_), false) => "merge",
            (None, true) => "retainKeys",
            (None, false) => "",
        };
        if !strategy.is_empty() {
            schema["x-kubernetes-patch-strategy"] = strategy.into();
        }
        if let Some(ListMerge::ByKey(key)) = rule.merge {
            schema["x-kubernetes-patch-merge-key"] = key.into();
        }
        if schema["type"] != "array" {
            continue;
        }
        match rule.list_type {
            ListType::Atomic => schema["x-kubernetes-list-type"] = "atomic".into(),
            ListType::Set => schema["x-kubernetes-list-type"] = "set".into(),
            ListType::Map(keys) => {
                schema["x-kubernetes-list-type"] = "map".into();
                schema["x-kubernetes-list-map-keys"] = json!(keys);
            }
        }
    }
}

/// The type with named fields that a schema describes. None: it is a plain value, or a map without known keys.
fn definition(name: &str, schema: &Value) -> Option<Definition> {
    let properties = schema.get("properties")?.as_object()?;
    let fields = properties.iter().map(|(field, schema)| (field.clone(), shape(schema))).collect();
    let required = schema["required"].as_array().into_iter().flatten();
    let required = required.filter_map(|field| Some(field.as_str()?.to_owned())).collect();
    Some(Definition { name: name.to_owned(), fields, required })
}

fn shape(schema: &Value) -> Shape {
    if let Some(reference) = schema["$ref"].as_str() {
        return referenced(reference.rsplit('/').next().unwrap_or(reference));
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return Shape::IntOrString;
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("string"), Some("date-time")) => Shape::Time,
        (Some("string"), Some("byte")) => Shape::Bytes,
        (Some("string"), _) => Shape::String,
        (Some("boolean"), _) => Shape::Boolean,
        (Some("integer"), Some("int32")) => Shape::Integer { bits: 32 },
        (Some("integer"), _) => Shape::Integer { bits: 64 },
        (Some("number"), _) => Shape::Number,
        (Some("array"), _) => Shape::List(Box::new(shape(&schema["items"]))),
        (Some("object"), _) => match schema.get("additionalProperties") {
            Some(values) => Shape::MapOf(Box::new(shape(values))),
            None => Shape::MapOf(Box::new(Shape::Any)),
        },
        _ => Shape::Any,
    }
}

/// The shape of a definition that another one refers to; those without named fields are spelled out.
fn referenced(name: &str) -> Shape {
    match name.rsplit('.').next().unwrap_or(name) {
        "Quantity" => Shape::Quantity,
        "IntOrString" => Shape::IntOrString,
        "Time" | "MicroTime" => Shape::Time,
        "FieldsV1" | "RawExtension" | "Patch" => Shape::MapOf(Box::new(Shape::Any)),
        _ => Shape::Type(name.to_owned()),
    }
}

#[cfg(test)]
mod tests;
