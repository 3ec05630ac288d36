//! New objects: what the server adds to them, and when they may not be.

use manifests::{Kind, Object};
use rand::{Rng, RngExt};
use serde_json::{Value, json};

use super::{Cause, Context, Effect, Status, admission, key_of, namespaces, pods, rfc3339, services};
use crate::snapshot::{Key, Snapshot};

/// How many characters the server adds to `metadata.generateName`.
pub(super) const GENERATED_SUFFIX_LEN: usize = 5;
/// How often another suffix is tried when a generated name is taken.
pub(super) const GENERATED_NAME_TRIES: usize = 8;
/// How long a generated name may be: that of a label.
const GENERATED_NAME_MAX: usize = 63;
/// No vowels, so that no words come out; no digits that read as letters.
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Makes a new object of what a user sent.
pub(super) fn create(
    snapshot: &Snapshot,
    mut object: Object,
    context: &mut Context<'_>,
) -> Result<Effect, Status> {
    let kind = key_of(&object)?.kind;
    if object.str_at(&["metadata", "resourceVersion"]).is_some_and(|version| !version.is_empty()) {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    generate_name(snapshot, &mut object, context.random)?;
    let key = key_of(&object)?;
    namespaces::check_accepts(snapshot, &key)?;
    if snapshot.get(&key).is_some() {
        return Err(Status::already_exists(kind, &key.name));
    }
    discard_what_is_ours(kind, &mut object);
    admission::default(&mut object);
    prepare(kind, &mut object);
    admission::validate(kind, &object)?;
    if kind == Kind::Service {
        services::allocate(snapshot, &mut object, None, context)?;
    }
    let metadata = object.metadata_mut();
    metadata.insert("uid".into(), json!(uid(context.random)));
    metadata.insert("creationTimestamp".into(), rfc3339(context.now));
    if has_generation(kind) {
        metadata.insert("generation".into(), json!(1));
    }
    Ok(Effect::Put(object))
}

/// Whether the kind has a spec whose versions are counted.
pub(super) fn has_generation(kind: Kind) -> bool {
    matches!(kind, Kind::Pod | Kind::ReplicaSet | Kind::Deployment | Kind::Ingress)
}

fn generate_name(snapshot: &Snapshot, object: &mut Object, random: &mut dyn Rng) -> Result<(), Status> {
    if !object.name().is_empty() {
        return Ok(());
    }
    let kind = key_of(object)?.kind;
    let Some(prefix) = object.str_at(&["metadata", "generateName"]).filter(|prefix| !prefix.is_empty())
    else {
        let message = "Required value: name or generateName is required";
        let cause = Cause {
            reason: "FieldValueRequired".into(),
            message: message.into(),
            field: "metadata.name".into(),
        };
        return Err(Status::invalid(kind, "", vec![cause]));
    };
    let prefix: String = prefix.chars().take(GENERATED_NAME_MAX - GENERATED_SUFFIX_LEN).collect();
    for _ in 0..GENERATED_NAME_TRIES {
        let name = format!("{prefix}{}", suffix(random));
        let key = Key::new(kind, object.namespace().unwrap_or_default(), name.as_str());
        if snapshot.get(&key).is_none() {
            object.set(&["metadata", "name"], name);
            return Ok(());
        }
    }
    Err(Status::already_exists(kind, &prefix))
}

fn suffix(random: &mut dyn Rng) -> String {
    let draw = |_| char::from(SUFFIX_ALPHABET[random.random_range(0..SUFFIX_ALPHABET.len())]);
    (0..GENERATED_SUFFIX_LEN).map(draw).collect()
}

/// A random (version 4) UUID.
pub(super) fn uid(random: &mut dyn Rng) -> String {
    let mut bytes = [0_u8; 16];
    random.fill_bytes(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Drops what only the server may say. A node reports its own status when it registers; nobody else does.
fn discard_what_is_ours(kind: Kind, object: &mut Object) {
    let metadata = object.metadata_mut();
    for field in super::SERVERS_METADATA {
        metadata.remove(field);
    }
    if kind.info().status && kind != Kind::Node {
        object.0.remove("status");
    }
}

/// What a new object of a kind begins with.
fn prepare(kind: Kind, object: &mut Object) {
    match kind {
        Kind::Namespace => namespaces::prepare(object),
        Kind::Pod => pods::prepare(object),
        Kind::Service | Kind::Ingress => object.set(&["status"], json!({"loadBalancer": {}})),
        Kind::ReplicaSet => object.set(&["status"], json!({"replicas": 0})),
        Kind::Deployment => object.set(&["status"], Value::Object(serde_json::Map::new())),
        Kind::Node
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::ServiceAccount
        | Kind::Event
        | Kind::EndpointSlice
        | Kind::Lease => {}
    }
}

#[cfg(test)]
mod tests;
